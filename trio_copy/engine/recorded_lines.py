"""The lines of a recording: JSON, one thing that was seen each; the first of a run says which chain and version it is."""

import msgspec
from attrs import evolve, frozen

from trio_copy.chain.feed import Armed, FeedItem, Sealed, SeenLog, TooDeep
from trio_copy.errors import StoreError
from trio_copy.model.ids import ChainId, TokenId
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.model.orders import Quote
from trio_copy.records import decode, encode

FORMAT = 1


class Fetched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a recording that was fetched from nodes: what was asked for, which must not change half way."""

    leaders: tuple[str, ...]
    """Sorted."""
    filters: str
    """A digest of the filters that were asked with: of the leaders, and of the decoders' contracts and events."""


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
    log: msgspec.Raw = msgspec.Raw()
    source: str = ""
    armed: msgspec.Raw = msgspec.Raw()
    sealed: msgspec.Raw = msgspec.Raw()
    too_deep: msgspec.Raw = msgspec.Raw()
    quote: msgspec.Raw = msgspec.Raw()
    token: str = ""


@frozen
class SeenQuote:
    token_id: TokenId
    quote: Quote


@frozen
class Moment:
    """One line of a recording."""

    at: float
    """Unix seconds."""
    seen: FeedItem | SeenQuote


def header_line(chain_id: ChainId, at: float, fetched: Fetched | None = None) -> bytes:
    """Write the first line of a run."""
    return msgspec.json.encode(Header(recording=FORMAT, chain_id=chain_id, at=at, fetched=fetched))


def line_of(seen: FeedItem | SeenQuote, at: float) -> bytes | None:
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


def _seen(line: _Line) -> FeedItem | SeenQuote:
    if bytes(line.log):
        return SeenLog(decode(bytes(line.log), RawLog), line.source, line.at)
    if bytes(line.quote):
        return SeenQuote(TokenId(int(line.token)), decode(bytes(line.quote), Quote))
    for kind, block in ((Armed, line.armed), (Sealed, line.sealed), (TooDeep, line.too_deep)):
        if bytes(block):
            return kind(decode(bytes(block), BlockRef))
    raise ValueError("it says nothing")


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(encode(value).encode())


def _bare(block: BlockRef) -> BlockRef:
    """Leave the bloom out: nobody needs it behind the scanner, and it is most of a header."""
    return evolve(block, bloom=0)
