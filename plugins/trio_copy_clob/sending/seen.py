"""What the venue shows of one order: in its trades, and in the order itself.

A row about our order that cannot be read, or does not fit it, is left out, and what was read is not whole: it proves no
absence then, and no end.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum

import msgspec
from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import Order
from trio_copy.model.units import MICRO
from trio_copy_clob.sending.bodies import micro_of, object_of

LAST_CURSOR = "LTE="
_ROW_BYTES = 1 << 20
_LONGEST_ID = 200
_NAMED = re.compile(rb"0x(?=([0-9a-f]{64}))")
"""Every place where the id of an order begins, also inside something longer."""


class TradeState(Enum):
    PENDING = "matched, and not on the chain"
    MINED = "on the chain, and not for good"
    CONFIRMED = "settled for good"
    FAILED = "undone"

    __hash__ = object.__hash__


_TRADE_STATES = {"MINED": TradeState.MINED, "CONFIRMED": TradeState.CONFIRMED, "FAILED": TradeState.FAILED}
"""MATCHED, RETRYING and whatever else there may be is on its way."""
_FINAL = (TradeState.CONFIRMED, TradeState.FAILED)


@frozen(kw_only=True)
class SeenTrade:
    """What one trade took of an order."""

    trade_id: str
    state: TradeState
    maker: bool
    """Whether the order rested, and somebody else took it: that costs no fee."""
    shares: int
    """Millionths."""
    paid: int
    """Millionths of millionths: several trades are added up before they are rounded."""


class OrderStanding(Enum):
    """How an order stands, by the venue."""

    OPEN = "on the book"
    HELD = "held for a moment, before it is matched"
    UNMATCHED = "could not be matched in time; whether it rests, nobody says"
    MATCHED = "matched"
    CANCELED = "taken off, by whomever"
    INVALID = "refused"
    OTHER = "something that nobody knows"

    __hash__ = object.__hash__


_STANDINGS = {
    "LIVE": OrderStanding.OPEN,
    "DELAYED": OrderStanding.HELD,
    "UNMATCHED": OrderStanding.UNMATCHED,
    "MATCHED": OrderStanding.MATCHED,
    "INVALID": OrderStanding.INVALID,
}


_OPEN = (OrderStanding.OPEN, OrderStanding.HELD, OrderStanding.UNMATCHED)


@frozen(kw_only=True)
class SeenOrder:
    standing: OrderStanding
    matched: int | None
    """What the venue says is matched of it; of which unit, of an instant BUY, nobody says. None: not to be read."""
    trades: frozenset[str] = frozenset()
    """The ids of its trades."""

    @property
    def open(self) -> bool:
        """Whether it may be matched yet."""
        return self.standing in _OPEN


def read_page(body: bytes) -> tuple[list[bytes], str | None]:
    """Part a page of trades into rows, and say where the next page begins; None after the last one.

    Raises:
        ValueError: it is none.
    """
    try:
        page = msgspec.json.decode(body, type=_Page)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"no page of trades: {error}") from None
    return [bytes(row) for row in page.data], page.next_cursor if page.next_cursor not in ("", LAST_CURSOR) else None


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    next_cursor: str | None = None


def by_order(rows: Iterable[bytes]) -> Mapping[OrderId, Sequence[bytes]]:
    """Sort rows of trades by the orders that they name: there may be thousands of both, and each order asks for its own."""
    found: dict[OrderId, list[bytes]] = defaultdict(list)
    for row in rows:
        for digits in set(_NAMED.findall(row.lower())):
            found[OrderId(f"0x{digits.decode()}")].append(row)
    return found


def trades_of(rows: Iterable[bytes], order: Order) -> tuple[tuple[SeenTrade, ...], bool]:
    """Return what trades took of an order, and whether all that is said of it could be read."""
    found: dict[tuple[str, str], SeenTrade] = {}
    whole, ours = True, order.order_id.encode()
    for row in rows:
        if ours not in row.lower():
            continue
        try:
            told = object_of(row, _ROW_BYTES)
            trade = _trade(told, order)
        except ValueError:
            whole = False
            continue
        if trade is not None:
            key = (trade.trade_id, str(told.get("bucket_index")))
            found[key] = _later(found.get(key), trade)
    return tuple(found.values()), whole


def _trade(told: Mapping[str, object], order: Order) -> SeenTrade | None:
    trade_id, state = told.get("id"), str(told.get("status") or "").upper().removeprefix("TRADE_STATUS_")
    if not isinstance(trade_id, str) or not 0 < len(trade_id) <= _LONGEST_ID or not state:
        raise ValueError("a trade without an id, or without a status")
    makers = [one for one in _list(told.get("maker_orders")) if isinstance(one, dict)]
    ours = [one for one in makers if _same(one.get("order_id"), order.order_id)]
    taker = _same(told.get("taker_order_id"), order.order_id)
    if taker == bool(ours):
        if taker:
            raise ValueError("an order on both sides of a trade")
        return None  # named somewhere else in it
    if taker:
        _expect_ours(told, order)
        shares = _shares(told.get("size"))
        paid = _paid_to(makers, str(order.token_id), shares)
        if paid is None:
            paid = shares * _price(told.get("price"))
    else:
        for one in ours:
            _expect_ours(one, order)
        # In whole millionths each time, as whoever takes them pays.
        amounts = [(_shares(one.get("matched_amount")), _price(one.get("price"))) for one in ours]
        shares, paid = sum(size for size, _ in amounts), sum((size * price // 1 for size, price in amounts), Decimal(0))
    return SeenTrade(
        trade_id=trade_id,
        state=_TRADE_STATES.get(state, TradeState.PENDING),
        maker=not taker,
        shares=shares,
        paid=int(paid * MICRO),
    )


def _paid_to(makers: list[dict[str, object]], token: str, shares: int) -> Decimal | None:
    """Add up what a taker paid to each maker, where all of them are named: the trade's own price is an average.

    Each is paid in whole millionths, rounded down. Who sold the other answer got the rest of a dollar.
    """
    got, paid = 0, Decimal(0)
    try:
        for one in makers:
            size, price = _shares(one.get("matched_amount")), _price(one.get("price"))
            got += size
            paid += size * (price if str(one.get("asset_id")) == token else 1 - price) // 1
    except ValueError:
        return None
    return paid if got == shares else None


def _expect_ours(told: Mapping[str, object], order: Order) -> None:
    side = str(told.get("side") or "").upper()
    if str(told.get("asset_id")) != str(order.token_id):
        raise ValueError("a trade of another token")
    if side and side != ("BUY" if order.side is Side.BUY else "SELL"):
        raise ValueError("a trade of the other side")


def _later(before: SeenTrade | None, now: SeenTrade) -> SeenTrade:
    """Of one trade that is told twice, while it goes on, what is final counts; of two ends neither does."""
    if before is None or before.state is now.state or before.state not in _FINAL:
        return now
    if now.state not in _FINAL:
        return before
    return SeenTrade(trade_id=now.trade_id, state=TradeState.PENDING, maker=now.maker, shares=now.shares, paid=now.paid)


def order_of(body: bytes, order: Order) -> SeenOrder | None:
    """Read how the venue says that an order stands; None where it has none.

    Raises:
        ValueError: it says something else, or speaks of another order.
    """
    if body.strip() in (b"null", b""):
        return None
    told = object_of(body)
    if not told or (set(told) <= {"error"} and "not found" in str(told.get("error")).lower()):
        return None
    if not _same(told.get("id"), order.order_id):
        raise ValueError("another order than was asked for")
    state = str(told.get("status") or "").upper().removeprefix("ORDER_STATUS_")
    standing = OrderStanding.CANCELED if state.startswith("CANCELED") else _STANDINGS.get(state, OrderStanding.OTHER)
    trades = frozenset(one for one in _list(told.get("associate_trades")) if isinstance(one, str))
    return SeenOrder(standing=standing, matched=micro_of(told.get("size_matched")), trades=trades)


def _shares(value: object) -> int:
    micro = micro_of(value)
    if not micro:
        raise ValueError("expected a number of shares")
    return micro


def _price(value: object) -> Decimal:
    """Read a price as it stands, however fine: an average has many digits."""
    text = str(value)[:40]
    try:
        price = Decimal(text)
        if price.is_finite() and 0 < price < 1:
            return price
    except ArithmeticError:
        pass
    raise ValueError("expected a price between 0 and 1")


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _same(value: object, order_id: str) -> bool:
    return isinstance(value, str) and value.lower() == order_id
