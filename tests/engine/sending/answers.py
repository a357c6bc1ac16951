"""Venues that answer when a test lets them, lose a request, or swear that it never arrived."""

from typing import Any

import trio

from tests.engine.rig import Rig
from trio_copy.accounts import OrderState
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.units import NO_SHARES, NO_USD, Rounding, Shares


class AskedMarket:
    """What the venue says about a market only when a test lets it; then the answer, or an error, comes."""

    def __init__(self, executor: Any, error: Exception | None = None) -> None:
        self._market, self._error = executor.market, error
        self.asked, self.answer = trio.Event(), trio.Event()

    async def __call__(self, token_id: TokenId) -> Any:
        self.asked.set()
        await self.answer.wait()
        if self._error is not None:
            raise self._error
        return await self._market(token_id)


async def lose_request(rig: Rig, task: CopyTask) -> None:
    """Let a task's request be lost on its way to a venue that knows nothing of it, and does not say so yet."""
    rig.executor.script, rig.executor.hide = ["lose request"], True
    await rig.take_in(task)
    await trio.sleep(5)
    assert [one.state for one in rig.open_orders()] == [OrderState.UNKNOWN]


def prove_absence(rig: Rig, after_s: float = 0.0) -> Any:
    """Let the venue swear, after a while, that what it does not know never arrived, nor will."""

    def report(order: Order, shares: Shares = NO_SHARES) -> ExecutionReport:
        status, notional = (
            (Status.FILLED, shares.at(order.limit_price, Rounding.DOWN)) if shares else (Status.ABSENT, NO_USD)
        )
        return ExecutionReport(order_id=order.order_id, status=status, shares=shares, notional=notional)

    async def find(order: Order) -> ExecutionReport:
        await trio.sleep(after_s)
        return rig.executor.filled.get(order.order_id) or report(order)

    rig.executor.find = find
    return report
