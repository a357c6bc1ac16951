"""The commands about follows and books, on a real file, as a person at a terminal meets them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.builders import LEADER, NOW, OTHER_LEADER, make_signal, make_task, usd
from trio_copy.cli import main
from trio_copy.cli.opened import ask_store
from trio_copy.cli.pnl import profits
from trio_copy.engine.plan import load_plan
from trio_copy.model.control import Mode, follower_scope
from trio_copy.model.decisions import Code, End, Outcome, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import JournalState
from trio_copy.model.positions import EntryKind, Mark
from trio_copy.model.records import Query
from trio_copy.model.units import Price, Shares
from trio_copy.ports import Store
from trio_copy.testing.samples import sample_entry, sample_order

Capture = pytest.CaptureFixture[str]
CONF = """
[chain]
chain_id = 137
[devnet]
[store.sqlite]
path = "{path}"
[executor.dry-run]
[decoder.order-filled]
[defaults.caps]
max_order_usd = 50
[[follower]]
id = "alice"
executor = "dry-run"
[[follower]]
id = "*"
executor = "dry-run"
[[follow]]
follower = "alice"
leader = "{leader}"
[follow.size]
ratio = 0.05
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose file of books exists already."""
    path = tmp_path / "conf.toml"
    path.write_text(CONF.format(path=tmp_path / "books.db", leader=LEADER))
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    fill(path, lambda store: store.follows.put(load_plan(path).settings.follows()), make=True)
    return path


def fill(conf: Path, work: Callable[[Store], Any], *, make: bool = False) -> Any:
    """Do something with the file as a command would; the first time, as an engine."""
    plan = load_plan(conf)
    if not make:
        return ask_store(plan, work)

    async def run() -> Any:
        from tests.plugins.test_sqlite import open_at
        from trio_copy.ports import to_thread_run_sync

        async with open_at(Path(plan.store.settings.path), in_thread=to_thread_run_sync) as store:
            return await work(store)

    return trio.run(run)


def rows(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def trade_a_little(store: Store) -> str:
    """Alice buys twice and sells once; bob is refused; returns the id of the first task."""
    buy, more, sell = (make_task(make_signal(number)) for number in (1, 2, 3))
    for number, (task, side, shares, dollars) in enumerate(
        ((buy, Side.BUY, 10, 5), (more, Side.BUY, 10, 7), (sell, Side.SELL, 15, 12))
    ):
        entry = sample_entry(task, side=side, shares=shares, dollars=dollars)
        await store.ledger.book(evolve(entry, fee=usd("0.1"), booked_at=NOW + number, reference=Price.parse("0.5")))
    reason = Reason(code=Code.PRICE_TOO_HIGH, control="filters.price_max", value="0.99", limit="0.9")
    skip = Skip(signal_id=buy.signal.signal_id, follower=FollowerId("bob"), leader=LEADER, reason=reason)
    await store.inbox.admit(buy.signal, [buy], None, [skip])
    await store.inbox.lease_nowait("sim", "me", 10)
    await store.journal.freeze(sample_order(buy), buy)
    await store.journal.mark(buy.follow, buy.key, JournalState.SENDING)
    await store.journal.mark(buy.follow, buy.key, JournalState.ENDED)
    await store.inbox.complete(buy.task_id, "me", Outcome(end=End.FILLED))
    await store.ledger.note_marks(
        {sample_entry(buy).position: Mark(price=Price.parse("0.9"), peak=Price.parse("1"), at=NOW)}
    )
    return buy.task_id


def test_positions_trades_and_skips_show_what_is_in_the_file(conf: Path, capsys: Capture) -> None:
    """Every figure with all its digits for machines, and for people a table that says the same."""
    fill(conf, trade_a_little)
    assert main(["positions", "--json"]) == 0
    (held,) = rows(capsys)
    assert (held["shares"], held["cost"], held["realised"], held["bid"]) == ("5", "3.55", "3.25", "0.9")
    assert (held["value"], held["unrealised"], held["fees"]) == ("4.5", "0.95", "0.3")

    assert main(["trades", "--json"]) == 0
    sale, dear, cheap = rows(capsys)
    assert (sale["side"], sale["slippage_bps"], dear["slippage_bps"], cheap["slippage_bps"]) == ("SELL", -6000, 4000, 0)
    assert {"firm"} == {row["settlement"] for row in (sale, dear, cheap)}

    assert main(["skips", "--csv"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert "PRICE_TOO_HIGH,filters.price_max,0.99,0.9" in line
    assert header.startswith("at,follower,leader")

    for verb in ("positions", "trades", "skips", "pnl"):
        assert main([verb]) == 0
        assert main([verb, "--follower", "nobody"]) == 0
    shown = capsys.readouterr().out
    assert "nothing is held" in shown
    assert "nothing was traded" in shown


def test_profits_add_up_by_anything_and_for_any_time(conf: Path, capsys: Capture) -> None:
    """Realised, unrealised and their sum; a time leaves the unrealised part out."""
    fill(conf, trade_a_little)
    assert main(["pnl", "--json"]) == 0
    (row,) = rows(capsys)
    assert row == {
        "name": "alice",
        "trades": 3,
        "bought": "12",
        "sold": "12",
        "fees": "0.3",
        "realised": "3.25",
        "provisional": "0",
        "unrealised": "0.95",
        "total": "4.2",
    }
    for by in ("leader", "token", "day"):
        assert main(["pnl", "--by", by, "--json"]) == 0
        assert [row["realised"] for row in rows(capsys)] == ["3.25"]
    assert main(["pnl", "--until", "2025-11-24T16:00:01", "--json"]) == 0
    (early,) = rows(capsys)
    assert (early["trades"], early["realised"], early["unrealised"]) == (1, "0", None)


def test_a_reversed_trade_earns_nothing() -> None:
    """What never settled is in no sum."""
    bought = sample_entry(make_task(make_signal(1)))
    gone = evolve(bought, key="gone", firm=False)
    reverse = evolve(bought, key="r", kind=EntryKind.REVERSE, of="gone", shares=Shares(0))
    (row,) = profits([reverse, gone, bought], [], "follower", Query())
    assert (row.trades, str(row.bought)) == (1, "5")


def test_one_copy_is_told_from_the_log_to_the_booking(conf: Path, capsys: Capture) -> None:
    """Each moment has its time and its words; a name that leads nowhere is one clear line."""
    task = fill(conf, trade_a_little)
    assert main(["explain", "trade", task[:10]]) == 0
    story = capsys.readouterr().out
    for step in ("leader", "seen", "decided", "taken up", "frozen", "sent", "booked", "ended"):
        assert step in story
    assert main(["explain", "trade", task, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["record"]["task"]["task_id"] == task
    assert main(["explain", "trade", "nothing"]) == 2
    assert "expected the beginning of a task" in capsys.readouterr().err


def test_a_follow_is_added_changed_explained_and_removed(conf: Path, capsys: Capture) -> None:
    """The whole life of a follow; what belongs to the file is not for commands to change."""
    name = f"dora:{OTHER_LEADER}"
    assert main(["follow", "add", "dora", OTHER_LEADER, "size.ratio=0.5", "caps.max_order_usd=200"]) == 0
    assert main(["follow", "add", "dora", OTHER_LEADER]) == 2
    assert main(["follow", "set", name, "filters.sides=BUY,SELL", "size.ratio=", "size.mode=fixed"]) == 0
    capsys.readouterr()
    assert main(["explain", "follow", name, "--json"]) == 0
    explained = {row["setting"]: (row["value"], row["origin"]) for row in rows(capsys)}
    assert explained["caps.max_order_usd"] == ("50", "engine")
    assert explained["size.mode"] == ("fixed", "follow")
    assert explained["size.ratio"] == ("0.01", "default")
    assert main(["follow", "list", "--json", "--follower", "dora"]) == 0
    assert rows(capsys)[0]["source"] == "command"
    assert main(["follow", "set", f"alice:{LEADER}", "size.ratio=1"]) == 2
    assert "stands in the configuration" in capsys.readouterr().err
    assert main(["follow", "remove", name]) == 0
    assert main(["follow", "remove", name]) == 2
    capsys.readouterr()
    assert main(["follow", "list", "--json"]) == 0
    assert [row["follower"] for row in rows(capsys)] == ["alice"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["follow", "add", "dora", "0x12"], "leader: expected an address"),
        (["follow", "add", "do ra", OTHER_LEADER], "follower: expected a name"),
        (["follow", "add", "dora", OTHER_LEADER, "size.ratoi=1"], 'did you mean "size.ratio"?'),
        (["follow", "add", "dora", OTHER_LEADER, "size.ratio"], "expected PATH=VALUE"),
        (
            ["follow", "add", "dora", OTHER_LEADER, "filters.price_min=0.9", "filters.price_max=0.1"],
            "filters.price_max",
        ),
        (["follow", "set", "nobody:0x00", "size.ratio=1"], "expected a follow, named FOLLOWER:LEADER"),
        (["positions", "--leader", "0x1"], "--leader: expected an address"),
        (["trades", "--since", "yesterday", "--token", "x", "--limit", "0"], "--since: expected a time"),
        (["trades", "--json", "--csv"], "expected one of them"),
        (["orders", "settle", "0x1", "--shares", "0"], "expected one open order, got 0"),
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(
    conf: Path, capsys: Capture, words: list[str], says: str
) -> None:
    """Where, what was expected, what was there; exit code 2."""
    assert main(words) == 2
    assert says in capsys.readouterr().err
    assert len(fill(conf, lambda store: store.follows.load())[1]) == 1


def test_an_import_is_all_or_nothing(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """Bad rows are named by their line; what export writes, import reads, in both forms."""
    good = tmp_path / "good.csv"
    lines = ["follower,leader,size.ratio,filters.sides,filters.token_deny"]
    lines += [f"user-{number},{OTHER_LEADER},0.0{number % 9 + 1},BUY,{number}" for number in range(300)]
    good.write_text("\n".join(lines) + "\n")
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([*lines, f"user-1,{OTHER_LEADER},0.1,,", "x,0x1,abc,,", "short,row"]) + "\n")
    assert main(["follow", "import", str(bad)]) == 2
    problems = capsys.readouterr().err
    assert f"{bad}:302: user-1:{OTHER_LEADER} stands here twice" in problems
    assert f"{bad}:303: size.ratio: expected a decimal number" in problems
    assert f"{bad}:304: expected 5 columns, got 2" in problems
    assert "nothing was imported" in problems
    assert len(fill(conf, lambda store: store.follows.load())[1]) == 1

    assert main(["follow", "import", str(good)]) == 0
    assert "300 follows imported" in capsys.readouterr().out
    held = fill(conf, lambda store: store.follows.load())[1]
    for name in ("out.csv", "out.jsonl"):
        copy = tmp_path / name
        assert main(["follow", "export", str(copy)]) == 0
        text = "\n".join(line for line in copy.read_text().splitlines() if "alice" not in line) + "\n"
        copy.write_text(text)
        assert main(["follow", "import", str(copy)]) == 0
        again = fill(conf, lambda store: store.follows.load())[1]
        assert {follow.key: follow.own for follow in held} == {follow.key: follow.own for follow in again}


def test_a_mode_is_shown_and_set_for_everybody_or_for_one(conf: Path, capsys: Capture) -> None:
    """A halt has a reason and survives; run for a follower starts its drawdown over."""
    assert main(["mode", "halt-new", "--why", "lunch"]) == 0
    assert main(["mode", "reduce-only", "--follower", "alice"]) == 0
    capsys.readouterr()
    assert main(["mode", "--json"]) == 0
    assert [(row["scope"], row["mode"], row["why"]) for row in rows(capsys)] == [
        ("engine", "halt-new", "lunch"),
        ("follower:alice", "reduce-only", "set by hand"),
    ]
    assert main(["mode", "run", "--follower", "alice"]) == 0
    modes = fill(conf, lambda store: store.control.modes())
    assert modes.of(follower_scope("alice")).mode is Mode.RUN


def test_a_person_can_settle_what_the_venue_does_not_tell(conf: Path, capsys: Capture) -> None:
    """An open order is listed, and what a person found out is booked like a report."""
    task = make_task(make_signal(1))
    order = sample_order(task)

    async def leave_open(store: Store) -> None:
        await store.journal.freeze(order, task)
        await store.journal.mark(task.follow, order.key, JournalState.UNKNOWN)

    fill(conf, leave_open)
    assert main(["orders", "list", "--json"]) == 0
    assert [row["order_id"] for row in rows(capsys)] == [order.order_id]
    assert main(["orders", "settle", order.order_id[:12], "--shares", "11", "--notional", "5"]) == 2
    assert main(["orders", "settle", order.order_id[:12], "--shares", "4"]) == 2
    assert main(["orders", "settle", order.order_id[:12], "--shares", "4", "--notional", "2.1", "--fee", "0.1"]) == 0
    capsys.readouterr()
    assert main(["orders", "list"]) == 0
    assert "every order has ended" in capsys.readouterr().out
    assert main(["trades", "--json"]) == 0
    (trade,) = rows(capsys)
    assert (trade["shares"], trade["notional"], trade["fee"]) == ("4", "2.1", "0.1")


def test_a_store_inside_a_process_is_not_there_for_commands(tmp_path: Path, capsys: Capture) -> None:
    """A command says what it needs instead of showing an empty table."""
    path = tmp_path / "memory.toml"
    path.write_text(CONF.format(path="", leader=LEADER).replace('[store.sqlite]\npath = ""', "[store.memory]"))
    assert main(["positions", "--conf", str(path)]) == 2
    assert "needs a durable one" in capsys.readouterr().err
    assert main(["positions", "--conf", str(tmp_path / "none.toml")]) == 2


@pytest.mark.parametrize("width", [80, 110, 150, 250])
@pytest.mark.parametrize("verb", ["positions", "trades", "skips", "pnl"])
def test_no_terminal_is_too_narrow_for_a_number(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int, verb: str
) -> None:
    """A narrow terminal loses whole columns of detail and the ends of labels, never a part of a figure."""
    fill(conf, trade_a_little)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert main([verb]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    last = {"positions": "realised", "trades": "task id", "skips": "limit", "pnl": "total"}[verb]
    assert last in shown.splitlines()[0]
    assert not re.search(r"[0-9]…", shown)
    assert max(map(len, (line.rstrip() for line in shown.splitlines()))) <= width
