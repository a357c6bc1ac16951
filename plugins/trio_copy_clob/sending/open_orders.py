"""Orders that are open, or matched and not settled: what they were when they were last looked up, and what was heard since.

What is heard of an order is a hint: it makes a look worth it, and where nothing is heard, that spares one. It spares one only
of an order that is known to be waiting, over a connection that has told of orders since that look: one that never told of any
may be mute. Whatever is sent or called off, or told of and not seen yet, is looked up as often as anybody asks.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import IntEnum

import trio
from attrs import define, field

from trio_copy.model.ids import IntentKey, OrderId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.looking import rests

_GOOD_S = 20.0
"""How old a look may be that is taken for a new one: so long a connection may be mute after it was not."""
_FORGOTTEN_S = 600.0
"""Nobody asks about an order any more that is somebody else's by now, or was settled by a person."""
_NEVER = -float("inf")

_ON_THE_WAY = (Settlement.PENDING, Settlement.MINED)


class Step(IntEnum):
    """How far a trade of an order is said to be."""

    CHANGED = 0
    MINED = 1
    """On the chain: from here on what it bought can be sold."""
    ENDED = 2

    __hash__ = object.__hash__


@define(eq=False)
class _Open:
    order: Order
    signer: VenueSigner
    asked_at: float
    """When somebody asked about it last, by Trio's clock, as all times here."""
    report: ExecutionReport | None = None
    looked_at: float = _NEVER
    """When the look began that the report is from."""
    heard_at: dict[Step, float] = field(factory=dict)
    """When a trade of it was last heard to be so far, or further, and no look has shown it yet."""

    @property
    def settles(self) -> bool:
        """Whether it is matched, and all that can still happen is that its trades go on to the chain."""
        return self.report is not None and self.report.proven and self.report.settlement in _ON_THE_WAY

    @property
    def rests(self) -> bool:
        """Whether it is on the book, or may be."""
        return rests(self.order) and (self.report is None or not (self.report.proven or self.report.off_book))

    @property
    def untold(self) -> float:
        """When something was heard last that matters and that no look has shown yet."""
        return self.heard_at.get(self.next_step, _NEVER)

    def not_shown_by(self, report: ExecutionReport) -> dict[Step, float]:
        """Return what was heard of it and is further than a report that says something new: HTTP may be behind."""
        undone = self.report is not None and self.settles and self.report.shares != report.shares
        if undone or self.rests or not report.proven:
            return {}  # a trade that failed has ended, and is shown; and what rests is told of trade by trade
        shown = Step.MINED if report.settlement is Settlement.MINED else Step.CHANGED
        return {step: at for step, at in self.heard_at.items() if step > shown}

    @property
    def next_step(self) -> Step:
        """How far a trade of it has to be for that to be news."""
        if self.report is None or not self.settles:
            return Step.CHANGED
        return Step.MINED if self.report.settlement is Settlement.PENDING else Step.ENDED


@define(eq=False)
class _Group:
    signer: VenueSigner
    orders: dict[OrderId, _Open] = field(factory=dict)
    gone: trio.Event = field(factory=trio.Event)


@define(eq=False)
class BySigner:
    """Orders by the address of their signer, for whoever does something for a signer while he has any."""

    _groups: dict[str, _Group] = field(factory=dict)
    """None is empty; who has waited longest comes first."""
    _more: trio.Event = field(factory=trio.Event)

    def add(self, one: _Open) -> None:
        group = self._groups.get(one.signer.address)
        if group is None:
            group = self._groups[one.signer.address] = _Group(one.signer)
            self.tell()
        group.orders[one.order.order_id] = one

    def remove(self, one: _Open) -> None:
        group = self._groups.get(one.signer.address)
        if group is not None and group.orders.pop(one.order.order_id, None) is not None and not group.orders:
            del self._groups[one.signer.address]
            group.gone.set()

    def find(self, address: str, order_id: str) -> _Open | None:
        group = self._groups.get(address)
        return None if group is None else group.orders.get(OrderId(order_id))

    def __contains__(self, address: str) -> bool:
        return address in self._groups

    def __iter__(self) -> Iterator[VenueSigner]:
        return (group.signer for group in tuple(self._groups.values()))

    def tell(self) -> None:
        """Wake whoever waits for a signer more."""
        self._more.set()
        self._more = trio.Event()

    async def wait_more(self) -> None:
        """Wait for a signer who had no order before."""
        await self._more.wait()

    async def wait_gone(self, address: str) -> None:
        """Wait until a signer has no order any more; he may have one again by then."""
        group = self._groups.get(address)
        if group is None:
            await trio.lowlevel.checkpoint()
        else:
            await group.gone.wait()


