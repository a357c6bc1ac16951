"""Turns outcomes that nobody could prove into outcomes that are proven, or hands them to a person. Step 9 of a trade.

What rests at a venue is asked about as well, at a calm pace, and called off where it shall rest no longer. An order of which
its executor has heard something is asked about at once; without such news all is found out by asking again and again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import trio
from attrs import define, field

from trio_copy.accounts import OpenOrder, OrderState
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.engine.sending.calling_off import RestingRules, is_latest
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.sending.news import News
from trio_copy.engine.shards.shard import Shard
from trio_copy.errors import ExecutorError, LeaseLost, ReportBroken, UnresolvedOrders
from trio_copy.model.control import Mode
from trio_copy.model.counts import counted
from trio_copy.model.decisions import Code, End, Outcome, Reason
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Settlement, Status
from trio_copy.model.units import NO_SHARES
from trio_copy.telemetry.observer import Observer

_STILL_OPEN = (OrderState.UNKNOWN, OrderState.RESTING)
_REST_LOOK_S = 5.0
"""How often the venue is asked about an order that rests, or is mined and not final: nothing waits for that, and there may be many."""
_NEWS_EVERY_S = 0.5
"""What comes within so long after news was followed is followed together: a channel that babbles causes few questions."""
_ASKED_AT_ONCE = 20
"""Orders that venues are asked about beside each other: one that does not answer holds up few others."""
_BREACHED = ", which has reported of it what cannot be, and is not asked again"


@define(eq=False, kw_only=True)
class Reconciler:
    shards: Mapping[int, Shard]
    executions: Mapping[str, Execution]
    settings: EngineSettings
    observer: Observer
    wall: WallClock
    rules: RestingRules
    news: News = field(factory=News)
    _one_at_a_time: trio.Lock = field(factory=trio.Lock)
    _told: set[IntentKey] = field(factory=set)
    """Orders of executors that do not run, of which a person was told."""
    _looked_at: dict[IntentKey, float] = field(factory=dict)
    """When the venue was asked last about each order that is not proven for good."""

    @property
    def unknown(self) -> int:
        """Orders whose outcome is not proven."""
        return len(self.left_open())

    @property
    def settling(self) -> int:
        """Orders that were matched and are not settled yet."""
        return sum(open_order.state is OrderState.MATCHED for _, open_order in self._open_orders())

    @property
    def resting(self) -> int:
        """Orders that are open at a venue, and known to be."""
        return sum(open_order.rests for _, open_order in self._open_orders())

    async def settle_earlier_run(self) -> int:
        """Prove the outcome of every order that an earlier run left open, before anything new is traded.

        What rested is asked for once: known as it is, it holds nothing up. Returns how many there were.

        Raises:
            UnresolvedOrders: some could not be proven in `engine.startup_reconcile_s`; nothing is armed.
        """
        found = len(self.left_open()) + self.resting
        if found:
            orders = counted(found, "order of an earlier run is", "orders of an earlier run are")
            self.observer.on_step("reconcile", f"{orders} open; asking the venue first")
        if self.resting:
            with trio.move_on_after(self.settings.startup_reconcile_s):
                await self.look(sends_again=False)
        until = trio.current_time() + self.settings.startup_reconcile_s
        while self.unknown:
            await self.look(sends_again=False)
            left = self.left_open()
            hopeless = all(open_order.breached for open_order in left)
            if left and (hopeless or trio.current_time() >= until):
                raise UnresolvedOrders(told_open(f"not armed: {counted(len(left), 'order')} of an earlier run", left))
            if left:
                await trio.sleep(min(self.settings.reconcile_every_s, max(0.0, until - trio.current_time())))
        return found

    async def follow_news(self) -> NoReturn:
        """Look orders up as soon as there is news of them, until cancelled."""
        while True:
            await self.look(only=await self.news.wait())
            await trio.sleep(_NEWS_EVERY_S)

    async def look(self, *, sends_again: bool = True, only: Collection[IntentKey] | None = None) -> None:
        """Look every order up once that is not proven for good, or some. What is being sent right now is left alone.

        Some at a time, what is in doubt first: exits wait behind it. What rests is asked about now and then, and called off
        where it shall rest no longer; all of that is decided before anybody is asked.
        """
        async with self._one_at_a_time:
            self.rules.look()
            due = list(self._due(only))
            turns = trio.Semaphore(_ASKED_AT_ONCE)

            async def prove(shard: Shard, open_order: OpenOrder, execution: Execution) -> None:
                try:
                    with suppress(LeaseLost):  # whoever has it now asks
                        await self._prove(shard, open_order, execution, sends_again=sends_again)
                finally:
                    turns.release()

            async with trio.open_nursery() as nursery:
                for shard, open_order, execution in due:
                    await turns.acquire()  # here, and not in the task: in turn
                    nursery.start_soon(prove, shard, open_order, execution)
            if only is None:
                open_keys = [one.unproven.keys() for one in self.shards.values()]
                for key in [key for key in self._looked_at if not any(key in keys for keys in open_keys)]:
                    del self._looked_at[key]

    def _due(self, only: Collection[IntentKey] | None) -> Iterator[tuple[Shard, OpenOrder, Execution]]:
        # Those of one follower together: a venue that is asked about several of a signer's orders at a time reads them in one.
        found = sorted(self._open_orders(only), key=lambda one: (not one[1].unproven, one[1].task.follower))
        for shard, open_order in found:
            execution = self.executions.get(open_order.order.executor)
            if execution is None:
                self._tell_no_executor(open_order)
            elif self._is_due(shard, open_order, execution, news=only is not None):
                yield shard, open_order, execution

    def _is_due(self, shard: Shard, open_order: OpenOrder, execution: Execution, *, news: bool) -> bool:
        """Tell whether to ask the venue about an order now; one that rests is called off first, if there is a reason."""
        key, now = open_order.order.key, self.wall()
        if not open_order.rests:
            if not news and _is_mined(open_order) and now - self._looked_at.get(key, 0.0) < _REST_LOOK_S:
                return False
            self._looked_at[key] = now  # it may turn out to rest, or to be mined
            return execution.mode.engine.mode is not Mode.HALT_ALL
        on_book = open_order.called_off is None and not open_order.off_book
        if on_book and (why := self.rules.why(shard, open_order)) is not None:
            with suppress(LeaseLost):
                shard.act(open_order.task.follower, c.CallOff(key=key, why=why, at=now))
                return True
        calm = (open_order.called_off is None or open_order.off_book) and not news
        if calm and now - self._looked_at.get(key, 0.0) < _REST_LOOK_S:
            return False
        self._looked_at[key] = now
        return True

    def left_open(self) -> list[OpenOrder]:
        """Return the orders that may have been filled, as far as anybody has proven."""
        return [one for _, one in self._open_orders() if one.unproven]

    def _open_orders(self, only: Collection[IntentKey] | None = None) -> Iterator[tuple[Shard, OpenOrder]]:
        for shard in self.shards.values():
            for key in shard.unproven if only is None else only:
                before = shard.unproven.get(key)
                open_order = None if before is None else shard.accounts[before.task.follower].orders.get(key)
                if open_order is not None:
                    yield shard, open_order

    async def _prove(self, shard: Shard, before: OpenOrder, execution: Execution, *, sends_again: bool) -> None:
        follower, key = before.task.follower, before.order.key
        before = shard.accounts[follower].orders.get(key, before)
        report: ExecutionReport | None = None
        # What its executor says of an order that it has lied about is no proof: a person decides.
        breached = before.breached
        try:
            if before.called_off is not None and not before.off_book:
                await self._cancel(before, execution)
            report = None if breached else await self._find(before, execution)
            open_order = shard.accounts[follower].orders.get(key)
            if open_order is None:
                return  # a person has settled it meanwhile
            if before.rests and not is_latest(shard, before):
                return  # an exit has called it off meanwhile, and knows more
            if (
                report is not None
                and report.status is Status.ABSENT
                and sends_again
                and not open_order.rests
                and open_order.held
                and self.rules.why_not_again(shard, open_order) is None
            ):
                report = await execution.submitting.send_again(shard, open_order) or report
        except ReportBroken:
            shard.act(follower, c.Doubt(key=key, at=self.wall(), breached=True))
            report = None
        open_order = shard.accounts[follower].orders.get(key)
        if open_order is None:
            return
        events: Sequence[e.Event] = ()
        execution.at("prove: answered")
        if report is not None:
            events = shard.act(follower, c.Answer(key=key, report=report, at=self.wall()))
        self._tell_ghosts(open_order, events)
        self._tell_late_fill(open_order, events)
        if any(isinstance(event, e.Learned) and event.state not in _STILL_OPEN for event in events):
            if open_order.ended:
                proof = f"order {open_order.order.order_id} of {follower}: {report and report.status.value}"
                self.observer.on_alert("outcome-proven-late", proof)
            return
        if any(isinstance(event, e.Reversed) for event in events):
            return
        # As it stands now: what was not proven for long may have turned out to rest.
        now = shard.accounts[follower].orders.get(key)
        if now is not None and (now.unproven or now.off_book) and not now.handed_over:
            self._escalate(shard, now)

    def _tell_ghosts(self, open_order: OpenOrder, events: Sequence[e.Event]) -> None:
        """Tell a person of what was matched and never settled: a whole fill, or a part of one."""
        of = f"order {open_order.order.order_id} of {open_order.task.follower}"
        for event in events:
            if isinstance(event, e.Reversed):
                self.observer.on_alert("settlement-failed", f"{of}: matched, never settled; taken back")
            elif isinstance(event, e.Corrected) and any(entry.is_ghost for entry in event.entries):
                booked = NO_SHARES if open_order.report is None else open_order.report.shares
                lost = f"{booked - event.report.shares} of {booked} shares matched, never settled; taken back"
                self.observer.on_alert("settlement-failed", f"{of}: {lost}")

    def _tell_late_fill(self, open_order: OpenOrder, events: Sequence[e.Event]) -> None:
        """Tell a person of what an order had filled before it was off the book: an exit that did not wait has not sold it."""
        for event in events:
            if open_order.off_book and isinstance(event, e.Learned) and event.entry is not None:
                of = f"order {open_order.order.order_id} of {open_order.task.follower}"
                self.observer.on_alert(
                    "outcome-proven-late", f"{of}: {event.entry.shares} shares more, filled before it ended"
                )

    async def _cancel(self, open_order: OpenOrder, execution: Execution) -> None:
        try:
            await execution.executor.cancel(open_order.order)
        except ExecutorError as error:
            self.observer.on_alert("reconcile-failed", str(error))

    async def _find(self, open_order: OpenOrder, execution: Execution) -> ExecutionReport | None:
        try:
            with trio.move_on_after(self.settings.send_timeout_s):
                return await execution.executor.find(open_order.order)
        except ReportBroken:
            raise
        except ExecutorError as error:
            self.observer.on_alert("reconcile-failed", str(error))
        return None

    def _escalate(self, shard: Shard, open_order: OpenOrder) -> None:
        """End the task for a person to look at, once nobody could prove it for long. What it holds stays held.

        One that turned out to rest after that, and was then called off in vain, is handed over once more.
        """
        waited = self.wall() - open_order.at
        if waited <= self.settings.escalate_after_s:
            return
        reason = Reason(
            code=Code.OUTCOME_UNPROVEN,
            control="engine.escalate_after_s",
            value=f"{waited:.0f}",
            limit=f"{self.settings.escalate_after_s:g}",
        )
        outcome = Outcome(end=End.ESCALATED, reason=reason)
        follower, order = open_order.task.follower, open_order.order
        shard.act(follower, c.Escalate(key=order.key, outcome=outcome, at=self.wall()))
        self.observer.on_alert("outcome-unproven", f"order {order.order_id} of {follower}")

    def _tell_no_executor(self, open_order: OpenOrder) -> None:
        order = open_order.order
        if order.key not in self._told:
            self._told.add(order.key)
            detail = (
                f"order {order.order_id} of {open_order.task.follower}: no executor named {order.executor} is running"
            )
            self.observer.on_alert("reconcile-failed", detail)


def _is_mined(open_order: OpenOrder) -> bool:
    """Tell whether what was matched is on the chain, so that its shares can be sold, and only its finality is missing."""
    report = open_order.report
    return open_order.state is OrderState.MATCHED and report is not None and report.settlement is Settlement.MINED


def told_open(which: str, left: Sequence[OpenOrder]) -> str:
    """Tell a person of orders that are left open, and what he can do."""
    lines = [f"{which} may have been filled, and nobody can prove it:"]
    lines += [
        f"  {record.order.order_id}  {record.task.follower}  {record.order.side.value} {record.order.shares}"
        f" of token {record.order.token_id} on {record.order.executor}{_BREACHED if record.breached else ''}"
        for record in left[:20]
    ]
    lines.append("start again when the venue answers, or look there yourself and settle them by hand")
    return "\n".join(lines)
