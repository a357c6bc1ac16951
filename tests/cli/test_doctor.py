"""`trio-copy doctor`: a line for each look, what to do, and no key anywhere."""

import json
import re
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from attrs import evolve

from tests.builders import NOW, POLYGON
from tests.cli.live import OWN, SECRET, write_conf
from tests.clob.scripted_chain import USD, ScriptedChain
from tests.harness import open_world
from tests.testing.venue_client import Trader
from trio_copy.chain.dial import dial_network
from trio_copy.cli import main
from trio_copy.cli.doctor import show_findings
from trio_copy.cli.examined import Keys, examine_wallets
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey
from trio_copy.ports import Contracts, Examine, ExecutorContext, Finding, Health
from trio_copy.testing.clob_venue import Answered, ClobServer, open_clob_venue
from trio_copy.testing.devnet import open_devnet
from trio_copy_clob.orders.exchanges import EXCHANGES

Capture = pytest.CaptureFixture[str]
Clock = trio.testing.MockClock
FOUND = (
    Finding(check="clock", health=Health.GOOD, text="0 s behind the venue's"),
    Finding(check="region", health=Health.UNKNOWN, text="no whole answer in time"),
    Finding(check="key", health=Health.GOOD, text="opened", wallet="hot"),
    Finding(
        check="approval v2 BUY",
        health=Health.GOOD,
        text="unlimited: 0xE111180000d2663C0091e4f400237545B87B996B may take all that the wallet ever has",
        advice="a finite allowance of pUSD, as much as it may trade with",
        wallet="hot",
    ),
    Finding(
        check="approval v3 SELL",
        health=Health.BAD,
        text="none: what is bought could not be sold",
        advice="shares of 0x006F54F7f9A22e0000CC2AB60031000000ae9fEF for 0xe3333700cA9d93003F00f0F71f8515005F6c00Aa: approve it",
        wallet="hot",
    ),
)


@pytest.fixture(autouse=True)
def in_a_shared_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_copy.cli.doctor.keep_out_of_dumps", lambda: None)


def plan_of(folder: Path, examine: Examine | None, *, nodes: Sequence[Any] = ()) -> Plan:
    """The plan of a live configuration, whose executor is looked at in some way."""
    plan = load_plan(write_conf(folder))
    executors = [evolve(one, plugin=evolve(one.plugin, examine=examine, moves_money=True)) for one in plan.executors]
    settings = evolve(plan.settings, devnet=None, endpoint=tuple(nodes)) if nodes else plan.settings
    return evolve(plan, executors=tuple(executors), settings=settings)


async def test_everybody_is_asked_about_his_own(clock: Clock, tmp_path: Path) -> None:
    """The nodes, the keys, and the executor about the wallets of its followers, and of those that nobody pays with yet."""
    given: list[ExecutorContext] = []

    async def examine(context: ExecutorContext, contracts: Contracts) -> list[Finding]:
        await trio.lowlevel.checkpoint()
        given.append(context)
        told = Finding(check="venue", health=Health.GOOD, text="fine")
        return [told, *(evolve(told, wallet=wallet.name) for wallet in context.wallets)]

    async with open_world(nodes=2) as world:
        world.down.add(1)
        plan = plan_of(tmp_path, examine, nodes=world.endpoints)
        keys = Keys(opened={"hot": SecretKey(SECRET)}, troubles={"cold": "wallet.cold.key: is not there"})
        found = await examine_wallets(plan, ["hot", "cold"], keys, world.dial, world.wall)
    [context] = given
    assert [(one.name, one.follower, one.signature_type) for one in context.wallets] == [
        ("hot", "alice", SignatureType.EOA),
        ("cold", "", SignatureType.SAFE),
    ]
    assert context.signers is not None
    hot, cold = (context.signers.of(one) for one in context.wallets)
    assert hot is not None
    assert hot.address == OWN
    assert cold is None
    assert [(one.wallet, one.check, one.health.value) for one in found] == [
        ("", "node node-0", "good"),
        ("", "node node-1", "bad"),
        ("", "venue", "good"),
        ("hot", "key", "good"),
        ("hot", "venue", "good"),
        ("cold", "key", "bad"),
        ("cold", "venue", "good"),
    ]
    assert [(one.text, bool(one.advice)) for one in found if one.health is Health.BAD] == [
        ("node-1 refuses", True),
        ("wallet.cold.key: is not there", True),
    ]


