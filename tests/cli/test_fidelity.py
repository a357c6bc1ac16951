"""`trio-copy fidelity`, `leaders` without a file, and what `explain trade` says of the book: on a real file."""

import re
import tracemalloc
from collections.abc import Sequence
from io import StringIO
from math import floor
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve

from tests.builders import LEADER, NOW, OTHER_LEADER, make_follow, make_signal, make_task, usd
from tests.cli.filled import Owner
from tests.cli.small_books import conf, fill, own, rows
from trio_copy.accounts.commands import Answer
from trio_copy.accounts.names import position_name
from trio_copy.accounts.sighted import looks_key
from trio_copy.cli import main
from trio_copy.cli.fidelity import COLUMNS, read_fidelity
from trio_copy.cli.opened import ask_store
from trio_copy.engine.plan import load_plan
from trio_copy.engine.shards.marks import plain_mark
from trio_copy.model.books import Quote
from trio_copy.model.facts import Fact, FactQuery
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, TaskId
from trio_copy.model.orders import ExecutionReport, Status
from trio_copy.model.positions import Mark
from trio_copy.model.sightings import Allotment, Sighting
from trio_copy.model.units import Price
from trio_copy.ports import Document, Store
from trio_copy.records import write_plain

__all__ = ["conf"]
Capture = pytest.CaptureFixture[str]


def quote(bid: str, ask: str) -> Quote:
    return Quote(bid=Price.parse(bid), ask=Price.parse(ask))


def sighting(*quotes: tuple[str, str]) -> Sighting:
    seen, decided, answered = (quote(*one) for one in quotes)
    return Sighting(seen, decided, answered)


ALLOTMENT = Allotment(
    place=2, of=3, wanted=usd("15"), offered=usd("12"), own=usd("6"), most=usd("5"), price=Price.parse("0.49")
)
CHEAP = make_task(make_signal(1))
DEAR = make_task(make_signal(2, leader=OTHER_LEADER))
NEVER = Address("0x" + "cc" * 20)
KILLED = make_task(make_signal(3))


def copy_a_little(owner: Owner) -> None:
    """One copy of which all is known, one of which nothing is, and one that filled nothing."""
    order = owner.fill(CHEAP, shares="10", dollars="5", fee="0.1")
    seen = sighting(("0.5", "0.52"), ("0.5", "0.51"), ("0.5", "0.53"))
    owner.sightings[order.key] = evolve(seen, allotment=ALLOTMENT)
    owner.look(CHEAP, "10", "5.1", "5.2", None)
    owner.fill(DEAR, shares="100", dollars="60", at=NOW + 1)
    order = owner.place(KILLED, shares="10", at=NOW + 2)
    report = ExecutionReport(order_id=order.order_id, status=Status.KILLED)
    owner.do("alice", Answer(key=order.key, report=report, at=NOW + 2))
    owner.look(KILLED, "10", "9", "11", None, at=NOW + 2)


