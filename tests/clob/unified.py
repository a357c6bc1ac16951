"""The venue's unified client as a program, in an environment of its own: a second opinion beside `py_clob`, asked in the same words.

Its fields go out in the order of the other client's: only that is ours.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from polymarket import AcceptedOrder, SecureClient
from polymarket._internal.actions.auth import build_l1_auth_headers
from polymarket._internal.actions.orders import limit, market
from polymarket._internal.actions.orders.orders import create_signed_order
from polymarket._internal.actions.orders.post import build_post_order_request
from polymarket._internal.actions.orders.typed_data import (
    _build_standard_typed_data,
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import BYTES32_ZERO, UnsignedOrder
from polymarket._internal.environment import PRODUCTION_CONFIG, create_environment
from polymarket._internal.l1_auth import sign_api_key_auth
from polymarket.clients.secure import _make_l2_header_resolver_sync
from polymarket.models import ApiKeyCreds

_CONTRACTS = {"v2": "standard_exchange", "v2-neg-risk": "neg_risk_exchange", "v3": "exchange_v3"}
_FIELDS = (
    "salt",
    "maker",
    "signer",
    "tokenId",
    "makerAmount",
    "takerAmount",
    "side",
    "expiration",
    "signatureType",
    "timestamp",
    "metadata",
    "builder",
    "signature",
)


def amounts(wish: dict[str, Any]) -> list[int]:
    """Return what the maker gives and gets, as the client rounds it."""
    size, price, tick = (Decimal(wish[name]) for name in ("size", "price", "tick"))
    about = {"price": price, "side": wish["side"], "tick_size": tick}
    if wish["order_type"] in ("GTC", "GTD"):
        return list(limit._compute_limit_order_amounts(size=size, **about))
    return list(market._compute_market_order_amounts(amount=size, **about))


def order(wish: dict[str, Any]) -> dict[str, Any]:
    """Return digest and body of an order, from the fields that are signed and those that are not."""
    told = wish["order"]
    version = "3" if wish["exchange"] == "v3" else "2"
    unsigned = UnsignedOrder(
        chain_id=wish["chain_id"],
        builder=BYTES32_ZERO,
        exchange_address=getattr(PRODUCTION_CONFIG, _CONTRACTS[wish["exchange"]]),
        expiration=int(told["expiration"]),
        maker=told["maker"],
        maker_amount=int(told["makerAmount"]),
        metadata=BYTES32_ZERO,
        order_type=wish["order_type"],
        salt=told["salt"],
        side="SELL" if told["side"] else "BUY",
        signature_type=told["signatureType"],
        signer=told["signer"],
        taker_amount=int(told["takerAmount"]),
        timestamp=int(told["timestamp"]),
        token_id=told["tokenId"],
        protocol_version=version,
    )
    signed = Account.from_key(wish["private_key"]).sign_typed_data(full_message=build_order_typed_data(unsigned))
    signature = build_order_signature(unsigned, "0x" + signed.signature.hex())
    made = create_signed_order(unsigned, signature, post_only=wish["post_only"])
    _, payload = build_post_order_request(made, owner_api_key=wish["owner"])
    body = {
        "order": {name: payload["order"].pop(name) for name in _FIELDS},
        **{name: payload.pop(name) for name in ("owner", "orderType", "deferExec")},
        "postOnly": payload.pop("postOnly", False),
    }
    if payload != {"order": {}}:
        raise ValueError(f"fields that the other client does not send: {payload}")
    message = encode_typed_data(full_message=_build_standard_typed_data(unsigned, protocol_version=version))
    digest = keccak(b"\x19" + message.version + message.header + message.body)
    return {"digest": "0x" + digest.hex(), "body": json.dumps(body, separators=(",", ":"))}


def headers(wish: dict[str, Any]) -> dict[str, Any]:
    """Return the headers of a level; it reads the time itself."""
    signer = Account.from_key(wish["private_key"])
    if wish["level"] == 1:
        about = {name: wish[name] for name in ("chain_id", "timestamp", "nonce")}
        return dict(build_l1_auth_headers(sign_api_key_auth(signer, **about)))
    creds = ApiKeyCreds(key=wish["api_key"], secret=wish["secret"], passphrase=wish["passphrase"])
    clock, time.time = time.time, lambda: wish["timestamp"]
    try:
        return dict(_make_l2_header_resolver_sync(signer, creds)(wish["method"], wish["path"], wish["body"]))
    finally:
        time.time = clock


def trade(wish: dict[str, Any]) -> dict[str, Any]:
    """Make a key, read a book, place, read and cancel an order, buy and sell at once, and read what came of that."""
    host, token = wish["host"], wish["token_id"]
    here = dict.fromkeys(("clob_url", "gamma_url", "data_url", "rfq_url", "relayer_url", "rpc_url"), host)
    environment = create_environment(name="ours", config=dataclasses.replace(PRODUCTION_CONFIG, **here))
    # As `SecureClient.create` does, but for asking a relayer, which is no part of the venue, whether the wallet is deployed.
    with SecureClient._create(
        private_key=wish["private_key"], wallet=wish["wallet"], environment=environment
    ) as client:
        book = client.get_order_book(token_id=token)
        resting = client.place_limit_order(token_id=token, price="0.3", size="10", side="BUY")
        read, listed = client.get_order(order_id=resting.order_id), client.list_open_orders().first_page().items
        canceled = client.cancel_order(order_id=resting.order_id)
        bought = client.place_market_order(token_id=token, side="BUY", amount="3", max_price="0.6")
        settled = client.wait_for_order_fill_settlement(bought)
        sold = client.place_market_order(token_id=token, side="SELL", shares="5", min_price="0.4")
        return {
            "wallet_type": client.wallet_type,
            "best": [[str(level.price), str(level.size)] for level in (book.bids[-1], book.asks[-1])],
            "resting": _told(resting),
            "read": [read.id, read.status],
            "listed": [one.id for one in listed],
            "canceled": list(canceled.canceled),
            "bought": _told(bought),
            "sold": _told(sold),
            "settled": list(settled),
            "trades": [[one.status, one.transaction_hash] for one in client.list_account_trades().first_page().items],
            "balance": str(client.get_balance_allowance(asset_type="COLLATERAL").balance),
            "closed_only": client.get_closed_only_mode(),
            "keys": len(client.fetch_api_keys()),
            "beat": client.send_order_heartbeat().heartbeat_id,
        }


def _told(answer: AcceptedOrder) -> list[str]:
    """Return how an order was answered."""
    return [answer.status, str(answer.making_amount), str(answer.taking_amount)]


ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "amounts": amounts,
    "order": order,
    "headers": headers,
    "trade": trade,
}

if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(ANSWERS[asked["do"]](asked), default=str) + "\n")
        sys.stdout.flush()
