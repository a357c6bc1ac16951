"""What may have been sent."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from attrs import define

from trio_copy.clock import WallClock
from trio_copy.errors import StoreError
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import FollowKey, IntentKey, TaskId
from trio_copy.model.orders import ExecutionReport, JournalState, Order
from trio_copy.model.records import OrderRecord
from trio_copy.records import decode, encode
from trio_copy_sqlite.writer import Writer

COLUMNS = "key, record, task, state, report, at, frozen_at, sent_at, ended_at"


@define(eq=False)
class SqliteJournal:
    writer: Writer
    wall: WallClock

    async def freeze(self, order: Order, task: CopyTask, members: Sequence[TaskId] = ()) -> OrderRecord:
        now, body, about = self.wall(), encode(order), encode(task)

        def work(connection: sqlite3.Connection) -> OrderRecord:
            inserted = connection.execute(
                "INSERT INTO orders (key, order_id, task_id, state, record, task, at, frozen_at)"
                " VALUES (?, ?, ?, 'intent', ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (order.key, order.order_id, task.task_id, body, about, now, now),
            ).rowcount
            if inserted:
                connection.executemany(
                    "INSERT INTO order_members VALUES (?, ?)", [(member, order.key) for member in members]
                )
                return OrderRecord(
                    order=order, task=task, members=tuple(members), state=JournalState.INTENT, at=now, frozen_at=now
                )
            row = connection.execute(f"SELECT {COLUMNS} FROM orders WHERE key = ?", (order.key,)).fetchone()
            return read_order(connection, row)

        return await self.writer.run(work)

    async def mark(
        self, follow: FollowKey, key: IntentKey, state: JournalState, report: ExecutionReport | None = None
    ) -> None:
        now, text = self.wall(), None if report is None else encode(report)

        await self.writer.run(lambda connection: mark(connection, key, state, text, now))

    async def of_task(self, follow: FollowKey, task: TaskId) -> tuple[OrderRecord, ...]:
        return await self.writer.read(lambda connection: orders_of(connection, task))

    async def unresolved(self) -> tuple[OrderRecord, ...]:
        def work(connection: sqlite3.Connection) -> tuple[OrderRecord, ...]:
            rows = connection.execute(f"SELECT {COLUMNS} FROM orders WHERE state != 'ended' ORDER BY frozen_at")
            return tuple(read_order(connection, row) for row in rows.fetchall())

        return await self.writer.read(work)


def mark(connection: sqlite3.Connection, key: str, state: JournalState, report: str | None, now: float) -> None:
    """Record how far an order got, as part of a larger step. Raises `StoreError` for an unknown key."""
    row = connection.execute("SELECT state, sent_at FROM orders WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise StoreError(f"the journal knows no intent {key}")
    if row[0] == JournalState.ENDED.value:
        return
    sent_at = now if state is JournalState.SENDING and row[1] is None else row[1]
    ended_at = now if state is JournalState.ENDED else None
    connection.execute(
        "UPDATE orders SET state = ?, at = ?, sent_at = ?, ended_at = ?, report = coalesce(?, report) WHERE key = ?",
        (state.value, now, sent_at, ended_at, report, key),
    )


def orders_of(connection: sqlite3.Connection, task: TaskId) -> tuple[OrderRecord, ...]:
    """Return the orders that a task went out in, by attempt."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM orders WHERE task_id = ? OR key IN (SELECT key FROM order_members WHERE task_id = ?)"
        " ORDER BY frozen_at, key",
        (task, task),
    )
    return tuple(read_order(connection, row) for row in rows.fetchall())


def read_order(connection: sqlite3.Connection, row: tuple[Any, ...]) -> OrderRecord:
    """Make a record of a row of `COLUMNS`."""
    key, record, task, state, report, at, frozen_at, sent_at, ended_at = row
    members = connection.execute("SELECT task_id FROM order_members WHERE key = ? ORDER BY task_id", (key,))
    return OrderRecord(
        order=decode(record, Order),
        task=decode(task, CopyTask),
        members=tuple(TaskId(member) for (member,) in members),
        state=JournalState(state),
        report=None if report is None else decode(report, ExecutionReport),
        at=at,
        frozen_at=frozen_at,
        sent_at=sent_at,
        ended_at=ended_at,
    )
