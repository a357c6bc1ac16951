"""Whoever looks at the books holds up nobody: questions have connections, snapshots and limits of their own."""

import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.plugins.test_sqlite import FILLED, open_at, put
from trio_copy.errors import StoreError
from trio_copy.model.facts import FactQuery
from trio_copy.model.ids import TokenId
from trio_copy.ports import Changes, Store, to_thread_run_sync
from trio_copy.testing.conformance.terms import ALICE, LEADER, fact
from trio_copy_sqlite.reader import Reader

FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
EVERY_FIELD = FactQuery(kinds=["filled"], follower=ALICE, leader=LEADER, token_id=TokenId(7), since=0.0, until=1e12)
HISTORY: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "facts": lambda store: store.history.facts(FILLED),
    "facts by every field": lambda store: store.history.facts(EVERY_FIELD),
    "facts of a leader": lambda store: store.history.facts(FactQuery(kinds=["filled"], leader=LEADER)),
    "sums": lambda store: store.history.sums(FILLED, ("follower", "day")),
    "sum of everything": lambda store: store.history.sums(FILLED, ()),
    "sums by every field": lambda store: store.history.sums(EVERY_FIELD, ("leader", "token_id")),
    "story": lambda store: store.history.story("abc"),
    "long story": lambda store: store.history.story("abcdefghijkl"),
    "documents": lambda store: store.history.documents("position"),
    "documents of one": lambda store: store.history.documents("position", ALICE),
}
QUESTIONS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    **HISTORY,
    "follows": lambda store: store.follows.load(),
    "modes": lambda store: store.control.modes(),
    "instances": lambda store: store.control.instances(),
    "leases": lambda store: store.control.held(["shard-0"]),
    "answer": lambda store: store.accounts.answer(0, "r"),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_guest_that_looks_takes_no_lock(tmp_path: Path, question: str) -> None:
    """While somebody else is in the middle of a commit, every question of a guest is answered; so it cannot block one."""
    path = tmp_path / "books.db"
    async with open_at(path) as store:
        await put(store, 1, "a")
    async with open_at(path, guest=True, in_thread=to_thread_run_sync) as guest:
        with closing(sqlite3.connect(path, isolation_level=None)) as engine:
            engine.execute("BEGIN IMMEDIATE")
            with trio.fail_after(5):
                await QUESTIONS[question](guest)


async def test_an_engine_commits_while_somebody_reads(tmp_path: Path) -> None:
    """A reader in the middle of its snapshot costs the engine nothing, and does not see what came meanwhile."""
    path, inside, committed = tmp_path / "books.db", trio.Event(), threading.Event()
    counted: list[int] = []

    def slowly(connection: sqlite3.Connection) -> None:
        counted.append(connection.execute("SELECT count(*) FROM documents").fetchone()[0])
        trio.from_thread.run_sync(inside.set)
        assert committed.wait(10)
        counted.append(connection.execute("SELECT count(*) FROM documents").fetchone()[0])

    async with open_at(path, in_thread=to_thread_run_sync) as store, trio.open_nursery() as nursery:
        nursery.start_soon(Reader(path, to_thread_run_sync).run, slowly)
        await inside.wait()
        with trio.fail_after(5):
            await put(store, 1, "a")
        committed.set()
    assert counted == [0, 0]


async def test_an_engines_own_history_is_read_beside_its_writer(tmp_path: Path) -> None:
    """Looking at the history inside an engine does not pass through the queue of what it commits."""
    commits: list[str] = []
    async with open_at(tmp_path / "books.db", at=commits.append) as store:
        await put(store, 1, "a")
        commits.clear()
        for question in HISTORY.values():
            await question(store)
        assert len(await store.history.documents("position")) == 1
    assert commits == []


async def test_a_snapshot_does_not_stay_for_ever(tmp_path: Path) -> None:
    """A question that takes too long is given up with a line that says what to do; a cancelled one stops at once."""
    path = tmp_path / "books.db"
    async with open_at(path):
        pass
    with pytest.raises(StoreError, match=r"took longer than 0\.05 s and was given up.*--since, --follower or --limit"):
        await Reader(path, to_thread_run_sync, most_s=0.05).run(lambda file: file.execute(FOR_EVER).fetchone())
    with trio.fail_after(5), trio.move_on_after(0.05) as asking:
        await Reader(path, to_thread_run_sync).run(lambda file: file.execute(FOR_EVER).fetchone())
    assert asking.cancelled_caught


@pytest.mark.parametrize("question", HISTORY)
async def test_no_question_walks_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    """Each is answered out of an index, and documents are not walked over: the file may be large."""
    path, asked = tmp_path / "books.db", list[str]()
    connect = sqlite3.connect

    def listening(*words: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*words, **options)
        connection.set_trace_callback(asked.append)
        return connection

    async with open_at(path) as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(facts=[fact("f", names=("abc", "abcd", "abcde"))]))
        monkeypatch.setattr("trio_copy_sqlite.reader.sqlite3.connect", listening)
        await HISTORY[question](store)
        monkeypatch.undo()
    questions = [statement for statement in asked if statement.lstrip().startswith(("SELECT", "WITH"))]
    assert questions
    with closing(connect(path)) as connection:
        for statement in questions:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            walks = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step]
            # Shards and totals are few, and the others are what was found before.
            assert {step.split()[1] for step in walks} <= {"s", "a", "n", "shards", "totals", "accounts", "CONSTANT"}, (
                plan
            )
