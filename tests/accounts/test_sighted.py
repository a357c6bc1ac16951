"""Sightings and looks, through the form in which they are stored."""

from typing import Any

import pytest

from trio_copy.accounts.plain import PlainError
from trio_copy.accounts.sighted import looks_key, looks_of, plain_looks, plain_sighting, sighting_of
from trio_copy.model.ids import TaskId
from trio_copy.model.orders import Quote
from trio_copy.model.sightings import Look, Looks, Sighting
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.records import read_plain, write_plain

A, B = Quote(bid=Price(1), ask=Price(2)), Quote(bid=Price(3), ask=None)
KEY = looks_key(TaskId("ab12"), 2)


@pytest.mark.parametrize(
    ("sighting", "written"),
    [
        (Sighting(A, A, A), b"[[1,2],0,0]"),
        (Sighting(A, B, B), b"[[1,2],[3,null],0]"),
        (Sighting(A, None, A), b"[[1,2],null,0]"),
        (Sighting(None, A, B), b"[null,[1,2],[3,null]]"),
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


@pytest.mark.parametrize("plain", [[], [0, None, None], [None, None], [[1], 0, 0], [["1", 2], 0, 0], [1.5, None, None]])
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
