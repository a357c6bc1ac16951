"""The official client as a program: told where a venue is, it does there what people do. A wish a line in, what came of it out."""

import json
import sys
from typing import Any

from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import (
    AssetType,
    BalanceAllowanceParams,
    MarketOrderArgsV2,
    OrderArgsV2,
    OrderPayload,
    OrderType,
    PartialCreateOrderOptions,
)


def trade(wish: dict[str, Any]) -> dict[str, Any]:
    """Make a key, read a book, place, read and cancel an order, buy and sell at once, and read what came of that."""
    kind, token = wish["signature_type"], wish["token_id"]
    client = ClobClient(wish["host"], 137, key=wish["private_key"], signature_type=kind, funder=wish["funder"])
    client.set_api_creds(client.create_or_derive_api_key())
    options = PartialCreateOrderOptions(version=wish["version"])
    book = client.get_order_book(token)
    resting = client.create_and_post_order(OrderArgsV2(token, 0.3, 10, "BUY"), options, OrderType.GTC)
    order_id = resting["orderID"]
    read, listed = client.get_order(order_id), client.get_open_orders()
    canceled = client.cancel_order(OrderPayload(order_id))
    orders = (
        MarketOrderArgsV2(token, amount, side, order_type=OrderType.FAK) for amount, side in ((3, "BUY"), (5, "SELL"))
    )
    bought, sold = (client.create_and_post_market_order(one, options, OrderType.FAK) for one in orders)
    balance = client.update_balance_allowance(BalanceAllowanceParams(AssetType.COLLATERAL, signature_type=kind))
    return {
        "best": [book["bids"][-1], book["asks"][-1]],
        "resting": resting,
        "read": read,
        "listed": [one["id"] for one in listed],
        "canceled": canceled,
        "bought": bought,
        "sold": sold,
        "trades": client.get_trades(),
        "balance": balance,
        "closed_only": client.get_closed_only_mode(),
        "keys": client.get_api_keys(),
        "beat": client.post_heartbeat(),
    }


for line in sys.stdin:
    sys.stdout.write(json.dumps(trade(json.loads(line))) + "\n")
    sys.stdout.flush()
