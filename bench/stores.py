"""What does a copy cost a store, and how much is kept of it, against bare SQLite that is given the same rows?

A copy is two writes: *placed* puts its order, *learned* puts its position and account, deletes the order and tells a fact.
Those of one signal are ready together, and so each is one write of a hundred copies; shards write at the same time.
"""

import sqlite3
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, closing
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from bench.timing import RUNS, row
from trio_copy.clock import anchored_wall_clock
from trio_copy.model.facts import Fact
from trio_copy.model.ids import Address, FollowerId, OrderId, SignalId, TaskId, TokenId
from trio_copy.ports import Changes, Document, Store, StoreContext
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_sqlite import SqliteSettings, open_sqlite_store
from trio_copy_sqlite.schema import prepare

FOLLOWERS = 100
SIGNALS = 200
SHARDS = 4
COPIES = FOLLOWERS * SIGNALS
_START = 1_764_000_000.0
_LEADER = Address("0x" + "1e" * 20)
_TOKEN = TokenId(2**255 + 12345)
_ORDER, _POSITION, _ACCOUNT, _FACT = (b'{"filler":"%s"}' % (b"x" * size) for size in (1500, 150, 450, 550))
"""As large as those of an engine that copies in dry-run."""
_FACT_MORE = 300
"""Facts are up to so much larger: if all were alike, as many would lie in each page until the smallest change makes it one more."""
Writes = list[tuple[int, Changes]]
"""Of one copy after another: the shard, and what is written there."""


def main() -> None:
    print(
        f"write path of stores: {SIGNALS} signals x {FOLLOWERS} followers, 2 writes each, {SHARDS} shards, best of {RUNS}"
    )
    writes = _writes()
    with TemporaryDirectory() as folder:
        names = (Path(folder) / str(number) for number in range(3 * RUNS))
        bare = min(_bare(next(names), writes) for _ in range(RUNS))
        row("baseline: bare sqlite3, executemany, a commit a write", bare)
        ours = min(trio.run(_write_all, _sqlite(next(names)), writes) for _ in range(RUNS))
        row("the SQLite store", ours, bare)
        memory = min(trio.run(_write_all, _memory, writes) for _ in range(RUNS))
        row("the memory store", memory, bare)
        path = next(names)
        trio.run(_write_all, _sqlite(path), writes)
        print(f"  kept of a copy in the SQLite file: {path.stat().st_size / COPIES:,.0f} bytes")
    print(f"  kept of a copy in memory:          {trio.run(_kept_in_memory, writes) / COPIES:,.0f} bytes")


def _name(*words: object) -> str:
    return sha256("|".join(map(str, words)).encode()).hexdigest()


def _writes() -> Writes:
    writes: Writes = []
    for signal in range(SIGNALS):
        signal_id = SignalId(_name("signal", signal))
        orders, others, facts = [], [], []
        for number in range(FOLLOWERS):
            follower = FollowerId(f"follower-{number}")
            task_id = TaskId(_name("task", signal, number))
            orders.append(Document(follower, "order", f"{task_id}/{signal_id}", _ORDER))
            others.append(Document(follower, "position", f"{_LEADER}/{_TOKEN}", _POSITION))
            others.append(Document(follower, "account", "", _ACCOUNT))
            facts.append(_fact(signal, signal_id, task_id, follower))
        placed = Changes(puts=orders)
        learned = Changes(puts=others, deletes=[order.key for order in orders], facts=facts)
        writes += [(signal % SHARDS, placed), (signal % SHARDS, learned)]
    return writes


def _fact(signal: int, signal_id: SignalId, task_id: TaskId, follower: FollowerId) -> Fact:
    return Fact(
        key=task_id,
        kind="filled",
        at=_START + signal,
        follower=follower,
        leader=_LEADER,
        token_id=_TOKEN,
        signal_id=signal_id,
        task_id=task_id,
        order_id=OrderId(_name("order", task_id)),
        amounts=(1, 5_000_000, 0, 10_000, 0, 0),
        body=_FACT + b" " * (int(task_id[:8], 16) % _FACT_MORE),
    )


OpenForBench = Callable[[], AbstractAsyncContextManager[Store]]


def _sqlite(path: Path) -> OpenForBench:
    context = StoreContext(settings=SqliteSettings(path=str(path)), wall=anchored_wall_clock(), shards=SHARDS)
    return lambda: open_sqlite_store(context)


def _memory() -> AbstractAsyncContextManager[Store]:
    return open_memory_store(StoreContext(settings=MemorySettings(), wall=anchored_wall_clock(), shards=SHARDS))


async def _write_all(open_store: OpenForBench, writes: Writes) -> float:
    """Return microseconds of processor time per copy."""
    async with open_store() as store:
        started = time.process_time()
        await _write(store, writes)
        return 1e6 * (time.process_time() - started) / COPIES


async def _write(store: Store, writes: Writes) -> None:
    async def own(shard: int) -> None:
        await store.accounts.take(shard, 1)
        mine = (changes for of, changes in writes if of == shard)
        for number, changes in enumerate(mine, start=1):
            await store.accounts.write(shard, 1, number, changes)

    async with trio.open_nursery() as nursery:
        for shard in range(SHARDS):
            nursery.start_soon(own, shard)


async def _kept_in_memory(writes: Writes) -> int:
    del writes
    async with _memory() as store:
        tracemalloc.start()
        await _write(store, _writes())
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return kept


def _bare(path: Path, writes: Writes) -> float:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        prepare(connection, "bench")
        rows = [list(_rows(shard, changes)) for shard, changes in writes]
        started = time.process_time()
        for statements in rows:
            connection.execute("BEGIN")
            for statement, values in statements:
                connection.executemany(statement, values)
            connection.execute("COMMIT")
        return 1e6 * (time.process_time() - started) / COPIES


def _rows(shard: int, changes: Changes) -> Iterable[tuple[str, list[tuple[object, ...]]]]:
    yield (
        "REPLACE INTO documents (shard, follower, kind, name, body) VALUES (?, ?, ?, ?, ?)",
        [(shard, *one.key, one.body.decode()) for one in changes.puts],
    )
    yield (
        "DELETE FROM documents WHERE shard = ? AND follower = ? AND kind = ? AND name = ?",
        [(shard, *key) for key in changes.deletes],
    )
    yield (
        f"REPLACE INTO fact_rows VALUES (NULL, {', '.join('?' * 16)})",
        [
            (
                *(one.key, 1, one.at, int(one.follower[9:]), 2, 3),
                *(one.signal_id, one.task_id, one.order_id, *one.amounts, one.body.decode()),
            )
            for one in changes.facts
        ],
    )


if __name__ == "__main__":
    main()
