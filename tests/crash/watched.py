"""The venue between an engine and its books: crash points at its door, and what no engine may ever do there."""

from collections.abc import Callable
from typing import Any

from attrs import evolve

from trio_copy.errors import OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import Rounding, Shares


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
        *,
        grows: bool = False,
    ) -> None:
        self._executor, self._is_durable, self._tell, self._unproven = executor, is_durable, tell, unproven
        self._grows = grows
        self._resting: set[tuple[Lane, OrderId]] = set()
        """What this process knows to rest."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    async def submit(self, order: Order) -> ExecutionReport:
        if not self._is_durable(order.key):
            self._tell(f"{order.order_id} was sent, and nothing durable says so")
        if order.side is Side.SELL and (rests := [one for lane, one in self._resting if lane == _lane(order)]):
            self._tell(f"{order.order_id} was sent while {rests[0]} of its lane rested")
        before = self._unproven.setdefault(_lane(order), order.order_id)
        if before != order.order_id:
            self._tell(f"{order.order_id} was sent while {before} of its lane was not proven")
        try:
            report: ExecutionReport = await self._executor.submit(order)
        except OrderNotSent:
            self._prove(order)
            raise
        self._prove(order)
        self._note(order, report)
        return report

    async def find(self, order: Order) -> ExecutionReport | None:
        if self._grows:
            _fill_further(self._executor.venue, order)
        report: ExecutionReport | None = await self._executor.find(order)
        if report is not None:
            self._note(order, report)
        if report is not None and report.status is not Status.UNKNOWN:
            self._prove(order)
        return report

    def _note(self, order: Order, report: ExecutionReport) -> None:
        known = (_lane(order), order.order_id)
        if report.status is Status.RESTING and not report.off_book:  # what is off the book can meet nothing any more
            self._resting.add(known)
        else:
            self._resting.discard(known)

    def _prove(self, order: Order) -> None:
        if self._unproven.get(_lane(order)) == order.order_id:
            del self._unproven[_lane(order)]


def _lane(order: Order) -> Lane:
    return (order.wallet.follower, str(order.token_id))


def _fill_further(venue: Any, order: Order) -> None:
    """Let an order that rests have another tenth of what it wants, at its limit; the last tenth is never there."""
    report = venue.find(order.order_id)
    if report is None or report.status is not Status.RESTING:
        return
    shares = report.shares + Shares(order.shares.micro // 10)
    if shares.micro * 10 <= order.shares.micro * 9:
        notional = max(report.notional, shares.at(order.limit_price, Rounding.DOWN))
        venue.replace(order, evolve(report, shares=shares, notional=notional, settlement=Settlement.FIRM))