def test_paper_is_told_by_leader_by_size_and_in_all(conf: Path, capsys: Capture) -> None:
    """Every figure of every group for machines; people see two tables and what they have to know before they believe them."""
    own(conf, copy_a_little)
    assert main(["fidelity", "--json"]) == 0
    told = rows(capsys)
    assert [(row["by"], row["name"], row["copies"], row["killed"], row["known"]) for row in told] == [
        ("leader", OTHER_LEADER, 1, 0, 0),
        ("leader", LEADER, 1, 1, 2),
        ("size", "under 10 USD", 1, 0, 1),
        ("size", "10 to 100 USD", 1, 1, 1),
        ("total", "all", 2, 1, 2),
    ]
    mine = told[1]
    assert [mine[name] for name in ("seen", "decided", "filled", "in_all")] == [400, -200, -200, 0]
    assert [mine[name] for name in ("in_0s", "in_1s", "in_5s", "in_30s")] == [600, 200, 400, None]
    assert (mine["shared"], mine["shared_copies"], told[0]["shared"]) == (200, 1, None)
    assert [mine[name] for name in ("in_1s_usd", "in_5s_usd", "in_30s_usd")] == ["0.1", "0.2", None]
    assert [mine[name] for name in ("in_1s_looked", "in_5s_looked", "in_30s_looked")] == [2, 2, 0]
    assert [mine[name] for name in ("in_1s_would_fill", "in_5s_would_fill")] == [1, 0]
    assert (told[0]["in_all"], told[0]["seen"], told[0]["in_1s"]) == (1667, None, None)

    assert main(["fidelity"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("leader ")
    assert "\nsize " in shown
    assert "note: of 1 order no book was known" in shown
    assert "note: 1 order filled nothing; 1 of them could have been filled within their limit later" in shown
    assert main(["fidelity", "--csv", "--leader", LEADER]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split(",") == [column.name for column in COLUMNS]
    assert len(lines) == 4
    assert main(["fidelity", "--csv", "--json"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no book was ever known: no market source ran"),
        (["--follower", "nobody"], "nothing was copied"),
        (["--until", "2025-01-01"], "nothing was copied"),
    ],
)
def test_where_nothing_is_known_it_is_said(conf: Path, capsys: Capture, words: list[str], said: str) -> None:
    """Not a table of dashes alone."""
    own(conf, lambda owner: owner.fill(CHEAP, shares="10", dollars="5"))
    assert main(["fidelity", *words]) == 0
    assert said in capsys.readouterr().out


def test_a_copy_is_told_with_its_book(conf: Path, capsys: Capture) -> None:
    """What it was at each moment and what came later, by whatever id somebody asks."""
    own(conf, copy_a_little)
    for name in (CHEAP.task_id, CHEAP.signal.signal_id):
        assert main(["explain", "trade", name]) == 0
        story = capsys.readouterr().out
        told = [line.split("  ", 1)[1].strip() for line in story.splitlines() if "  book " in line]
        assert told == [
            "book      bid 0.5, ask 0.52",
            "book      bid 0.5, ask 0.51",
            "book      bid 0.5, ask 0.53",
            "book      1 s later, the 10 would cost 5.1 USD, 0.51 a share",
            "book      5 s later, the 10 would cost 5.2 USD, 0.52 a share",
        ]
        assert (
            "  shared    2 of 3 in the row for one book, which holds 12 USD within its limit, for 15 that all want; it may take 5 of 6;"
            " by it a share costs 0.49, and came to 0.5\n"
        ) in story
    assert main(["explain", "trade", CHEAP.task_id, "--json"]) == 0
    (whole,) = rows(capsys)
    assert [one["after"][0]["notional"] for one in whole["looks"].values()] == ["5.1"]
    (told_with,) = whole["sightings"].values()
    assert told_with["seen"] == {"bid": "0.5", "ask": "0.52"}
    assert told_with["allotment"] == {
        "place": 2, "of": 3, "wanted": "15", "offered": "12", "own": "6", "most": "5", "price": "0.49"
    }  # fmt: skip


@pytest.mark.parametrize("width", [80, 110, 250])
def test_no_terminal_is_too_narrow_for_how_close_paper_was(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Eighty columns hold what the command is for; details come with room."""
    own(conf, copy_a_little)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert main(["fidelity"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    head = shown.splitlines()[0].split()
    assert {"leader", "copies", "known", "seen", "decided", "filled", "1s", "5s", "30s"} <= set(head)
    assert not re.search(r"[0-9]…", shown)
    assert max(map(len, (line.rstrip() for line in shown.splitlines() if "note:" not in line))) <= width


@define
class Endless:
    """Facts of many copies, made when they are asked for: of each its end and what came later, one copy a second."""

    end: Fact
    looks: Fact
    count: int
    pages: int = 0

    async def facts(self, query: FactQuery) -> Sequence[Fact]:
        await trio.lowlevel.checkpoint()
        self.pages += 1
        first = 0 if query.until is None else floor(NOW - query.until) + 1
        numbers = range(first, min(self.count, first + query.limit // 2))
        return [fact for number in numbers for fact in self._of(number)]

    def _of(self, number: int) -> tuple[Fact, Fact]:
        task, at = TaskId(f"{number:064x}"), NOW - number
        looks = evolve(self.looks, key=looks_key(task, 0), task_id=task, at=at)
        return looks, evolve(self.end, key=task, task_id=task, at=at)


def test_memory_does_not_grow_with_copies(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is added up and let go, and finds what was seen after it."""
    monkeypatch.setattr("trio_copy.engine.books.books._PAGE", 100)
    own(conf, copy_a_little)

    async def kept(store: Store) -> Sequence[Fact]:
        return await store.history.facts(FactQuery(kinds=("filled", "looks"), until=NOW + 0.5))

    looks, end = sorted(ask_store(load_plan(conf), kept), key=lambda fact: fact.kind, reverse=True)
    history: Any = Endless(end, looks, 1_000)
    tracemalloc.start()
    try:
        found = trio.run(read_fidelity, history, FactQuery(kinds=(), limit=1 << 62))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert history.pages > 20
    assert (found.total.copies, found.total.after[1].copies, found.total.after[1].bps) == (1_000, 1_000, 400)
    assert peak < 1 << 20


def test_the_followed_are_ranked_by_what_copying_them_brought(conf: Path, capsys: Capture) -> None:
    """Money first, then what nobody can be told from it: those who were never copied come last, those once followed too."""

    def trade(owner: Owner) -> None:
        copy_a_little(owner)
        sold = make_task(make_signal(4, leader=OTHER_LEADER, side=Side.SELL))
        sold = evolve(sold, intent=evolve(sold.intent, sell="all"))
        owner.fill(sold, shares="100", dollars="55", fee="1", at=NOW + 3)
        mark = Mark(price=Price.parse("0.6"), peak=Price.parse("0.6"), at=NOW)
        name = position_name((LEADER, CHEAP.intent.token_id))
        owner.documents.append(Document(FollowerId("alice"), "mark", name, write_plain(plain_mark(mark))))

    own(conf, trade)
    fill(conf, lambda store: store.follows.put([make_follow("alice", NEVER)]))
    assert main(["leaders", "--json"]) == 0
    told = rows(capsys)
    assert [(row["leader"], row["followed"], row["copies"]) for row in told] == [
        (LEADER, "yes", 1),
        (OTHER_LEADER, "no", 2),
        (NEVER, "yes", 0),
    ]
    first, second, last = told
    assert (first["earned"], first["realised"], first["unrealised"]) == ("0.9", "0", "0.9")
    assert (first["at_risk"], first["return"], first["drawdown"], first["won"]) == ("5.1", 1765, "0", None)
    assert (first["slip_bps"], first["in_1s"], first["in_5s"], first["in_30s"]) == (0, 200, 400, None)
    assert (second["earned"], second["at_risk"], second["drawdown"], second["won"]) == ("-6", "60", "6", 0)
    assert (last["earned"], last["return"], last["in_1s"]) == ("0", None, None)
    assert main(["leaders"]) == 0
    assert capsys.readouterr().out.startswith("leader ")


def test_what_has_no_bid_counts_as_what_it_cost(conf: Path, capsys: Capture) -> None:
    """And it is said; options that are about a recording are not silently ignored."""
    own(conf, lambda owner: owner.fill(CHEAP, shares="10", dollars="5"))
    assert main(["leaders"]) == 0
    assert "note: 1 position held without a known bid" in capsys.readouterr().out
    assert main(["leaders", "--stake", "20"]) == 2
    assert "expected a FILE as well, got none" in capsys.readouterr().err


class Closed(StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize(("verb", "form"), [("trades", "--json"), ("fidelity", "--csv"), ("leaders", "--json")])
def test_a_reader_who_has_seen_enough_is_no_bug(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, verb: str, form: str
) -> None:
    """Also of what is written while the store is open, in the middle of its tasks."""
    own(conf, copy_a_little)
    monkeypatch.setattr("sys.stdout", Closed())
    assert main([verb, form]) == 0
    assert capsys.readouterr().err == ""
