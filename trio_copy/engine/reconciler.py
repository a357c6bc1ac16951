"""Turns outcomes that nobody could prove into outcomes that are proven, or hands them to a person."""

from collections.abc import Mapping

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.engine.workers import WorkerGroup
from trio_copy.errors import ExecutorError
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, End, Outcome, Reason
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, JournalState
from trio_copy.ports import JournalEntry, Store
from trio_copy.telemetry.observer import Finished, Observer


@define(eq=False, kw_only=True)
class Reconciler:
    store: Store
    groups: Mapping[str, WorkerGroup]
    settings: EngineSettings
    observer: Observer
    wall: WallClock
    unknown: int = 0
    """Orders whose outcome is not proven, as of the last look."""
    _escalated: set[IntentKey] = field(factory=set)

    async def look(self) -> None:
        """Look every unproven order up once. Orders that are being sent right now are left alone."""
        open_orders = [entry for entry in await self.store.journal.unresolved() if entry.state is JournalState.UNKNOWN]
        self.unknown = len(open_orders)
        for entry in open_orders:
            group = self.groups.get(entry.order.executor)
            if group is not None and group.execution.mode.change.mode is not Mode.HALT_ALL:
                await self._resolve(entry, group)

    async def expire(self) -> None:
        """End tasks of retracted fills that were not mined again in time, and requeue leases that ran out."""
        now = self.wall()
        for ended in await self.store.inbox.expire(now):
            self.observer.on_finished(
                Finished(task=ended.task, outcome=ended.outcome, report=None, started_at=0.0, ended_at=now)
            )

    async def _resolve(self, entry: JournalEntry, group: WorkerGroup) -> None:
        key = entry.order.key
        report = await self._find(entry, group)
        if report is not None and report.proven:
            with trio.CancelScope(shield=True):
                outcome = await group.execution.settle(entry.task, entry.order, report)
            self.unknown -= 1
            if key in self._escalated:
                # Its task has ended already, for a person to look at; now the books are right as well.
                self._escalated.discard(key)
                proof = f"order {entry.order.order_id} of {entry.task.follower}: {outcome.end.value}"
                self.observer.on_alert("outcome-proven-late", proof)
            else:
                await group.finish(entry.task, outcome, report, entry.at)
        elif self.wall() - entry.at > self.settings.escalate_after_s and key not in self._escalated:
            self._escalated.add(key)
            await self._escalate(entry, group)

    async def _find(self, entry: JournalEntry, group: WorkerGroup) -> ExecutionReport | None:
        try:
            with trio.move_on_after(self.settings.send_timeout_s):
                return await group.execution.executor.find(entry.order)
        except ExecutorError as error:
            self.observer.on_alert("reconcile-failed", str(error))
        return None

    async def _escalate(self, entry: JournalEntry, group: WorkerGroup) -> None:
        """End the task for a person to look at. The reservation and the journal entry stay as they are."""
        reason = Reason(
            code=Code.OUTCOME_UNPROVEN,
            control="engine.escalate_after_s",
            value=f"{self.wall() - entry.at:.0f}",
            limit=f"{self.settings.escalate_after_s:g}",
        )
        self.observer.on_alert("outcome-unproven", f"order {entry.order.order_id} of {entry.task.follower}")
        await group.finish(entry.task, Outcome(end=End.ESCALATED, reason=reason), None, entry.at)
