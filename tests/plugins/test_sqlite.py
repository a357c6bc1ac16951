"""The SQLite file: one engine at a time, nothing trusted that is not whole, nothing answered that is not on the disk."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.plugins.stores import in_place
from trio_copy.clock import wall_clock_from
from trio_copy.errors import ConfigError, StoreError, StoreUnavailable
from trio_copy.model.facts import FactQuery
from trio_copy.model.follows import Follow
from trio_copy.ports import HEAD_KINDS, NOBODY, Changes, InThread, Store, StoreContext, nowhere, to_thread_run_sync
from trio_copy.testing.conformance.terms import ALICE, LEADER, document, fact
from trio_copy_sqlite import SqliteSettings, SqliteStore, open_sqlite_store
from trio_copy_sqlite.schema import IS_OPEN, VERSION

FILLED = FactQuery(kinds=["filled"])


@asynccontextmanager
async def open_at(
    path: Path,
    *,
    guest: bool = False,
    in_thread: InThread = in_place,
    at: Callable[[str], None] = nowhere,
    keep_days: float = 90.0,
) -> AsyncGenerator[SqliteStore, None]:
    context = StoreContext(
        settings=SqliteSettings(path=str(path), keep_days=keep_days),
        wall=wall_clock_from(NOW),
        guest=guest,
        make=not guest,
        in_thread=in_thread,
        at=at,
    )
    async with open_sqlite_store(context) as store:
        assert isinstance(store, SqliteStore)
        yield store


@pytest.mark.parametrize("path", [":memory:", "file:books.db?mode=memory"])
def test_what_names_no_file_is_refused(path: str) -> None:
    """It would become a file of that name, and nobody who writes it means that."""
    with pytest.raises(
        ValueError, match=r"expected the path of a file, got .*; \[store.memory\] keeps nothing on a disk"
    ):
        SqliteSettings(path=path)


async def refusal(path: Path, error: type[ConfigError] = ConfigError, **options: Any) -> str:
    """Open a file that must be refused, and return the one line that says why."""
    with pytest.raises(error) as caught:
        async with open_at(path, **options):
            pass
    (line,) = caught.value.problems
    return line


async def put(store: Store, number: int, *names: str) -> None:
    """Write as the owner of shard 0: the write with this number puts documents of these names."""
    if number == 1:
        await store.accounts.take(0, 1)
    await store.accounts.write(0, 1, number, Changes(puts=[document(name, "x" * 500) for name in names]))


def store_gone(match: str) -> Any:
    return pytest.RaisesGroup(pytest.RaisesExc(StoreUnavailable, match=match), flatten_subgroups=True)


async def test_calls_that_come_together_share_a_commit(tmp_path: Path) -> None:
    """Fifty writes of as many shards at once cost a few trips to the disk, not fifty; real threads, real files."""
    commits: list[str] = []
    async with open_at(tmp_path / "books.db", in_thread=to_thread_run_sync, at=commits.append) as store:
        for shard in range(50):
            await store.accounts.take(shard, 1)
        commits.clear()
        async with trio.open_nursery() as nursery:
            for shard in range(50):
                changes = Changes(puts=[document(str(shard))], facts=[fact(str(shard))])
                nursery.start_soon(store.accounts.write, shard, 1, 1, changes)
        assert len(await store.history.documents("position")) == len(await store.history.facts(FILLED)) == 50
    assert commits.count("sqlite: committed") < 15


async def test_writes_of_one_transaction_keep_their_order(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """What is put, deleted and put again by writes that share a commit ends as the last of them says."""
    async with open_at(tmp_path / "books.db") as store:
        await store.accounts.take(0, 1)
        writes = (
            Changes(puts=[document("1", "a"), document("2", "a")]),
            Changes(deletes=[document("1").key], facts=[fact("f", kind="ended")]),
            Changes(puts=[document("1", "c")], deletes=[document("2").key], facts=[fact("f")]),
        )
        async with trio.open_nursery() as nursery:
            for number, changes in enumerate(writes, start=1):
                nursery.start_soon(store.accounts.write, 0, 1, number, changes)
                await trio.testing.wait_all_tasks_blocked()
        assert list(await store.history.documents("position")) == [document("1", "c")]
        assert list(await store.history.facts(FILLED)) == [fact("f")]


class _Counted:
    """A connection that knows how often it was called, many rows at once counting as one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.asked = connection, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        self.asked.append(statement)
        return self.connection.execute(statement, *values)

    def executemany(self, statement: str, rows: Any) -> Any:
        self.asked.append(statement)
        return self.connection.executemany(statement, rows)


