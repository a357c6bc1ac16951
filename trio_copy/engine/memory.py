"""What this process sent lately: a store that was restored, emptied or failed over may have forgotten it."""

from collections import OrderedDict

from attrs import define, evolve, field

from trio_copy.model.ids import IntentKey, TaskId
from trio_copy.model.orders import ExecutionReport
from trio_copy.model.records import OrderRecord

_KEPT = 10_000
_KEPT_S = 900.0
"""Longer than a signal of ours may be found again after the store has forgotten it."""


@define(eq=False)
class Memory:
    """Orders by their keys, oldest first; bounded by number and age."""

    _orders: OrderedDict[IntentKey, tuple[OrderRecord, float]] = field(factory=OrderedDict)
    _of_task: dict[TaskId, IntentKey] = field(factory=dict)

    def note(self, record: OrderRecord, now: float) -> None:
        """Remember an order right before its first byte leaves."""
        self._orders[record.order.key] = (record, now)
        for task in (record.task.task_id, *record.members):
            self._of_task[task] = record.order.key
        while len(self._orders) > _KEPT:
            self.forget(next(iter(self._orders.values()))[0])

    def learn(self, record: OrderRecord, report: ExecutionReport | None) -> None:
        """Remember what came of it."""
        held = self._orders.get(record.order.key)
        if held is not None:
            self._orders[record.order.key] = (evolve(held[0], report=report), held[1])

    def forget(self, record: OrderRecord) -> None:
        """Forget an order that was certainly not sent, or is long over."""
        self._orders.pop(record.order.key, None)
        for task in (record.task.task_id, *record.members):
            if self._of_task.get(task) == record.order.key:
                del self._of_task[task]

    def sent(self, record: OrderRecord) -> bool:
        """Tell whether an order may have been sent by this process."""
        return record.order.key in self._orders

    def recent(self, now: float) -> tuple[OrderRecord, ...]:
        """Return what was sent lately; what is older is forgotten."""
        for record, at in tuple(self._orders.values()):
            if now - at > _KEPT_S:
                self.forget(record)
        return tuple(record for record, _ in self._orders.values())

    def __contains__(self, task: TaskId) -> bool:
        return task in self._of_task
