"""What looks good and cannot work is found before anything is started."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.cli.test_config import GOOD
from tests.harness import make_test_plan, open_world
from trio_copy.chain.dial import dial_network
from trio_copy.cli import main
from trio_copy.cli.connections import try_connections
from trio_copy.cli.opened import ask_store
from trio_copy.engine.plan import PlannedMarkets, load_plan
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.testing.market_server import open_virtual_market_server

Capture = pytest.CaptureFixture[str]
Clock = trio.testing.MockClock
WHO = "alice:0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
FOLLOW = GOOD.index("[[follow]]")
BY_MARK = '[follow.size]\nmode = "equity"\nequity_by = "mark"'
LINE = '{{"token_id": "{}", "condition_id": "0x01"{}}}\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "conf.toml"
    path.write_text(text)
    return path


def durable(tmp_path: Path, text: str = GOOD) -> str:
    return text.replace("[store.memory]", f'[store.sqlite]\npath = "{tmp_path / "books.db"}"')


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda text: text + '[catalog]\nfile = "/nowhere/catalog.jsonl"',
            "catalog.file: /nowhere/catalog.jsonl: cannot be read: No such file or directory",
        ),
        (
            lambda text: text + '[follow.filters]\nkeyword_allow = ["btc"]',
            f"filters.keyword_allow: needs facts about markets: expected [markets.NAME], or [catalog] with a file, got none: {WHO}",
        ),
        (lambda text: text + '[follow.filters]\ncategory_deny = ["sport"]', "filters.category_deny: needs facts"),
        (lambda text: text + "[follow.filters]\nmin_hours_to_end = 2", "filters.min_hours_to_end: needs facts"),
        (lambda text: text + '[follow.size]\ndirection = "reverse"', "size.direction: needs facts about markets"),
        (lambda text: text + "[defaults.caps]\nmax_event_usd = 5", "caps.max_event_usd: needs facts about markets"),
        (
            lambda text: text + '[follow.filters]\nkinds = ["trade", "split", "merge"]',
            f"filters.kinds: merge, split needs [decoder.erc1155] with moves = true: {WHO}",
        ),
        (
            lambda text: text + "[follow.leaving]\ntake_profit_bps = 2000",
            f"leaving.take_profit_bps: needs prices: expected [markets.NAME], got none: {WHO}",
        ),
        (lambda text: text + "[follow.leaving]\nstop_loss_bps = 2000", "leaving.stop_loss_bps: needs prices"),
        (lambda text: text + "[defaults.leaving]\ntrailing_bps = 2000", "leaving.trailing_bps: needs prices"),
        (lambda text: text + "[follow.leaving]\nmax_hold_s = 60", "leaving.max_hold_s: needs prices"),
        (lambda text: text + '[follow.leaving]\nwhen_paused = "close"', "leaving.when_paused: needs prices"),
        (lambda text: text + '[follow.leaving]\nwhen_unfollowed = "close"', "leaving.when_unfollowed: needs prices"),
        (lambda text: text + "[follow.filters]\nmin_depth_usd = 50", "filters.min_depth_usd: needs prices"),
        (lambda text: text + "[follow.filters]\nmax_spread_bps = 500", "filters.max_spread_bps: needs prices"),
        (lambda text: text + "[follow.execution]\ntoo_good_bps = 500", "execution.too_good_bps: needs prices"),
        (
            lambda text: text + '[follow.caps]\nmax_drawdown_usd = 5\ndrawdown_by = "mark"',
            "caps.drawdown_by: needs prices",
        ),
        (
            lambda text: (
                "[wallet.w]\npaper_usd = 100\n" + text.replace('id = "alice"', 'id = "alice"\nwallet = "w"') + BY_MARK
            ),
            "size.equity_by: needs prices",
        ),
        (lambda text: "[markets.polymarket]\n" + text + BY_MARK, "size.equity_by: needs a paper wallet"),
        (
            lambda text: text + '[follow.execution]\norder_type = "GTC"',
            "execution.order_type: expected FAK or FOK, because no [markets.NAME] tells executor dry-run of books, which alone"
            f" fill what rests on paper, got GTC or GTD: {WHO}",
        ),
        (
            lambda text: (
                text.replace("[executor.dry-run]", '[executor.dry-run]\nprice_source = "leader"')
                + '[follow.execution]\norder_type = "GTD"\n[markets.polymarket]'
            ),
            'execution.order_type: expected FAK or FOK, because executor.dry-run.price_source is not "book"',
        ),
        (
            lambda text: text.replace("[store.memory]", '[store.sqlite]\npath = "/nowhere/books.db"'),
            "store.sqlite.path: the directory /nowhere does not exist",
        ),
        (lambda text: text + '[log]\nfile = "/nowhere/run.log"', "log.file: the directory /nowhere does not exist"),
        (
            lambda text: text.replace("chain_id = 137", "chain_id = 1"),
            "decoder.order-filled.exchanges: expected the contracts of chain 1, got none: those it has by default are of"
            " Polygon (137)",
        ),
        (
            lambda text: re.sub(r'leader = "0x\w+"', f'leader = "0x{"0" * 40}"', text),
            f"leader: expected a wallet, got 0x{'0' * 40}, nobody's address: alice:0x",
        ),
        (
            lambda text: re.sub(r'leader = "0x\w+"', 'leader = "0xe111180000d2663c0091e4f400237545b87b996b"', text),
            "leader: expected a wallet, got 0xe111180000d2663c0091e4f400237545b87b996b, a contract that others trade through",
        ),
        (
            lambda text: text + '[[endpoint]]\nname = "two"\nurl = "wss://NODE.example:443/"\n',
            "endpoint[1].url: expected a node of its own, got the URL of one (two)",
        ),
        (lambda text: text[:FOLLOW], "follow: expected at least one; add a [[follow]]"),
    ],
)
def test_what_cannot_work_is_not_good(tmp_path: Path, capsys: Capture, change: Callable[[str], str], says: str) -> None:
    """Each in one line, with who asked for it; and without it the file is good."""
    conf = written(tmp_path, change(GOOD))

    assert main(["check", str(conf)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"{re.escape(str(conf))}(:\d+)?: {re.escape(says)}", line), line


@pytest.mark.parametrize(
    ("extra", "facts", "lacks"),
    [
        ('[follow.filters]\nkeyword_allow = ["btc"]', ', "question": "BTC?"', None),
        ('[follow.filters]\nkeyword_allow = ["btc"]', "", "question"),
        ('[follow.size]\ndirection = "reverse"', ', "opposite": "2"', None),
        ('[follow.size]\ndirection = "reverse"', ', "question": "BTC?"', "opposite"),
    ],
)
def test_a_catalog_has_to_tell_what_is_asked_for(
    tmp_path: Path, capsys: Capture, extra: str, facts: str, lacks: str | None
) -> None:
    """A file that says nothing of the matter is as good as none."""
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text(LINE.format(1, facts))
    conf = written(tmp_path, f'{GOOD}{extra}\n[catalog]\nfile = "{catalog}"')

    assert main(["check", str(conf)]) == (2 if lacks else 0)
    assert (f'needs "{lacks}", and no token of the catalog has it' in capsys.readouterr().err) == bool(lacks)


def test_what_is_there_is_good(tmp_path: Path) -> None:
    """Contracts that are named on another chain, and moves that somebody reads."""
    moves = GOOD.replace("[decoder.order-filled]", "[decoder.order-filled]\n[decoder.erc1155]\nmoves = true")
    assert main(["check", str(written(tmp_path, moves + '[follow.filters]\nkinds = ["split"]'))]) == 0
    elsewhere = GOOD.replace("chain_id = 137", "chain_id = 1")
    named = f'[decoder.order-filled]\nexchanges = ["0x{"ab" * 20}"]'
    assert main(["check", str(written(tmp_path, elsewhere.replace("[decoder.order-filled]", named)))]) == 0


def test_follows_of_the_store_count(tmp_path: Path, capsys: Capture) -> None:
    """A check looks at them like at those of the file, and a selftest copies one; a store that is not there yet has none."""
    conf = written(tmp_path, durable(tmp_path, GOOD[:FOLLOW]))
    assert main(["check", str(conf)]) == 2
    assert "follow: expected at least one" in capsys.readouterr().err
    assert not (tmp_path / "books.db").exists()

    assert main(["follow", "add", "alice", WHO[6:], "size.minimum_policy=raise", "--conf", str(conf)]) == 0
    assert main(["check", str(conf)]) == 0
    assert "1 follow of 1 leader by 1 follower, 1 of them in the store" in capsys.readouterr().out
    assert main(["selftest", str(conf)]) == 0
    told = capsys.readouterr().out
    assert "1 follow of the store" in told
    assert "alice filled" in told

    assert main(["follow", "set", WHO, "size.direction=reverse", "--conf", str(conf)]) == 0
    assert main(["check", str(conf)]) == 2
    assert "size.direction: needs facts" in capsys.readouterr().err


def test_a_follow_of_the_store_without_its_follower_is_told(tmp_path: Path, capsys: Capture) -> None:
    """The file has changed since it was added: nobody would trade for it."""
    conf = written(tmp_path, durable(tmp_path))
    stray = Follow(follower=FollowerId("zoe"), leader=Address(WHO[6:]))
    ask_store(load_plan(conf), lambda store: store.follows.put([stray]), make=True)

    assert main(["check", str(conf)]) == 2
    assert f"follow {stray.name} (command): expected the id of a [[follower]], got zoe" in capsys.readouterr().err


async def test_every_node_is_tried_and_told_in_one_line(clock: Clock) -> None:
    """Its chain, its newest block and how old that is; or why not. One that is away holds none of the others up."""
    async with open_world(nodes=5) as world:
        world.chain.mine()
        await trio.sleep(2)
        world.down.add(1)

        async def refuse(stream: trio.abc.Stream) -> None:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

        async def say_nothing(stream: trio.abc.Stream) -> None:
            await trio.sleep_forever()

        world.instead |= {2: refuse, 3: say_nothing}
        world.nodes[4].faults.chain_id = 1
        plan = make_test_plan()
        plan = evolve(plan, settings=evolve(plan.settings, devnet=None, endpoint=tuple(world.endpoints)))
        tried = await try_connections(plan, world.dial, world.wall)

    assert [(one.name, one.ok) for one in tried] == [(f"node node-{number}", not number) for number in range(5)]
    told = [one.told for one in tried]
    assert told[0] == "chain 137, block 1, 2 s old, answered in 0 ms"
    assert told[1] == "node-1 refuses"
    assert "HTTP status 401: the API key" in told[2]
    assert told[3] == "no connection in 10 s"
    assert told[4] == "expected chain id 137, the node serves 1"


@pytest.mark.parametrize(
    ("wrong", "ok", "told"),
    [
        ({}, True, "tells facts and books, answered in 0 ms"),
        ({"blocked": True}, False, "region or datacentre is blocked (HTTP 403 with a page of Cloudflare); without it"),
        ({"host": "clob", "status": 400}, False, "127.0.0.1:8080: HTTP status 400: "),
        ({"status": 503}, False, "HTTP status 503: "),
        ({"stall": True}, False, "no whole answer within 10 s"),
    ],
    ids=str,
)
async def test_the_market_source_is_tried_as_well(clock: Clock, wrong: dict[str, Any], ok: bool, told: str) -> None:
    """Whether it answers, and if not, what is wrong, also where that takes it some time to say."""
    async with open_virtual_market_server(lambda: NOW) as server:
        for name, value in wrong.items():
            setattr(server.faults, name, value)
        plan = make_test_plan()
        source = plan.registry.market_source("polymarket")
        markets = PlannedMarkets(name="mine", plugin=source, settings=source.settings(**server.addresses))
        plan = evolve(plan, settings=evolve(plan.settings, devnet=None, endpoint=()), markets=markets)
        (tried,) = await try_connections(plan, dial_network, lambda: NOW, server.open_socket)

    assert (tried.name, tried.ok) == ("markets mine", ok)
    assert told in tried.told


def test_check_connect_says_what_does_not_answer(tmp_path: Path, capsys: Capture) -> None:
    """Exit code 1, because the file itself is good; the store's file is looked at too."""
    away = GOOD.replace("wss://node.example", "ws://127.0.0.1:1")
    conf = written(tmp_path, durable(tmp_path, away))

    assert main(["check", str(conf), "--connect"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{conf}: good"
    assert lines[-2].startswith("  FAILED node one: cannot connect to 127.0.0.1")
    assert lines[-1] == "  ok     store sqlite: not there yet; the first run makes it"


def test_a_proxy_of_the_environment_is_said_not_to_be_used(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is the only way out, nothing else would explain that nobody answers; what is in its address is not told."""
    conf = written(tmp_path, GOOD.replace("wss://node.example", "ws://127.0.0.1:1"))
    monkeypatch.setenv("HTTPS_PROXY", "http://me:password@127.0.0.1:3128")

    assert main(["check", str(conf), "--connect"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "  HTTPS_PROXY: not used; connections go straight to nodes and venue"
    )


def test_what_a_market_source_knows_is_not_asked_of_a_file(tmp_path: Path, capsys: Capture) -> None:
    """Filters, own exits and reverse copies need no catalog beside it; that it runs is said."""
    asks = '[follow.filters]\nkeyword_allow = ["btc"]\nmax_spread_bps = 500\n[follow.size]\ndirection = "reverse"\n'
    asks += '[follow.leaving]\ntake_profit_bps = 2000\n[follow.execution]\norder_type = "GTC"\n[markets.polymarket]\n'
    assert main(["check", str(written(tmp_path, GOOD + asks))]) == 0
    assert ", markets polymarket, mode paper" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [["check"], ["run", "--for", "1ms"]], ids=["check", "run"])
def test_the_usual_configuration_is_found_without_a_word(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, verb: list[str]
) -> None:
    """As with every command that looks into a store; where there is none, one line says where it was looked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIO_COPY_CONF", raising=False)
    assert main(verb) == 2
    said = "expected a configuration; none of $TRIO_COPY_CONF, trio-copy.toml and conf/prod.toml leads to one\n"
    assert capsys.readouterr().err == said
    monkeypatch.setenv("TRIO_COPY_CONF", str(written(tmp_path, GOOD.replace("137", "0x"))))
    assert main(verb) == 2
    assert f"{tmp_path / 'conf.toml'}" in capsys.readouterr().err
