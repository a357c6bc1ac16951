"""How a venue writes what it knows, and how it writes it wrongly."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from trio_copy.model.books import Book, Level, Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.units import Micro
from trio_copy.testing.market_server.faults import Ids, Order, VenueFaults

_MODULES = {2: "v1_ctf", 3: "binary"}
Row = dict[str, Any]


def token_row(fact: TokenFacts, decided: Mapping[str, tuple[int, ...]], closed: bool) -> Row:
    """Write a row of `/v2/tokens`."""
    payouts = decided.get(fact.condition_id)
    return {
        "token_id": str(fact.token_id),
        "condition_id": fact.condition_id,
        "structural_condition_id": None,
        "module": _MODULES[fact.exchange or 2],
        "outcome_index": fact.slot,
        "clob_index": fact.slot,
        "outcome": fact.outcome or None,
        "opposite_token_id": None if fact.opposite is None else str(fact.opposite),
        "resolved": payouts is not None,
        "final_price": None if payouts is None else msgspec.Raw(_number(payouts[fact.slot])),
        "title": fact.question or None,
        "market_slug": fact.slug or None,
        "closed": closed,
        "neg_risk": fact.neg_risk,
        "neg_risk_market_id": None,
        "question_index": None,
        "event_id": 1,
        "event_slug": fact.event or None,
    }


def gamma_row(facts: Sequence[TokenFacts], closed: bool) -> Row:
    """Write Gamma's market of a question, from the facts of its tokens."""
    first, ids = facts[0], [str(fact.token_id) for fact in facts]
    v3 = first.exchange == 3
    return {
        "id": "1",
        "conditionId": first.condition_id[:64] if v3 and first.condition_id.endswith("00") else first.condition_id,
        "version": "v2" if v3 else "v1",
        "question": first.question,
        "slug": first.slug,
        "outcomes": _text([fact.outcome for fact in facts]),
        "clobTokenIds": None if v3 else _text(ids),
        "positionIds": ids if v3 else None,
        "category": first.category or None,
        "closed": closed,
        "active": True,
        "acceptingOrders": not closed,
        "enableOrderBook": True,
        "negRisk": first.neg_risk,
        "orderMinSize": _written(first.minimum, numbers=True),
        "orderPriceMinTickSize": _written(first.tick, numbers=True),
        "feesEnabled": bool(first.fee_rate),
        "feeSchedule": {
            "exponent": first.fee_exponent,
            "rate": _written(first.fee_rate, numbers=True),
            "takerOnly": True,
            "rebateRate": 0.25,
        },
        "endDate": None
        if first.ends_at is None
        else datetime.fromtimestamp(first.ends_at, UTC).isoformat().replace("+00:00", "Z"),
        "events": [{"id": "1", "slug": first.event, "title": first.event}],
        "tags": [],
    }


def clob_row(facts: Sequence[TokenFacts]) -> Row:
    """Write `/clob-markets` of a question."""
    first = facts[0]
    row: Row = {
        "t": [{"t": str(fact.token_id), "o": fact.outcome} for fact in facts],
        "mts": _written(first.tick, numbers=True),
        "mos": _written(first.minimum, numbers=True),
        "nr": first.neg_risk,
        "mbf": 1000,
        "tbf": 1000,
        "v": "v2" if first.exchange == 3 else "v1",
    }
    if first.fee_rate:
        row["fd"] = {"r": _written(first.fee_rate, numbers=True), "e": first.fee_exponent, "to": True}
    return row


