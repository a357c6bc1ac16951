"""The commands about follows and books, on a real file, as a person at a terminal meets them."""

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.builders import LEADER, NOW, OTHER_LEADER, TOKEN, make_signal, make_task
from tests.cli.filled import Owner, open_owner
from trio_copy.accounts.commands import Pass
from trio_copy.accounts.names import position_name
from trio_copy.cli import main
from trio_copy.cli.opened import ask_store
from trio_copy.cli.positions import COLUMNS as POSITIONS
from trio_copy.cli.standing import read_standings, standing_lines
from trio_copy.cli.tables import Column, show
from trio_copy.cli.trades import COLUMNS as TRADES
from trio_copy.engine.books.books import follower_modes, waiting_tasks
from trio_copy.engine.plan import load_plan
from trio_copy.engine.shards.marks import plain_mark
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import Code, CopyTask, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import Order, Settlement
from trio_copy.model.positions import Mark
from trio_copy.model.units import Price, Shares
from trio_copy.ports import NOBODY, Document, Store
from trio_copy.records import write_plain

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
        async with open_owner(plan) as owner:
            return await work(owner.store)

    return trio.run(run)


def own(conf: Path, work: Callable[[Owner], Any]) -> Any:
    """Do something with the accounts in the file as their owner would, and write it."""

    async def run() -> Any:
        async with open_owner(load_plan(conf)) as owner:
            return work(owner)

    return trio.run(run)