async def test_a_hundred_copies_are_a_few_statements(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """What is placed is one for all of them, what is learned three, beside what every transaction needs once."""
    orders = [document(f"{number}", kind="order") for number in range(100)]
    placed = Changes(puts=orders)
    learned = Changes(
        puts=[document(f"{number}", kind=kind) for number in range(100) for kind in ("position", "account")],
        deletes=[order.key for order in orders],
        facts=[fact(f"{number}") for number in range(100)],
    )
    async with open_at(tmp_path / "books.db") as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(facts=[fact("the names are known")]))
        counted = _Counted(store.accounts.writer.connection)
        store.accounts.writer.connection = counted  # type: ignore[assignment]  # it does all that a connection does
        for number, (changes, most) in enumerate(((placed, 1), (learned, 3)), start=2):
            counted.asked.clear()
            await store.accounts.write(0, 1, number, changes)
            mine = [one for one in counted.asked if "documents" in one or "facts" in one or "fact_rows" in one]
            assert len(mine) == most
            assert len(counted.asked) <= most + 5, counted.asked


async def test_the_owner_walks_over_nothing(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """What an engine asks again and again, and what it asks at a start, is found by an index, however large the file is."""
    path, asked = tmp_path / "books.db", list[str]()
    async with open_at(path) as store:
        store.accounts.writer.connection.set_trace_callback(asked.append)
        await put(store, 1, "a")
        await store.accounts.load(0, 1, [ALICE])
        await store.accounts.write(0, 1, 2, Changes(deletes=[document("a").key], facts=[fact("f")], answers={"r": "a"}))
        await store.accounts.requests(0, 1)
        await store.accounts.answer(0, "r")
        await store.control.draw("day", 0, 1, 2)
        await trio.sleep(100)
        store.accounts.writer.connection.set_trace_callback(None)
    with closing(sqlite3.connect(path)) as connection:
        for statement in asked:
            if statement.lstrip().startswith(("SELECT", "DELETE", "UPDATE", "INSERT", "WITH")):
                plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
                # Kinds and what a write deletes are few, as are budgets and instances, and those of them that are over are forgotten.
                few = ("budgets", "instances", "kinds", "k", "g")
                given = ("CONSTANT ROW", "SCAN (subquery-")  # the rows of a write
                steps = [step for step in plan if step.startswith("SCAN") and not any(word in step for word in given)]
                walks = [step for step in steps if step.split()[1] not in few]
                assert not walks, (statement, walks)
    assert any("(shard=? AND kind=?)" in step for step in _plan(path, asked, IS_OPEN))


def _plan(path: Path, asked: list[str], words: str) -> list[str]:
    (statement, *_) = [one for one in asked if words in one]
    with closing(sqlite3.connect(path)) as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]


