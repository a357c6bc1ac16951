"""Orders that are open, or matched and not settled: what they were when they were last looked up, and what was heard since.

What is heard of an order is a hint: it makes a look worth it, and where nothing is heard, that spares one. It spares one only
of an order that is known to be waiting, over a connection that has told of orders since that look: one that never told of any
may be mute. Whatever is sent or called off, or told of and not seen yet, is looked up as often as anybody asks.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

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


@define(eq=False)
class _Open:
    order: Order
    signer: VenueSigner
    asked_at: float
    """When somebody asked about it last, by Trio's clock, as all times here."""
    report: ExecutionReport | None = None
    looked_at: float = _NEVER
    """When the look began that the report is from."""
    heard_at: float = _NEVER
    """When something was heard of it last that no look has shown yet."""
    end_heard_at: float = _NEVER
    """The same of the end of a trade."""

    @property
    def settles(self) -> bool:
        """Whether it is matched, and all that can still happen is that its trades end."""
        return self.report is not None and self.report.proven and self.report.settlement is Settlement.PENDING

    @property
    def rests(self) -> bool:
        """Whether it is on the book, or may be."""
        return rests(self.order) and (self.report is None or not self.report.proven)

    @property
    def untold(self) -> float:
        """When something was heard last that matters and that no look has shown yet."""
        return self.end_heard_at if self.settles else self.heard_at


@define(eq=False)
class OpenOrders:
    on_news: Callable[[IntentKey], None]
    _open: OrderedDict[OrderId, _Open] = field(factory=OrderedDict)
    """Those that nobody has asked about for the longest time first."""
    _of: dict[str, dict[OrderId, _Open]] = field(factory=dict)
    """By the address of the signer; none is empty."""
    _told_since: dict[str, float] = field(factory=dict)
    """Since when the connection of a signer has told of his orders."""
    _changed: trio.Event = field(factory=trio.Event)

    def put(self, order: Order, signer: VenueSigner, report: ExecutionReport | None, looked_at: float = _NEVER) -> None:
        """Note how an order is, by a look that began at `looked_at`; None of one of which nobody knows."""
        now = trio.current_time()
        self._forget(now)
        if report is not None and report.proven and report.settlement is not Settlement.PENDING:
            self.drop(order)
            return
        one = self._open.get(order.order_id)
        if one is None:
            one = self._open[order.order_id] = _Open(order, signer, now)
            self._of.setdefault(signer.address, {})[order.order_id] = one
            self.tell_changed()
        self._ask(one, now)
        if report is None or looked_at < one.looked_at:
            return
        if report != one.report and looked_at > one.heard_at:
            one.heard_at = one.end_heard_at = _NEVER
        rested, one.report, one.looked_at = one.rests, report, looked_at
        if one.rests is not rested:
            self.tell_changed()

    def drop(self, order: Order) -> None:
        """Forget an order that has come to its end, or never was sent."""
        one = self._open.pop(order.order_id, None)
        if one is not None:
            left = self._of[one.signer.address]
            del left[order.order_id]
            if not left:
                del self._of[one.signer.address]
            self.tell_changed()

    def standing(self, order: Order) -> ExecutionReport | None:
        """Return what the last look has shown, where nothing can have changed since; None where it has to be looked up."""
        one, now = self._open.get(order.order_id), trio.current_time()
        if one is None or one.report is None:
            return None
        self._ask(one, now)
        waits = one.settles or one.report.status is Status.RESTING
        told = self._told_since.get(one.signer.address, float("inf")) <= one.looked_at
        return one.report if waits and told and one.untold == _NEVER and now - one.looked_at < _GOOD_S else None

    def touch(self, order: Order) -> None:
        """Note that an order is being changed, by us: what the last look has shown counts no more."""
        one = self._open.get(order.order_id)
        if one is not None:
            one.heard_at = one.end_heard_at = trio.current_time()

    def hear(self, address: str, order_id: str, *, end: bool) -> bool:
        """Take what a signer's connection says of an order; returns whether it is one of his that are open.

        `end` says that one of its trades has come to its end.
        """
        one = self._of.get(address, {}).get(OrderId(order_id))
        if one is None:
            return False
        now = trio.current_time()
        self._told_since.setdefault(address, now)
        one.heard_at = now
        if end:
            one.end_heard_at = now
        if end or not one.settles:
            self.on_news(one.order.key)
        return True

    def hear_no_more(self, address: str) -> None:
        """Note that a signer's connection is lost."""
        self._told_since.pop(address, None)

    def signers(self) -> Sequence[VenueSigner]:
        """Return those of whom an order is open, who has waited longest first."""
        self._forget(trio.current_time())
        return [next(iter(orders.values())).signer for orders in self._of.values()]

    def has(self, address: str) -> bool:
        """Tell whether an order of a signer is open."""
        self._forget(trio.current_time())
        return address in self._of

    def has_at_rest(self, address: str) -> bool:
        """Tell whether an order of a signer is on the book, or may be."""
        self._forget(trio.current_time())
        return any(one.rests for one in self._of.get(address, {}).values())

    async def wait_changed(self) -> None:
        """Wait until there is an order more or less, or one that rests no more."""
        await self._changed.wait()

    def tell_changed(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = trio.Event()

    def _ask(self, one: _Open, now: float) -> None:
        one.asked_at = now
        self._open.move_to_end(one.order.order_id)

    def _forget(self, now: float) -> None:
        while self._open:
            oldest = next(iter(self._open.values()))
            if now - oldest.asked_at < _FORGOTTEN_S:
                return
            self.drop(oldest.order)
