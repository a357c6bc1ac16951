"""What the source makes of books and decisions over HTTP."""

from decimal import Decimal
from typing import Any

import pytest
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.clob.opened import open_venue
from trio_copy.model.books import Book, Level
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import Price, Shares
from trio_copy.testing.market_server.faults import Ids, Order
from trio_copy_clob.books import book_of
from trio_copy_clob.wire import BookRow, LevelRow

Clock = trio.testing.MockClock


@pytest.mark.parametrize("json_numbers", [False, True])
@pytest.mark.parametrize("order", [Order.BEST_LAST, Order.SHUFFLED])
async def test_books_come_whole_and_the_best_first(clock: Clock, order: Order, json_numbers: bool) -> None:
    """In whatever order levels come, and as text or as numbers: exactly what stands there."""
    async with open_venue() as venue:
        venue.server.faults.order, venue.server.faults.json_numbers = order, json_numbers
        books = {book.token_id: book for book in await venue.source.books(venue.tokens)}

        assert books == venue.server.venue.books
        assert venue.server.http.requests == {"/clob/books": 1}


@pytest.mark.parametrize(
    "fault",
    [{"order": Order.CROSSED}, {"order": Order.UNREADABLE}, {"ids": Ids.WRONG}],
    ids=lambda fault: str(*fault.values()),
)
async def test_books_that_cannot_be_believed_are_left_out(clock: Clock, fault: dict[str, Any]) -> None:
    """A book with one wrong level, or somebody else's, is no book; a person hears of the first."""
    async with open_venue() as venue:
        for name, value in fault.items():
            setattr(venue.server.faults, name, value)

        assert list(await venue.source.books(venue.tokens)) == []
        assert venue.kinds == ["markets-unreadable"]


async def test_tokens_of_exchange_v3_are_asked_for_one_by_one_where_the_many_leave_them_out(clock: Clock) -> None:
    """Nobody has seen yet whether POST /books knows them."""
    async with open_venue() as venue:
        token = TokenId(1 << 248 | 77 << 120)
        fact = evolve(venue.market.facts[0], token_id=token, exchange=3)
        venue.server.venue.put([fact])
        venue.server.venue.set_book(evolve(venue.server.venue.books[venue.tokens[0]], token_id=token))
        venue.server.faults.without_v3 = True
        books = await venue.source.books([*venue.tokens, token, TokenId(1 << 248 | 78 << 120)])

        assert {book.token_id for book in books} == {*venue.tokens, token}
        assert venue.server.http.requests["/clob/book"] == 2


def _row(**changes: Any) -> BookRow:
    level = LevelRow(price=Decimal("0.5"), size=Decimal(10))
    row: dict[str, Any] = {"asset_id": "7", "timestamp": str(int(NOW * 1000)), "bids": [level], "asks": []} | changes
    return BookRow(**row)


def test_a_book_says_when_and_how_it_is() -> None:
    """Times are milliseconds, as text or number; a side may be empty; a level of nothing is none."""
    row = _row(
        timestamp=int(NOW * 1000),
        asks=[LevelRow(price=Decimal("0.6"), size=Decimal(0))],
        tick_size=Decimal("0.001"),
        min_order_size=Decimal("5"),
    )

    assert book_of(row, NOW) == Book(
        token_id=TokenId(7),
        bids=(Level(Price.parse("0.5"), Shares.parse(10)),),
        asks=(),
        at=NOW,
        tick=Price(1000),
        minimum=Shares.parse(5),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"asset_id": "-1"},
        {"asset_id": str(1 << 256)},
        {"asset_id": "\u0667"},
        {"timestamp": str(int(NOW))},
        {"timestamp": str(int(NOW * 1000) + 400_000)},
        {"timestamp": "now"},
        {"bids": [LevelRow(price=Decimal("0.5"), size=Decimal(1)), LevelRow(price=Decimal("0.50"), size=Decimal(2))]},
        {"bids": [LevelRow(price=Decimal("0.0000001"), size=Decimal(1))]},
        {"bids": [LevelRow(price=Decimal("1"), size=Decimal(1))]},
        {"bids": [LevelRow(price=Decimal("0"), size=Decimal(1))]},
        {"bids": [LevelRow(price=Decimal("-0.5"), size=Decimal(1))]},
        {"bids": [LevelRow(price=Decimal("0.5"), size=Decimal("-1"))]},
        {"bids": [LevelRow(price=Decimal("0.5"), size=Decimal("1e400000000"))]},
        {"bids": [LevelRow(price=Decimal("0.5"), size=Decimal("sNaN"))]},
        {"bids": [LevelRow(price=Decimal("0.50000000000000000000000000000001"), size=Decimal(1))]},
        {"asks": [LevelRow(price=Decimal("0.5"), size=Decimal(1))]},
        {"bids": [LevelRow(price=Decimal("0.5"), size=Decimal(1))] * 10_001},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_book_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    """Nothing is rounded, guessed or mended in a book."""
    with pytest.raises((ValueError, ArithmeticError)):
        book_of(_row(**changes), NOW)


async def test_decisions_are_told_once_they_are_final(clock: Clock) -> None:
    """What is proposed may still turn around; unknown questions are not decided."""
    async with open_venue() as venue:
        conditions = sorted({fact.condition_id for fact in venue.market.facts})
        venue.server.venue.decide(conditions[1], (250_000, 750_000))

        assert list(await venue.source.resolutions([*conditions, "0x" + "f" * 64])) == [
            Decided(condition_id=conditions[1], payouts=(250_000, 750_000))
        ]
        assert venue.troubles == []


async def test_many_questions_are_asked_about_twenty_at_a_time(clock: Clock) -> None:
    """As many as the venue takes."""
    async with open_venue() as venue:
        await venue.source.resolutions([f"0x{number:064x}" for number in range(50)])

        assert venue.server.http.requests == {"/data/v2/resolutions": 3}


@pytest.mark.parametrize(
    ("ids", "payouts"),
    [(Ids.WRONG, (1_000_000, 0)), (Ids.TWICE, (1_000_000, 0)), (Ids.RIGHT, (1, 1)), (Ids.RIGHT, (1_000_000,))],
)
async def test_decisions_that_cannot_be_believed_are_left_out(clock: Clock, ids: Ids, payouts: tuple[int, ...]) -> None:
    """Somebody else's, two that differ, and payouts that are not a dollar decide nothing."""
    async with open_venue() as venue:
        condition = venue.market.facts[0].condition_id
        venue.server.venue.decide(condition, payouts)
        venue.server.faults.ids = ids

        assert list(await venue.source.resolutions([condition])) == []
        assert venue.kinds == ["markets-unreadable"]
