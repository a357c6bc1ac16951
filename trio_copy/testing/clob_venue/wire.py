"""How the venue writes orders, trades and answers. Amounts are decimals in text, as the real one writes them."""

from collections.abc import Mapping
from typing import Any

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.units import MICRO, decimal_string
from trio_copy.testing.clob_venue.faults import OrderAnswer
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.settling import Maker, Trade

Row = dict[str, Any]


def answer_row(placed: Placed, how: OrderAnswer) -> Row:
    """Write the answer to an order that was taken."""
    order = placed.posted
    making, taking = (placed.cash, placed.shares) if order.buys else (placed.shares, placed.cash)
    told = bool(placed.shares) and how is not OrderAnswer.NO_AMOUNTS
    order_id = {OrderAnswer.OTHER_ID: "0x" + placed.order_id[:1:-1], OrderAnswer.NO_ID: ""}.get(how, placed.order_id)
    return {
        "errorMsg": "",
        "orderID": order_id,
        "takingAmount": decimal_string(taking) if told else "",
        "makingAmount": decimal_string(making) if told else "",
        "status": placed.status.lower() if placed.waits else "matched" if placed.shares else "live",
        "transactionsHashes": [],
        "tradeIDs": list(placed.trade_ids),
        "success": True,
    }


def refused_row(text: str) -> Row:
    """Write a refusal that looks like a success: with 200, and in the answers to several orders at once."""
    return {
        "errorMsg": text,
        "orderID": "",
        "takingAmount": "",
        "makingAmount": "",
        "status": "",
        "transactionsHashes": [],
        "tradeIDs": [],
        "success": True,
    }


def order_row(placed: Placed, fact: TokenFacts) -> Row:
    """Write an order."""
    order = placed.posted
    return {
        "id": placed.order_id,
        "status": placed.status,
        "market": fact.condition_id,
        "asset_id": str(order.token_id),
        "owner": placed.key.key,
        "maker_address": order.maker,
        "side": order.side.value,
        "original_size": decimal_string(order.shares),
        "size_matched": decimal_string(placed.shares),
        "price": decimal_string(placed.limit),
        "outcome": fact.outcome,
        "order_type": order.order_type,
        "expiration": str(order.expiration),
        "created_at": placed.created_at,
        "associate_trades": list(placed.trade_ids),
    }


def trade_row(trade: Trade, signer: Address, facts: Mapping[TokenId, TokenFacts]) -> Row:
    """Write a trade as one of those in it is told of it. Its upper fields are the taker's, whoever asks."""
    fact = facts[trade.token_id]
    return {
        "id": trade.trade_id,
        "taker_order_id": trade.taker_order_id,
        "market": fact.condition_id,
        "asset_id": str(trade.token_id),
        "side": trade.side.value,
        "size": decimal_string(trade.shares),
        "price": decimal_string(trade.cash * MICRO // trade.shares),
        "fee_rate_bps": "0",
        "status": trade.status,
        "match_time": str(int(trade.matched_at)),
        "last_update": str(int(trade.updated_at)),
        "outcome": fact.outcome,
        "bucket_index": 0,
        "owner": trade.taker_owner,
        "maker_address": trade.taker_wallet,
        "transaction_hash": trade.tx_hash,
        "trader_side": trade.role_of(signer),
        "maker_orders": [_maker_row(maker, facts[maker.token_id]) for maker in trade.makers],
    }


def _maker_row(maker: Maker, fact: TokenFacts) -> Row:
    return {
        "order_id": maker.order_id,
        "owner": maker.owner,
        "maker_address": maker.wallet,
        "matched_amount": decimal_string(maker.shares),
        "price": decimal_string(maker.price),
        "fee_rate_bps": "0",
        "asset_id": str(maker.token_id),
        "outcome": fact.outcome,
        "outcome_index": fact.slot,
        "side": maker.side.value,
    }


def order_event(placed: Placed, fact: TokenFacts, what: str, at: float) -> Row:
    """Write what happened to an order, for the user channel."""
    row = {"event_type": "order", "type": what, **order_row(placed, fact), "timestamp": str(int(at * 1000))}
    row["created_at"] = str(placed.created_at)
    return row


def trade_event(trade: Trade, signer: Address, facts: Mapping[TokenId, TokenFacts], at: float) -> Row:
    """Write a trade's step, for the user channel."""
    row = trade_row(trade, signer, facts)
    return {
        "event_type": "trade",
        "type": "TRADE",
        **row,
        "trade_owner": row["owner"],
        "timestamp": str(int(at * 1000)),
    }
