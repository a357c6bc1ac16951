"""What was seen of an order, at its venue and on the chain, and what that came to."""

from typing import Any

from tests.clob.sent_orders import OURS, TOKEN, make_order
from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy_clob.sending.chain_logs import ORDER_FILLED, SeenFill, fills_of
from trio_copy_clob.sending.proof import Evidence
from trio_copy_clob.sending.seen import order_of, trades_of

NULL = b"null"
OWNER = Hash32("0x" + "0" * 24 + "11" * 20)


def seen_of(order: Order, rows: list[bytes], order_body: bytes = NULL, **changes: Any) -> Evidence:
    trades, whole = trades_of(rows, order)
    return Evidence(trades=trades, order=order_of(order_body, order), **{"whole": whole, **changes})


def said_of(report: ExecutionReport | None) -> tuple[str, str, str, str] | None:
    if report is None:
        return None
    return (
        "off book" if report.off_book else report.status.value,
        str(report.shares),
        str(report.notional),
        report.settlement.value,
    )


FULL = ("filled", "20", "10")
HALF = ("partial", "10", "5")


def log_of(shares: int, paid: int, fee: int = 0, **changes: Any) -> RawLog:
    values: dict[str, Any] = {
        "chain_id": ChainId(137),
        "address": Address("0x" + "e1" * 20),
        "topics": (ORDER_FILLED, OURS, OWNER, Hash32("0x" + "0" * 64)),
        "data": b"".join(word.to_bytes(32) for word in (0, TOKEN, paid, shares, fee, 0, 0)),
        "block_number": 100,
        "block_hash": Hash32("0x" + "1" * 64),
        "block_time": None,
        "tx_hash": Hash32("0x" + "2" * 64),
        "log_index": 0,
    }
    return RawLog(**{**values, **changes})


def on_chain(*logs: RawLog, deepest: int = 100) -> tuple[SeenFill, ...]:
    return fills_of(make_order(), logs, (), frozenset({Address("0x" + "e1" * 20)}), deepest)


def only(report: ExecutionReport | None) -> ExecutionReport:
    assert report is not None
    return report
