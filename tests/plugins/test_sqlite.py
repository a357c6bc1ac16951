"""The SQLite file: one engine at a time, nothing trusted that is not whole, nothing answered that is not on the disk."""

import os
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.plugins.test_conformance import in_place
from trio_copy.clock import wall_clock_from
from trio_copy.errors import ConfigError, StoreError, StoreUnavailable
from trio_copy.model.decisions import End, Outcome
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import JournalState
from trio_copy.model.records import Query
from trio_copy.ports import Admitted, Duplicate, InThread, Store, StoreContext, nowhere, to_thread_run_sync
from trio_copy.registry import discover
from trio_copy.testing.samples import EXECUTOR, LEADER, sample_entry, sample_order, sample_signal, sample_task
from trio_copy_sqlite.schema import APPLICATION_ID, MIGRATIONS, VERSION


@asynccontextmanager
async def open_at(
    path: Path,
    *,
    guest: bool = False,
    in_thread: InThread = in_place,
    at: Callable[[str], None] = nowhere,
    keep_days: float = 90.0,
) -> AsyncGenerator[Store, None]:
    plugin = discover().store("sqlite")
    context = StoreContext(
        settings=plugin.settings(path=str(path), keep_days=keep_days),
        wall=wall_clock_from(NOW),
        queue_capacity=100,
        dedup_ttl_s=3600,
        lease_s=10,
        guest=guest,
        make=not guest,
        in_thread=in_thread,
        at=at,
    )
    async with plugin.open(context) as store:
        yield store


async def refusal(path: Path, **options: Any) -> str:
    """Open a file that must be refused, and return the one line that says why."""
    with pytest.raises(ConfigError) as caught:
        async with open_at(path, **options):
            pass
    (line,) = caught.value.problems
    return line


