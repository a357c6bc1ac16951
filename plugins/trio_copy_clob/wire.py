"""What the venue writes, and how it is read: every row by itself, so that one that is wrong costs no other.

Numbers come as text or as JSON numbers and are read as decimals, exactly. What is not exact in millionths, not finite or out
of its range is refused with a `ValueError`, which whoever reads a row takes for "left out".
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from trio_copy.model.ids import Address, TokenId
from trio_copy.model.units import MICRO, Price, Ratio, Shares, parse_micro

_T = TypeVar("_T", bound=msgspec.Struct)
_LONGEST_TEXT = 300
_MOST_SHARES = 10**15
_BYTES_PER_COMMA = 4
_FREE_COMMAS = 10_000
MISREAD = (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError)
"""What reading hostile JSON raises."""


class EnvelopeRow(msgspec.Struct):
    data: msgspec.Raw


class TokenRow(msgspec.Struct):
    """Of `/v2/tokens`."""

    token_id: str
    condition_id: str
    module: str
    outcome_index: int
    outcome: str | None = None
    opposite_token_id: str | None = None
    title: str | None = None
    market_slug: str | None = None
    event_slug: str | None = None
    neg_risk: bool | None = None
    closed: bool | None = None


class FeeRow(msgspec.Struct):
    rate: Decimal
    exponent: Decimal


class LabelRow(msgspec.Struct):
    label: str | None = None


class EventRow(msgspec.Struct):
    category: str | None = None


class GammaRow(msgspec.Struct, rename="camel"):
    """Of Gamma's `/markets`."""

    condition_id: str
    version: str | None = None
    clob_token_ids: str | None = None
    """JSON in a text."""
    position_ids: list[str] | None = None
    category: str | None = None
    end_date: str | None = None
    neg_risk: bool | None = None
    order_min_size: Decimal | None = None
    order_price_min_tick_size: Decimal | None = None
    fees_enabled: bool | None = None
    fee_schedule: FeeRow | None = None
    events: list[EventRow] = []
    tags: list[LabelRow] = []


class ClobTokenRow(msgspec.Struct):
    t: str


class ClobFeeRow(msgspec.Struct):
    r: Decimal | None = None
    e: Decimal | None = None


class ClobMarketRow(msgspec.Struct):
    """Of the CLOB's `/clob-markets`."""

    t: list[ClobTokenRow]
    mts: Decimal | None = None
    mos: Decimal | None = None
    nr: bool | None = None
    fd: ClobFeeRow | None = None
    v: str | None = None
    """The generation of its ledger: v1 or v2."""
    ao: bool | None = None
    """Whether orders are taken."""


class QuestionRow(msgspec.Struct):
    """Of the CLOB's `/markets-by-token`."""

    condition_id: str


class LevelRow(msgspec.Struct):
    price: Decimal
    size: Decimal


class BookRow(msgspec.Struct):
    """Of `/books`, and of the market channel."""

    asset_id: str
    timestamp: str | int
    bids: list[LevelRow]
    asks: list[LevelRow]
    tick_size: Decimal | None = None
    min_order_size: Decimal | None = None
    version: str | None = None
    """v2 where the newer ledger has it; else nothing."""


class PastPriceRow(msgspec.Struct):
    """Of `/prices-history`."""

    t: int
    """Unix seconds."""
    p: Decimal


class HistoryRow(msgspec.Struct):
    history: list[msgspec.Raw]


class ResolutionRow(msgspec.Struct):
    """Of `/v2/resolutions`."""

    condition_id: str | None = None
    status: str = ""
    payouts: list[Decimal] | None = None


class LeaderRow(msgspec.Struct):
    """Of `/v2/leaderboard`. The wallet is `user_id`; every other route calls it `proxy_wallet`."""

    user_id: str | None = None
    proxy_wallet: str | None = None


class TradeRow(msgspec.Struct):
    """Of `/v2/trades`."""

    proxy_wallet: str
    token_id: str
    side: str
    size: Decimal
    price: Decimal
    timestamp: int
    """Unix seconds."""
    transaction_hash: str


class CursorRow(msgspec.Struct):
    next_cursor: str | None = None


class PageRow(msgspec.Struct):
    """Of what comes in pages."""

    data: list[msgspec.Raw]
    pagination: CursorRow = msgspec.field(default_factory=CursorRow)


class ChangeRow(msgspec.Struct):
    asset_id: str
    price: Decimal
    size: Decimal
    side: str
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class ChangesRow(msgspec.Struct):
    """`price_change` of the market channel."""

    timestamp: str | int
    price_changes: list[msgspec.Raw]


class TickRow(msgspec.Struct):
    """`tick_size_change` of the market channel."""

    asset_id: str
    new_tick_size: Decimal


class EventTypeRow(msgspec.Struct):
    event_type: str = ""


def listed(body: bytes) -> list[msgspec.Raw]:
    """Part a JSON list, or one object, into its members.

    Raises:
        ValueError: no JSON, or so many crumbs that they only cost memory.
    """
    if body.count(b",") > _FREE_COMMAS + len(body) // _BYTES_PER_COMMA:
        raise ValueError("an answer in crumbs")
    try:
        if body.lstrip()[:1] == b"[":
            return msgspec.json.decode(body, type=list[msgspec.Raw])
        return [msgspec.json.decode(body, type=msgspec.Raw)]
    except MISREAD as error:
        raise ValueError(f"no JSON: {error}") from None


