"""The lines of a recording: JSON, one thing that was seen each; the first of a run says which chain and version it is."""

import msgspec
from attrs import evolve, frozen

from trio_copy.chain.feed import Armed, FeedItem, Sealed, SeenLog, TooDeep
from trio_copy.engine.market_source.told_lines import (
    FactsAnswered,
    MarketsOpened,
    SeenBook,
    read_book,
    read_decided,
    read_facts,
    write_book,
    write_decided,
    write_facts,
)
from trio_copy.errors import StoreError
from trio_copy.model.books import PricesLost, Quote, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import ChainId, TokenId
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.model.resolutions import Decided
from trio_copy.records import decode, encode

FORMAT = 1
_TOKEN_DIGITS = 78
_ASKED, _ASKED_WITHIN = b'"asked":', 200
"""In front of it stand a time and a token id."""


_NOTHING = msgspec.Raw()
"""One and the same everywhere: what is this very object is left out of a line."""


class Fetched(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of a recording that was fetched from nodes: what was asked for, which must not change half way."""

    leaders: tuple[str, ...]
    """Sorted."""
    filters: str
    """A digest of the filters that were asked with: of the leaders, and of the decoders' contracts and events."""
    markets: str = ""
    """The market source that was asked what else was known; empty where none was."""


class Header(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    recording: int
    chain_id: int
    at: float
    """Unix seconds of the beginning."""
    fetched: Fetched | None = None
    """None for what an engine saw while it ran."""


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One thing that was seen, at `at` in Unix seconds: exactly one of the others is there."""

    at: float
    log: msgspec.Raw = _NOTHING
    source: str = ""
    armed: msgspec.Raw = _NOTHING
    sealed: msgspec.Raw = _NOTHING
    too_deep: msgspec.Raw = _NOTHING
    quote: msgspec.Raw = _NOTHING
    token: str = ""
    """Whose quote, price or book it is."""
    markets: str = ""
    price: msgspec.Raw = _NOTHING
    lost: tuple[str, ...] = ()
    unknown: tuple[str, ...] | None = None
    """Of an answer about facts: those of which nobody knew anything."""
    facts: msgspec.Raw = _NOTHING
    decided: msgspec.Raw = _NOTHING
    asked: float | None = None
    """When a book was asked for, in Unix seconds: the line is what came of it."""
    book: msgspec.Raw = _NOTHING
    failed: bool = False


@frozen
class SeenQuote:
    """What an executor was told when it asked."""

    token_id: TokenId
    quote: Quote


Told = SeenQuote | MarketsOpened | SeenPrice | PricesLost | FactsAnswered | TokenFacts | Decided | SeenBook
"""What is known of markets, apart from what the chain says."""


@frozen
class Moment:
    """One line of a recording."""

    at: float
    """Unix seconds."""
    seen: FeedItem | Told


def header_line(chain_id: ChainId, at: float, fetched: Fetched | None = None) -> bytes:
    """Write the first line of a run."""
    return msgspec.json.encode(Header(recording=FORMAT, chain_id=chain_id, at=at, fetched=fetched))


def line_of(seen: FeedItem | Told, at: float) -> bytes | None:
    """Write what was seen at a moment; None for what a replay has no use for. A log carries a moment of its own."""
    match seen:
        case SeenLog(log=log, source=source, seen_at=seen_at):
            line = _Line(at=seen_at, log=_raw(log), source=source)
        case Armed(block=block):
            line = _Line(at=at, armed=_raw(_bare(block)))
        case Sealed(block=block):
            line = _Line(at=at, sealed=_raw(_bare(block)))
        case TooDeep(block=block):
            line = _Line(at=at, too_deep=_raw(_bare(block)))
        case SeenQuote(token_id=token_id, quote=quote):
            line = _Line(at=at, quote=_raw(quote), token=str(token_id))
        case MarketsOpened(name=name):
            line = _Line(at=at, markets=name)
        case SeenPrice(token_id=token_id, quote=quote):
            line = _Line(at=at, price=_raw(quote), token=str(token_id))
        case PricesLost(tokens=tokens):
            line = _Line(at=at, lost=tuple(sorted(map(str, tokens))))
        case FactsAnswered(unknown=unknown, failed=failed):
            line = _Line(at=at, unknown=tuple(sorted(map(str, unknown))), failed=failed)
        case TokenFacts():
            line = _Line(at=at, facts=write_facts(seen))
        case Decided():
            line = _Line(at=at, decided=write_decided(seen))
        case SeenBook(book=book):
            written = _NOTHING if book is None else write_book(book)
            line = _Line(at=at, token=str(seen.token_id), asked=seen.asked_at, book=written, failed=seen.failed)
        case _:
            return None
    return msgspec.json.encode(line)


def header_of(text: bytes) -> Header | None:
    """Read the first line of a run; None for any other line."""
    try:
        return msgspec.json.decode(text, type=Header)
    except msgspec.DecodeError:
        return None


def moment_of(text: bytes) -> Moment:
    """Read any other line. Raises `ValueError` for what is none."""
    try:
        line = msgspec.json.decode(text, type=_Line)
        return Moment(line.at, _seen(line))
    except (msgspec.DecodeError, StoreError) as error:
        raise ValueError(str(error)) from None


def tells_of_a_book(text: bytes) -> bool:
    """Tell, without reading it, whether a line may be what came of asking for a book."""
    return _ASKED in text[:_ASKED_WITHIN]


def _seen(line: _Line) -> FeedItem | Told:
    if bytes(line.log):
        return SeenLog(decode(bytes(line.log), RawLog), line.source, line.at)
    if bytes(line.quote):
        return SeenQuote(_token(line.token), decode(bytes(line.quote), Quote))
    if line.asked is not None:
        token = _token(line.token)
        book = read_book(line.book, token) if bytes(line.book) else None
        return SeenBook(token_id=token, asked_at=line.asked, book=book, failed=line.failed)
    if line.markets:
        return MarketsOpened(line.markets)
    if bytes(line.price):
        return SeenPrice(token_id=_token(line.token), quote=decode(bytes(line.price), Quote), at=line.at)
    if line.lost:
        return PricesLost(frozenset(map(_token, line.lost)))
    if line.unknown is not None:
        return FactsAnswered(frozenset(map(_token, line.unknown)), line.failed)
    if bytes(line.facts):
        return read_facts(line.facts)
    if bytes(line.decided):
        return read_decided(line.decided)
    for kind, block in ((Armed, line.armed), (Sealed, line.sealed), (TooDeep, line.too_deep)):
        if bytes(block):
            return kind(decode(bytes(block), BlockRef))
    raise ValueError("it says nothing")


def _token(text: str) -> TokenId:
    if not (text.isascii() and text.isdigit() and len(text) <= _TOKEN_DIGITS):
        raise ValueError(f"expected a token id, got {text[:_TOKEN_DIGITS]!r}")
    return TokenId(int(text))


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(encode(value).encode())


def _bare(block: BlockRef) -> BlockRef:
    """Leave the bloom out: nobody needs it behind the scanner, and it is most of a header."""
    return evolve(block, bloom=0)
