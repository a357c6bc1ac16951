"""The gate and the queue behind it.

A task is one row, whatever becomes of it. Its signal stands in one row for all of its tasks, and equal intents are
written and read once, because a signal with a hundred followers is the usual case.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ShardDepth
from trio_copy.model.decisions import (
    CopyTask,
    Ended,
    OrderIntent,
    Outcome,
    Skip,
    evicted,
    never_enough,
    retracted,
    shed,
)
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, Hash32, SignalId, TaskId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.records import skip_record
from trio_copy.model.signals import Signal
from trio_copy.ports import Admitted, Adopted, DeadLetter, Depth, Duplicate, Retracted, Unsure
from trio_copy.records import decode, encode
from trio_copy_sqlite.control import advance
from trio_copy_sqlite.retention import Retention
from trio_copy_sqlite.writer import Writer

CREDIT_S = 600.0
"""How long a retracted trade may come back under another transaction hash."""
_LEASE_S = 30.0
"""A lease that the disk does not answer for this long is given up, so that a shutdown is not held up for ever."""
COLUMNS = (
    "t.task_id, t.signal_id, t.follower, t.executor, t.intent, t.deadline, t.decided_at, t.not_before, t.gathers,"
    " t.again, s.record"
)
FROM = "tasks t JOIN signals s ON s.signal_id = t.signal_id"
_NEVER_STARTED = "state IN ('queued', 'waiting') AND again = 0"
_BACK = "CASE WHEN again = 0 AND (SELECT retracted FROM signals s WHERE s.signal_id = tasks.signal_id) = 1 THEN 'held' ELSE ? END"
"""Where a task goes that is given back: a reorg may have taken its signal away meanwhile."""


@define(eq=False, kw_only=True)
class SqliteInbox:
    writer: Writer
    wall: WallClock
    capacity: int
    dedup_ttl_s: float
    lease_s: float
    retention: Retention
    _waiting: int = 0
    """Rows that are queued, waiting or held: what the capacity limits."""
    _peak: int = 0
    _ready: dict[str, trio.Event] = field(factory=lambda: defaultdict(trio.Event))

    def recover(self, connection: sqlite3.Connection) -> None:
        """Take over what an earlier process left: what it had leased is given out again."""
        ordered = "SELECT 1 FROM orders o WHERE o.task_id = tasks.task_id"
        member = "SELECT 1 FROM order_members m WHERE m.task_id = tasks.task_id"
        connection.execute(
            "UPDATE tasks SET state = 'waiting', owner = NULL WHERE state = 'leased' AND wait_end IS NOT NULL"
            f" AND NOT EXISTS ({ordered}) AND NOT EXISTS ({member})"
        )
        connection.execute("UPDATE tasks SET state = 'queued', again = 1, owner = NULL WHERE state = 'leased'")
        self._count(connection)

    async def admit(
        self,
        signal: Signal,
        tasks: Sequence[CopyTask],
        checkpoint: Checkpoint | None,
        skips: Sequence[Skip] = (),
        *,
        whole: bool = True,
    ) -> Admitted | Duplicate | Adopted | Unsure:
        now, record = self.wall(), encode(signal)
        credit_key = None if signal.credit_key is None else "|".join(signal.credit_key)
        intents: dict[int, str] = {}
        for task in tasks:
            if id(task.intent) not in intents:
                intents[id(task.intent)] = encode(task.intent)
        rows = [_row(task, intents[id(task.intent)]) for task in tasks]
        skipped = [
            (
                now,
                signal.signal_id,
                skip.follower,
                skip.leader,
                str(signal.token_id),
                encode(skip_record(skip, signal, now)),
            )
            for skip in skips
        ]

        def work(connection: sqlite3.Connection) -> Admitted | Duplicate | Adopted | Unsure:
            self._forget_if_old(connection, signal.signal_id, now)
            if checkpoint is not None:
                advance(connection, checkpoint)
            known = connection.execute(
                "SELECT known_as, retracted FROM signals WHERE signal_id = ?", (signal.signal_id,)
            ).fetchone()
            if known is None:
                known = _credited(connection, credit_key, signal, now)
                if known is not None and not whole:
                    return Unsure()
                connection.execute(
                    "INSERT INTO signals (signal_id, known_as, record, credit_key, admitted_at) VALUES (?, ?, ?, ?, ?)",
                    (signal.signal_id, signal.signal_id if known is None else known[0], record, credit_key, now),
                )
                if known is None:
                    _add_block(connection, signal.signal_id, signal)
                    connection.executemany(
                        "INSERT INTO skips (at, signal_id, follower, leader, token, record) VALUES (?, ?, ?, ?, ?, ?)",
                        skipped,
                    )
                    return self._enqueue(connection, tasks, rows, now)
            elif not known[1]:
                _add_block(connection, known[0], signal)
                return Duplicate()
            connection.execute("UPDATE signals SET retracted = 0, credit_until = NULL WHERE known_as = ?", (known[0],))
            _add_block(connection, known[0], signal)
            resumed = connection.execute(
                "UPDATE tasks SET state = 'queued' WHERE signal_id = ? AND state = 'held'", (known[0],)
            ).rowcount
            return Adopted(signal_id=SignalId(known[0]), resumed=resumed)

        admission = await self.writer.run(work)
        self._wake()
        return admission

    async def retract(self, signal: Signal) -> Retracted | None:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> Retracted | None:
            known = connection.execute(
                "SELECT known_as, retracted FROM signals WHERE signal_id = ?", (signal.signal_id,)
            ).fetchone()
            if known is None or known[1]:
                return None
            connection.execute(
                "DELETE FROM signal_blocks WHERE known_as = ? AND block_hash = ?", (known[0], signal.block_hash)
            )
            if connection.execute("SELECT 1 FROM signal_blocks WHERE known_as = ?", (known[0],)).fetchone():
                return None
            connection.execute(
                "UPDATE signals SET retracted = 1, credit_until = ? WHERE known_as = ?", (now + CREDIT_S, known[0])
            )
            held = connection.execute(
                f"UPDATE tasks SET state = 'held' WHERE signal_id = ? AND {_NEVER_STARTED}", (known[0],)
            ).rowcount
            (given_out,) = connection.execute(
                "SELECT count(*) FROM tasks WHERE signal_id = ? AND (state = 'leased' OR (state = 'queued' AND again = 1))",
                (known[0],),
            ).fetchone()
            return Retracted(signal_id=SignalId(known[0]), held=held, given_out=given_out)

        return await self.writer.run(work)

    async def lease(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        while True:
            ready = self._ready[executor]
            tasks = await self.lease_nowait(executor, owner, limit)
            if tasks:
                return tasks
            with trio.move_on_after(await self._next_due_s(executor)):
                await ready.wait()

    async def lease_nowait(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> tuple[CopyTask, ...]:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM {FROM} WHERE t.state = 'queued' AND t.executor = ? AND t.not_before <= ?"
                " ORDER BY t.rank LIMIT ?",
                (executor, now, limit),
            ).fetchall()
            tasks = read_tasks(rows)  # first, for a row that cannot be read must not be leased
            self._lease(connection, [row[0] for row in rows], owner, now)
            return tasks

        # A lease that nobody hears of would leave its tasks to the next start: a cancellation waits for the answer.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEASE_S):
            return await self.writer.run(work)
        return ()

    async def gather(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> tuple[CopyTask, ...]:
            _expect_owner(connection, task, owner)
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM {FROM} JOIN tasks m ON m.task_id = ?"
                " WHERE t.state IN ('queued', 'waiting') AND t.again = 0 AND t.gathers = 1 AND t.follower = m.follower"
                " AND t.leader = m.leader AND t.token = m.token AND t.side = m.side ORDER BY t.decided_at, t.seq",
                (task,),
            ).fetchall()
            tasks = read_tasks(rows)
            self._lease(connection, [row[0] for row in rows], owner, now)
            return tasks

        return await self.writer.run(work)

    async def withdraw(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> tuple[CopyTask, ...]:
            _expect_owner(connection, task, owner)
            # The plus keeps to the index of states: what rests is few, what a follower ever had may be millions.
            rows = connection.execute(
                f"SELECT {COLUMNS}, t.state FROM {FROM} JOIN tasks m ON m.task_id = ?"
                " WHERE t.state IN ('queued', 'waiting', 'leased') AND t.side = 'BUY' AND +t.follower = m.follower"
                " AND t.leader = m.leader AND t.token = m.token AND +t.decided_at < m.decided_at"
                " AND (t.state != 'leased' OR t.owner = ?) ORDER BY t.decided_at, t.seq",
                (task, owner),
            ).fetchall()
            tasks = read_tasks([row[:-1] for row in rows])
            self._lease(connection, [row[0] for row in rows if row[-1] != "leased"], owner, now)
            return tasks

        return await self.writer.run(work)

    async def amend(self, intents: Mapping[TaskId, OrderIntent], owner: str) -> None:
        rows = [(encode(intent), task) for task, intent in intents.items()]

        def work(connection: sqlite3.Connection) -> None:
            for task in intents:
                _expect_owner(connection, task, owner)
            connection.executemany("UPDATE tasks SET intent = ? WHERE task_id = ?", rows)

        await self.writer.run(work)

    async def suspend(self, task: TaskId, owner: str) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            _expect_owner(connection, task, owner)
            held = connection.execute(
                "UPDATE tasks SET state = 'held', owner = NULL WHERE task_id = ?"
                " AND (SELECT retracted FROM signals s WHERE s.signal_id = tasks.signal_id) = 1",
                (task,),
            ).rowcount
            self._waiting += held
            return bool(held)

        return await self.writer.run(work)

    async def wait(self, tasks: Sequence[TaskId], owner: str, until: float) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for task in tasks:
                _expect_owner(connection, task, owner)
            connection.executemany(
                f"UPDATE tasks SET state = {_BACK}, owner = NULL, wait_end = coalesce(wait_end, ?) WHERE task_id = ?",
                [("waiting", until, task) for task in tasks],
            )
            self._waiting += len(tasks)

        await self.writer.run(work)

    async def renew(self, tasks: Sequence[TaskId], owner: str) -> tuple[TaskId, ...]:
        until = self.wall() + self.lease_s

        def work(connection: sqlite3.Connection) -> tuple[TaskId, ...]:
            renew = "UPDATE tasks SET until = ? WHERE task_id = ? AND owner = ? AND state = 'leased'"
            return tuple(task for task in tasks if not connection.execute(renew, (until, task, owner)).rowcount)

        return await self.writer.run(work)

    async def complete(self, task: TaskId, owner: str, outcome: Outcome) -> bool:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute("SELECT state FROM tasks WHERE task_id = ?", (task,)).fetchone()
            if row is not None and row[0] == "ended":
                return False
            _expect_owner(connection, task, owner)
            _end(connection, task, outcome, now)
            return True

        return await self.writer.run(work)

    async def retry(self, task: TaskId, owner: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            _expect_owner(connection, task, owner)
            self._queue_again(connection, task)

        await self.writer.run(work)
        self._wake()

    async def bury(self, task: TaskId, owner: str, why: str) -> None:
        now = self.wall()

        def work(connection: sqlite3.Connection) -> None:
            _expect_owner(connection, task, owner)
            connection.execute(
                "UPDATE tasks SET state = 'dead', owner = NULL, why = ?, ended_at = ? WHERE task_id = ?",
                (why, now, task),
            )

        await self.writer.run(work)

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        def work(connection: sqlite3.Connection) -> tuple[DeadLetter, ...]:
            rows = connection.execute(
                f"SELECT {COLUMNS}, t.why, t.ended_at FROM {FROM} WHERE t.state = 'dead' ORDER BY t.ended_at, t.seq"
            ).fetchall()
            return tuple(
                DeadLetter(task=task, why=row[-2], at=row[-1])
                for task, row in zip(read_tasks([row[:-2] for row in rows]), rows, strict=True)
            )

        return await self.writer.read(work)

    async def replay(self, tasks: Sequence[TaskId]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            dead = [task for task in dict.fromkeys(tasks) if _is_dead(connection, task)]
            for task in dead:
                self._queue_again(connection, task)
            return len(dead)

        replayed = await self.writer.run(work)
        self._wake()
        return replayed

    async def purge(self, tasks: Sequence[TaskId]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            delete = "DELETE FROM tasks WHERE task_id = ? AND state = 'dead'"
            return sum(connection.execute(delete, (task,)).rowcount for task in tasks)

        return await self.writer.run(work)

    async def expire(self, now: float) -> tuple[Ended, ...]:
        def work(connection: sqlite3.Connection) -> tuple[Ended, ...]:
            self.retention.forget(connection, now)
            late = connection.execute(
                "SELECT task_id FROM tasks WHERE state = 'leased' AND until <= ? ORDER BY rank DESC", (now,)
            ).fetchall()
            for (task,) in late:
                connection.execute("UPDATE tasks SET again = 1 WHERE task_id = ?", (task,))
                self._queue_again(connection, task)
            rows = connection.execute(
                f"SELECT {COLUMNS}, t.state FROM {FROM} WHERE (t.state = 'held' AND t.deadline <= ?)"
                " OR (t.state = 'waiting' AND t.wait_end <= ?) ORDER BY t.seq",
                (now, now),
            ).fetchall()
            ended = []
            for task, row in zip(read_tasks([row[:-1] for row in rows]), rows, strict=True):
                outcome = retracted(task) if row[-1] == "held" else never_enough(task)
                _end(connection, task.task_id, outcome, now)
                ended.append(Ended(task=task, outcome=outcome))
            self._count(connection)
            return tuple(ended)

        ended = await self.writer.run(work)
        self._wake()
        return ended

    async def depth(self) -> Depth:
        def work(connection: sqlite3.Connection) -> Depth:
            counts = dict(
                connection.execute(
                    "SELECT state, count(*) FROM tasks WHERE state IN ('queued', 'leased', 'held', 'waiting', 'dead')"
                    " GROUP BY state"
                ).fetchall()
            )
            return Depth(
                queued=counts.get("queued", 0),
                leased=counts.get("leased", 0),
                held=counts.get("held", 0) + counts.get("waiting", 0),
                dead=counts.get("dead", 0),
                capacity=self.capacity,
                peak=self._peak,
            )

        return await self.writer.read(work)

    async def depths(self) -> tuple[ShardDepth, ...]:
        depth = await self.depth()
        (oldest,) = await self.writer.read(
            lambda connection: connection.execute(
                "SELECT min(decided_at) FROM tasks WHERE state IN ('queued', 'leased', 'held', 'waiting', 'dead')"
            ).fetchone()
        )
        return (
            ShardDepth(
                shard=0,
                queued=depth.queued,
                leased=depth.leased,
                held=depth.held,
                dead=depth.dead,
                oldest_at=oldest,
            ),
        )

    def serve(self, shards: frozenset[int]) -> None:
        """There is one shard, and it is always served."""

    async def reclaim(self, shard: int) -> int:
        return 0

    def _enqueue(
        self, connection: sqlite3.Connection, tasks: Sequence[CopyTask], rows: list[tuple[Any, ...]], now: float
    ) -> Admitted:
        victims: list[Ended] = []
        for task, row in zip(tasks, rows, strict=True):
            full = self._waiting >= self.capacity
            entry = _oldest_entry(connection) if full and task.intent.side is Side.SELL else None
            if full and entry is None:
                _insert(connection, row, "ended", shed(self.capacity), now)
                victims.append(Ended(task=task, outcome=shed(self.capacity)))
                continue
            if entry is not None:
                _end(connection, entry.task_id, evicted(self.capacity), now)
                victims.append(Ended(task=entry, outcome=evicted(self.capacity)))
                self._waiting -= 1
            _insert(connection, row, "queued", None, None)
            self._waiting += 1
            self._peak = max(self._peak, self._waiting)
        ids = {task.task_id for task in tasks}
        kept = len(tasks) - sum(victim.task.task_id in ids for victim in victims)
        return Admitted(kept=kept, shed=tuple(victims))

    def _lease(self, connection: sqlite3.Connection, tasks: Sequence[str], owner: str, now: float) -> None:
        connection.executemany(
            "UPDATE tasks SET state = 'leased', owner = ?, until = ?, leased_at = ? WHERE task_id = ?",
            [(owner, now + self.lease_s, now, task) for task in tasks],
        )
        self._waiting -= len(tasks)

    def _queue_again(self, connection: sqlite3.Connection, task: str) -> None:
        """Put a task to the front of the queue."""
        connection.execute(
            f"UPDATE tasks SET state = {_BACK}, owner = NULL, rank ="
            " (SELECT coalesce(min(rank), 0) - 1 FROM tasks WHERE state = 'queued') WHERE task_id = ?",
            ("queued", task),
        )
        self._waiting += 1

    def _count(self, connection: sqlite3.Connection) -> None:
        (self._waiting,) = connection.execute(
            "SELECT count(*) FROM tasks WHERE state IN ('queued', 'waiting', 'held')"
        ).fetchone()
        self._peak = max(self._peak, self._waiting)

    def _forget_if_old(self, connection: sqlite3.Connection, signal_id: SignalId, now: float) -> None:
        """Let a signal that is older than its time to live be new again, unless something of it is still open.

        Its orders stay in the journal: should a task of it come again, what was sent for it is known.
        """
        old = connection.execute(
            "SELECT known_as FROM signals WHERE signal_id = ? AND admitted_at <= ? AND NOT EXISTS"
            " (SELECT 1 FROM tasks WHERE tasks.signal_id = signals.known_as AND state != 'ended')",
            (signal_id, now - self.dedup_ttl_s),
        ).fetchone()
        if old is not None:
            connection.execute("DELETE FROM tasks WHERE signal_id = ?", old)
            connection.execute("DELETE FROM signals WHERE known_as = ?", old)
            connection.execute("DELETE FROM signal_blocks WHERE known_as = ?", old)

    async def _next_due_s(self, executor: str) -> float:
        now = self.wall()
        (due,) = await self.writer.run(
            lambda connection: connection.execute(
                "SELECT min(not_before) FROM tasks WHERE state = 'queued' AND executor = ?", (executor,)
            ).fetchone()
        )
        return float("inf") if due is None else max(0.0, due - now)

    def _wake(self) -> None:
        for event in self._ready.values():
            event.set()
        self._ready.clear()


def read_tasks(rows: Sequence[tuple[Any, ...]]) -> tuple[CopyTask, ...]:
    """Make tasks of rows of `COLUMNS`; equal signals and intents are read once."""
    signals: dict[str, Signal] = {}
    intents: dict[str, OrderIntent] = {}
    tasks = []
    for row in rows:
        task_id, signal_id, follower, executor, intent, deadline, decided_at, not_before, gathers, again, record = row
        if signal_id not in signals:
            signals[signal_id] = decode(record, Signal)
        if intent not in intents:
            intents[intent] = decode(intent, OrderIntent)
        tasks.append(
            CopyTask(
                task_id=TaskId(task_id),
                signal=signals[signal_id],
                follower=FollowerId(follower),
                executor=executor,
                intent=intents[intent],
                deadline=deadline,
                decided_at=decided_at,
                not_before=not_before,
                gathers=bool(gathers),
                again=bool(again),
            )
        )
    return tuple(tasks)


def _row(task: CopyTask, intent: str) -> tuple[Any, ...]:
    signal = task.signal
    return (
        *(task.task_id, signal.signal_id, task.follower, signal.leader, str(task.intent.token_id)),
        *(task.intent.side.value, task.executor, intent, task.deadline, task.decided_at, task.not_before, task.gathers),
    )


def _insert(
    connection: sqlite3.Connection, row: tuple[Any, ...], state: str, outcome: Outcome | None, ended_at: float | None
) -> None:
    text = None if outcome is None else encode(outcome)
    connection.execute(
        "INSERT INTO tasks (task_id, signal_id, follower, leader, token, side, executor, intent, deadline, decided_at,"
        " not_before, gathers, state, outcome, ended_at, rank) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " (SELECT coalesce(max(seq), 0) + 1 FROM tasks))",
        (*row, state, text, ended_at),
    )


def _end(connection: sqlite3.Connection, task: str, outcome: Outcome, now: float) -> None:
    connection.execute(
        "UPDATE tasks SET state = 'ended', owner = NULL, outcome = ?, ended_at = ? WHERE task_id = ?",
        (encode(outcome), now, task),
    )


def _oldest_entry(connection: sqlite3.Connection) -> CopyTask | None:
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM {FROM} WHERE t.state IN ('queued', 'waiting', 'held') AND t.side = 'BUY' AND t.again = 0"
        " ORDER BY t.state != 'queued', t.rank LIMIT 1"
    ).fetchall()
    return read_tasks(rows)[0] if rows else None


def _expect_owner(connection: sqlite3.Connection, task: str, owner: str) -> None:
    row = connection.execute("SELECT owner FROM tasks WHERE task_id = ? AND state = 'leased'", (task,)).fetchone()
    if row is None or row[0] != owner:
        raise LeaseLost(f"task {task} is not leased to {owner}")


def _is_dead(connection: sqlite3.Connection, task: str) -> bool:
    return (
        connection.execute("SELECT 1 FROM tasks WHERE task_id = ? AND state = 'dead'", (task,)).fetchone() is not None
    )


def _add_block(connection: sqlite3.Connection, known_as: str, signal: Signal) -> None:
    connection.execute("INSERT OR IGNORE INTO signal_blocks VALUES (?, ?)", (known_as, signal.block_hash))


def _credited(
    connection: sqlite3.Connection, credit_key: str | None, signal: Signal, now: float
) -> tuple[str, int] | None:
    """Return the oldest retracted signal that this one may be under another hash; its credit is not used up."""
    if credit_key is None:
        return None
    # A signal has one row for each hash it was ever seen under: another fill of one of these is no return of it.
    transactions: dict[str, set[Hash32]] = {}
    for known_as, record in connection.execute(
        "SELECT known_as, record FROM signals WHERE credit_key = ? AND credit_until > ? AND retracted = 1"
        " ORDER BY credit_until, admitted_at, signal_id",
        (credit_key, now),
    ):
        transactions.setdefault(known_as, set()).add(decode(record, Signal).tx_hash)
    return next(((known_as, 1) for known_as, seen in transactions.items() if signal.tx_hash not in seen), None)
