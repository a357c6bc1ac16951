"""The venue between an engine and its books: crash points at its door, and what no engine may ever do there."""

from collections.abc import Callable
from typing import Any

from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import IntentKey, OrderId
from trio_copy.model.orders import ExecutionReport, Order, Status


class WatchedVenue:
    """Lets a process die right before and right after the venue has taken its order."""

    def __init__(self, venue: Any, at: Callable[[str], None]) -> None:
        self._venue, self._at = venue, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def place(self, *args: Any, **options: Any) -> Any:
        self._at("venue: not yet")
        report = self._venue.place(*args, **options)
        self._at("venue: has it")
        return report


Lane = tuple[str, str]


class WatchedExecutor:
    """Tells of orders that leave before they are durable, or while another one of their lane is not proven."""

    def __init__(
        self,
        executor: Any,
        is_durable: Callable[[IntentKey], bool],
        tell: Callable[[str], None],
        unproven: dict[Lane, OrderId],
    ) -> None:
        self._executor, self._is_durable, self._tell, self._unproven = executor, is_durable, tell, unproven

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    async def submit(self, order: Order) -> ExecutionReport:
        if not self._is_durable(order.key):
            self._tell(f"{order.order_id} was sent, and nothing durable says so")
        before = self._unproven.setdefault(_lane(order), order.order_id)
        if before != order.order_id:
            self._tell(f"{order.order_id} was sent while {before} of its lane was not proven")
        try:
            report: ExecutionReport = await self._executor.submit(order)
        except OrderNotSent:
            self._prove(order)
            raise
        self._prove(order)
        return report

    async def find(self, order: Order) -> ExecutionReport | None:
        report: ExecutionReport | None = await self._executor.find(order)
        if report is not None and report.status is not Status.UNKNOWN:
            self._prove(order)
        return report

    def _prove(self, order: Order) -> None:
        if self._unproven.get(_lane(order)) == order.order_id:
            del self._unproven[_lane(order)]


def _lane(order: Order) -> Lane:
    return (order.wallet.follower, str(order.token_id))
