"""How a book is shared: nobody gets more than he wants, all together never more than it holds, and each may be the first."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import make_signal
from trio_copy.copying.allotting import Claim, allot
from trio_copy.model.books import Level
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, task_id
from trio_copy.model.sightings import Allotment
from trio_copy.model.units import MICRO, Price, Rounding, Shares

BUY, SELL = Side.BUY, Side.SELL


def levels(*pairs: tuple[str, int]) -> list[Level]:
    return [Level(Price.parse(price), Shares.parse(shares)) for price, shares in pairs]


def claim(amount: str, limit: str = "0.5", least: str = "1", *, whole: bool = False) -> Claim:
    return Claim(Price.parse(limit), Shares.parse(amount).micro, Shares.parse(least).micro, whole)


def mosts(allotments: Sequence[Allotment]) -> list[str | None]:
    """Say what each may take; None where it is not held back."""
    return [None if one.most is None else str(one.most) for one in allotments]


def prices(allotments: Sequence[Allotment]) -> list[str | None]:
    return [None if one.price is None else str(one.price) for one in allotments]


TEN_USD = levels(("0.5", 20))
TABLE: dict[str, tuple[Side, list[Level], list[Claim], list[str | None]]] = {
    "enough for all": (BUY, TEN_USD, [claim("4"), claim("6")], [None, None]),
    "alike": (BUY, TEN_USD, [claim("10"), claim("10")], ["5", "5"]),
    "the least first, the rest in proportion": (BUY, TEN_USD, [claim("2"), claim("14")], ["1.571428", "8.428571"]),
    "so small that it would be no order": (BUY, TEN_USD, [claim("1"), claim("1000")], [None, "9"]),
    "too little for all": (BUY, levels(("0.5", 5)), [claim("10")] * 4, ["1.25", "1.25", "0", "0"]),
    "too little for any": (BUY, levels(("0.5", 1)), [claim("10")] * 2, [None, None]),
    "an empty book": (BUY, [], [claim("10")] * 2, [None, None]),
    "under its own minimum": (BUY, TEN_USD, [claim("0.5"), claim("30")], [None, "10"]),
    "beyond the limit": (BUY, levels(("0.5", 20), ("0.6", 10)), [claim("20"), claim("20")], ["5", "5"]),
    "limits apart": (
        BUY,
        levels(("0.5", 20), ("0.6", 20)),
        [claim("20", "0.5"), claim("20", "0.6")],
        ["7.428571", "14.571428"],
    ),
    "a limit that meets nothing": (BUY, TEN_USD, [claim("8", "0.4"), claim("8")], [None, None]),
    "whole or nothing": (BUY, TEN_USD, [claim("6", whole=True), claim("6", whole=True)], [None, "0"]),
    "nothing for the large one": (BUY, TEN_USD, [claim("11", whole=True), claim("4", whole=True)], [None, None]),
    "whole beside parts": (BUY, TEN_USD, [claim("6", whole=True), claim("6"), claim("6")], ["0", "5", "5"]),
    "whole, and enough": (BUY, TEN_USD, [claim("4", whole=True), claim("6")], [None, None]),
    "sales": (SELL, levels(("0.5", 20), ("0.4", 20)), [claim("30", "0.5", "5"), claim("30", "0.5", "5")], ["10", "10"]),
    "sales, limits apart": (
        SELL,
        levels(("0.5", 20), ("0.4", 20)),
        [claim("30", "0.5", "5"), claim("30", "0.4", "5")],
        ["16.25", "23.75"],
    ),
    "sales under the minimum": (SELL, levels(("0.5", 12)), [claim("10", least="5")] * 3, ["6", "6", "0"]),
}


@pytest.mark.parametrize("case", TABLE)
def test_a_book_is_shared(case: str) -> None:
    """In proportion, but never less than an order has to be; those behind get nothing before that."""
    side, book, row, expected = TABLE[case]
    assert mosts(allot(row, side, book)) == expected


def test_each_is_told_what_the_book_says_it_pays() -> None:
    """The first takes the best levels: his price is the best, and the next time somebody else is the first."""
    book = levels(("0.5", 10), ("0.6", 10), ("0.7", 10))
    told = allot([claim("5", "0.7"), claim("5", "0.6"), claim("5", "0.6"), claim("5", "0.7")], BUY, book)
    assert mosts(told) == ["4.5", "4.5", "4.5", "4.5"]
    assert prices(told) == ["0.5", "0.586957", "0.6", "0.7"]
    assert [one.place for one in told] == [1, 2, 3, 4]
    assert {one.of for one in told} == {4}
    assert [str(one.offered) for one in told] == ["18", "11", "11", "18"]
    assert {str(one.wanted) for one in told} == {"20"}


WISHES = st.builds(
    Claim,
    limit=st.integers(40, 60).map(lambda cents: Price(cents * 10_000)),
    amount=st.integers(1, 400).map(lambda tenths: tenths * 100_000),
    least=st.sampled_from((1, MICRO, 5 * MICRO)),
    whole=st.booleans(),
)
BOOKS = st.dictionaries(st.integers(40, 60), st.integers(1, 50_000_000), max_size=6)


@settings(max_examples=50)
@given(st.lists(WISHES, min_size=1, max_size=12), BOOKS, st.sampled_from(Side))
def test_whatever_is_wanted_no_more_is_promised_than_there_is(
    row: list[Claim], book: dict[int, int], side: Side
) -> None:
    """Within each limit, of each order and of all together; who gets less than he wants gets an order, or nothing."""
    prices = sorted(book, reverse=side is SELL)
    offers = [Level(Price(cents * 10_000), Shares(book[cents])) for cents in prices]
    allotted = allot(row, side, offers)
    for limit in {one.limit for one in row}:
        within = [one for one in offers if (one.price <= limit if side is BUY else one.price >= limit)]
        there = sum(
            one.shares.at(one.price, Rounding.DOWN).micro if side is BUY else one.shares.micro for one in within
        )
        promised = [
            (one.amount if told.most is None else told.most.micro)
            for one, told in zip(row, allotted, strict=True)
            if (one.limit <= limit if side is BUY else one.limit >= limit) and one.may_get(told.offered.micro)
        ]
        assert sum(promised) <= there
    for one, told in zip(row, allotted, strict=True):
        if told.most is not None:
            assert told.most.micro == 0 or one.least <= told.most.micro < one.amount
            assert not one.whole or told.most.micro == 0
        assert told.price is None or (told.price <= one.limit if side is BUY else told.price >= one.limit)


def test_over_many_signals_each_is_as_often_the_first() -> None:
    """By the names of their tasks, in which they are sent: of ten, three get an order each time."""
    followers, served, first = [FollowerId(f"f{number}") for number in range(10)], Counter[str](), Counter[str]()
    for number in range(400):
        signal = make_signal(number).signal_id
        row = sorted(followers, key=lambda one: task_id(signal, one))
        allotted = allot([claim("10")] * 10, BUY, levels(("0.5", 6)))
        served.update(one for one, told in zip(row, allotted, strict=True) if told.most is not None and told.most)
        first[row[0]] += 1
    assert all(80 < served[one] < 160 and 15 < first[one] < 65 for one in followers)
