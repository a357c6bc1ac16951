"""What settles with other amounts than it was told with is corrected, inside its order; what is firm never is."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve

from tests.accounts.played import (
    FAILED,
    MARKET,
    MINED,
    PENDING,
    SPOT,
    UNCAPPED,
    Played,
    entry,
    leave,
    report_on,
    resting_entry,
)
from tests.accounts.states import documents, held
from tests.builders import ALICE, make_settings
from trio_copy.accounts import events as e
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.accounts.facts import fact_of, record_of
from trio_copy.accounts.orders import OrderState
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import End
from trio_copy.model.ids import TaskId
from trio_copy.model.orders import Settlement, Status
from trio_copy.model.positions import EMPTY, EntryKind, LedgerEntry, fold
from trio_copy.model.units import NO_SHARES, NO_USD, Shares, Usd
from trio_copy.records import read_plain, write_plain

FEE: dict[str, Any] = {"fee": Usd.parse("0.1")}
FIRM: dict[str, Any] = {"settlement": Settlement.FIRM}


def figures(shares: str, notional: str, fee: str = "0") -> dict[str, Any]:
    return {"shares": Shares.parse(shares), "notional": Usd.parse(notional), "fee": Usd.parse(fee)}


def booked(played: Played) -> list[LedgerEntry]:
    """Every booking so far, in its order."""
    entries = []
    for told in played.told:
        one = told.record if isinstance(told.record, LedgerEntry) else getattr(told.record, "entry", None)
        entries += [one] if one is not None else []
    return entries


# Ten shares were told for 5 USD and a fee of 0.1: what settles, and what that is booked as.
OTHERWISE: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "as told": (figures("10", "5", "0.1"), ["confirm"]),
    "another fee": (figures("10", "5", "0.083333"), ["correct", "confirm"]),
    "a higher fee": (figures("10", "5", "0.12"), ["correct", "confirm"]),
    "a millionth less": (figures("9.999999", "4.999999", "0.1"), ["correct", "confirm"]),
    "a millionth more": (figures("10.000001", "5", "0.1"), ["correct", "confirm"]),
    "a trade of three undone": (figures("7", "3.4", "0.07"), ["correct", "confirm"]),
    "better prices": (figures("10", "4.6", "0.09"), ["correct", "confirm"]),
    "more than was told": (figures("10.2", "5.1", "0"), ["correct", "confirm"]),
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_what_settles_is_what_is_booked(how: str) -> None:
    """To the millionth: shares, cost, fees and profit; each once, and what was booked before stands as it was."""
    changes, kinds = OTHERWISE[how]
    played = Played(market=evolve(MARKET, fee_bps=300))
    order = played.fill(entry(), **figures("10", "5", "0.1"), **PENDING)
    assert [type(one) for one in played.answer(order, **changes)][-1] is e.Settled
    position = played.account.position(SPOT)
    cost = changes["notional"] + changes["fee"]
    assert (position.shares, position.cost, position.fees) == (changes["shares"], cost, changes["fee"])
    assert position.firm_shares == position.shares
    assert played.cost == cost
    assert not played.account.orders
    fill, *later = booked(played)
    assert (fill.shares, fill.notional, fill.fee) == tuple(figures("10", "5", "0.1").values())
    assert [one.kind.value for one in later] == kinds
    assert fold(booked(played)) == position
    sums = [sum(part) for part in zip(*(told.amounts for told in played.told), strict=True)]
    assert sums == [1, changes["notional"].micro, 0, changes["fee"].micro, 0, 0]


def test_it_says_why() -> None:
    """In the venue's own words, of a bounded length, and they survive being stored."""
    for detail, why in (("", "it settled with other amounts"), ("1 of 3 trades undone " * 20, "1 of 3 trades undone ")):
        played = Played()
        order = played.fill(entry(), **PENDING)
        played.answer(order, Status.PARTIAL, **figures("7", "3.5"), detail=detail)
        (told,) = [one for one in played.told if getattr(one.record, "kind", None) is EntryKind.CORRECT]
        assert isinstance(told.record, LedgerEntry)
        assert told.record.why.startswith(why)
        assert len(told.record.why) <= 200
        fact = fact_of(told, write_plain)
        assert record_of(fact, read_plain(fact.body)) == told.record


