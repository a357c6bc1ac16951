"""Orders as they are when they are sent, and what the venue tells of them."""

from typing import Any

import msgspec

from tests.builders import ALICE
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, OrderId, TokenId
from trio_copy.model.orders import Order, Wallet
from trio_copy.model.units import Price, Ratio, Shares

OURS = OrderId("0x" + "ab" * 32)
OTHER = "0x" + "cd" * 32
TOKEN, OPPOSITE = TokenId(777), "778"
WALLET = Wallet(follower=ALICE, address=Address("0x" + "11" * 20))


def make_order(side: Side = Side.BUY, *, shares: str = "20", limit: str = "0.5", **changes: Any) -> Order:
    """A BUY of 20 shares at half a dollar, with a fee of 5 % by the formula."""
    values: dict[str, Any] = {
        "key": IntentKey("ab" * 32),
        "order_id": OURS,
        "executor": "clob",
        "wallet": WALLET,
        "side": side,
        "token_id": TOKEN,
        "shares": Shares.parse(shares),
        "limit_price": Price.parse(limit),
        "body": b'{"order":{"salt":1,"timestamp":"1764000000123"},"owner":"","orderType":"FAK","postOnly":false}',
        "fee_bps": 0,
        "fee_rate": Ratio.parse("0.05"),
    }
    return Order(**{**values, **changes})


def trade_row(
    number: int = 1, size: object = "20", price: object = "0.5", status: object = "CONFIRMED", **changes: Any
) -> bytes:
    """A trade in which our order took."""
    row = {
        "id": f"trade-{number}",
        "taker_order_id": OURS,
        "asset_id": str(TOKEN),
        "side": "BUY",
        "size": size,
        "price": price,
        "status": status,
        "fee_rate_bps": "0",
        "maker_orders": [],
    }
    return msgspec.json.encode({**row, **changes})


def maker_row(
    number: int = 1, size: str = "20", price: str = "0.5", status: str = "CONFIRMED", **changes: Any
) -> bytes:
    """A trade in which somebody took what our order offered, on the other token."""
    ours = {"order_id": OURS, "asset_id": str(TOKEN), "side": "BUY", "matched_amount": size, "price": price}
    other = {"order_id": OTHER, "asset_id": OPPOSITE, "side": "SELL", "matched_amount": "999", "price": "0.1"}
    row = {
        "id": f"trade-{number}",
        "taker_order_id": OTHER,
        "asset_id": OPPOSITE,
        "side": "BUY",
        "size": "1019",
        "price": "0.5",
        "status": status,
        "maker_orders": [other, {**ours, **changes}],
    }
    return msgspec.json.encode(row)


def order_row(status: str, matched: str = "0", trades: tuple[str, ...] = ()) -> bytes:
    return msgspec.json.encode({"id": OURS, "status": status, "size_matched": matched, "associate_trades": [*trades]})
