"""conf/demo-clob.toml: orders that are signed, sent and settled, for wallets that exist for one run, and nowhere else."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import trio
from attrs import evolve, frozen

from tests.builders import NOW
from tests.plugins.stores import in_place
from trio_copy.cli import main
from trio_copy.cli.open_world import IN_MEMORY, open_world
from trio_copy.cli.play_money import PlayMoney, open_play_money
from trio_copy.cli.standing import read_standings, standing_lines
from trio_copy.clock import wall_clock_from
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import load_plan
from trio_copy.engine.seams import Seams
from trio_copy.entropy import seeded_entropy
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape
from trio_copy.testing.virtual import run_virtually

CONF = Path(__file__).parents[2] / "conf" / "demo-clob.toml"
LASTS_S = 13.0


@frozen
class Shown:
    tally: Tally
    lines: list[str]
    folder: Path
    """Where the run kept what it signed."""


@cache
def demonstration() -> Shown:
    """Play it in virtual time."""
    plan = load_plan(CONF)
    with open_play_money(plan, NOW) as play:
        assert play is not None
        assert len([*play.folder.glob("armed-*.json")]) == 2
        lines, tally = run_virtually(lambda: _play(play), seed=1)
    return Shown(tally, lines, play.folder)


async def _play(play: PlayMoney) -> tuple[list[str], Tally]:
    plan = load_plan(CONF)
    plan = evolve(plan, settings=play.stage(plan.settings))
    wall, tally, lines = wall_clock_from(NOW), Tally(), list[str]()
    async with open_world(plan, wall, IN_MEMORY, play.keys) as world:
        tape = Tape(lambda text: lines.append(text.plain), wall, world.labels, width=lambda: None)
        seams = Seams(
            dial=world.dial,
            wall=wall,
            entropy=seeded_entropy(1),
            observer=Observers([tally, tape]),
            catalog=world.catalog,
            open_socket=world.open_socket,
            in_thread=in_place,
            keys=play.keys,
        )
        async with open_service(world.plan, seams, world.endpoints) as service:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                await trio.sleep(LASTS_S)
                service.drain()
            lines += [line.plain for line in standing_lines(await read_standings(service.store, world.labels), None)]
    return lines, tally


@pytest.mark.parametrize(
    "line",
    [
        r"play-money: wallet large\.alice, the account of a key, trades with play money, at the venue inside this process for",
        r"play-money: wallet small\.bob, a deposit wallet, trades with play money",
        r"alice    filled   \d+\.\d\d @ 0\.\d+ ",
        r"bob      filled   \d+\.\d\d @ 0\.\d+ ",
        r"bob      denied   NO_BALANCE",
        r"^held       \d positions",
        r"^p&l        realised [+-]\$\d+\.\d\d, unrealised",
    ],
)
def test_what_it_shows(line: str) -> None:
    """How it is armed, orders that fill, positions, profits."""
    lines = demonstration().lines
    assert any(re.search(line, one) for one in lines), "\n".join(lines)


def test_nothing_of_it_goes_wrong_or_stays() -> None:
    """No order is refused or unproven; the only alert is the connection that is dropped on purpose; the folder is gone."""
    shown = demonstration()
    assert shown.tally.alerts == {"endpoint-lost": 1}
    assert shown.tally.tasks == shown.tally.ends.total() > 10
    assert not shown.folder.exists()


def test_it_takes_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over loopback, in time as it is; what it ends with is written as of any run."""
    conf = tmp_path / "conf.toml"
    conf.write_text(CONF.read_text().replace("block_every_s = 1.0", "block_every_s = 0.1"))
    assert main(["run", str(conf), "--for", "1s"]) == 0
    said = capsys.readouterr().out
    assert "play-money: wallet small.bob" in said
    assert "0 left in the queue, 0 lost" in said


def test_each_wallet_is_of_another_kind_and_each_run_has_keys_of_its_own() -> None:
    """An address of its own, too; what the configuration's wallets have on paper, they have at the venue."""
    plan = load_plan(CONF)
    with open_play_money(plan) as one, open_play_money(plan) as other:
        assert one is not None
        assert other is not None
        kinds = [wallet.signature_type for _, wallet in one.wallets.values()]
        addresses = {wallet.address for play in (one, other) for _, wallet in play.wallets.values()}
        assert kinds == [SignatureType.EOA, SignatureType.DEPOSIT]
        assert len(addresses) == 4
        settings = one.stage(plan.settings)
        assert {one.id: settings.wallet[one.wallet or ""].paper_usd for one in settings.follower} == {
            one.id: plan.settings.wallet[one.wallet or ""].paper_usd for one in plan.settings.follower
        }
        assert all(isinstance(key, SecretKey) for key in one.keys.values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda text: text.replace("[devnet]", "[log]").split("seed = 7")[0] + _without_devnet(text),
            'expected "live"',
        ),
        (lambda text: text.replace('wallet = "small"\n', ""), "follower[1].wallet: expected a paper wallet"),
        (lambda text: text.replace('id = "bob"', 'id = "*"').replace('"bob"', '"zoe"'), "expected a paper wallet"),
        (lambda text: text.replace('name = "demo-clob"', 'mode = "live"'), "expected a durable store"),
    ],
    ids=["no devnet", "no wallet", "everybody", "live"],
)
def test_what_is_no_play_money_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str], says: str
) -> None:
    """Without a devnet, what moves money needs mode live, and all that this needs."""
    conf = tmp_path / "conf.toml"
    conf.write_text(change(CONF.read_text()))
    assert main(["run", str(conf), "--for", "1s"]) == 2
    assert says in capsys.readouterr().err


def _without_devnet(text: str) -> str:
    return '[[endpoint]]\nname = "one"\nurl = "wss://node.test"\n[store.memory]' + text.split("[store.memory]")[1]
