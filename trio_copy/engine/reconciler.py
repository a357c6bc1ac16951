"""Turns outcomes that nobody could prove into outcomes that are proven, or hands them to a person."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import trio
from attrs import define, evolve, field

from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.engine.execution import Done
from trio_copy.engine.settlement import Settlements, outcome_of
from trio_copy.engine.workers import WorkerGroup
from trio_copy.errors import ExecutorError, LeaseLost, OrderUncertain, UnresolvedOrders
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import ExecutionReport, JournalState, Settlement, Status
from trio_copy.model.records import OrderRecord
from trio_copy.ports import Store
from trio_copy.telemetry.observer import Finished, Observer

_SENDER_PATIENCE = 6
"""Whoever sends an order writes its end down within this many times `engine.send_timeout_s`, or has died."""
_OPEN = (JournalState.SENDING, JournalState.UNKNOWN)


@define(eq=False, kw_only=True)
class Reconciler:
    store: Store
    groups: Mapping[str, WorkerGroup]
    settlements: Settlements
    settings: EngineSettings
    observer: Observer
    wall: WallClock
    shard_of: Callable[[Address], int] = lambda leader: 0
    unknown: int = 0
    """Orders whose outcome is not proven, as of the last look."""
    settling: int = 0
    """Orders that were matched and are not settled yet, as of the last look."""
    _escalated: set[IntentKey] = field(factory=set)
    _one_at_a_time: trio.Lock = field(factory=trio.Lock)

    async def settle_earlier_run(self) -> int:
        """Prove the outcome of every order that an earlier run left open, before anything new is traded.

        Returns how many there were. Their tasks are still queued and end by what is written down here.

        Raises:
            UnresolvedOrders: some could not be proven in `engine.startup_reconcile_s`; nothing is armed.
        """
        left = await self.left_open()
        found = len(left)
        if found:
            self.observer.on_step("reconcile", f"{found} orders of an earlier run are open; asking the venue first")
        until = trio.current_time() + self.settings.startup_reconcile_s
        while left:
            for record in left:
                await self._prove_earlier(record)
            left = await self.left_open()
            if left and trio.current_time() >= until:
                raise UnresolvedOrders(told_open(f"not armed: {len(left)} orders of an earlier run", left))
            if left:
                await trio.sleep(min(self.settings.reconcile_every_s, max(0.0, until - trio.current_time())))
        return found

    async def doubt(self, shards: Collection[int]) -> None:
        """Doubt what earlier owners of some shards were sending: they have lost the right to write down its end."""
        for record in await self.store.journal.unresolved():
            ours = any(group.works_on(record.task.task_id) for group in self.groups.values())
            if record.state is JournalState.SENDING and self.shard_of(record.task.signal.leader) in shards and not ours:
                await self.store.journal.mark(record.task.follow, record.order.key, JournalState.UNKNOWN)

    async def look(self) -> None:
        """Look every unproven order up once. Orders that are being sent right now are left alone."""
        async with self._one_at_a_time:
            await self._look()

    async def _look(self) -> None:
        unresolved = await self.store.journal.unresolved()
        records = []
        for each in unresolved:
            with suppress(LeaseLost):  # its shard has another owner by now, who looks after it
                records.append(await self._given_up(each))
        open_orders = [record for record in records if record.state is JournalState.UNKNOWN]
        matched = [record for record in records if record.state is JournalState.SETTLING]
        self.unknown, self.settling = len(open_orders), len(matched)
        for record in open_orders:
            group = self._group_of(record)
            if group is not None:
                with suppress(LeaseLost):
                    await self._resolve(record, group)
        for record in matched:
            group = self._group_of(record)
            if group is not None:
                with suppress(LeaseLost):
                    await self._follow_settlement(record, group)
        for group in self.groups.values():
            for task in group.unproven:
                with suppress(LeaseLost):
                    await self._hear_of_others(task, group)

    async def expire(self) -> None:
        """End tasks that wait in vain, and requeue leases that ran out."""
        now = self.wall()
        for ended in await self.store.inbox.expire(now):
            with suppress(LeaseLost):
                await self.settlements.miss(ended.task)
            self.observer.on_finished(
                Finished(task=ended.task, outcome=ended.outcome, report=None, started_at=0.0, ended_at=now)
            )

    def _group_of(self, record: OrderRecord) -> WorkerGroup | None:
        group = self.groups.get(record.order.executor)
        return None if group is None or group.execution.mode.engine.mode is Mode.HALT_ALL else group

    async def _given_up(self, record: OrderRecord) -> OrderRecord:
        """Doubt an order whose sender should have written down its end long ago: it has died, or lost its way."""
        patience_s = _SENDER_PATIENCE * self.settings.send_timeout_s
        ours = any(group.works_on(record.task.task_id) for group in self.groups.values())
        if ours or self.wall() - record.at < patience_s:
            return record
        if record.state is JournalState.INTENT:
            # Its task has ended without it: it was never sent, and nobody will send it any more.
            group = self._group_of(record)
            if group is not None and not await self._is_open(record):
                await group.execution.settlements.forget(record)
            return record
        if record.state is not JournalState.SENDING:
            return record
        await self.store.journal.mark(record.task.follow, record.order.key, JournalState.UNKNOWN)
        return evolve(record, state=JournalState.UNKNOWN, at=self.wall())

    async def _is_open(self, record: OrderRecord) -> bool:
        stories = await self.store.history.story(record.task.task_id)
        return any(story.record.outcome is None for story in stories)

    async def _hear_of_others(self, task: CopyTask, group: WorkerGroup) -> None:
        """End a task whose order somebody else was sending when we came, once that has ended."""
        records = await self.store.journal.of_task(task.follow, task.task_id)
        if records and records[-1].state in (JournalState.ENDED, JournalState.SETTLING):
            last = records[-1]
            await group.finish(task, Done(outcome_of(last.order, last.report), last.report, last.members), last.at)

    async def left_open(self) -> list[OrderRecord]:
        """Return the orders that may have been filled, as far as anybody has proven."""
        return [record for record in await self.store.journal.unresolved() if record.state in _OPEN]

    async def _prove_earlier(self, record: OrderRecord) -> None:
        group = self.groups.get(record.order.executor)
        if group is None:
            return
        if record.state is JournalState.SENDING:
            await self.store.journal.mark(record.task.follow, record.order.key, JournalState.UNKNOWN)
        report = await self._find(record, group)
        if report is not None and report.proven:
            with trio.CancelScope(shield=True):
                await group.execution.settle(record, report)

    async def _resolve(self, record: OrderRecord, group: WorkerGroup) -> None:
        key = record.order.key
        report = await self._find(record, group)
        if report is not None and report.status is Status.ABSENT:
            try:
                report = await group.execution.send_again(record) or report
            except OrderUncertain:
                return
        if report is not None and report.proven:
            with trio.CancelScope(shield=True):
                outcome = await group.execution.settle(record, report)
                if not report.shares:
                    await group.execution.settlements.miss(record.task)
            self.unknown -= 1
            if key in self._escalated:
                # Its task has ended already, for a person to look at; now the books are right as well.
                self._escalated.discard(key)
                proof = f"order {record.order.order_id} of {record.task.follower}: {outcome.end.value}"
                self.observer.on_alert("outcome-proven-late", proof)
            else:
                await group.finish(record.task, Done(outcome, report, record.members), record.at)
        elif self.wall() - record.at > self.settings.escalate_after_s and key not in self._escalated:
            self._escalated.add(key)
            await self._escalate(record, group)

    async def _follow_settlement(self, record: OrderRecord, group: WorkerGroup) -> None:
        report = await self._find(record, group)
        if report is None or not report.proven or not report.shares or report.settlement is Settlement.PENDING:
            return
        with trio.CancelScope(shield=True):
            if report.settlement is Settlement.FIRM:
                await group.execution.settlements.confirm(record, report)
            else:
                await group.execution.settlements.reverse(record, report)
                lost = f"order {record.order.order_id} of {record.task.follower}: matched, never settled; taken back"
                self.observer.on_alert("settlement-failed", lost)
        self.settling -= 1

    async def _find(self, record: OrderRecord, group: WorkerGroup) -> ExecutionReport | None:
        try:
            with trio.move_on_after(self.settings.send_timeout_s):
                return await group.execution.executor.find(record.order)
        except ExecutorError as error:
            self.observer.on_alert("reconcile-failed", str(error))
        return None

    async def _escalate(self, record: OrderRecord, group: WorkerGroup) -> None:
        """End the task for a person to look at. The reservation and the journal entry stay as they are."""
        reason = Reason(
            code=Code.OUTCOME_UNPROVEN,
            control="engine.escalate_after_s",
            value=f"{self.wall() - record.at:.0f}",
            limit=f"{self.settings.escalate_after_s:g}",
        )
        self.observer.on_alert("outcome-unproven", f"order {record.order.order_id} of {record.task.follower}")
        outcome = Outcome(end=End.ESCALATED, reason=reason)
        await group.finish(record.task, Done(outcome, None, record.members), record.at)


def told_open(which: str, left: Sequence[OrderRecord]) -> str:
    """Tell a person of orders that are left open, and what he can do."""
    lines = [f"{which} may have been filled, and nobody can prove it:"]
    lines += [
        f"  {record.order.order_id}  {record.task.follower}  {record.order.side.value} {record.order.shares}"
        f" of token {record.order.token_id} on {record.order.executor}"
        for record in left[:20]
    ]
    lines.append("start again when the venue answers, or look there yourself and settle them by hand")
    return "\n".join(lines)
