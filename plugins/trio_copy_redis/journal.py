"""What may have been sent: on the account of the follower, and found by the shard of the leader."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from attrs import define

from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import FollowerId, FollowKey, IntentKey, TaskId
from trio_copy.model.orders import ExecutionReport, JournalState, Order
from trio_copy.model.records import OrderRecord
from trio_copy.records import decode, encode
from trio_copy_redis.client import load_script
from trio_copy_redis.desk import Desk

_FREEZE, _MARK, _READ = (load_script("account", name) for name in ("freeze", "mark", "read_orders"))
_STALE_S = 600.0
"""An entry of the index without an order is dropped after this long: its order was never frozen, or is long ended."""


@define(eq=False)
class RedisJournal:
    desk: Desk

    async def freeze(self, order: Order, task: CopyTask, members: Sequence[TaskId] = ()) -> OrderRecord:
        # The index first: an entry without an order does no harm, an order that nobody finds would.
        shard = self.desk.shard_of(task.signal.leader)
        entry = f"{task.follower}|{order.key}"
        await self.desk.ask(self.desk.tag(shard), "ZADD", "orders", self.desk.now(), entry)
        names = msgspec.json.encode(list(members)).decode()
        words = (order.key, order.order_id, task.task_id, encode(order), encode(task), names, self.desk.log_length)
        stored = await self.desk.on_account(task.follow, _FREEZE, *words, *members)
        if not isinstance(stored, str):
            return read_order(stored)
        at = float(stored)
        return OrderRecord(
            order=order, task=task, members=tuple(members), state=JournalState.INTENT, at=at, frozen_at=at
        )

    async def mark(
        self, follow: FollowKey, key: IntentKey, state: JournalState, report: ExecutionReport | None = None
    ) -> None:
        text = "" if report is None else encode(report)
        await self.desk.on_account(follow, _MARK, key, state.value, text, self.desk.keep_ms)

    async def of_task(self, follow: FollowKey, task: TaskId) -> tuple[OrderRecord, ...]:
        return await orders_of(self.desk, follow[0], task)

    async def unresolved(self) -> tuple[OrderRecord, ...]:
        found = [record for shard in self.desk.held() for record in await self._unresolved(shard)]
        return tuple(sorted(found, key=lambda record: record.frozen_at))

    async def _unresolved(self, shard: int) -> list[OrderRecord]:
        tag = self.desk.tag(shard)
        index = await self.desk.ask(tag, "ZRANGE", "orders", 0, -1, "WITHSCORES")
        noted: dict[FollowerId, list[str]] = {}
        for entry in index[::2]:
            follower, _, key = entry.rpartition("|")
            noted.setdefault(FollowerId(follower), []).append(key)
        answers = await self.desk.client.all(
            [
                partial(self.desk.look_at, self.desk.account(follower), _READ, "open", *keys)
                for follower, keys in noted.items()
            ]
        )
        records = [read_order(row) for rows, _ in answers for row in rows]
        ended = {f"{follower}|{key}" for follower, (_, keys) in zip(noted, answers, strict=True) for key in keys}
        known = {f"{record.task.follower}|{record.order.key}" for record in records}
        old = self.desk.wall() - _STALE_S
        stale = [
            entry
            for entry, at in zip(index[::2], index[1::2], strict=True)
            if entry in ended or (entry not in known and float(at) < old)
        ]
        if stale:
            await self.desk.ask(tag, "ZREM", "orders", *stale)
        return records


async def orders_of(desk: Desk, follower: FollowerId, task: TaskId) -> tuple[OrderRecord, ...]:
    """Return the orders that a task went out in, by attempt."""
    rows = await desk.look_at(desk.account(follower), _READ, "task", task)
    return tuple(sorted(map(read_order, rows), key=lambda record: (record.frozen_at, record.order.key)))


def read_order(row: list[Any]) -> OrderRecord:
    """Make a record of what a script returned."""
    record, task, members, state, report, at, frozen, sent, ended = row
    return OrderRecord(
        order=decode(record, Order),
        task=decode(task, CopyTask),
        members=tuple(map(TaskId, msgspec.json.decode(members))),
        state=JournalState(state),
        report=decode(report, ExecutionReport) if report else None,
        at=float(at),
        frozen_at=float(frozen),
        sent_at=float(sent) if sent else None,
        ended_at=float(ended) if ended else None,
    )