def test_trades_of_one_order_fail_one_after_the_other() -> None:
    """Each loss is booked as it is learned, the rest stays pending; at last all of it is gone, and nothing was there."""
    played = Played()
    order = played.fill(entry(), **PENDING)
    for shares, cost in (("7", "3.57"), ("7", "3.57"), ("2.5", "1.275")):
        played.answer(order, Status.PARTIAL, **figures(shares, cost), **PENDING)
        assert (played.shares, played.cost) == (Shares.parse(shares), Usd.parse(cost))
        assert played.account.orders[order.key].state is OrderState.MATCHED
        assert _read_again(played) == documents(played.account)
    played.answer(order, **FAILED)  # of all that was matched, as its trades tell it
    assert (played.shares, played.cost, played.account.orders) == (NO_SHARES, NO_USD, {})
    assert [one.kind for one in booked(played)] == [
        EntryKind.FILL,
        EntryKind.CORRECT,
        EntryKind.CORRECT,
        EntryKind.REVERSE,
    ]
    assert [sum(part) for part in zip(*(told.amounts for told in played.told), strict=True)] == [0] * 6


def _read_again(played: Played) -> Any:
    kept = [PlainDocument(kind, name, body) for (kind, name), body in documents(played.account).items()]
    return documents(account_of(ALICE, Catalog(), kept))


PENDING_IS_NO_WORD: Mapping[str, dict[str, Any]] = {
    "the same": {},
    "another fee": {"fee": Usd.parse("0.09")},
    "a millionth less": {"shares": Shares(9_999_999)},
    "more": figures("10.2", "5.1", "0.1"),
}


@pytest.mark.parametrize("how", PENDING_IS_NO_WORD)
def test_what_is_pending_corrects_only_what_is_gone(how: str) -> None:
    """Two ways to add up what is under way could else have the books go to and fro."""
    played = Played(market=evolve(MARKET, fee_bps=300))
    order = played.fill(entry(), **figures("10", "5", "0.1"), **PENDING)
    before = documents(played.account)
    changes = {**figures("10", "5", "0.1"), **PENDING_IS_NO_WORD[how], **PENDING}
    assert played.answer(order, **changes) == ()
    assert documents(played.account) == before


UNBELIEVED: Mapping[str, tuple[Status, dict[str, Any]]] = {
    "undone, of less than was booked": (Status.PARTIAL, {**figures("5", "2.5"), **FAILED}),
    "absent": (Status.ABSENT, {}),
    "nothing filled": (Status.KILLED, {}),
    "it rests": (Status.RESTING, {}),
}


@pytest.mark.parametrize("how", UNBELIEVED)
def test_what_says_nothing_of_the_whole_is_for_a_person(how: str) -> None:
    """A part that was undone tells nothing of the rest; and what was matched cannot never have been there."""
    status, changes = UNBELIEVED[how]
    played = Played()
    order = played.fill(resting_entry(), **PENDING)
    before = documents(played.account)
    (event,) = played.answer(order, status, **changes)
    assert isinstance(event, e.Contradicted)
    assert documents(played.account) == before


@pytest.mark.parametrize(
    "changes", [figures("10", "6"), figures("10", "5", "0.2"), figures("0.001", "0.1"), {"order_id": "0xother"}]
)
def test_what_leaves_the_order_corrects_nothing(changes: dict[str, Any]) -> None:
    """More cash, more fee or a worse price than the order allows is no settlement."""
    played = Played()
    order = played.fill(entry(), **PENDING)
    before = documents(played.account)
    assert played.answer(order, **changes) == ()
    assert documents(played.account) == before


# What was held of ten shares at 0.51, sold at 0.49 before three of them turned out never to have come.
SOLD: Mapping[str, tuple[str, str, str, str]] = {
    "none of it": ("0", "7", "0", "0"),
    "less than is left": ("5", "2", "0", "-0.1"),
    "just what is left": ("7", "0", "0", "-0.14"),
    "more than is left": ("8", "0", "1", "0.35"),
    "all of it": ("10", "0", "3", "1.33"),
}


