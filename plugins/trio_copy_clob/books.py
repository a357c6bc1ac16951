"""Books over HTTP, and how a book is read wherever it comes from."""

from collections.abc import Collection, Sequence
from functools import partial

import msgspec

from trio_copy.model.books import Book, Level
from trio_copy.model.ids import TokenId
from trio_copy_clob.asking import Asker
from trio_copy_clob.pacing import BOOK, BOOKS
from trio_copy_clob.together import batches, together
from trio_copy_clob.wire import MISREAD, BookRow, LevelRow, each, listed, price_of, seconds_of, shares_of, token_of

_TOKENS_PER_CALL = 50
_MOST_LEVELS = 10_000
"""The finest tick has as many prices."""
STRUCTURED = ((1 << 64) - 1) << 40
"""The bits of a token id that are zero in all those of exchange V3, and in practically none of V2's, which are hashes."""


async def read_books(asker: Asker, tokens: Collection[TokenId]) -> list[Book]:
    """Ask for the books of tokens as they are now. Raises `MarketsUnavailable`."""
    calls = [partial(_read_batch, asker, batch) for batch in batches(sorted(set(tokens)), _TOKENS_PER_CALL)]
    return [book for batch in await together(calls) for book in batch]


async def _read_batch(asker: Asker, tokens: Sequence[TokenId]) -> list[Book]:
    content = msgspec.json.encode([{"token_id": str(token)} for token in tokens])
    rows = await asker.ask(BOOKS, listed, content=content) or []
    found = _books(asker, rows, frozenset(tokens))
    # Whether many are told of those of exchange V3 at once is not certain: the missing are asked for one by one.
    missing = [token for token in tokens if token not in found and not token & STRUCTURED]
    for answer in await together([partial(_read_one, asker, token) for token in missing]):
        found |= answer
    return list(found.values())


async def _read_one(asker: Asker, token: TokenId) -> dict[TokenId, Book]:
    rows = await asker.ask(BOOK, listed, params=[("token_id", str(token))]) or []
    return _books(asker, rows, frozenset([token]))


def _books(asker: Asker, rows: Sequence[msgspec.Raw], asked: frozenset[TokenId]) -> dict[TokenId, Book]:
    found: dict[TokenId, Book] = {}
    for row in each(rows, BookRow):
        try:
            book = book_of(row, asker.wall())
            if book.token_id not in asked or book.token_id in found:
                raise ValueError("nobody asked for it, or it comes twice")
        except MISREAD as error:
            asker.troubles.leave_out("a book", error)
            continue
        found[book.token_id] = book
    return found


def book_of(row: BookRow | ValueError, now: float) -> Book:
    """Read a book, in whatever order its levels come.

    Raises:
        ValueError: a level cannot be read, or somebody would pay more than somebody else asks: then none of it is believed.
    """
    if isinstance(row, ValueError):
        raise row
    book = Book(
        token_id=token_of(row.asset_id),
        bids=_side(row.bids, highest_first=True),
        asks=_side(row.asks, highest_first=False),
        at=seconds_of(row.timestamp, now),
        tick=None if row.tick_size is None else price_of(row.tick_size),
        minimum=None if row.min_order_size is None else shares_of(row.min_order_size),
    )
    if book.bids and book.asks and book.bids[0].price >= book.asks[0].price:
        raise ValueError("its best bid is not below its best ask")
    return book


def _side(rows: Sequence[LevelRow], *, highest_first: bool) -> tuple[Level, ...]:
    """Sort a side, the best first: the venue writes the best last, and says nowhere that it always will."""
    if len(rows) > _MOST_LEVELS:
        raise ValueError("more levels than there are prices")
    levels = [Level(price_of(row.price), shares_of(row.size)) for row in rows]
    if len({level.price for level in levels}) < len(levels):
        raise ValueError("a price that comes twice")
    return tuple(
        sorted((level for level in levels if level.shares), key=lambda level: level.price, reverse=highest_first)
    )