async def test_what_was_promised_is_there_after_a_restart(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """The gate, the queue, orders, budgets, the ledger, follows and modes survive; a leased task is given out again."""
    path, signal = tmp_path / "store.db", sample_signal(1)
    task = sample_task(signal)
    async with open_at(path) as store:
        await store.inbox.admit(signal, [task], None)
        await store.inbox.lease_nowait(EXECUTOR, "earlier", 1)
        await store.journal.freeze(sample_order(task), task)
        await store.journal.mark(task.follow, task.key, JournalState.SENDING)
        await store.ledger.book(sample_entry(task))
        await store.follows.put([Follow(follower=FollowerId("alice"), leader=LEADER)])
    async with open_at(path) as store:
        assert await store.inbox.admit(signal, [task], None) == Duplicate()
        (again,) = await store.inbox.lease_nowait(EXECUTOR, "later", 1)
        assert (again.task_id, again.again) == (task.task_id, True)
        (record,) = await store.journal.unresolved()
        assert (record.order, record.state) == (sample_order(task), JournalState.SENDING)
        assert not (await store.ledger.book(sample_entry(task))).first
        assert len((await store.follows.load())[1]) == 1


async def test_calls_that_come_together_share_a_commit(tmp_path: Path) -> None:
    """Fifty admissions at once cost a few trips to the disk, not fifty; real threads, real files."""
    commits: list[str] = []
    async with open_at(tmp_path / "store.db", in_thread=to_thread_run_sync, at=commits.append) as store:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                signal = sample_signal(number)
                nursery.start_soon(store.inbox.admit, signal, [sample_task(signal)], None)
        assert (await store.inbox.depth()).queued == 50
    assert commits.count("sqlite: committed") < 15


async def test_a_second_engine_is_refused_and_a_guest_is_not(tmp_path: Path) -> None:
    """One engine holds the file; commands may use it meanwhile, and the engine hears what they change."""
    path = tmp_path / "store.db"
    async with open_at(path, in_thread=to_thread_run_sync) as store:
        line = await refusal(path)
        assert f"in use by process {os.getpid()}" in line
        version, _ = await store.follows.load()
        async with open_at(path, guest=True, in_thread=to_thread_run_sync) as guest:
            await guest.follows.put([Follow(follower=FollowerId("bob"), leader=LEADER)])
        with trio.fail_after(5):
            (change,) = await store.follows.wait_changes(version)
        assert change.follow.follower == "bob"
    async with open_at(path):
        pass


async def test_files_that_cannot_be_trusted_are_refused(tmp_path: Path) -> None:
    """Garbage, torn pages, another program's file, a newer version, another user's file: one clear line each."""
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"not a database" * 1000)
    assert "not a database" in await refusal(garbage)

    torn = tmp_path / "torn.db"
    async with open_at(torn) as store:
        for number in range(200):
            signal = sample_signal(number)
            await store.inbox.admit(signal, [sample_task(signal)], None)
    with torn.open("r+b") as file:
        for page in range(3, 12):
            file.seek(4096 * page)
            file.write(b"\xff" * 4096)
    assert "corrupt" in await refusal(torn)

    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    assert "another program" in await refusal(other)

    newer = tmp_path / "newer.db"
    async with open_at(newer):
        pass
    with sqlite3.connect(newer) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    assert "needs a newer trio-copy" in await refusal(newer)

    assert "does not exist" in await refusal(tmp_path / "nowhere" / "store.db")
    assert "expected a file" in await refusal(tmp_path)
    assert "does not exist yet" in await refusal(tmp_path / "missing.db", guest=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_another_users_file_is_refused(tmp_path: Path) -> None:
    """A file that somebody else may change is not a journal."""
    path = tmp_path / "theirs.db"
    path.touch()
    os.chown(path, 12345, 12345)
    assert "belongs to user 12345" in await refusal(path)


async def test_a_read_only_place_is_refused(tmp_path: Path) -> None:
    """Where nothing can be written nothing is started."""
    assert "cannot be locked" in await refusal(Path("/proc/trio-copy.db"))


async def test_a_file_of_an_earlier_version_is_brought_up(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """Every migration runs on the file of the version before it, and keeps what is in it."""
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(MIGRATIONS[0])
    connection.execute("INSERT INTO modes VALUES ('engine', 'reduce-only', 'kept', 1.0)")
    connection.commit()
    connection.execute("PRAGMA user_version = 1")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.close()
    async with open_at(path) as store:
        assert (await store.control.modes()).of("engine").why == "kept"
        assert dict(await store.ledger.marks()) == {}


async def test_a_full_disk_stops_everything_and_loses_nothing(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """When a commit fails nobody is told that it worked, and the file is not touched again by this process."""
    path = tmp_path / "store.db"
    admitted = []
    with pytest.RaisesGroup(pytest.RaisesExc(StoreUnavailable, match="failed"), flatten_subgroups=True):
        async with open_at(path) as store:
            writer: Any = store.inbox
            (pages,) = writer.writer.connection.execute("PRAGMA page_count").fetchone()
            writer.writer.connection.execute(f"PRAGMA max_page_count = {pages + 20}")
            for number in range(1000):
                signal = sample_signal(number)
                assert isinstance(await store.inbox.admit(signal, [sample_task(signal)], None), Admitted)
                admitted.append(signal)
    assert admitted
    async with open_at(path) as store:
        assert (await store.inbox.depth()).queued == len(admitted)


async def test_what_is_over_is_forgotten_and_the_ledger_is_not(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """After `keep_days` ended tasks, orders and skips are deleted; entries stay for ever."""
    async with open_at(tmp_path / "store.db", keep_days=1.0) as store:
        signal = sample_signal(1)
        task = sample_task(signal)
        await store.inbox.admit(signal, [task], None)
        await store.inbox.lease_nowait(EXECUTOR, "me", 1)
        await store.journal.freeze(sample_order(task), task)
        await store.journal.mark(task.follow, task.key, JournalState.ENDED)
        await store.ledger.book(sample_entry(task))
        await store.inbox.complete(task.task_id, "me", Outcome(end=End.FILLED))
        await store.inbox.expire(NOW + 86_000)
        assert len(await store.history.tasks(Query())) == 1
        await store.inbox.expire(NOW + 90_000)
        await store.inbox.expire(NOW + 90_000)
        assert await store.history.tasks(Query()) == ()
        assert await store.journal.of_task(task.follow, task.task_id) == ()
        assert len(await store.history.entries(Query())) == 1
        assert isinstance(await store.inbox.admit(signal, [task], None), Admitted)


async def test_a_row_that_cannot_be_read_leaves_no_half_step_behind(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """A step that meets a broken row after it has written is dropped whole, and nothing is traded on such a file."""
    path = tmp_path / "store.db"
    with pytest.RaisesGroup(pytest.RaisesExc(StoreUnavailable, match="cut off half-way"), flatten_subgroups=True):
        async with open_at(path) as store:
            inbox: Any = store.inbox

            def half(connection: sqlite3.Connection) -> None:
                connection.execute("INSERT INTO facts VALUES ('half', 'done')")
                raise StoreError("a row that cannot be read")

            await inbox.writer.run(half)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT 1 FROM facts WHERE name = 'half'").fetchone() is None
    connection.close()


async def test_housekeeping_walks_no_table(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """What is asked every few seconds is found by an index, however long the engine has been running."""
    path = tmp_path / "store.db"
    asked: list[str] = []
    async with open_at(path) as store:
        inbox: Any = store.inbox
        inbox.writer.connection.set_trace_callback(asked.append)
        await store.inbox.expire(NOW)
        await store.inbox.lease_nowait(EXECUTOR, "me", 10)
        await store.inbox.depth()
        await store.journal.unresolved()
        await store.ledger.open_positions()
        inbox.writer.connection.set_trace_callback(None)
    connection = sqlite3.connect(path)
    for statement in asked:
        if statement.startswith(("SELECT", "DELETE", "UPDATE")):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            walked = [row[3] for row in plan if row[3].startswith("SCAN") and "_open" not in row[3]]
            assert not walked, (statement, walked)
    connection.close()