def enveloped(body: bytes) -> list[msgspec.Raw]:
    """Return the rows under `data`. Raises `ValueError`."""
    try:
        data = bytes(msgspec.json.decode(body, type=EnvelopeRow).data)
    except MISREAD as error:
        raise ValueError(f"no answer: {error}") from None
    return [] if data == b"null" else listed(data)


def priced(body: bytes) -> list[msgspec.Raw]:
    """Return the rows under `history`. Raises `ValueError`."""
    try:
        return msgspec.json.decode(body, type=HistoryRow).history
    except MISREAD as error:
        raise ValueError(f"no answer: {error}") from None


def paged(body: bytes) -> PageRow:
    """Read one of many pages. Raises `ValueError`."""
    try:
        return msgspec.json.decode(body, type=PageRow)
    except MISREAD as error:
        raise ValueError(f"no page: {error}") from None


def each(rows: Iterable[msgspec.Raw], of: type[_T]) -> Iterator[_T | ValueError]:
    """Read rows one by one; an error in the place of one that cannot be read."""
    for row in rows:
        yield read(row, of)


def read(row: bytes | msgspec.Raw, of: type[_T]) -> _T | ValueError:
    """Read one row; the error where it is not one."""
    try:
        return msgspec.json.decode(row, type=of)
    except MISREAD as error:
        return ValueError(str(error))


def token_of(text: str) -> TokenId:
    """Read a token id: a uint256 in decimal digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 78 and int(text) < 1 << 256):
        raise ValueError(f'expected a token id, got "{clean(text)}"')
    return TokenId(int(text))


def address_of(text: str) -> Address:
    """Read an address, in whatever letters."""
    return Address(_hex_of(text, 20, "an address"))


def hash_of(text: str) -> str:
    """Read the hash of a transaction."""
    return _hex_of(text, 32, "a hash")


def _hex_of(text: str, size: int, what: str) -> str:
    lower = text.lower()
    if len(lower) != 2 + 2 * size or not lower.startswith("0x") or not set(lower[2:]) <= set("0123456789abcdef"):
        raise ValueError(f'expected {what}, got "{clean(text)}"')
    return lower


def condition_of(text: str) -> str:
    """Read a condition id of either width: what is 31 bytes long is filled up with zeros at its end."""
    lower = text.lower()
    if len(lower) == 64:
        lower += "00"
    if len(lower) != 66 or not lower.startswith("0x") or not set(lower[2:]) <= set("0123456789abcdef"):
        raise ValueError(f'expected a condition id, got "{clean(text)}"')
    return lower


def price_of(value: Decimal) -> Price:
    """Read a price between nothing and a dollar, both excluded."""
    micro = _micro(value)
    if not 0 < micro < MICRO:
        raise ValueError(f"expected a price between 0 and 1, got {value:.12g}")
    return Price(micro)


def past_price_of(value: Decimal) -> Price:
    """Read what one share cost, to the nearest millionth: a middle of two prices, or the nothing or dollar of the end.

    The venue computes it in floating point, and writes what comes of that.
    """
    if not value.is_finite() or not 0 <= value <= 1:
        raise ValueError(f"expected a price from 0 to 1, got {value:.12g}")
    return Price(int((value * MICRO).to_integral_value()))


def shares_of(value: Decimal) -> Shares:
    """Read a number of shares from nothing on."""
    micro = _micro(value)
    if not 0 <= micro <= _MOST_SHARES * MICRO:
        raise ValueError(f"expected a number of shares, got {value:.12g}")
    return Shares(micro)


def ratio_of(value: Decimal) -> Ratio:
    """Read a factor from 0 to 1."""
    micro = _micro(value)
    if not 0 <= micro <= MICRO:
        raise ValueError(f"expected a ratio from 0 to 1, got {value:.12g}")
    return Ratio(micro)


def seconds_of(milliseconds: str | int, now: float, ahead_s: float = 300.0) -> float:
    """Read a time in milliseconds as Unix seconds; one that lies far ahead would make its price the newest for ever."""
    text = str(milliseconds)
    if not (text.isascii() and text.isdigit() and len(text) <= 14):
        raise ValueError(f'expected milliseconds, got "{clean(text)}"')
    seconds = int(text) / 1000
    if not 1e9 <= seconds <= now + ahead_s:
        raise ValueError(f"expected a time in milliseconds that is not ahead, got {text}")
    return seconds


def instant_of(text: str) -> float:
    """Read a date of ISO 8601 that names its zone, as Unix seconds."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f'expected a time with its zone, got "{clean(text)}"')
    return moment.timestamp()


def clean(text: Any) -> str:  # noqa: ANN401  whatever somebody wrote
    """Make text of outside fit for a line on somebody's terminal: nothing that moves a cursor, and no end to scroll to."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)[:_LONGEST_TEXT]).strip()


def _micro(value: Decimal) -> int:
    # An exponent of millions is a short text and a number without end; more than 28 digits would be rounded on the way.
    if not value.is_finite() or not -30 <= value.adjusted() <= 20 or +value != value:
        raise ValueError("expected a decimal number of ordinary size")
    return parse_micro(value)
