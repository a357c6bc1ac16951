"""What happened, for people who ask: read beside the writer, so that no copy waits for them."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from attrs import define

from trio_copy.model.decisions import Outcome
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.records import Query, SkipRecord, Story, TaskRecord, skip_of
from trio_copy.records import decode
from trio_copy_sqlite.inbox import COLUMNS, FROM, read_tasks
from trio_copy_sqlite.journal import orders_of
from trio_copy_sqlite.reader import Reader

_STORIES = 10
_TASK_COLUMNS = f"{COLUMNS}, t.state, t.outcome, t.leased_at, t.ended_at"
_FILLED = ("filled", "partial", "gathered")


@define(eq=False)
class SqliteHistory:
    reader: Reader

    async def tasks(self, query: Query) -> tuple[TaskRecord, ...]:
        where, values = _where(query, "t.decided_at", "t.")
        return await self.reader.run(
            lambda connection: _tasks(connection, f"{where} ORDER BY t.decided_at DESC, t.seq DESC LIMIT ?", values)
        )

    async def skips(self, query: Query) -> tuple[SkipRecord, ...]:
        skip_where, values = _where(query, "at")
        task_where, _ = _where(query, "t.ended_at", "t.")
        not_filled = " AND ".join(f't.outcome NOT LIKE \'{{"end":"{end}"%\'' for end in _FILLED)

        def work(connection: sqlite3.Connection) -> tuple[SkipRecord, ...]:
            rows = connection.execute(
                f"SELECT record FROM skips WHERE {skip_where} ORDER BY at DESC, seq DESC LIMIT ?", values
            ).fetchall()
            ended = _tasks(
                connection,
                f"{task_where} AND t.state = 'ended' AND {not_filled} ORDER BY t.ended_at DESC, t.seq DESC LIMIT ?",
                values,
            )
            skips = [*(decode(text, SkipRecord) for (text,) in rows), *map(skip_of, ended)]
            return tuple(sorted(skips, key=lambda skip: skip.at, reverse=True)[: query.limit])

        return await self.reader.run(work)

    async def entries(self, query: Query) -> tuple[LedgerEntry, ...]:
        where, values = _where(query, "booked_at")
        # Entries are only ever added, so that those of one moment can be read piece by piece.
        return await self.reader.each(
            f"SELECT seq FROM entries WHERE {where} ORDER BY booked_at DESC, seq DESC LIMIT ?",
            values,
            "SELECT record FROM entries WHERE seq = ?",
            _entry,
        )

    async def story(self, prefix: str) -> tuple[Story, ...]:
        def work(connection: sqlite3.Connection) -> tuple[Story, ...]:
            low, high = prefix, prefix + "\U0010ffff"
            records = _tasks(
                connection,
                "t.task_id BETWEEN ? AND ? OR t.signal_id BETWEEN ? AND ?"
                " OR t.task_id IN (SELECT task_id FROM orders WHERE order_id BETWEEN ? AND ?) ORDER BY t.seq LIMIT ?",
                (low, high, low, high, low, high, _STORIES),
            )
            return tuple(_story(connection, record) for record in records)

        return await self.reader.run(work)


def _entry(text: str) -> LedgerEntry:
    return decode(text, LedgerEntry)


def _story(connection: sqlite3.Connection, record: TaskRecord) -> Story:
    rows = connection.execute("SELECT record FROM entries WHERE task_id = ? ORDER BY seq", (record.task.task_id,))
    return Story(
        record=record,
        orders=orders_of(connection, record.task.task_id),
        entries=tuple(decode(text, LedgerEntry) for (text,) in rows.fetchall()),
    )


def _tasks(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> tuple[TaskRecord, ...]:
    rows = connection.execute(f"SELECT {_TASK_COLUMNS} FROM {FROM} WHERE {where}", values).fetchall()
    tasks = read_tasks([row[:-4] for row in rows])
    return tuple(
        TaskRecord(
            task=task,
            state=state,
            outcome=None if outcome is None else decode(outcome, Outcome),
            admitted_at=task.decided_at,
            leased_at=leased_at,
            ended_at=ended_at,
        )
        for task, (*_, state, outcome, leased_at, ended_at) in zip(tasks, rows, strict=True)
    )


def _where(query: Query, time: str, prefix: str = "") -> tuple[str, tuple[Any, ...]]:
    """Write a query as a condition and its values, the limit last."""
    conditions = (
        (f"{prefix}follower = ?", query.follower),
        (f"{prefix}leader = ?", query.leader),
        (f"{prefix}token = ?", None if query.token_id is None else str(query.token_id)),
        (f"{time} >= ?", query.since),
        (f"{time} < ?", query.until),
    )
    wanted = [(condition, value) for condition, value in conditions if value is not None]
    return " AND ".join(condition for condition, _ in wanted) or "1", (*(value for _, value in wanted), query.limit)
