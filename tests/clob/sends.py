"""Sends orders to the scripted venue and looks them up, and says how that ended; and what it answers most."""

import trio

from tests.clob.scripted_clob import Bench, Says, refusal
from tests.clob.sent_orders import make_order
from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.model.orders import ExecutionReport, Order

KILL = "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
BALANCE = "not enough balance / allowance"
RESTARTS = refusal(425, "service not ready")
GTC = b'{"order":{"timestamp":"1764000000123"},"owner":"","orderType":"GTC","postOnly":false}'


async def end_of(bench: Bench, order: Order | None = None, within_s: float = 10.0) -> tuple[str, str]:
    """Send an order, and say how that ended, and with which words."""
    try:
        report = await bench.post(order or make_order(), within_s)
    except OrderNotSent as error:
        return "not sent", str(error)
    except OrderUncertain as error:
        return "uncertain", str(error)
    return report.status.value, report.detail


def answered(text: str, status: int = 400) -> list[Says]:
    """The one answer that refuses an order with these words."""
    return [refusal(status, text)]


async def look_up(bench: Bench, order: Order | None = None) -> ExecutionReport | None:
    """Ask what became of an order."""
    return await bench.looking.look_up(order or make_order(), bench.signer, trio.current_time() + 10)
