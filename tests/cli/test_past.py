"""The past as a person judges it: fetched from a node, played back, compared, drawn, ranked."""

import csv
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import trio

from tests.builders import LEADER, NOW, OTHER_LEADER, POLYGON
from tests.cli.pictures import Picture
from tests.past import record_market
from trio_copy.cli import main
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import Address
from trio_copy.model.units import Usd
from trio_copy.testing.devnet import Devnet, open_devnet
from trio_copy.testing.devnet.market import ScriptedMarket
from trio_copy.testing.market_server import open_market_server

Capture = pytest.CaptureFixture[str]
_BLOCK_S, _BLOCKS = 600, 144
"""A market day."""


@asynccontextmanager
async def market_day(leaders: list[Address]) -> AsyncGenerator[Devnet, None]:
    """Serve a chain on which leaders have traded for a day, and on which nothing happens any more."""
    now = NOW - _BLOCK_S * (_BLOCKS + 70)
    market = ScriptedMarket(leaders, seeded_entropy(7), 1.0, 2)
    async with open_devnet(POLYGON, lambda: now) as devnet:
        for number in range(_BLOCKS + 70):
            now += _BLOCK_S
            devnet.chain.mine(*(market.next_block() if number < _BLOCKS else ()))
        yield devnet


async def command(*words: str) -> int:
    """Run a command as a person does, beside what it talks to."""
    return await trio.to_thread.run_sync(partial(main, words))


