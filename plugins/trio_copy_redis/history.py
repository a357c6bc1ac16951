"""What happened, for people who ask. Read in pages, newest first, until there is enough."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define

from trio_copy.model.decisions import Outcome
from trio_copy.model.ids import Address, FollowerId, TaskId, TokenId
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.records import Query, SkipRecord, Story, TaskRecord, skip_of
from trio_copy.records import decode
from trio_copy_redis.client import load_script
from trio_copy_redis.desk import Desk
from trio_copy_redis.inbox import read_tasks
from trio_copy_redis.journal import orders_of

_READ_TASKS, _READ_ENTRIES = load_script("shard", "read_tasks"), load_script("account", "read_entries")
_PAGE = 200
_STORIES = 10
_FILLED = ("filled", "partial", "gathered")


@define(eq=False)
class RedisHistory:
    desk: Desk

    async def tasks(self, query: Query) -> tuple[TaskRecord, ...]:
        def wanted(record: TaskRecord) -> bool:
            task = record.task
            return _fits(query, record.admitted_at, task.follower, task.signal.leader, task.intent.token_id)

        return await self._newest(query, wanted, lambda record: record.admitted_at)

    async def skips(self, query: Query) -> tuple[SkipRecord, ...]:
        def wanted(record: TaskRecord) -> bool:
            if record.outcome is None or record.outcome.end.value in _FILLED:
                return False
            skip = skip_of(record)
            return _fits(query, skip.at, skip.follower, skip.leader, skip.token_id)

        ended = await self._newest(query, wanted, lambda record: skip_of(record).at)
        found = list(map(skip_of, ended))
        for shard in range(self.desk.shards):
            entries = await self.desk.ask(self.desk.tag(shard), "XREVRANGE", "skips", "+", "-")
            records = (decode(fields[1], SkipRecord) for _, fields in entries)
            found += [one for one in records if _fits(query, one.at, one.follower, one.leader, one.token_id)]
        return tuple(sorted(found, key=lambda skip: skip.at, reverse=True)[: query.limit])

    async def entries(self, query: Query) -> tuple[LedgerEntry, ...]:
        followers = await self.desk.followers() if query.follower is None else [query.follower]
        found: list[LedgerEntry] = []
        for follower in followers:
            below, mine = "+", 0
            while below and mine < query.limit:
                page, below = await self._page_of_entries(follower, below)
                wanted = [
                    entry
                    for entry in page
                    if _fits(query, entry.booked_at, entry.follower, entry.leader, entry.token_id)
                ]
                mine += len(wanted)
                found += wanted
        return tuple(sorted(found, key=lambda entry: entry.booked_at, reverse=True)[: query.limit])

    async def story(self, prefix: str) -> tuple[Story, ...]:
        found = await self._by_order(prefix)

        def wanted(record: TaskRecord) -> bool:
            task = record.task
            return task.task_id in found or task.task_id.startswith(prefix) or task.signal.signal_id.startswith(prefix)

        records = await self._newest(Query(limit=_STORIES), wanted, lambda record: record.admitted_at)
        return tuple([await self._story(record) for record in reversed(records)])

    async def _story(self, record: TaskRecord) -> Story:
        task = record.task
        orders = await orders_of(self.desk, task.follower, task.task_id)
        below, entries = "+", list[LedgerEntry]()
        # Nothing was booked for it before it was decided.
        while below:
            page, below = await self._page_of_entries(task.follower, below)
            entries += [entry for entry in page if entry.task_id == task.task_id]
            if page and page[-1].booked_at < task.decided_at:
                break
        return Story(record=record, orders=orders, entries=tuple(reversed(entries)))

    async def _by_order(self, prefix: str) -> set[TaskId]:
        """Return the tasks of recent orders whose id starts with a text."""
        if not prefix.startswith("0x"):
            return set()
        logs = await self.desk.client.all(
            [
                partial(self.desk.ask, self.desk.account(follower), "XREVRANGE", "log", "+", "-")
                for follower in await self.desk.followers()
            ]
        )
        return {TaskId(fields[5]) for log in logs for _, fields in log if fields[1].startswith(prefix)}

    async def _newest(
        self, query: Query, wanted: Callable[[TaskRecord], bool], when: Callable[[TaskRecord], float]
    ) -> tuple[TaskRecord, ...]:
        found: list[TaskRecord] = []
        for shard in range(self.desk.shards):
            below, mine = "+", 0
            while below and mine < query.limit:
                rows, below = await self.desk.look_at(self.desk.tag(shard), _READ_TASKS, below, _PAGE)
                good = [record for record in _records(rows) if wanted(record)]
                mine += len(good)
                found += good
        return tuple(sorted(found, key=when, reverse=True)[: query.limit])

    async def _page_of_entries(self, follower: FollowerId, below: str) -> tuple[list[LedgerEntry], str]:
        """Return some bookings, newest first, and where the next page begins; nothing after the last one."""
        texts, last = await self.desk.look_at(self.desk.account(follower), _READ_ENTRIES, below, _PAGE)
        return [decode(text, LedgerEntry) for text in texts if text], last


def _records(rows: Any) -> Sequence[TaskRecord]:  # noqa: ANN401  as a script returned them
    state = {row[0]: row[10:] for row in rows[0]}
    records = []
    for task in read_tasks(rows):
        name, leased, ended, outcome, _ = state[task.task_id]
        records.append(
            TaskRecord(
                task=task,
                state=name,
                outcome=decode(outcome, Outcome) if outcome else None,
                admitted_at=task.decided_at,
                leased_at=float(leased) if leased else None,
                ended_at=float(ended) if ended else None,
            )
        )
    return records


def _fits(query: Query, at: float, follower: FollowerId, leader: Address, token_id: TokenId) -> bool:
    return (
        query.follower in (None, follower)
        and query.leader in (None, leader)
        and query.token_id in (None, token_id)
        and (query.since is None or at >= query.since)
        and (query.until is None or at < query.until)
    )