async def test_a_shard_with_much_of_both_is_taken_at_once(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """What is open and what belongs to the shard itself are told together, without comparing each with each."""
    async with open_at(tmp_path / "books.db") as store:
        await store.accounts.take(0, 1)
        open_ones = [document(f"{number:064}", kind="waits") for number in range(6000)]
        own = [document(f"{number:064}", follower=NOBODY, kind="met") for number in range(20_000)]
        await store.accounts.write(0, 1, 1, Changes(puts=[*open_ones, *own]))
        began = perf_counter()
        heads = await store.accounts.take(0, 2)
        assert perf_counter() - began < 2
        assert sorted(heads.documents) == sorted([*open_ones, *own])


async def test_people_can_ask_the_file(tmp_path: Path) -> None:
    """Plain SQL answers with names, days and JSON: numbers instead of names stay inside."""
    path = tmp_path / "books.db"
    async with open_at(path) as store:
        await store.accounts.take(0, 1)
        told = fact("f", at=NOW, amounts=(1, 2, 3, 4, 5, 6), body=b'{"why": {"code": "X"}}')
        await store.accounts.write(0, 1, 1, Changes(puts=[document("1", '{"a": [7]}')], facts=[told]))
        with closing(sqlite3.connect(path)) as connection:
            asked = "SELECT kind, day, follower, token_id, bought, json_extract(body, '$.why.code') FROM facts"
            assert connection.execute(asked).fetchall() == [("filled", "2025-11-24", "alice", "7", 2, "X")]
            asked = "SELECT follower, name, json_extract(body, '$.a[0]') FROM documents"
            assert connection.execute(asked).fetchall() == [("alice", "1", 7)]


@pytest.mark.parametrize("key", ["", "a", "1234567", "12345678", "123456789", "e" * 64, "task 1 2 3 4:0"])
async def test_a_fact_that_is_keyed_by_its_task_is_told_whole(tmp_path: Path, key: str) -> None:
    """Its id is in the file once, and in each answer twice, for people as well; it is found by it, however short it is."""
    path = tmp_path / "books.db"
    async with open_at(path) as store:
        await store.accounts.take(0, 1)
        facts = [fact(key, names=("s", key, "")), fact(f"{key}:2", names=("s", key, ""))]
        await store.accounts.write(0, 1, 1, Changes(facts=facts))
        assert {one.key: one for one in await store.history.facts(FILLED)} == {one.key: one for one in facts}
        if key:
            for length in {1, len(key) - 1, len(key)} - {0}:
                assert len((await store.history.story(key[:length]))[0]) == 2
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT key, task_id FROM facts ORDER BY key").fetchall() == [
                (key, key),
                (f"{key}:2", key),
            ]


async def test_a_second_engine_is_refused_and_a_guest_is_not(tmp_path: Path) -> None:
    """One engine holds the file; commands may use it meanwhile, and the engine hears what they change."""
    path = tmp_path / "books.db"
    async with open_at(path, in_thread=to_thread_run_sync) as store:
        line = await refusal(path)
        assert f"in use by process {os.getpid()}" in line
        version, _ = await store.follows.load()
        async with open_at(path, guest=True, in_thread=to_thread_run_sync) as guest:
            await guest.follows.put([Follow(follower=ALICE, leader=LEADER)])
        with trio.fail_after(5):
            (change,) = await store.follows.wait_changes(version)
        assert change.follow.follower == ALICE
    async with open_at(path):
        pass


async def test_a_guest_may_own_what_nobody_owns(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """With a higher token a command takes a shard, and the engine that had it is fenced off."""
    path = tmp_path / "books.db"
    async with open_at(path) as store:
        await put(store, 1, "a")
        async with open_at(path, guest=True) as guest:
            await guest.accounts.take(0, 2)
            await guest.accounts.write(0, 2, 1, Changes(puts=[document("b")]))
        with pytest.raises(StoreError, match="token 2"):
            await put(store, 2, "c")
        assert [one.name for one in await store.history.documents("position")] == ["a", "b"]


async def test_files_that_cannot_be_trusted_are_refused(tmp_path: Path) -> None:
    """Garbage, torn pages, a cut file, another program's file, a newer version: one clear line each."""
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"not a database" * 1000)
    assert "not a database" in await refusal(garbage)

    torn = tmp_path / "torn.db"
    async with open_at(torn) as store:
        await put(store, 1, *(f"{number}" for number in range(200)))
    cut = tmp_path / "cut.db"
    shutil.copyfile(torn, cut)
    with torn.open("r+b") as file:
        for page in range(28, 31):  # of documents: those before are the tables' own
            file.seek(4096 * page)
            file.write(b"\xff" * 4096)
    assert "corrupt" in await refusal(torn)
    os.truncate(cut, 4096 * 10)
    assert "malformed" in await refusal(cut)

    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    assert "another program" in await refusal(other)

    newer = tmp_path / "newer.db"
    async with open_at(newer):
        pass
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert "needs a newer trio-copy" in await refusal(newer)

    assert "does not exist" in await refusal(tmp_path / "nowhere" / "books.db")
    assert "expected a file" in await refusal(tmp_path)
    assert "does not exist yet" in await refusal(tmp_path / "missing.db", guest=True)