@pytest.mark.parametrize("how", SOLD)
def test_what_was_sold_of_a_purchase_that_shrinks(how: str) -> None:
    """What was sold beyond what came is oversold: it has cost nothing, its proceeds are profit, and nothing is open of it."""
    sold, left, oversold, earned = SOLD[how]
    played = Played()
    order = played.fill(entry(), **MINED)
    if sold != "0":
        played.fill(leave(shares=str(int(sold) * 10)))
    played.answer(order, Status.PARTIAL, **figures("7", "3.57"))
    position = fold(booked(played))
    assert (position.shares, position.oversold) == (Shares.parse(left), Shares.parse(oversold))
    assert (position.realised, position.provisional) == (Usd.parse(earned), NO_USD)
    assert played.account.performance.realised == position.realised
    assert played.cost == position.cost == Usd(position.shares.micro * 51 // 100)
    # What is sold out is not kept any more; what is oversold is.
    assert played.account.position(SPOT) == (position if left != "0" or oversold != "0" else EMPTY)
    assert _read_again(played) == documents(played.account)


def test_a_sale_that_shrinks_gives_its_shares_back() -> None:
    """Half of it was undone: those shares are held again, at what they cost, and the leader's part stays sold."""
    played = Played()
    played.hold("10")
    order = played.fill(leave(shares="50"), **PENDING)
    assert played.shares == Shares.parse(5)
    played.answer(order, Status.PARTIAL, **figures("2.5", "1.225"))
    position = played.account.position(SPOT)
    assert (position.shares, position.cost) == (Shares.parse("7.5"), Usd.parse("3.825"))
    assert position.leader_shares == Shares.parse(50)
    assert position.realised == Usd.parse("-0.05")
    assert played.account.free(SPOT) == position.shares


def test_an_exit_under_way_sells_what_is_left() -> None:
    """It was placed for all ten, of which three turn out not to be there: nothing more is promised, and its fill is booked."""
    played = Played()
    bought = played.fill(entry(), **MINED)
    order = played.place(leave())
    played.answer(bought, Status.PARTIAL, **figures("7", "3.57"))
    assert played.account.free(SPOT) == NO_SHARES
    played.answer(order, Status.PARTIAL, **figures("7", "3.43"))
    position = fold(booked(played))
    assert (position.shares, position.oversold, position.realised) == (NO_SHARES, NO_SHARES, Usd.parse("-0.14"))


def test_a_day_counts_what_was_told_and_what_came_on_top() -> None:
    """What is undone was spent as well, as ever; a fee that was higher than told is spent on top."""
    for changes, spent in ((figures("7", "3.5", "0.07"), 5_100_000), (figures("10", "5", "0.12"), 5_120_000)):
        played, task = Played(market=evolve(MARKET, fee_bps=300)), entry()
        order = played.fill(task, **figures("10", "5", "0.1"), **PENDING)
        played.answer(order, **changes)
        assert played.day(task) == spent
        assert not held(played.account)


def test_caps_have_back_what_was_undone() -> None:
    """Open cost is what is held: a purchase that shrank makes room for another one."""
    played = Played(settings=make_settings(max_order_usd=None, max_exposure_usd=Usd.parse("8.7")))
    order = played.fill(entry(), **PENDING)
    played.answer(order, Status.PARTIAL, **figures("7", "3.57"), **PENDING)
    played.fill(entry(2))
    assert played.cost == Usd.parse("8.67")


def test_what_went_out_together_shrinks_together() -> None:
    """Three entries in one order are one booking: the leader's shares of all of them stay, as with any partial fill."""
    played = Played(settings=UNCAPPED)
    tasks = [entry(number, "100", aggregates=True) for number in (1, 2, 3)]
    (placed,) = [one for one in played.offer(tasks[0], resting=tuple(tasks[1:])) if isinstance(one, e.Placed)]
    assert set(placed.members) == {TaskId(one.task_id) for one in tasks[1:]}
    played.answer(placed.order, **PENDING)
    played.answer(placed.order, Status.PARTIAL, **figures("15", "7.65"))
    position = played.account.position(SPOT)
    assert (position.shares, position.leader_shares) == (Shares.parse(15), Shares.parse(300))
    played.fill(leave(9, "150"))
    assert played.shares == Shares.parse("7.5")


# ------------------------------------------------------------------------------------------------ orders that rested


def rested(*fills: tuple[str, dict[str, Any]]) -> tuple[Played, Any]:
    """An order that rested, and filled so much so far, step by step, at half a dollar."""
    played = Played(market=evolve(MARKET, fee_bps=300))
    order = played.place(resting_entry())
    for shares, settlement in fills:
        half = Usd(Shares.parse(shares).micro // 2)
        played.answer(order, Status.RESTING, shares=Shares.parse(shares), notional=half, **settlement)
    return played, order


# How it had filled, what its end says, what is held then, and what was booked for that; None where a person has to look.
RESTED: Mapping[str, tuple[list[tuple[str, dict[str, Any]]], dict[str, Any], str | None, list[str]]] = {
    "a part of the last growth": ([("4", PENDING), ("7", PENDING)], figures("5", "2.5"), "5", ["correct"]),
    "the last growth": ([("4", PENDING), ("7", PENDING)], figures("4", "2"), "4", ["reverse"]),
    "more than that": ([("4", PENDING), ("7", PENDING)], figures("3", "1.5"), "3", ["reverse", "correct"]),
    "the last growth, and shares of the first": (
        [("4", PENDING), ("7", PENDING)],
        figures("3.95", "2"),
        "3.95",
        ["reverse", "correct"],
    ),
    "the last growth, and money of the first": (
        [("4", PENDING), ("7", PENDING)],
        figures("4", "1.9"),
        "4",
        ["reverse", "correct"],
    ),
    "the last growth, and a fee of the first": (
        [("4", PENDING), ("7", PENDING)],
        figures("4", "2", "0.05"),
        "4",
        ["reverse", "correct"],
    ),
    "all that was not firm": ([("4", FIRM), ("7", PENDING)], figures("4", "2"), "4", ["reverse"]),
    "another fee": ([("4", PENDING)], figures("4", "2", "0.05"), "4", ["correct"]),
    "shares that the last growth had, for money that it had not": (
        [("4", PENDING), ("7", PENDING)],
        figures("5", "0.4"),
        "5",
        ["reverse", "correct"],
    ),
    "more for less": ([("4", PENDING)], figures("5", "1.9"), "5", ["correct"]),
    "what was firm": ([("4", FIRM)], figures("3", "1.5"), None, []),
    "something of what was firm": ([("4", FIRM), ("7", PENDING)], figures("3", "1.5"), None, []),
    "the cost of what was firm": ([("4", FIRM)], figures("4", "1.5"), None, []),
}


@pytest.mark.parametrize("how", RESTED)
@pytest.mark.parametrize("settlement", [FIRM, PENDING], ids=["firm", "pending"])
def test_an_order_that_rested_ends_with_less(how: str, settlement: dict[str, Any]) -> None:
    """Its end is booked as it stood, and corrected, the newest booking first; but not what had become firm."""
    fills, changes, left, kinds = RESTED[how]
    played, order = rested(*fills)
    before, told = documents(played.account), len(booked(played))
    events = played.answer(order, Status.PARTIAL, **changes, **settlement)
    if left is None:
        assert [type(event) for event in events] == [e.Contradicted]
        assert documents(played.account) == before
        return
    if settlement is PENDING:
        played.answer(order, Status.PARTIAL, **changes)
    position = played.account.position(SPOT)
    assert (position.shares, position.cost) == (Shares.parse(left), changes["notional"] + changes["fee"])
    assert (position.firm_shares, played.account.orders) == (position.shares, {})
    assert [one.kind.value for one in booked(played)[told:] if one.kind is not EntryKind.CONFIRM] == kinds
    assert fold(booked(played)) == position
    assert (played.cost, held(played.account)) == (position.cost, {})
    assert played.end_of(resting_entry()).end is End.PARTIAL
    assert position.leader_shares == Shares.parse(100)


def test_the_books_do_not_care_when_it_is_learned() -> None:
    """One loss after the other, or all at once: the same position in the end."""
    ways = (["8", "5", "2"], ["8", "2"], ["2"])
    positions = []
    for way in ways:
        played, order = rested(("4", PENDING), ("9", PENDING))
        for shares in way[:-1]:
            half = Usd(Shares.parse(shares).micro // 2)
            played.answer(order, Status.PARTIAL, shares=Shares.parse(shares), notional=half, **PENDING)
        played.answer(order, Status.PARTIAL, **figures(way[-1], "1"))
        positions.append(played.account.position(SPOT))
    assert all(one == other for one, other in pairwise(positions))


@pytest.mark.parametrize(
    ("first", "then", "ghosts"),
    [
        (PENDING, {**figures("7", "3.57"), **FIRM}, 1),
        (PENDING, {**figures("9.999999", "5.1"), **FIRM}, 0),
        (PENDING, {**figures("10", "5"), **FIRM}, 0),
        (PENDING, FAILED, 1),
    ],
)
def test_a_ghost_is_more_than_rounding(first: dict[str, Any], then: dict[str, Any], ghosts: int) -> None:
    """What was told and never came counts; a fee or a millionth does not."""
    played = Played()
    order = played.fill(entry(), **first)
    played.answer(order, **then)
    assert sum(one.is_ghost for one in booked(played)) == ghosts


def test_said_again_it_is_the_same() -> None:
    """Whoever takes over asks again: a report that is booked books nothing more."""
    played = Played()
    order = played.fill(entry(), **PENDING)
    report = report_on(order, Status.PARTIAL, **figures("7", "3.57"), **PENDING)
    assert len(played.answer(order, Status.PARTIAL, **figures("7", "3.57"), **PENDING)) == 1
    before = documents(played.account)
    assert played.answer(order, Status.PARTIAL, **figures("7", "3.57"), **PENDING) == ()
    assert documents(played.account) == before
    assert played.account.orders[order.key].report == report


@pytest.mark.parametrize("fee", ["0.15", "0.05"])
def test_nothing_that_is_booked_ever_has_money_below_zero(fee: str) -> None:
    """What is missing is more than the last growth had of the fee: that one goes whole, and the first gives the rest."""
    played = Played(market=evolve(MARKET, fee_bps=300))
    order = played.place(resting_entry())
    played.answer(order, Status.RESTING, **figures("4", "2", "0.2"), **PENDING)
    played.answer(order, Status.RESTING, **figures("7", "3.5", "0.21"), **PENDING)
    told = len(booked(played))
    played.answer(order, Status.PARTIAL, **figures("7", "3.5", fee))
    later = [one.kind.value for one in booked(played)[told:] if one.kind is not EntryKind.CONFIRM]
    assert later == ["reverse", "correct"]
    position = fold(booked(played))
    assert (position.shares, position.cost, position.fees) == (
        Shares.parse(7),
        Usd.parse("3.5") + Usd.parse(fee),
        Usd.parse(fee),
    )
    assert position == played.account.position(SPOT)


@pytest.mark.parametrize(("gone", "books"), [(9_999, False), (10_000, True)])
def test_a_hundredth_of_a_share_is_a_trade_and_less_is_rounding(gone: int, books: bool) -> None:
    """Of what is still to settle, no less is taken back; and what is undone is all that is booked up to that."""
    left = Shares(10_000_000 - gone)
    told: dict[str, Any] = {"shares": left, "notional": Usd(left.micro // 2)}
    played = Played()
    order = played.fill(entry(), **figures("10", "5"), **PENDING)
    assert bool(played.answer(order, Status.PARTIAL, **told, **PENDING)) is books
    assert played.shares == (left if books else Shares.parse(10))

    undone = Played()
    order = undone.fill(entry(), **figures("10", "5"), **PENDING)
    (event, *_) = undone.answer(order, Status.PARTIAL, **told, **FAILED)
    assert isinstance(event, e.Contradicted if books else e.Reversed)