def rows(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def trade_a_little(owner: Owner) -> str:
    """Alice buys twice and sells once; bob is refused; returns the id of the first task."""
    buy, more, sell = (make_task(make_signal(number)) for number in (1, 2, 3))
    sell = make_task(make_signal(3, side=Side.SELL))
    sell = evolve(sell, intent=evolve(sell.intent, sell="sized", shares=Shares.parse("15")))
    for number, (task, shares, dollars) in enumerate(((buy, "10", "5"), (more, "10", "7"), (sell, "15", "12"))):
        owner.fill(task, shares=shares, dollars=dollars, fee="0.1", at=NOW + number)
    reason = Reason(code=Code.PRICE_TOO_HIGH, control="filters.price_max", value="0.99", limit="0.9")
    skip = Skip(signal_id=buy.signal.signal_id, follower=FollowerId("bob"), leader=LEADER, reason=reason)
    owner.do("bob", Pass(skip=skip, signal=buy.signal, at=NOW))
    mark = Mark(price=Price.parse("0.9"), peak=Price.parse("1"), at=NOW)
    name = position_name((LEADER, buy.intent.token_id))
    owner.documents.append(Document(FollowerId("alice"), "mark", name, write_plain(plain_mark(mark))))
    return buy.task_id


def test_positions_trades_and_skips_show_what_is_in_the_file(conf: Path, capsys: Capture) -> None:
    """Every figure with all its digits for machines, and for people a table that says the same."""
    own(conf, trade_a_little)
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
    assert ",label,code," in header

    for verb in ("positions", "trades", "skips", "pnl"):
        assert main([verb]) == 0
        assert main([verb, "--follower", "nobody"]) == 0
    shown = capsys.readouterr().out
    assert "nothing is held" in shown
    assert "nothing was traded" in shown


_OF_ALISE = [
    *(([verb, "--follower", "alise"], 0) for verb in ("positions", "trades", "skips", "pnl", "fidelity")),
    (["follow", "list", "--follower", "alise"], 0),
    (["wallet", "show", "--follower", "alise"], 0),
    (["wallet", "show", "--by-day", "--follower", "alise"], 0),
    (["export", "trades", "trades.csv", "--follower", "alise"], 0),
    (["export", "ledger", "ledger.csv", "--follower", "alise"], 0),
    (["wallet", "deposit", "alise", "5"], 2),
    (["wallet", "withdraw", "alise", "5"], 2),
    (["pause", "--follower", "alise"], 2),
    (["resume", "--follower", "alise"], 2),
    (["exit", "--follower", "alise"], 2),
    (["mode", "halt-new", "--follower", "alise"], 2),
    (["follow", "set", "--follower", "alise", "size.ratio=0.02"], 2),
]


@pytest.mark.parametrize("words, code", _OF_ALISE, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_follower_that_is_misspelled_is_told(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    """That nothing is found of him says nothing about the one who was meant; where anybody may follow, he may exist."""
    monkeypatch.chdir(conf.parent)
    assert main(words) == code
    said = "".join(capsys.readouterr())
    assert '; did you mean "alice"?' in said
    assert "the configuration has no" not in said
    conf.write_text(conf.read_text().replace('id = "*"', 'id = "bob"'))
    assert main(words) == code
    said = "".join(capsys.readouterr())
    assert '; the configuration has no follower "alise"; did you mean "alice"?' in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("verb", ["positions", "trades", "skips", "pnl", "fidelity"])
def test_one_who_is_known_is_no_stranger(conf: Path, capsys: Capture, verb: str) -> None:
    """Of bob there is nothing yet, and that is all."""
    conf.write_text(conf.read_text().replace('id = "*"', 'id = "bob"'))
    assert main([verb, "--follower", "bob"]) == 0
    assert "follower" not in capsys.readouterr().out


def test_ids_are_shortened_and_words_are_not(conf: Path, capsys: Capture) -> None:
    """The limit that a copy met is read by people: half a sentence says nothing."""

    def gather(owner: Any) -> None:
        task = make_task(make_signal(1))
        reason = Reason(code=Code.GATHERED, control="aggregate", value="a" * 64, limit="an order of its own")
        skip = Skip(signal_id=task.signal.signal_id, follower=FollowerId("bob"), leader=LEADER, reason=reason)
        owner.do("bob", Pass(skip=skip, signal=task.signal, at=NOW))

    own(conf, gather)
    assert main(["skips"]) == 0
    shown = capsys.readouterr().out
    assert "aggregate: aaaaaa..aaaa, expected an order of its own" in shown


@pytest.mark.parametrize("width", [80, 120, 200])
def test_what_is_looked_up_or_typed_is_whole_on_every_terminal(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """The control that said no, its code, and as much of an order's id as a command needs; other columns make room."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    control, code = "filters.min_hours_to_end", Code.CONDITION_NOT_ALLOWED

    def refuse(owner: Owner) -> Order:
        signal = make_signal(1)
        reason = Reason(code=code, control=control, value="a question of many words, and of more than that", limit="2")
        skip = Skip(signal_id=signal.signal_id, follower=FollowerId("bob"), leader=LEADER, reason=reason)
        owner.do("bob", Pass(skip=skip, signal=signal, at=NOW))
        return owner.place(make_task(make_signal(2)))

    order = own(conf, refuse)
    assert main(["skips"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert control in shown
    assert code.name in shown
    assert {"question", "words,", "more", "limit"} <= set(shown.split())
    assert main(["orders", "list"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    named = next(word for word in shown.split() if word.startswith("0x"))
    assert order.order_id.startswith(named)
    assert main(["orders", "cancel", named]) == 2  # it is found, and does not rest
    assert "expected an order that rests" in capsys.readouterr().err


def test_profits_add_up_by_anything_and_for_any_time(conf: Path, capsys: Capture) -> None:
    """Realised, unrealised and their sum; a time leaves the unrealised part out."""
    own(conf, trade_a_little)
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


def test_a_reversed_trade_earns_nothing(conf: Path, capsys: Capture) -> None:
    """What never settled is in no sum, and says so where it is listed."""

    def trade(owner: Owner) -> None:
        gone, bought = make_task(make_signal(1)), make_task(make_signal(2))
        order = owner.fill(gone, shares="10", dollars="5", settlement=Settlement.PENDING)
        owner.fill(bought, shares="10", dollars="5", at=NOW + 1, settlement=Settlement.PENDING)
        owner.answer(order, "10", "5", "", NOW + 2, Settlement.FAILED)

    own(conf, trade)
    assert main(["pnl", "--json"]) == 0
    assert [(row["trades"], row["bought"]) for row in rows(capsys)] == [(1, "5")]
    assert main(["trades", "--json"]) == 0
    assert [row["settlement"] for row in rows(capsys)] == ["provisional", "reversed"]
    assert main(["trades", "--json", "--until", "2025-11-24T16:00:01"]) == 0
    assert [row["settlement"] for row in rows(capsys)] == ["reversed"]


def test_one_copy_is_told_from_the_log_to_the_booking(conf: Path, capsys: Capture) -> None:
    """Each moment has its time and its words; a name that leads nowhere is one clear line."""
    task = own(conf, trade_a_little)
    assert main(["explain", "trade", task[:10]]) == 0
    story = capsys.readouterr().out
    for step in ("leader", "seen", "decided", "taken up", "frozen", "sent", "booked", "ended"):
        assert step in story
    assert not [line for line in story.splitlines() if line != line.rstrip()]
    assert main(["explain", "trade", task, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["record"]["task"]["task_id"] == task
    assert main(["explain", "trade", "nothing"]) == 2
    assert "expected the beginning of a task" in capsys.readouterr().err


def test_follows_of_the_file_are_listed_before_a_run_has_read_them(tmp_path: Path, capsys: Capture) -> None:
    """They are what the next run copies; a command can neither take their place nor change them."""
    path = tmp_path / "new.toml"
    path.write_text(CONF.format(path=tmp_path / "new.db", leader=LEADER))
    of = ("--conf", str(path))
    assert main(["follow", "add", "dora", OTHER_LEADER, *of]) == 0
    capsys.readouterr()
    assert main(["follow", "list", "--json", *of]) == 0
    assert [(row["follower"], row["source"]) for row in rows(capsys)] == [("alice", "file"), ("dora", "command")]
    assert main(["follow", "export", "-", "--format", "jsonl", *of]) == 0
    assert [row["follower"] for row in rows(capsys)] == ["alice", "dora"]
    assert main(["explain", "follow", f"alice:{LEADER}", *of]) == 0
    for change in (["add", "alice", LEADER], ["set", f"alice:{LEADER}", "size.ratio=1"], ["remove", f"alice:{LEADER}"]):
        assert main(["follow", *change, *of]) == 2
        assert "stands in the configuration" in capsys.readouterr().err


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
        (["trades", "--since", "7d", "--until", "30d"], "--until: expected a time after --since, got 30d"),
        (["pnl", "--since", "2025-11-24", "--until", "2025-11-24"], "--until: expected a time after --since"),
        (["orders", "settle", "0x1234", "--shares", "0"], "expected one open order, got 0"),
        (["orders", "settle", "", "--shares", "0"], 'expected at least 4 letters of an order id, got ""'),
        (["leaders", "--top", "5"], "--top, --since: expected --source as well"),
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
    assert fill(conf, lambda store: follower_modes(store.history)) == {}


def test_a_person_can_settle_what_the_venue_does_not_tell(conf: Path, capsys: Capture) -> None:
    """An open order is listed, and what a person found out is booked like a report."""
    task = make_task(make_signal(1))

    def leave_open(owner: Owner) -> Order:
        return owner.place(task)

    order = own(conf, leave_open)
    assert main(["orders", "list", "--json"]) == 0
    assert [row["order_id"] for row in rows(capsys)] == [order.order_id]
    assert main(["orders", "settle", order.order_id[:12], "--shares", "11", "--notional", "12"]) == 2
    assert main(["orders", "settle", order.order_id[:12], "--shares", "4"]) == 2
    assert main(["orders", "settle", order.order_id[:12], "--shares", "4", "--notional", "2.1", "--fee", "0.1"]) == 0
    capsys.readouterr()
    assert main(["orders", "list"]) == 0
    assert "every order has ended" in capsys.readouterr().out
    assert main(["trades", "--json"]) == 0
    (trade,) = rows(capsys)
    assert (trade["shares"], trade["notional"], trade["fee"]) == ("4", "2.1", "0.1")


def test_dead_letters_are_looked_at_queued_again_and_given_up(conf: Path, capsys: Capture) -> None:
    """A choice changes what it names, a dry run nothing; what is given up is told as not copied."""
    tasks = [make_task(make_signal(number)) for number in range(3)]

    def bury(owner: Owner) -> None:
        for number, task in enumerate(tasks):
            owner.bury(task, "hung" if number else "crashed", NOW + number)

    own(conf, bury)
    assert main(["dlq", "stats", "--json"]) == 0
    assert rows(capsys) == [{"letters": 2, "reason": "hung"}, {"letters": 1, "reason": "crashed"}]
    assert main(["dlq", "peek", "--json", "--reason", "hung"]) == 0
    assert [row["task"] for row in rows(capsys)] == [task.task_id for task in tasks[1:]]
    assert main(["dlq", "replay", "--dry-run"]) == 0
    assert "3 dead letters would be queued again" in capsys.readouterr().out
    assert main(["dlq", "replay", "--reason", "crashed"]) == 0
    assert "1 of 1 dead letter queued again" in capsys.readouterr().out
    assert main(["dlq", "purge"]) == 2
    capsys.readouterr()
    assert main(["dlq", "purge", "--all"]) == 0
    assert "2 of 2 dead letters forgotten" in capsys.readouterr().out
    assert main(["dlq", "peek"]) == 0
    assert "no such dead letters" in capsys.readouterr().out
    assert main(["skips", "--json"]) == 0
    assert [(row["code"], row["value"]) for row in rows(capsys)] == [("GIVEN_UP", "hung")] * 2
    assert [one.task for one in fill(conf, lambda store: waiting_tasks(store.history))] == tasks[:1]


def test_a_command_is_told_that_its_owner_does_not_answer(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and who has it; nothing is taken away from an owner that lives."""
    monkeypatch.setattr("trio_copy.cli.asked.PATIENCE_S", 0.3)
    task = make_task(make_signal(1))

    async def leave_owned(store: Store) -> None:
        lease = await store.control.acquire(shard_lease(0), "engine-7", 1000)
        assert lease is not None

    own(conf, lambda owner: place(owner, task))
    fill(conf, leave_owned)
    assert main(["mode", "halt-all", "--follower", "alice"]) == 1
    assert "no answer within 0.3 s: engine-7 owns its shard; what was asked for stays" in capsys.readouterr().err
    assert fill(conf, lambda store: follower_modes(store.history)) == {}


def place(owner: Owner, task: CopyTask) -> None:
    owner.place(task)


def test_closed_positions_are_listed_when_asked_for(conf: Path, capsys: Capture) -> None:
    """With what they earned; nothing is held of them."""

    def in_and_out(owner: Owner) -> None:
        owner.fill(make_task(make_signal(1)), dollars="5")
        sell = make_task(make_signal(2, side=Side.SELL))
        owner.fill(evolve(sell, intent=evolve(sell.intent, sell="all")), dollars="7", at=NOW + 1)

    own(conf, in_and_out)
    assert main(["positions"]) == 0
    assert "nothing is held" in capsys.readouterr().out
    assert main(["positions", "--all", "--json"]) == 0
    assert [(row["shares"], row["realised"]) for row in rows(capsys)] == [("0", "2")]


def test_the_books_of_an_earlier_version_are_a_way_out(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """As lines of JSON, with how modes are set again; a file of this version is refused, and a store without a past."""
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as file:
        file.executescript(
            """
            PRAGMA application_id = 1953655151; PRAGMA user_version = 3;
            CREATE TABLE follows (follower TEXT, leader TEXT, own TEXT, source TEXT, version INTEGER, removed INTEGER);
            INSERT INTO follows VALUES ('alice', '0xaa', '{"size.ratio":"0.5"}', 'command', 1, 0);
            CREATE TABLE modes (scope TEXT, mode TEXT, why TEXT, at REAL);
            INSERT INTO modes VALUES ('follower:alice', 'halt-all', 'she asked', 4.0);
            CREATE TABLE entries (seq INTEGER, record TEXT);
            INSERT INTO entries VALUES (1, '{"key":"a\u2028","shares":"1"}');
            """
        )
    assert main(["export-books"]) == 2
    assert "expected a file of an earlier version" in capsys.readouterr().err
    conf.write_text(conf.read_text().replace("books.db", "old.db"))
    assert main(["positions"]) == 2
    assert "export-books" in capsys.readouterr().err
    assert main(["export-books"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("the old store has halt-all for follower alice; in the new one, before it runs, ")
    assert f"trio-copy mode halt-all --follower alice --why 'she asked' --conf {conf}\n" in told.err
    assert [json.loads(line) for line in told.out.splitlines()] == [
        {"follow": {"follower": "alice", "leader": "0xaa", "own": {"size.ratio": "0.5"}, "source": "command"}},
        {"mode": {"scope": "follower:alice", "mode": "halt-all", "why": "she asked", "at": 4.0}},
        {"entry": {"key": "a\u2028", "shares": "1"}},
    ]
    conf.write_text(conf.read_text().replace("[store.sqlite]", "[store.memory]").replace("path =", "# path ="))
    assert main(["export-books"]) == 2
    assert "no earlier version can have left anything there" in capsys.readouterr().err


def test_a_store_inside_a_process_is_not_there_for_commands(tmp_path: Path, capsys: Capture) -> None:
    """A command says what it needs instead of showing an empty table."""
    path = tmp_path / "memory.toml"
    path.write_text(CONF.format(path="", leader=LEADER).replace('[store.sqlite]\npath = ""', "[store.memory]"))
    assert main(["positions", "--conf", str(path)]) == 2
    assert "needs a durable one" in capsys.readouterr().err
    assert main(["positions", "--conf", str(tmp_path / "none.toml")]) == 2


@pytest.mark.parametrize("width", [80, 110, 250])
@pytest.mark.parametrize("of", [POSITIONS, TRADES], ids=["positions", "trades"])
def test_the_answers_to_a_question_look_different(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, of: Sequence[Column[Any]], width: int
) -> None:
    """However narrow it is; and what found no room is named in a line, so that nobody takes it for missing."""
    question = "Will the Los Angeles Lakers win the championship in the season of 2026-2027?"

    def read(row: dict[str, str], name: str) -> str:
        return row.get(name, "12")

    told = [evolve(column, value=partial(read, name=column.name), missing=None) for column in of]
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    show(told, [{"label": f"{question} YES"}, {"label": f"{question} NO"}], json=False, csv_=False, empty="")
    header, yes, no, *note = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    assert yes != no
    assert ("YES" in yes, "NO" in no) == (True, True)
    missing = [
        name for column in of if (name := column.name.replace("_", " ")) not in re.split(" {2,}", header.strip())
    ]
    assert " ".join(" ".join(note).split()).startswith(f"no room for: {', '.join(missing)} (" if missing else "")
    assert bool(note) == bool(missing)


def test_settings_are_listed_as_they_are_typed(conf: Path, capsys: Capture) -> None:
    """What a list shows can be given to `follow set`: no Python's brackets, no Python's True."""
    typed = ["filters.sides=BUY,SELL", "leaving.redeem=false", "size.ratio=0.02"]
    assert main(["follow", "add", "bob", LEADER, *typed]) == 0
    capsys.readouterr()
    assert main(["follow", "list", "--follower", "bob", "--json"]) == 0
    (row,) = rows(capsys)
    assert row["settings"].split() == typed
    assert main(["follow", "set", f"bob:{LEADER}", *row["settings"].split()]) == 0
    assert "nothing changes" in capsys.readouterr().out


def test_a_market_without_a_name_is_called_by_its_number(conf: Path, capsys: Capture) -> None:
    """Rows that say nothing of what they are about are hardly worth reading; machines get null as ever."""
    own(conf, trade_a_little)
    for verb in ("positions", "trades"):
        assert main([verb]) == 0
        assert f"token {TOKEN}" in capsys.readouterr().out
        assert main([verb, "--json"]) == 0
        assert {row["label"] for row in rows(capsys)} == {None}


@pytest.mark.parametrize("width", [80, 110, 150, 250])
@pytest.mark.parametrize("verb", ["positions", "trades", "skips", "pnl"])
def test_no_terminal_is_too_narrow_for_a_number(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int, verb: str
) -> None:
    """A narrow terminal loses whole columns of detail and the ends of labels, never a part of a figure."""
    own(conf, trade_a_little)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert main([verb]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    last = {"positions": "realised", "trades": "task id", "skips": "why", "pnl": "total"}[verb]
    assert last in shown.splitlines()[0]
    assert not re.search(r"[0-9]…", shown)
    assert max(map(len, (line.rstrip() for line in shown.splitlines()))) <= width


def test_what_gas_has_cost_is_shown_by_wallet_and_operator(conf: Path, capsys: Capture) -> None:
    """In the chain's coin, to the last digit; what is kept of an operator besides, and what nobody can read, is no row.

    What an operator paid for no wallet that is a contract, or before that was counted, stands with itself.
    """
    operator, safe = "0x" + "ab" * 20, "0x" + "5a" * 20

    def pay(owner: Owner) -> None:
        for name, body in (
            (f"onchain/137/{operator}/gas", [1, 3, 12_345_678_900_000_001]),
            (f"onchain/137/gas/{safe}/{operator}", [1, 2, 2_000_000_000_000_000]),
            (f"onchain/137/{operator}/began", [1, NOW]),
            (f"onchain/100/{operator}/gas", ["nonsense"]),
        ):
            owner.documents.append(Document(NOBODY, "sending", name, write_plain(body)))

    assert main(["gas"]) == 0
    assert "no transaction is final yet" in capsys.readouterr().out
    own(conf, pay)
    standings = ask_store(load_plan(conf), read_standings)
    assert "gas        0.012345678900000001 coins for 3 transactions of 1 operator" in [
        str(line) for line in standing_lines(standings)
    ]
    assert main(["gas", "--json"]) == 0
    who, coins = {"executor": "onchain", "chain": "137", "operator": operator}, "0.010345678900000001"
    assert rows(capsys) == [
        {**who, "wallet": safe, "transactions": 2, "coins": "0.002"},
        {**who, "wallet": operator, "transactions": 1, "coins": coins},
    ]
    assert main(["gas"]) == 0
    header, for_safe, rest = capsys.readouterr().out.splitlines()
    assert len(header) <= 80
    assert for_safe.split() == ["onchain", "137", "0x5a5a..5a5a", "0xabab..abab", "2", "0.002"]
    assert rest.split() == ["onchain", "137", "0xabab..abab", "0xabab..abab", "1", coins]
    assert main(["pnl"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"gas, not counted above: 0.012345678900000001 coins for 3 transactions; by wallet: trio-copy gas --conf {conf}"
    )
    assert main(["pnl", "--json"]) == 0
    assert "gas" not in capsys.readouterr().out