def book_row(book: Book, fact: TokenFacts, faults: VenueFaults) -> Row:
    """Write a book, the best levels last."""
    bids, asks = list(reversed(book.bids)), list(reversed(book.asks))
    match faults.order:
        case Order.SHUFFLED:
            bids, asks = bids[::2] + bids[1::2], asks[::2] + asks[1::2]
        case Order.CROSSED:
            bids, asks = asks, bids
        case Order.BEST_LAST | Order.UNREADABLE:
            pass
    written = [[_level(level, faults) for level in side] for side in (bids, asks)]
    if faults.order is Order.UNREADABLE:
        written[0].append({"price": "1e400000000", "size": "NaN"})
    return {
        "market": fact.condition_id,
        "asset_id": str(book.token_id),
        "timestamp": str(int(book.at * 1000)),
        "hash": "0" * 40,
        "bids": written[0],
        "asks": written[1],
        "min_order_size": _written(fact.minimum, numbers=faults.json_numbers),
        "tick_size": _written(fact.tick, numbers=faults.json_numbers),
        "neg_risk": fact.neg_risk,
        "last_trade_price": "",
        **({"version": "v2"} if fact.exchange == 3 else {}),
    }


def change_row(before: Book, book: Book, fact: TokenFacts, faults: VenueFaults) -> Row:
    """Write what is different between two books, with the best prices that follow."""
    quote = Quote(bid=None, ask=None) if faults.lying_best else book.quote
    changes = [
        {
            "asset_id": str(book.token_id),
            "price": _written(price, numbers=faults.json_numbers),
            "size": _written(shares, numbers=faults.json_numbers) or "0",
            "side": side,
            "hash": "0" * 40,
            "best_bid": str(quote.bid or 0),
            "best_ask": str(quote.ask or 1),
        }
        for side, old, new in (("BUY", before.bids, book.bids), ("SELL", before.asks, book.asks))
        for price, shares in _differences(old, new)
    ]
    return {
        "event_type": "price_change",
        "market": fact.condition_id,
        "timestamp": str(int(book.at * 1000)),
        "price_changes": changes,
    }


def past_row(at: int, micro: int, faults: VenueFaults) -> Row:
    """Write a row of `/prices-history`."""
    price = _number(micro)
    if faults.order is Order.UNREADABLE:
        price = b"1e400000000"
    return {"t": at, "p": msgspec.Raw(price)}


def trade_row(trade: PastTrade, faults: VenueFaults) -> Row:
    """Write a row of `/v2/trades`."""
    return {
        "proxy_wallet": trade.wallet if faults.ids is Ids.RIGHT else "0x" + "ee" * 20,
        "token_id": str(trade.token_id),
        "side": trade.side.value,
        "size": _written(trade.shares, numbers=True),
        "price": _written(trade.price, numbers=True),
        "timestamp": round(trade.at),
        "transaction_hash": trade.tx_hash,
    }


def resolution_row(condition_id: str, payouts: tuple[int, ...] | None) -> Row:
    """Write a row of `/v2/resolutions`."""
    return {
        "question_id": None,
        "condition_id": condition_id,
        "status": "proposed" if payouts is None else "resolved",
        "extended_review": False,
        "was_disputed": False,
        "last_update_timestamp": 1_790_000_000,
        "payouts": None if payouts is None else list(payouts),
        "reporter": "UMA_OO",
    }


def other_token(token: TokenId) -> TokenId:
    """Return a token that nobody asked for."""
    return TokenId(token ^ (1 << 200))


def _differences(old: Sequence[Level], new: Sequence[Level]) -> list[tuple[Micro, Micro | None]]:
    before, after = ({level.price: level.shares for level in side} for side in (old, new))
    gone = [(price, None) for price in before if price not in after]
    return gone + [(price, shares) for price, shares in after.items() if before.get(price) != shares]


def _level(level: Level, faults: VenueFaults) -> Row:
    return {
        "price": _written(level.price, numbers=faults.json_numbers),
        "size": _written(level.shares, numbers=faults.json_numbers),
    }


def _written(value: Micro | None, *, numbers: bool) -> str | msgspec.Raw | None:
    if value is None:
        return None
    return msgspec.Raw(str(value).encode()) if numbers else str(value)


def _number(micro: int) -> bytes:
    return str(Micro(micro)).encode()


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