@define(eq=False)
class OpenOrders:
    on_news: Callable[[IntentKey], None]
    by_signer: BySigner = field(factory=BySigner)
    at_rest: BySigner = field(factory=BySigner)
    """Those of them that are on the book, or may be."""
    _open: OrderedDict[OrderId, _Open] = field(factory=OrderedDict)
    """Those that nobody has asked about for the longest time first."""
    _told_since: dict[str, float] = field(factory=dict)
    """Since when the connection of a signer, by his address, has told of his orders."""

    def put(self, order: Order, signer: VenueSigner, report: ExecutionReport | None, looked_at: float = _NEVER) -> None:
        """Note how an order is, by a look that began at `looked_at`; None of one of which nobody knows."""
        self.forget()
        if report is not None and report.proven and report.settlement not in _ON_THE_WAY:
            self.drop(order)
            return
        one = self._open.get(order.order_id)
        if one is None:
            one = self._open[order.order_id] = _Open(order, signer, trio.current_time())
            self.by_signer.add(one)
        self._ask(one)
        if report is not None and looked_at >= one.looked_at:
            if report != one.report and looked_at > one.heard_at.get(Step.CHANGED, _NEVER):
                one.heard_at = one.not_shown_by(report)
            one.report, one.looked_at = report, looked_at
        if one.rests:
            self.at_rest.add(one)
        else:
            self.at_rest.remove(one)

    def drop(self, order: Order) -> None:
        """Forget an order that has come to its end, or never was sent."""
        one = self._open.pop(order.order_id, None)
        if one is not None:
            self.by_signer.remove(one)
            self.at_rest.remove(one)

    def standing(self, order: Order) -> ExecutionReport | None:
        """Return what the last look has shown, where nothing can have changed since; None where it has to be looked up."""
        one = self._open.get(order.order_id)
        if one is None or one.report is None:
            return None
        self._ask(one)
        waits = one.settles or (one.report.status is Status.RESTING and not one.report.off_book)
        told = self._told_since.get(one.signer.address, float("inf")) <= one.looked_at
        fresh = trio.current_time() - one.looked_at < _GOOD_S
        return one.report if waits and told and fresh and one.untold == _NEVER else None

    def touch(self, order: Order) -> None:
        """Note that an order was changed, by us: what the last look has shown counts no more."""
        one = self._open.get(order.order_id)
        if one is not None:
            one.heard_at = dict.fromkeys(Step, trio.current_time())

    def hear(self, address: str, order_id: str, step: Step) -> bool:
        """Take what a signer's connection says of an order; returns whether it is one of his that are open."""
        one = self.by_signer.find(address, order_id)
        if one is None:
            return False
        now = trio.current_time()
        self._told_since.setdefault(address, now)
        one.heard_at |= {so_far: now for so_far in Step if so_far <= step}
        if step >= one.next_step:
            self.on_news(one.order.key)
        return True

    def hear_no_more(self, address: str) -> None:
        """Note that a signer's connection is lost."""
        self._told_since.pop(address, None)

    def forget(self) -> None:
        """Drop what nobody has asked about for long."""
        now = trio.current_time()
        while self._open:
            oldest = next(iter(self._open.values()))
            if now - oldest.asked_at < _FORGOTTEN_S:
                return
            self.drop(oldest.order)

    def _ask(self, one: _Open) -> None:
        one.asked_at = trio.current_time()
        self._open.move_to_end(one.order.order_id)
