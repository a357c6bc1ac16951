"""Orders of tests, and the vectors of tests/data in the words of the code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, TokenId, parse_address
from trio_copy.model.orders import Market
from trio_copy.model.units import MICRO, NO_USD, Price, Rounding, Shares, Usd
from trio_copy.model.venue_amounts import LEAST_PURCHASE
from trio_copy.native import SecretKey
from trio_copy_clob.orders.exchanges import EXCHANGES, Exchange, exchange_of
from trio_copy_clob.orders.order import ClobOrder, Maker

_DATA = Path(__file__).parents[1] / "data"
VECTORS: Mapping[str, Any] = msgspec.json.decode((_DATA / "polymarket_orders.json").read_bytes())
AUTH: Mapping[str, Any] = msgspec.json.decode((_DATA / "polymarket_auth.json").read_bytes())
CASES: Mapping[str, Mapping[str, Any]] = {case["name"]: case for case in VECTORS["cases"]}
SECRET = bytes.fromhex(VECTORS["privateKey"][2:])
KEY = SecretKey(SECRET)
TICKS = ("0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001")
INTENT_KEY = IntentKey("b22a0f8a1c3e" + "5" * 51 + "a")
LEADER_TIME = 1_764_000_000
TOKEN = TokenId(2**256 - 5)


def exchange_in(case: Mapping[str, Any]) -> Exchange:
    """The exchange at which a vector was signed."""
    contract = parse_address(case["domain"]["verifyingContract"])
    (found,) = [one for one in map(exchange_of, EXCHANGES) if one.contract == contract]
    return found


def order_in(case: Mapping[str, Any]) -> ClobOrder:
    """The order of a vector."""
    fields, wire = case["order"], case.get("wire_body_POST_order")
    return ClobOrder(
        salt=int(fields["salt"]),
        maker=parse_address(fields["maker"]),
        signer=parse_address(fields["signer"]),
        token_id=TokenId(int(fields["tokenId"])),
        maker_amount=int(fields["makerAmount"]),
        taker_amount=int(fields["takerAmount"]),
        side=(Side.BUY, Side.SELL)[fields["side"]],
        signature_type=fields["signatureType"],
        timestamp=int(fields["timestamp"]),
        metadata=bytes.fromhex(fields["metadata"][2:]),
        builder=bytes.fromhex(fields["builder"][2:]),
        expiration=int(wire["order"]["expiration"]) if wire else 0,
        order_type=wire["orderType"] if wire else "GTC",
        post_only=wire["postOnly"] if wire else False,
    )


def maker(signature_type: int = 0) -> Maker:
    """A wallet of the key: its own account, or one that it signs for."""
    address = KEY.address if not signature_type else parse_address("0x" + f"{signature_type}a" * 20)
    return Maker(address=address, signature_type=signature_type, owner=KEY.address)


def market(tick: str = "0.01", minimum: str = "5", exchange: str = "v2") -> Market:
    return Market(
        token_id=TOKEN,
        tick=Price.parse(tick),
        minimum=Shares.parse(minimum),
        fee_bps=0,
        least_cost=LEAST_PURCHASE,
        exchange=exchange,
    )


def intent(side: Side, shares: str, limit: str, order_type: str = "FAK", **changes: Any) -> OrderIntent:
    size, price = Shares.parse(shares), Price.parse(limit)
    cost = size.at(price, Rounding.UP) if side is Side.BUY else NO_USD
    made: dict[str, Any] = {"shares": size, "price": price, "limit_price": price, "max_cost": cost, **changes}
    return OrderIntent(side=side, token_id=TOKEN, order_type=order_type, **made)


def wish(kind: str, side: Side, size: str, limit: str) -> OrderIntent:
    """What somebody says to the official clients: shares, or of an instant BUY the cash that he spends."""
    if kind == "limit" or side is Side.SELL:
        return intent(side, size, limit, "GTC" if kind == "limit" else "FAK")
    cash, price = Usd.parse(size), Price.parse(limit)
    shares = Shares(-(-cash.micro * MICRO // price.micro))
    return intent(side, str(shares), limit, "FAK", max_cost=cash)