async def test_the_past_is_fetched_by_hand(tmp_path: Path, capsys: Capture) -> None:
    """From one URL, or from a configuration; a second call says that there is nothing new."""
    file, conf = tmp_path / "past.rec", tmp_path / "conf.toml"
    async with market_day([LEADER, OTHER_LEADER]) as devnet:
        since = "2025-11-22T00:00"
        words = ("fetch", str(file), "--leader", LEADER, "--leader", OTHER_LEADER, "--url", devnet.url)
        assert await command(*words, "--since", since, "--until", "2025-11-24T00:00") == 0
        assert await command(*words, "--since", since) == 0
        assert await command("fetch", str(file), "--url", devnet.url) == 0
        told = capsys.readouterr().out.splitlines()
        assert "logs of blocks 1 to " in told[0]
        assert ": added " in told[1]
        assert ": nothing new: it reaches block " in told[2]
        conf.write_text(
            f"""
            [chain]
            chain_id = 137
            [[endpoint]]
            name = "node"
            url = "{devnet.url}"
            [store.memory]
            [decoder.order-filled]
            [executor.dry-run]
            [[follower]]
            id = "ann"
            executor = "dry-run"
            [[follow]]
            follower = "ann"
            leader = "{LEADER}"
            """
        )
        other = tmp_path / "other.rec"
        assert await command("fetch", str(other), "--conf", str(conf), "--since", since) == 0
        assert await command("replay", str(other), "--conf", str(conf), "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["signals"] > 30


async def test_the_past_is_fetched_with_what_markets_said(tmp_path: Path, capsys: Capture) -> None:
    """The source of the configuration is asked, over real sockets; a backtest then has names, prices and a redemption."""
    file, conf = tmp_path / "past.rec", tmp_path / "conf.toml"
    begins = NOW - _BLOCK_S * (_BLOCKS + 70)
    async with market_day([LEADER]) as devnet, open_market_server(lambda: NOW) as server:
        market = ScriptedMarket([LEADER], seeded_entropy(7), 1.0, 2)
        server.venue.follow(market)
        for facts in market.facts:
            server.venue.past[facts.token_id] = [(begins + 3600 * hour, 400_000 + 5_000 * hour) for hour in range(36)]
        server.venue.decide(market.facts[0].condition_id, (1_000_000, 0))
        addresses = "\n".join(f'{name} = "{url}"' for name, url in server.addresses.items())
        conf.write_text(
            f"""
            [chain]
            chain_id = 137
            requests_per_s = 1000.0
            [[endpoint]]
            name = "node"
            url = "{devnet.url}"
            [store.memory]
            [decoder.order-filled]
            [executor.dry-run]
            [markets.polymarket]
            {addresses}
            [[follower]]
            id = "ann"
            executor = "dry-run"
            [[follow]]
            follower = "ann"
            leader = "{LEADER}"
            [follow.size]
            minimum_policy = "raise"
            [follow.filters]
            keyword_allow = ["Fed", "Lakers", "Snow", "Bitcoin"]
            """
        )
        words = ("fetch", str(file), "--conf", str(conf), "--since", "2025-11-22", "--market-data")
        assert await command(*words) == 0
        assert await command("fetch", str(file), "--conf", str(conf)) == 2
        assert "was begun with polymarket" in capsys.readouterr().err
        assert server.http.requests["/clob/prices-history"] < 8 * 4
    assert await command("backtest", str(conf), str(file), "--json") == 0
    verdict = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert verdict["total"]["copies"] > 10
    assert verdict["total"]["closed"] > 0
    assert not [note for note in verdict["notes"] if "knows no price" in note]
    assert not [one for one in verdict["not_copied"] if one["control"].startswith("filters.keyword")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--leader", "0x12", "--url", "ws://127.0.0.1:1"), "--leader: expected an address"),
        (("--leader", LEADER, "--url", "http://127.0.0.1"), "--url: expected a URL with ws:// or wss://"),
        (("--url", "env:TRIO_COPY_NO_SUCH", "--leader", LEADER), "--url: expected environment variable"),
        (("--url", "ws://127.0.0.1:1", "--since", "3d"), "--leader: expected a wallet whose fills are to be read"),
        (("--url", "ws://127.0.0.1:1", "--leader", LEADER, "--since", "yesterday"), "--since: expected a time"),
        (
            ("--url", "ws://127.0.0.1:1", "--leader", LEADER, "--since", "1d", "--until", "2d"),
            "--until: expected a time after --since",
        ),
        (("--conf", "conf/demo.toml", "--since", "3d"), "expected an [[endpoint]]"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(tmp_path: Path, capsys: Capture, words: tuple[str, ...], says: str) -> None:
    """Where, what was expected, what was there instead; exit code 2 and no file."""
    assert main(["fetch", str(tmp_path / "past.rec"), *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "past.rec").exists()


SVG = "{http://www.w3.org/2000/svg}"
LEADERS = [Address(f"0x{number:040x}") for number in (0xA1, 0xB2, 0xC3)]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Three leaders and two followers, with a filter, a cap, a minimum and a fee; no node is ever asked."""
    follows = "".join(
        f"""
        [[follow]]
        follower = "{follower}"
        leader = "{leader}"
        [follow.size]
        ratio = 0.01
        minimum_policy = "{policy}"
        """
        for follower, policy in (("ann", "raise"), ("bob", "skip"))
        for leader in LEADERS
    )
    path = tmp_path / "paper.toml"
    path.write_text(
        f"""
        [chain]
        chain_id = 137
        [[endpoint]]
        name = "away"
        url = "ws://127.0.0.1:1"
        [store.memory]
        [decoder.order-filled]
        [executor.dry-run]
        fee_bps = 20
        [defaults.filters]
        price_max = 0.8
        [[follower]]
        id = "ann"
        executor = "dry-run"
        [follower.caps]
        max_exposure_usd = 40
        [[follower]]
        id = "bob"
        executor = "dry-run"
        {follows}
        """
    )
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "market.rec"
    record_market(path, LEADERS, 40, fills=3.0)
    return path


def verdict(capsys: Capture, *words: str) -> dict[str, Any]:
    assert main(["backtest", *words, "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def micro(text: str) -> int:
    return Usd.parse(text).micro


def test_a_backtest_is_the_replay_to_the_millionth(conf: Path, recording: Path, capsys: Capture) -> None:
    """What the books of the replay say, the backtest says: by leader and in total, every dollar of it."""
    said = verdict(capsys, str(conf), str(recording))
    assert main(["replay", str(recording), "--conf", str(conf), "--json"]) == 0
    replayed = json.loads(capsys.readouterr().out)
    total, rows = said["total"], replayed["pnl"]
    assert total["copies"] == sum(row["trades"] for row in rows) > 50
    assert micro(total["realised"]) == sum(micro(row["realised"]) for row in rows) != 0
    assert micro(total["fees"]) == sum(micro(row["fees"]) for row in rows) > 0
    assert total["signals"] == replayed["signals"]
    for name in ("realised", "unrealised", "invested", "fees", "slippage", "total"):
        assert micro(total[name]) == sum(micro(leader[name]) for leader in said["leaders"]), name
    for name in ("signals", "tasks", "copies", "closed", "won"):
        assert total[name] == sum(leader[name] for leader in said["leaders"]), name
    refused = {one["code"]: one["entries"] + one["exits"] for one in said["not_copied"]}
    assert {code: refused.get(code, 0) for code in replayed["skips"]} == replayed["skips"]
    assert {"PRICE_TOO_HIGH", "BELOW_MINIMUM", "CAP_REACHED"} <= refused.keys()


def test_a_backtest_shows_a_table_and_writes_it(conf: Path, recording: Path, capsys: Capture, tmp_path: Path) -> None:
    """A row for each leader and one for all; the file has every figure whole, and says the same."""
    said, file = verdict(capsys, str(conf), str(recording)), tmp_path / "rows.csv"
    assert main(["backtest", str(conf), str(recording), "--csv", str(file)]) == 0
    told = capsys.readouterr().out
    assert f"{said['total']['signals']} signals of 3 leaders" in told
    assert re.search(r"^total .* %", told, re.MULTILINE)
    assert re.search(r"PRICE_TOO_HIGH +filters.price_max +\d+ +0 +\d+ +(cost|saved) [\d.]+$", told, re.MULTILINE)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["name"] for row in rows] == [*(leader["name"] for leader in said["leaders"]), "total"]
    assert {name: str(value) for name, value in said["total"].items()} == rows[-1]


def test_rules_that_need_a_bid_are_named_where_there_are_no_books(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """A stop loss that never fired must not look like one that was never needed."""
    recording = tmp_path / "short.rec"
    record_market(recording, LEADERS, 5)
    conf.write_text(conf.read_text() + "\n[defaults.leaving]\nstop_loss_bps = 1000\n")
    (note,) = verdict(capsys, str(conf), str(recording))["notes"]
    assert note.startswith("leaving.stop_loss_bps never fired: the recording has no prices")


def test_what_cannot_be_backtested_is_one_line(conf: Path, recording: Path, capsys: Capture, tmp_path: Path) -> None:
    """A file that is none, a place that cannot be written: exit code 2."""
    for words, says in (
        ((str(conf), str(conf)), "expected a recording"),
        ((str(conf), str(tmp_path / "none.rec")), "cannot be read"),
        ((str(conf), str(recording), "--csv", str(tmp_path / "no" / "rows.csv")), "--csv: "),
    ):
        assert main(["backtest", *words]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert len(error.splitlines()) == 1


def test_a_setting_is_replaced_at_every_level(conf: Path, recording: Path, capsys: Capture) -> None:
    """What is tried out holds for every follow, whatever levels said before; so does an option of the simulated venue."""
    before = verdict(capsys, str(conf), str(recording))
    tried = verdict(
        capsys, str(conf), str(recording), "--set", "caps.max_exposure_usd=100000", "--set", "filters.price_max=1"
    )
    free = verdict(capsys, str(conf), str(recording), "--set", "executor.dry-run.fee_bps=0")
    assert {"CAP_REACHED", "PRICE_TOO_HIGH"} <= {one["code"] for one in before["not_copied"]}
    assert {"CAP_REACHED", "PRICE_TOO_HIGH"}.isdisjoint(one["code"] for one in tried["not_copied"])
    assert tried["settings"] == {"caps.max_exposure_usd": "100000", "filters.price_max": "1"}
    assert micro(before["total"]["fees"]) > micro(free["total"]["fees"]) == 0


def test_settings_are_compared_beside_each_other(
    conf: Path, recording: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row for each, in processes of their own; each says byte for byte what that setting gives alone in this one."""
    file, tried = tmp_path / "rows.csv", "filters.price_max=0.5"
    words = ("backtest", str(conf), str(recording), "--json")
    assert main([*words, "--set", "size.ratio=0.05", "--set", tried]) == 0
    alone = capsys.readouterr().out
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert main([*words, "--set", "size.ratio=0.02,0.05", "--set", tried, "--csv", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines(keepends=True)
    assert lines[1] == alone
    first, second = map(json.loads, lines)
    assert (first["settings"]["size.ratio"], second["settings"]["size.ratio"]) == ("0.02", "0.05")
    assert first["total"] != second["total"]
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["name"] for row in rows] == [f"size.ratio={one} {tried}" for one in ("0.02", "0.05")]
    assert [row["total"] for row in rows] == [first["total"]["total"], second["total"]["total"]]


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (("size.ratoi=1",), 'size.ratoi: no such setting; did you mean "size.ratio"?'),
        (("size.ratio",), "expected PATH=VALUE"),
        (("size.ratio=",), "expected PATH=VALUE"),
        (("size.ratio=0.1,,0.2",), "expected PATH=VALUE"),
        (("size.ratio=0.1,lots",), 'size.ratio: expected a decimal number, got "lots"'),
        (("size.ratio=0.1", "size.ratio=0.2"), "expected each setting once"),
        (
            ("size.ratio=" + ",".join(f"0.{n}" for n in range(10, 99)), "size.minimum_usd=1,2"),
            "at most 100 combinations",
        ),
        (("executor.clob.fee_bps=1",), "expected an executor of the configuration (dry-run)"),
        (("executor.dry-run.fee_bps=0,-1",), "fee_bps: expected a value from 0 to 10000, got -1"),
        (("executor.dry-run.fee_pbs=0",), "fee_pbs"),
        (("size.mode=range", "size.range_min_usd=9", "size.range_max_usd=1"), "--set: size.range"),
    ],
    ids=lambda one: " ".join(one)[:40] if isinstance(one, tuple) else "",
)
def test_a_setting_that_cannot_be_is_one_line(
    conf: Path, recording: Path, capsys: Capture, sets: tuple[str, ...], says: str
) -> None:
    """Before anything is played, also where it is the last of many values."""
    assert main(["backtest", str(conf), str(recording), *(word for one in sets for word in ("--set", one))]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_equity_and_drawdown_are_drawn(conf: Path, recording: Path, tmp_path: Path) -> None:
    """A picture with titles, units and axes, in which every point lies within its panel; the same bytes each time."""
    plots = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for plot in plots:
        assert main(["backtest", str(conf), str(recording), "--plot", str(plot), "--json"]) == 0
    assert plots[0].read_bytes() == plots[1].read_bytes()
    root = ElementTree.fromstring(plots[0].read_text())
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {"Equity (USD)", "Drawdown (USD)"} <= {text.partition(":")[0] for text in texts}
    assert "market.rec: all leaders together" in texts
    assert "time (UTC)" in texts
    assert "0" in {text.removesuffix(".00").removesuffix(".0") for text in texts}
    assert sum(re.fullmatch(r"\d\d-\d\d \d\d:\d\d", text) is not None for text in texts) >= 3
    band, line, area = [element.get("d") or "" for element in root.iter(f"{SVG}path")][-3:]
    for path, top, bottom in ((line, 60, 310), (area, 360, 460)):
        places = [tuple(map(float, pair)) for pair in re.findall(r"H([\d.]+)V([\d.]+)", path)]
        assert len(places) > 20
        assert all(90 <= x <= 870 and top <= y <= bottom for x, y in places)
    assert 0 < band.count("M") <= line.count("H")


def test_the_same_figure_is_drawn_in_pixels(conf: Path, recording: Path, tmp_path: Path) -> None:
    """A PNG that any program takes."""
    plot = tmp_path / "one.png"
    assert main(["backtest", str(conf), str(recording), "--plot", str(plot), "--json"]) == 0
    picture = Picture.of(plot.read_bytes())
    assert (picture.width, picture.height) == (1840, 1040)
    assert {"#1f6fb2", "#e6b0aa", "#222222"} <= {
        picture.at(x, y) for x in range(picture.width) for y in range(picture.height)
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--plot", "x.gif"), "--plot: expected a name that ends with .svg or .png, got x.gif"),
        (("--plot", "no/such/x.svg"), "--plot: no/such/x.svg cannot be written"),
        (("--plot", "x.svg", "--set", "size.ratio=0.1,0.2"), "--plot: expected one setting"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    conf: Path, recording: Path, capsys: Capture, words: tuple[str, ...], says: str
) -> None:
    """Only as SVG or PNG, only of one setting, only where it can be written."""
    assert main(["backtest", str(conf), str(recording), *words]) == 2
    assert says in capsys.readouterr().err


def test_wallets_are_ranked_by_hand(recording: Path, conf: Path, capsys: Capture) -> None:
    """A table, JSON lines, a configuration's decoders: the best first, and the same each time."""
    assert main(["leaders", str(recording), "--json", "--fee-bps", "20"]) == 0
    lines = capsys.readouterr().out
    rows = [json.loads(line) for line in lines.splitlines()]
    assert len(rows) == 3
    assert [micro(row["earned"]) for row in rows] == sorted((micro(row["earned"]) for row in rows), reverse=True)
    assert all(micro(row["earned"]) < micro(row["own"]) for row in rows)
    assert main(["leaders", str(recording), "--conf", str(conf), "--json", "--fee-bps", "20"]) == 0
    assert capsys.readouterr().out == lines
    assert main(["leaders", str(recording)]) == 0
    assert "0x0000..00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--stake", "0"), "--stake: expected more than 0"),
        (("--stake", "a"), "--stake: expected a decimal number"),
        (("--fee-bps", "-1"), "--fee-bps: expected a number from 0 to 10000"),
        (("--slippage-bps", "10001"), "--slippage-bps: expected a number from 0 to 10000"),
    ],
)
def test_costs_that_cannot_be_are_one_line(recording: Path, capsys: Capture, words: tuple[str, ...], says: str) -> None:
    """What was expected, what was there instead."""
    assert main(["leaders", str(recording), *words]) == 2
    assert says in capsys.readouterr().err
