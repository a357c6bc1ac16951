"""Whoever looks at the books holds up nobody: questions have connections, snapshots and limits of their own."""

import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.plugins.test_sqlite import open_at
from trio_copy.errors import StoreError
from trio_copy.model.ids import FollowerId
from trio_copy.model.records import Query
from trio_copy.ports import Admitted, Store, to_thread_run_sync
from trio_copy.testing.samples import sample_entry, sample_signal, sample_task
from trio_copy_sqlite.reader import Reader

FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
TASK = sample_task(sample_signal(1))
QUESTIONS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "tasks": lambda store: store.history.tasks(Query()),
    "skips": lambda store: store.history.skips(Query()),
    "entries": lambda store: store.history.entries(Query()),
    "story": lambda store: store.history.story(TASK.task_id),
    "positions": lambda store: store.ledger.positions(),
    "open positions": lambda store: store.ledger.open_positions(),
    "position": lambda store: store.ledger.position(sample_entry(TASK).position),
    "performance": lambda store: store.ledger.performance(TASK.follower),
    "marks": lambda store: store.ledger.marks(),
    "resolutions": lambda store: store.ledger.resolutions(["0x"]),
    "follows": lambda store: store.follows.load(),
    "modes": lambda store: store.control.modes(),
    "checkpoint": lambda store: store.control.checkpoint(),
    "instances": lambda store: store.control.instances(),
    "leases": lambda store: store.control.held(["shard-0"]),
    "unresolved orders": lambda store: store.journal.unresolved(),
    "orders of a task": lambda store: store.journal.of_task(TASK.follow, TASK.task_id),
    "budget": lambda store: store.limits.used(FollowerId("alice"), "day"),
    "depth": lambda store: store.inbox.depth(),
    "depths": lambda store: store.inbox.depths(),
    "dead letters": lambda store: store.inbox.dead_letters(),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_guest_that_looks_takes_no_lock(tmp_path: Path, question: str) -> None:
    """While somebody else is in the middle of a commit, every question of a guest is answered; so it cannot block one."""
    path = tmp_path / "store.db"
    async with open_at(path) as store:
        await store.ledger.book(sample_entry(TASK))
    async with open_at(path, guest=True, in_thread=to_thread_run_sync) as guest:
        engine = sqlite3.connect(path, isolation_level=None)
        try:
            engine.execute("BEGIN IMMEDIATE")
            with trio.fail_after(5):
                await QUESTIONS[question](guest)
        finally:
            engine.close()


async def test_an_engine_commits_while_somebody_reads(tmp_path: Path) -> None:
    """A reader in the middle of its snapshot costs the engine nothing, and does not see what came meanwhile."""
    path, inside, committed = tmp_path / "store.db", trio.Event(), threading.Event()
    counted: list[int] = []

    def slowly(connection: sqlite3.Connection) -> None:
        counted.append(connection.execute("SELECT count(*) FROM signals").fetchone()[0])
        trio.from_thread.run_sync(inside.set)
        assert committed.wait(10)
        counted.append(connection.execute("SELECT count(*) FROM signals").fetchone()[0])

    async with open_at(path, in_thread=to_thread_run_sync) as store, trio.open_nursery() as nursery:
        nursery.start_soon(Reader(path, to_thread_run_sync).run, slowly)
        await inside.wait()
        with trio.fail_after(5):
            assert isinstance(await store.inbox.admit(TASK.signal, [TASK], None), Admitted)
        committed.set()
    assert counted == [0, 0]


async def test_an_engines_own_history_is_read_beside_its_writer(tmp_path: Path) -> None:
    """Looking at the history inside an engine does not pass through the queue of what it commits."""
    commits: list[str] = []
    async with open_at(tmp_path / "store.db", at=commits.append) as store:
        await store.ledger.book(sample_entry(TASK))
        commits.clear()
        assert await store.history.entries(Query()) == (sample_entry(TASK),)
        await store.history.tasks(Query())
        await store.history.skips(Query())
        await store.history.story(TASK.task_id)
    assert commits == []


async def test_a_snapshot_does_not_stay_for_ever(tmp_path: Path) -> None:
    """A question that takes too long is given up with a line that says what to do; a cancelled one stops at once."""
    path = tmp_path / "store.db"
    async with open_at(path):
        pass
    with pytest.raises(StoreError, match=r"took longer than 0\.05 s and was given up.*--since, --follower or --limit"):
        await Reader(path, to_thread_run_sync, most_s=0.05).run(lambda file: file.execute(FOR_EVER).fetchone())
    with trio.fail_after(5), trio.move_on_after(0.05) as asking:
        await Reader(path, to_thread_run_sync).run(lambda file: file.execute(FOR_EVER).fetchone())
    assert asking.cancelled_caught


async def test_a_big_ledger_is_read_in_pieces_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries come whole and newest first, without those that are booked while they are being read."""
    monkeypatch.setattr("trio_copy_sqlite.reader._PIECE", 2)
    path = tmp_path / "store.db"
    entries = [sample_entry(sample_task(sample_signal(number))) for number in range(7)]
    async with open_at(path) as store:
        for entry in entries[:5]:
            await store.ledger.book(entry)
        asked = 0

        async def and_book(run: Callable[[], Any]) -> Any:
            nonlocal asked
            asked += 1
            if asked in (2, 4):
                await store.ledger.book(entries[4 + asked // 2])
            return run()

        async with open_at(path, guest=True, in_thread=and_book) as guest:
            assert await guest.history.entries(Query()) == tuple(reversed(entries[:5]))
        assert asked > 4
        assert len(await store.history.entries(Query())) == 7