async def test_a_start_does_not_read_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size nothing is looked through; a page that cannot be read stops the store when it is met."""
    path = tmp_path / "books.db"
    async with open_at(path) as store:
        await put(store, 1, *(f"{number}" for number in range(200)))
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'documents'").fetchone()
    with path.open("r+b") as file:
        file.seek(4096 * (root - 1))
        file.write(b"\xff" * 4096)
    assert "corrupt" in await refusal(path)
    monkeypatch.setattr("trio_copy_sqlite.files.CHECKED_BYTES", 4096)
    with store_gone("malformed"):
        async with open_at(path) as store:
            await store.accounts.load(0, 1, [ALICE])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_another_users_file_is_refused(tmp_path: Path) -> None:
    """A file that somebody else may change is nothing to rely on."""
    path = tmp_path / "theirs.db"
    path.touch()
    os.chown(path, 12345, 12345)
    assert "belongs to user 12345" in await refusal(path)


async def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The file and what is beside it are nobody else's business."""
    async with open_at(tmp_path / "books.db") as store:
        await put(store, 1, "a")
        names = ("", "-wal", "-shm", ".lock")
        assert {os.stat(f"{tmp_path / 'books.db'}{name}").st_mode & 0o777 for name in names} == {0o600}


async def test_a_read_only_place_is_refused(tmp_path: Path) -> None:
    """Where nothing can be written nothing is started."""
    assert "cannot be locked" in await refusal(Path("/proc/trio-copy.db"))


@pytest.mark.parametrize("left", [0, 1, 2])
async def test_a_process_without_a_file_to_spare_is_told_which_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """Wherever it comes to that: at one of the locks, or at the file itself."""
    really, opened = os.open, 0

    def open_one(path: str, flags: int, mode: int = 0o777) -> int:
        nonlocal opened
        opened += 1
        if opened > left:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really(path, flags, mode)

    monkeypatch.setattr("trio_copy_sqlite.files.os.open", open_one)
    assert "too many open files: raise the limit of the process (ulimit -n" in await refusal(tmp_path / "books.db")


def test_a_process_whose_files_may_not_grow_is_told_by_how_much(tmp_path: Path) -> None:
    """SQLite takes it for a broken disk."""
    conf = tmp_path / "conf.toml"
    conf.write_text(
        (Path(__file__).parents[2] / "conf" / "books.toml").read_text().replace("books.db", f"{tmp_path}/books.db")
    )
    added = f"{sys.executable} -m trio_copy follow add alice 0x{'11' * 20} --conf {conf}"
    ended = subprocess.run(["bash", "-c", f"ulimit -f 8; {added}"], capture_output=True, text=True)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.endswith("; a file of this process has at most 8192 bytes (ulimit -f, LimitFSIZE= of systemd)")


