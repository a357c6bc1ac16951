"""What may have been sent."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import StoreError
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import FollowKey, IntentKey, TaskId
from trio_copy.model.orders import ExecutionReport, JournalState, Order
from trio_copy.model.records import OrderRecord


@define(eq=False, kw_only=True)
class MemoryJournal:
    wall: WallClock
    ended_max: int
    _open: dict[IntentKey, OrderRecord] = field(factory=dict)
    _ended: OrderedDict[IntentKey, OrderRecord] = field(factory=OrderedDict)
    _by_task: dict[TaskId, list[IntentKey]] = field(factory=dict)

    async def freeze(self, order: Order, task: CopyTask, members: Sequence[TaskId] = ()) -> OrderRecord:
        record = self._ended.get(order.key) or self._open.get(order.key)
        if record is None:
            now = self.wall()
            record = self._open[order.key] = OrderRecord(
                order=order, task=task, members=tuple(members), state=JournalState.INTENT, at=now, frozen_at=now
            )
            for member in (task.task_id, *members):
                self._by_task.setdefault(member, []).append(order.key)
        return record

    async def mark(
        self, follow: FollowKey, key: IntentKey, state: JournalState, report: ExecutionReport | None = None
    ) -> None:
        self.note(key, state, report)

    def note(self, key: IntentKey, state: JournalState, report: ExecutionReport | None) -> None:
        """Record how far an order got, without giving way to another task."""
        if key in self._ended:
            return
        record = self._open.get(key)
        if record is None:
            raise StoreError(f"the journal knows no intent {key}")
        now = self.wall()
        sent_at = now if state is JournalState.SENDING and record.sent_at is None else record.sent_at
        ended = state is JournalState.ENDED
        record = OrderRecord(
            order=record.order,
            task=record.task,
            members=record.members,
            state=state,
            report=report or record.report,
            at=now,
            frozen_at=record.frozen_at,
            sent_at=sent_at,
            ended_at=now if ended else None,
        )
        if ended:
            del self._open[key]
            self._ended[key] = record
            if len(self._ended) > self.ended_max:
                _, oldest = self._ended.popitem(last=False)
                for member in (oldest.task.task_id, *oldest.members):
                    self._forget(member, oldest.order.key)
        else:
            self._open[key] = record

    async def of_task(self, follow: FollowKey, task: TaskId) -> tuple[OrderRecord, ...]:
        records = (self._ended.get(key) or self._open[key] for key in self._by_task.get(task, ()))
        return tuple(sorted(records, key=lambda record: record.frozen_at))

    async def unresolved(self) -> tuple[OrderRecord, ...]:
        return tuple(self._open.values())

    def _forget(self, task: TaskId, key: IntentKey) -> None:
        keys = self._by_task[task]
        keys.remove(key)
        if not keys:
            del self._by_task[task]

    def records(self) -> Iterator[OrderRecord]:
        """Yield all that is remembered, oldest first."""
        yield from self._ended.values()
        yield from self._open.values()
