"""Which books an executor may show: those that can stand."""

from typing import Any

import pytest

from trio_copy.model.books import Book, Level
from trio_copy.model.breaches import breach_of_market
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market
from trio_copy.model.units import NO_SHARES, Price, Shares

ONE, TWO = (Level(Price(price), Shares(5)) for price in (1, 2))


def market(book: Any) -> Market:
    return Market(token_id=TokenId(7), tick=Price(1), minimum=NO_SHARES, fee_bps=0, book=book)


def book(token: int = 7, *, bids: Any = (), asks: Any = ()) -> Book:
    return Book(token_id=TokenId(token), bids=bids, asks=asks, at=0.0)


@pytest.mark.parametrize(
    "shown", [None, book(), book(bids=(TWO, ONE), asks=(ONE, TWO))], ids=["none", "empty", "both sides"]
)
def test_a_book_that_can_stand_is_believed(shown: Book | None) -> None:
    """The best first on either side."""
    assert breach_of_market(market(shown), TokenId(7)) is None


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (7, "expected Book, was 7"),
        (book(8), "another token's book"),
        (book(asks=[ONE]), "a side of a book"),
        (book(bids=(ONE,) * 10_001), "a side of a book"),
        (book(asks=((1, 2),)), "a level of a book"),
        (book(asks=(Level(Price(1), Shares(0)),)), "a level of a book"),
        (book(asks=(Level(Price(0), Shares(1)),)), "a level of a book"),
        (book(asks=(Level(Price(1), Shares(1 << 70)),)), "a level of a book"),
        (book(asks=(TWO, ONE)), "a side of a book"),
        (book(bids=(ONE, TWO)), "a side of a book"),
        (book(asks=(ONE, ONE)), "a side of a book"),
    ],
)
def test_a_book_that_cannot_stand_is_a_breach(shown: Any, says: str) -> None:
    """What is allotted by it would be an order that nobody wants."""
    assert says in str(breach_of_market(market(shown), TokenId(7)))