async def test_what_cannot_be_asked_is_yellow(clock: Clock, tmp_path: Path) -> None:
    """A devnet has no contracts; of an executor that tells nothing, that is said."""
    keys = Keys(opened={"hot": SecretKey(SECRET)}, troubles={})
    found = await examine_wallets(plan_of(tmp_path, None), ["hot"], keys, dial_network, lambda: NOW)
    assert [(one.check, one.health.value) for one in found] == [
        ("nodes", "unknown"),
        ("key", "good"),
        ("executor", "unknown"),
    ]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("terminal", [False, True])
def test_people_read_a_line_for_each_look(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int, terminal: bool
) -> None:
    """Whole in a pipe; on a terminal marked by colours, cut between words, with nothing lost, addresses neither."""
    plan = plan_of(tmp_path, None)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert show_findings(plan, FOUND, json=False) == 1
    said = capsys.readouterr().out
    plain = said
    for code in ("32m", "31m", "33m", "0m"):
        plain = plain.replace(f"\x1b[{code}", "")
    whole = [
        "all wallets",
        "  ok      clock: 0 s behind the venue's",
        "  unknown region: no whole answer in time",
        f"wallet hot  {OWN}  eoa",
        "  ok      key: opened",
        "  ok, but approval v2 BUY: unlimited: 0xE111180000d2663C0091e4f400237545B87B996B may take all that the wallet ever"
        " has; to do: a finite allowance of pUSD, as much as it may trade with",
        "  FAILED  approval v3 SELL: none: what is bought could not be sold; to do: shares of"
        " 0x006F54F7f9A22e0000CC2AB60031000000ae9fEF for 0xe3333700cA9d93003F00f0F71f8515005F6c00Aa: approve it",
        "3 ok, 1 FAILED, 1 unknown; nothing was changed",
    ]
    assert " ".join(plain.lower().split()) == " ".join(" ".join(whole).lower().split())
    if not terminal:
        assert plain.lower() == "\n".join([*whole, ""]).lower()
        return
    lines = plain.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.startswith(("  ok", "  FAILED", "  unknown", " " * 10)) for line in lines[1:3] + lines[4:-1])
    assert [said.count(f"\x1b[{code}") for code in ("32m", "33m", "31m")] == [2, 2, 1]


def test_machines_get_an_object_for_each_look(tmp_path: Path, capsys: Capture) -> None:
    """With everything in it; exit code 0 where nothing is red, although something is unknown."""
    plan = plan_of(tmp_path, None)
    assert show_findings(plan, FOUND[:-1], json=True) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == {"wallet": None, "check": "region", "health": "unknown", "text": FOUND[1].text, "advice": None}
    assert (rows[3]["wallet"], rows[3]["health"], rows[3]["advice"]) == ("hot", "good", FOUND[3].advice)
    assert len(rows) == 4
    assert show_findings(plan, FOUND, json=True) == 1