async def test_a_lock_that_can_name_nobody_is_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk its holder cannot be written down; whether the file can be used is told by the file itself."""

    def full(file: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("trio_copy_sqlite.files.os.pwrite", full)
    path = tmp_path / "books.db"
    async with open_at(path):
        assert "in use by another process" in await refusal(path)


async def test_a_full_disk_stops_everything_and_loses_nothing(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """When a commit fails nobody is told that it worked, and the file is not touched again by this process."""
    path, written = tmp_path / "books.db", 0
    with store_gone("full"):
        async with open_at(path) as store:
            connection = store.accounts.writer.connection
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + 20}")
            for number in range(1, 1000):
                await put(store, number, f"{number}")
                written = number
    assert written
    async with open_at(path) as store:
        assert len(await store.history.documents("position")) == written


async def test_a_row_that_cannot_be_read_leaves_no_half_step_behind(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """A step that meets a broken row after it has written is dropped whole, and nothing is traded on such a file."""
    path = tmp_path / "books.db"
    with store_gone("cut off half-way"):
        async with open_at(path) as store:

            def half(connection: sqlite3.Connection) -> None:
                connection.execute("INSERT INTO numbers VALUES ('half', 1)")
                raise StoreError("a row that cannot be read")

            await store.accounts.writer.run(half)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT 1 FROM numbers WHERE name = 'half'").fetchone() is None


@pytest.mark.parametrize("error", [ZeroDivisionError("odd"), MemoryError(), RuntimeError("odd"), AttributeError("odd")])
async def test_whatever_goes_wrong_is_told(tmp_path: Path, clock: trio.testing.MockClock, error: Exception) -> None:
    """An error that nobody expected ends the store, with its name; nobody waits for ever, and what is written is whole."""

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES ('half', 1)")
        raise error

    async with open_at(tmp_path / "books.db") as store:
        await put(store, 1, "a")
        for call in (lambda: store.accounts.writer.run(fail), lambda: put(store, 2, "b"), store.control.modes):
            with trio.fail_after(5), pytest.raises(StoreUnavailable, match=type(error).__name__):
                await call()
    async with open_at(tmp_path / "books.db") as store:
        assert [one.name for one in await store.history.documents("position")] == ["a"]


async def test_a_thread_that_cannot_start_is_told(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """Also when the work never began."""

    async def no_thread(run: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    with store_gone("can't start new thread"):
        async with open_at(tmp_path / "books.db", in_thread=no_thread) as store:
            await store.accounts.take(0, 1)


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.rename(path)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize(
    "ending, harm",
    [
        ("", _remove),
        ("", _replace),
        ("", _cut),
        ("-wal", _remove),
        ("-wal", _replace),
        ("-wal", _empty),
        ("-shm", _remove),
        ("-shm", _replace),
    ],
)
async def test_a_file_that_is_taken_away_stops_the_store(
    tmp_path: Path, clock: trio.testing.MockClock, ending: str, harm: Callable[[Path], None]
) -> None:
    """Removed, replaced or cut short under a running engine: nothing is answered any more, neither writes nor questions."""
    path = tmp_path / "books.db"
    async with open_at(path) as store:
        await put(store, 1, *(f"{number}" for number in range(300)))
        store.accounts.writer.connection.execute("PRAGMA wal_checkpoint(FULL)")
        await put(store, 2, "a")
        harm(Path(f"{path}{ending}"))
        for call in (lambda: put(store, 3, "b"), store.control.modes, lambda: store.accounts.take(0, 2)):
            with pytest.raises(StoreUnavailable, match=r"books\.db|malformed"):
                await call()


async def test_what_is_old_is_forgotten(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """After `keep_days`, a piece at a time, whatever it is; but not what is open, nor what it all adds up to."""
    day = 86_400.0
    facts = [fact(f"{number}", kind="skip", at=NOW - 0.5 * day, body=b"later") for number in range(450)]
    facts += [fact("booked", at=NOW - 10 * day, amounts=(0, 0, 0, 0, -1, 0)), fact("new", at=NOW)]
    every = FactQuery(kinds=["filled", "skip"], limit=1000)
    async with open_at(tmp_path / "books.db", keep_days=1.0) as store:
        await store.accounts.take(0, 1)
        old = document("open", kind="order")
        await store.accounts.write(0, 1, 1, Changes(puts=[old], facts=facts))
        await trio.sleep(100)
        assert len(await store.history.facts(every)) == 451
        await trio.sleep(0.5 * day + 70)
        assert [one.key for one in await store.history.facts(every)] == ["new"]
        assert (await store.history.sums(every, ()))[()] == (0, 0, 0, 0, -1, 0)
        assert list(await store.history.documents("order")) == [old]


def test_heads_are_those_of_the_port() -> None:
    """The index has the kinds as words, and they have to be those that a taking returns."""
    assert set(IS_OPEN.split("'")[1::2]) == HEAD_KINDS
