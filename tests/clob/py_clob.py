"""The official client as a program, in an environment of its own: a wish a line in, its answer out. See `tests.official`.

What it draws by chance and reads from a clock is given; all else is its own code.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import ApiCreds, CreateOrderOptions, OrderArgsV2, RequestArgs
from py_clob_client_v2.config import get_contract_config
from py_clob_client_v2.headers.headers import create_level_1_headers, create_level_2_headers
from py_clob_client_v2.order_builder.builder import ROUNDING_CONFIG, OrderBuilder
from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2, order_to_json_v2
from py_clob_client_v2.signer import Signer

HOST = "http://127.0.0.1:9"
"""Nobody listens there: nothing that is asked here needs a venue."""
_CONTRACTS = {"v2": "exchange_v2", "v2-neg-risk": "neg_risk_exchange_v2", "v3": "exchange_v3"}


def amounts(wish: dict[str, Any]) -> list[int]:
    """Return what the maker gives and gets, as the client rounds it."""
    builder = OrderBuilder(Signer(wish["private_key"], 137))
    resting = wish["order_type"] in ("GTC", "GTD")
    rounded = builder.get_order_amounts if resting else builder.get_market_order_amounts
    config = ROUNDING_CONFIG[wish["tick"]]
    return list(rounded(wish["side"], float(wish["size"]), float(wish["price"]), config)[1:])


def order(wish: dict[str, Any]) -> dict[str, Any]:
    """Return digest and body of an order, from the fields that are signed and those that are not."""
    signer, chain_id = Signer(wish["private_key"], wish["chain_id"]), wish["chain_id"]
    builder = ExchangeOrderBuilderV2(
        getattr(get_contract_config(chain_id), _CONTRACTS[wish["exchange"]]),
        chain_id,
        signer,
        lambda: str(wish["order"]["salt"]),
        "3" if wish["exchange"] == "v3" else "2",
    )
    data = OrderDataV2(**{name: value for name, value in wish["order"].items() if name != "salt"})
    signed = builder.build_signed_order(data)
    payload = order_to_json_v2(signed, wish["owner"], wish["order_type"], wish["post_only"])
    return {
        "digest": builder.build_order_hash(builder.build_order_typed_data(signed)),
        "body": json.dumps(payload, separators=(",", ":"), ensure_ascii=False),
    }


def headers(wish: dict[str, Any]) -> dict[str, Any]:
    """Return the headers of a level."""
    signer = Signer(wish["private_key"], wish["chain_id"])
    if wish["level"] == 1:
        return dict(create_level_1_headers(signer, wish["nonce"], wish["timestamp"]))
    creds = ApiCreds(wish["api_key"], wish["secret"], wish["passphrase"])
    request = RequestArgs(wish["method"], wish["path"], None, wish["body"])
    return dict(create_level_2_headers(signer, creds, request, wish["timestamp"]))


def create_orders(wish: dict[str, Any]) -> float:
    """Create orders as users do, and return the seconds of processor time that it took."""
    client = ClobClient(HOST, 137, wish["private_key"])
    client._ClobClient__tick_sizes["7"] = "0.01"  # what it would have asked the venue once
    options = CreateOrderOptions(tick_size="0.01", neg_risk=False)
    options.version = 2
    started = time.process_time()
    for _ in range(wish["count"]):
        client.create_order(OrderArgsV2(token_id="7", price=0.5, size=20.0, side="BUY"), options)
    return time.process_time() - started


ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "amounts": amounts,
    "order": order,
    "headers": headers,
    "create_orders": create_orders,
}

if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(ANSWERS[asked["do"]](asked)) + "\n")
        sys.stdout.flush()