def test_a_command_in_a_hint_works_when_it_is_pasted(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote the hint knew of no file: it is told with the one that was given, for people and machines."""
    monkeypatch.delenv("TRIO_COPY_CONF", raising=False)
    folder = tmp_path / "it's mine"
    folder.mkdir()
    plan = plan_of(folder, None)
    hint = evolve(
        FOUND[4],
        advice="its place; `trio-copy keys check` tries again, and `trio-copy arm hot`; or `trio-copy arm NAME`",
    )
    assert show_findings(plan, [hint], json=True) == 1
    advice = json.loads(capsys.readouterr().out)["advice"]
    assert show_findings(plan, [hint], json=False) == 1
    assert advice in capsys.readouterr().out
    check, arm, other = re.findall("`([^`]+)`", advice)
    assert other == "trio-copy arm NAME", "which stands for another one"
    assert main([*shlex.split(arm)[1:], "--yes"]) == 0
    main(shlex.split(check)[1:])
    assert "wallet.hot" in capsys.readouterr().out.replace("hot ", "wallet.hot ")


@contextmanager
def served() -> Iterator[tuple[str, str, ClobServer]]:
    """Serve a node and the venue over loopback, in a thread of their own: where they are, and the venue."""
    told: list[Any] = []
    ready = threading.Event()

    async def serve() -> None:
        wall = anchored_wall_clock()
        async with open_devnet(POLYGON, wall) as devnet, open_clob_venue(wall) as server:
            chain = ScriptedChain(cash={OWN: 40 * USD})
            chain.approve(OWN)
            chain.approved.clear()
            devnet.node.contracts = chain
            wallet = server.clob.put_wallet(OWN, usd=40)
            await Trader(server=server, key=SecretKey(SECRET), wallet=wallet).ask("POST", "/auth/api-key", level=1)
            with trio.CancelScope() as scope:
                told.extend((devnet.url, server.address, server, trio.lowlevel.current_trio_token(), scope))
                ready.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,), daemon=True)
    thread.start()
    assert ready.wait(10)
    url, address, server, token, scope = told
    try:
        yield url, address, server
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(10)


def test_a_wallet_is_looked_at_over_the_network_and_no_key_is_shown(tmp_path: Path, capsys: Capture) -> None:
    """Everything but one approval is good: exit code 1, the line says what to do, and no file has changed."""
    conf = write_conf(tmp_path)
    with served() as (node, venue, server):
        text = conf.read_text().replace("dry-run", "clob")
        text = text.replace(
            "[executor.clob]", f'[executor.clob]\nclob_url = "{venue}"\ngeoblock_url = "{venue}/api/geoblock"'
        )
        devnet, rest = text.index("[devnet]"), text.index("[store.sqlite]")
        conf.write_text(f'{text[:devnet]}[[endpoint]]\nname = "one"\nurl = "{node}"\n{text[rest:]}')
        before = contents(tmp_path)
        assert main(["doctor", str(conf), "--wallet", "hot"]) == 1
        said = capsys.readouterr()
        assert main(["doctor", str(conf), "--wallet", "hot", "--json"]) == 1
        rows = capsys.readouterr()
        (tmp_path / "keys" / "hot.hex").chmod(0o644)
        assert main(["doctor", str(conf)]) == 1
        unreadable = capsys.readouterr()
        (tmp_path / "keys" / "hot.hex").chmod(0o600)
        assert contents(tmp_path) == before
        posted = [one.path for one in server.clob.record.of(Answered) if one.method != "GET"]
        assert posted == ["/auth/api-key"], "that of the test, which made the key"
    secrets = [
        SECRET.hex(),
        *(part for key in server.clob.keys.of_address(OWN) for part in (key.secret, key.passphrase)),
    ]
    for one in (said, rows, unreadable):
        assert not one.err
        assert not any(secret in one.out.lower() or secret in one.out for secret in secrets)
    lines = said.out.splitlines()
    assert lines[:2] == ["all wallets", "  ok      node one: chain 137, asked about contracts"]
    assert "  ok      money by type: 40 USD as eoa" in lines
    shares = "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045 for 0xE111180000d2663C0091e4f400237545B87B996B"
    red = "  FAILED  approval v2 SELL: none: what is bought could not be sold; to do: shares of "
    assert any(line.startswith(red + shares) for line in lines)
    assert lines[-1] == "14 ok, 3 FAILED, 0 unknown; nothing was changed"
    told = [json.loads(line) for line in rows.out.splitlines()]
    assert [one["check"] for one in told if one["health"] == "bad"] == [f"approval {name} SELL" for name in EXCHANGES]
    assert "  FAILED  key: wallet.hot.key: expected" in unreadable.out
    assert "to do: its place, or its passphrase" in unreadable.out
    assert "  unknown signature: without the key nothing can be signed" in unreadable.out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--wallet", "hott"], 2, 'expected a live wallet (hot, cold), got "hott"; did you mean hot?'),
        (["--conf", "nowhere.toml"], 2, "nowhere.toml"),
    ],
)
def test_what_is_not_there_is_one_line(tmp_path: Path, capsys: Capture, words: list[str], code: int, says: str) -> None:
    """Bad input is no finding."""
    conf = write_conf(tmp_path)
    assert main(["doctor", *([str(conf)] if "--conf" not in words else []), *words]) == code
    said = capsys.readouterr()
    assert not said.out
    [line] = said.err.splitlines()
    assert says.rstrip("?").rsplit(";", 1)[0] in line


def test_on_paper_there_is_nothing_to_look_at(tmp_path: Path, capsys: Capture) -> None:
    """And that is no failure."""
    conf = tmp_path / "conf.toml"
    text = write_conf(tmp_path, mode="paper").read_text()
    hot, paper = text.index("[wallet.hot]"), text.index("[wallet.paper]")
    conf.write_text(text[:hot] + text[paper:].replace('"hot"', '"paper"'))
    assert main(["doctor", str(conf)]) == 0
    assert "no wallet has a key" in capsys.readouterr().out
    assert main(["doctor", str(conf), "--json"]) == 0
    assert not capsys.readouterr().out
