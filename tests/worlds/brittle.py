"""A store and a venue as a process sees them that may stand still, or die, at any moment."""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

import trio
from attrs import define, field, frozen

from tests.crash.checker import AtVenue
from tests.crash.watched import WatchedExecutor
from trio_copy.errors import OrderNotSent, OrderUncertain, StoreUnavailable
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order
from trio_copy.ports import Store
from trio_copy_dry_run.venue import SimulatedVenue


@define(eq=False)
class Process:
    """What an engine runs in. While it stands still, nothing goes out and no answer comes in; its clock runs on."""

    alive: bool = True
    _going: trio.Event | None = None

    async def stand_still(self, seconds: float) -> None:
        """Stand still for a while, as under SIGSTOP."""
        if self._going is not None:
            return
        self._going = going = trio.Event()
        await trio.sleep(seconds)
        self._going = None
        going.set()

    def die(self) -> None:
        """End: nothing that this process does has an effect any more."""
        self.alive = False
        if self._going is not None:
            self._going.set()

    @property
    def goes(self) -> bool:
        return self.alive and self._going is None

    async def turn(self, error: Exception) -> None:
        """Wait while it stands still; raise the error once it is dead."""
        while self.alive and self._going is not None:
            await self._going.wait()
        if not self.alive:
            raise error


class _Part:
    """One part of a store; every call may be cut off before it happened, or after."""

    def __init__(self, part: Any, process: Process) -> None:
        self._part, self._process = part, process

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        return self._wrapped(method) if iscoroutinefunction(method) else method

    def _wrapped(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            await trio.lowlevel.checkpoint()
            await self._process.turn(StoreUnavailable("the process is dead"))
            answer = await method(*args, **options)
            await self._process.turn(StoreUnavailable("the process is dead"))
            return answer

        return call


@frozen(eq=False)
class BrittleStore:
    inner: Store
    process: Process

    def __getattr__(self, name: str) -> Any:
        return _Part(getattr(self.inner, name), self.process)


@define(eq=False)
class SharedVenue:
    """One venue for all instances, which writes down what it took."""

    venue: SimulatedVenue
    forgets: bool = False
    taken: list[AtVenue] = field(factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)

    def place(self, order: Order, *, fail_settlement: bool = False, **options: Any) -> ExecutionReport:
        known = self.venue.find(order.order_id) is not None
        report = self.venue.place(order, fail_settlement=fail_settlement, **options)
        if not known:
            now, settles = self.venue.wall(), self.venue._placed[order.order_id].settles or report
            self.taken.append(AtVenue(order=order, report=settles, told=report, failed=fail_settlement, at=now))
        return report


class BrittleExecutor(WatchedExecutor):
    """What a process can do at a venue. Between its last look at its lease and the venue's door it does not stand still."""

    def __init__(self, process: Process, *args: Any) -> None:
        super().__init__(*args)
        self._process = process

    async def market(self, token_id: TokenId) -> Market:
        await trio.lowlevel.checkpoint()
        await self._process.turn(OrderNotSent("the process is dead"))
        market: Market = await self._executor.market(token_id)
        return market

    async def submit(self, order: Order) -> ExecutionReport:
        if not self._process.alive:
            raise OrderUncertain("the process is dead")
        report = await super().submit(order)
        await self._process.turn(OrderUncertain("the process is dead"))
        return report

    async def find(self, order: Order) -> ExecutionReport | None:
        await self._process.turn(OrderUncertain("the process is dead"))
        return await super().find(order)
