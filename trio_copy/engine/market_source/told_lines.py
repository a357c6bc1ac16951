"""How a recording writes what a market source told: facts of tokens, decisions, books.

Amounts are text, as in a store, so that no reader rounds them. Those of books are whole millionths: a book has hundreds, an
order waits for it, and decimals would take a millisecond.
"""

import msgspec
from attrs import frozen

from trio_copy.model.books import Book, Level
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import Micro, Price, Shares
from trio_copy.records import decode, encode

_LEVELS_MOST = 10_000
"""Of one side of a book: the finest tick has as many prices."""
_SLOTS_MOST = 256
_DIGITS_MOST = 78
_Levels = tuple[tuple[str, str], ...]


@frozen
class MarketsOpened:
    """From here on, an engine had a market source; what that told follows."""

    name: str


@frozen
class FactsAnswered:
    """A source has answered, or failed to, what tokens are about. What it knew is told by itself."""

    unknown: frozenset[TokenId]
    """Those of which it knew nothing."""
    failed: bool = False


@frozen(kw_only=True)
class SeenBook:
    """What came of asking for a token's book."""

    token_id: TokenId
    asked_at: float
    """Unix seconds."""
    book: Book | None = None
    """None where the source knew none."""
    failed: bool = False
    """Whether it did not answer, or not in time."""


class _Book(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    at: float
    bids: _Levels = ()
    asks: _Levels = ()
    """Price and shares of each level, the best first."""
    tick: str | None = None
    minimum: str | None = None


class _Decided(msgspec.Struct, forbid_unknown_fields=True):
    condition: str
    payouts: tuple[str, ...]
    """Whole numbers as text: they may be as large as a uint256."""


def write_book(book: Book) -> msgspec.Raw:
    """Write a book; the line says whose it is."""
    plain = _Book(
        at=book.at,
        bids=_levels(book.bids),
        asks=_levels(book.asks),
        tick=None if book.tick is None else _written(book.tick),
        minimum=None if book.minimum is None else _written(book.minimum),
    )
    return msgspec.Raw(msgspec.json.encode(plain))


def read_book(text: msgspec.Raw, token_id: TokenId) -> Book:
    """Read a book back. Raises `ValueError`, as all of these do."""
    plain = msgspec.json.decode(text, type=_Book)
    if max(len(plain.bids), len(plain.asks)) > _LEVELS_MOST:
        raise ValueError("a book with more levels than there are prices")
    bids, asks = (
        tuple(Level(Price(_read(price)), Shares(_read(shares))) for price, shares in side)
        for side in (plain.bids, plain.asks)
    )
    return Book(
        token_id=token_id,
        bids=bids,
        asks=asks,
        at=plain.at,
        tick=None if plain.tick is None else Price(_read(plain.tick)),
        minimum=None if plain.minimum is None else Shares(_read(plain.minimum)),
    )


def write_decided(decided: Decided) -> msgspec.Raw:
    plain = _Decided(decided.condition_id, tuple(map(str, decided.payouts)))
    return msgspec.Raw(msgspec.json.encode(plain))


def read_decided(text: msgspec.Raw) -> Decided:
    plain = msgspec.json.decode(text, type=_Decided)
    if len(plain.payouts) > _SLOTS_MOST:
        raise ValueError("expected what the answers to a question pay, got more than there are answers")
    return Decided(condition_id=plain.condition, payouts=tuple(map(_read, plain.payouts)))


def write_facts(facts: TokenFacts) -> msgspec.Raw:
    return msgspec.Raw(encode(facts).encode())


def read_facts(text: msgspec.Raw) -> TokenFacts:
    return decode(bytes(text), TokenFacts)


def _levels(side: tuple[Level, ...]) -> _Levels:
    return tuple((_written(level.price), _written(level.shares)) for level in side)


def _written(amount: Micro) -> str:
    return str(amount.micro)


def _read(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MOST):
        raise ValueError(f"expected a whole number, got {text[:_DIGITS_MOST]!r}")
    return int(text)
