"""What may have been sent."""

from collections import OrderedDict

from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import StoreError
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, JournalState, Order
from trio_copy.ports import JournalEntry


@define(eq=False)
class _Record:
    order: Order
    task: CopyTask
    state: JournalState
    at: float


@define(eq=False, kw_only=True)
class MemoryJournal:
    wall: WallClock
    ended_max: int
    _open: dict[IntentKey, _Record] = field(factory=dict)
    _ended: OrderedDict[IntentKey, Order] = field(factory=OrderedDict)

    async def freeze(self, order: Order, task: CopyTask) -> Order:
        if order.key in self._ended:
            return self._ended[order.key]
        record = self._open.get(order.key)
        if record is None:
            self._open[order.key] = _Record(order, task, JournalState.INTENT, self.wall())
            return order
        return record.order

    async def mark(self, key: IntentKey, state: JournalState, report: ExecutionReport | None = None) -> None:
        if key in self._ended:
            return
        record = self._open.get(key)
        if record is None:
            raise StoreError(f"the journal knows no intent {key}")
        if state is JournalState.ENDED:
            del self._open[key]
            self._ended[key] = record.order
            if len(self._ended) > self.ended_max:
                self._ended.popitem(last=False)
        else:
            record.state, record.at = state, self.wall()

    async def unresolved(self) -> tuple[JournalEntry, ...]:
        return tuple(
            JournalEntry(order=record.order, task=record.task, state=record.state, at=record.at)
            for record in self._open.values()
        )
