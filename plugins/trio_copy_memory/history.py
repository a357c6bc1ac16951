"""What this process remembers of what happened."""

from collections import deque
from collections.abc import Iterable
from typing import TypeVar

from attrs import define

from trio_copy.model.decisions import End
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.records import Query, SkipRecord, Story, TaskRecord, skip_of
from trio_copy_memory.inbox import MemoryInbox
from trio_copy_memory.journal import MemoryJournal
from trio_copy_memory.ledger import MemoryLedger

_T = TypeVar("_T")
_STORIES = 10
_FILLED = (End.FILLED, End.PARTIAL, End.GATHERED)


@define(eq=False)
class MemoryHistory:
    inbox: MemoryInbox
    journal: MemoryJournal
    ledger: MemoryLedger

    async def tasks(self, query: Query) -> tuple[TaskRecord, ...]:
        return _newest(
            query,
            (
                (
                    record.admitted_at,
                    record.task.follower,
                    record.task.signal.leader,
                    record.task.intent.token_id,
                    record,
                )
                for record in (*self.inbox.history, *self.inbox.open_tasks())
            ),
        )

    async def skips(self, query: Query) -> tuple[SkipRecord, ...]:
        ended = [
            skip_of(record)
            for record in self.inbox.history
            if record.outcome is not None and record.outcome.end not in _FILLED
        ]
        return _newest(
            query, ((skip.at, skip.follower, skip.leader, skip.token_id, skip) for skip in (*self.inbox.skips, *ended))
        )

    async def entries(self, query: Query) -> tuple[LedgerEntry, ...]:
        return _newest(
            query,
            ((entry.booked_at, entry.follower, entry.leader, entry.token_id, entry) for entry in self.ledger.entries()),
        )

    async def story(self, prefix: str) -> tuple[Story, ...]:
        found = []
        orders = list(self.journal.records())
        for record in (*self.inbox.history, *self.inbox.open_tasks()):
            task = record.task
            mine = tuple(order for order in orders if task.task_id in (order.task.task_id, *order.members))
            names = (task.task_id, task.signal.signal_id, *(order.order.order_id for order in mine))
            if any(name.startswith(prefix) for name in names):
                entries = tuple(entry for entry in self.ledger.entries() if entry.task_id == task.task_id)
                found.append(Story(record=record, orders=mine, entries=entries))
        return tuple(found[:_STORIES])


def _newest(query: Query, rows: Iterable[tuple[float, FollowerId, Address, TokenId, _T]]) -> tuple[_T, ...]:
    kept: deque[tuple[float, int, _T]] = deque()
    for number, (at, follower, leader, token_id, row) in enumerate(rows):
        if (
            query.follower in (None, follower)
            and query.leader in (None, leader)
            and query.token_id in (None, token_id)
            and (query.since is None or at >= query.since)
            and (query.until is None or at < query.until)
        ):
            kept.append((at, number, row))
    return tuple(row for _, _, row in sorted(kept, key=lambda row: row[:2], reverse=True)[: query.limit])
