"""Sightings and looks, through the form in which they are stored."""

from typing import Any

import pytest
from attrs import evolve

from tests.accounts.test_documents import FORMS, full, stored
from trio_copy.accounts.copied import copied_in
from trio_copy.accounts.facts import fact_of, record_of
from trio_copy.accounts.plain import PlainError
from trio_copy.accounts.sighted import looks_key, looks_of, plain_looks, plain_sighting, sighting_of
from trio_copy.accounts.telling import TaskEnd, Told
from trio_copy.model.books import Quote
from trio_copy.model.ids import TaskId
from trio_copy.model.orders import Status
from trio_copy.model.sightings import Allotment, Look, Looks, Sighting
from trio_copy.model.units import Micro, Price, Shares, Usd
from trio_copy.records import read_plain, write_plain

A, B = Quote(bid=Price(1), ask=Price(2)), Quote(bid=Price(3), ask=None)


def plain(part: Any) -> Any:
    return part


SHARED = Allotment(place=2, of=3, wanted=Micro(15), offered=Micro(12), own=Micro(6), most=Micro(5), price=Price(4))
KEY = looks_key(TaskId("ab12"), 2)


@pytest.mark.parametrize(
    ("sighting", "written"),
    [
        (Sighting(A, A, A), b"[[1,2],0,0]"),
        (Sighting(A, B, B), b"[[1,2],[3,null],0]"),
        (Sighting(A, None, A), b"[[1,2],null,0]"),
        (Sighting(None, A, B), b"[null,[1,2],[3,null]]"),
        (Sighting(None, None, None, SHARED), b"[null,null,null,[2,3,15,12,6,5,4]]"),
        (Sighting(A, A, A, evolve(SHARED, most=None, price=None)), b"[[1,2],0,0,[2,3,15,12,6,null,null]]"),
    ],
)
def test_a_sighting_is_written_short_and_read_again(sighting: Sighting, written: bytes) -> None:
    """Prices that stay are written once; an empty side stays empty."""
    assert write_plain(plain_sighting(sighting)) == written
    assert sighting_of(read_plain(written)) == sighting


def test_looks_are_read_as_they_were_written() -> None:
    """Of a book that held less than was looked for, how much; of none, nothing."""
    body = read_plain(write_plain(plain_looks(10, [(10, 5, True), (4, 2, False), None])))
    assert looks_of(KEY, body) == Looks(
        task_id=TaskId("ab12"),
        attempt=2,
        shares=Shares(10),
        after=(Look(Shares(10), Usd(5), True), Look(Shares(4), Usd(2), False), None),
    )


@pytest.mark.parametrize(
    "plain",
    [
        [],
        [0, None, None],
        [None, None],
        [[1], 0, 0],
        [["1", 2], 0, 0],
        [1.5, None, None],
        [None, None, None, [1, 2]],
        [None, None, None, [1.5, 2, 3, 4, 5, 6, 7]],
    ],
)
def test_a_sighting_that_is_none_is_refused(plain: Any) -> None:
    """Never taken for another one."""
    with pytest.raises((PlainError, ValueError, TypeError)):
        sighting_of(plain)


@pytest.mark.parametrize(
    ("key", "body"),
    [
        (KEY, []),
        (KEY, [2, 10, None, None, None]),
        (KEY, [1, 10, None, None]),
        (KEY, [1, "10", None, None, None]),
        (KEY, [1, 10, [5], None, None]),
        (KEY, [1, 10, [5, 1, 4, 4.5], None, None]),
        (KEY, [1, 10, [5.0, 1], None, None]),
        ("ab12:2", [1, 10, None, None, None]),
        ("ab12:x:looks", [1, 10, None, None, None]),
        ("ab12:2:poem", [1, 10, None, None, None]),
    ],
)
def test_looks_that_are_none_are_refused(key: str, body: Any) -> None:
    """Of another form, cut off, or of something else."""
    with pytest.raises(PlainError, match="expected stored looks"):
        looks_of(key, body)


@pytest.mark.parametrize("columns", FORMS, ids=[f"{number} {one['kind']}" for number, one in enumerate(FORMS)])
def test_what_a_venue_made_of_an_order_is_read_of_both_forms(columns: dict[str, Any]) -> None:
    """It says what the whole of the fact says; where no order came to a venue, there is none."""
    fact = stored(columns)
    if fact.kind in ("skip", "entry"):
        return
    copied = copied_in(fact, columns["second"], plain)
    assert copied == copied_in(fact, columns["first"], plain)
    end = record_of(fact, columns["second"])
    assert isinstance(end, TaskEnd)
    report = None if end.order is None else end.order.report
    if report is None or not (report.shares or report.status is Status.KILLED):
        assert copied is None
        return
    assert copied is not None
    assert end.order is not None
    assert (copied.shares, copied.notional, copied.side) == (report.shares, report.notional, end.order.side)
    assert (copied.asked, copied.limit_price) == (end.order.shares, end.order.limit_price)
    assert copied.attempt == end.task.attempt
    assert copied.reference == (end.entry.reference or None if end.entry is not None else None)


def test_what_was_filled_while_it_rested_has_the_leaders_price_all_the_same() -> None:
    """Its bookings stand apart; and a leader who told no price has none."""
    filled = next(one for one in full().told if isinstance(one.record, TaskEnd) and one.record.entry is not None)
    end = filled.record
    assert isinstance(end, TaskEnd)
    unpriced = evolve(end.task, signal=evolve(end.task.signal, price=None))
    sighting = Sighting(A, A, None)
    for task, price in ((end.task, end.task.intent.price), (unpriced, None)):
        fact = fact_of(Told(evolve(end, task=task, entry=None, sighting=sighting)), write_plain)
        copied = copied_in(fact, read_plain(fact.body), plain)
        assert copied is not None
        assert (copied.reference, copied.sighting) == (price, sighting)


@pytest.mark.parametrize("body", [[], [3], [2], [2, 1, 2, 3], [2, [], [], [], [1, 2], []], "x"])
def test_an_order_that_is_none_is_refused(body: Any) -> None:
    """Cut off, or of another form."""
    with pytest.raises(PlainError):
        copied_in(stored({**FORMS[0], "kind": "filled"}), body, plain)
