"""What was written, for people who ask: read beside the writer, so that no copy waits for them."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from attrs import define

from trio_copy.model.facts import AMOUNTS, Amounts, Fact, FactQuery, Sums
from trio_copy.model.ids import Address, FollowerId, OrderId, SignalId, TaskId, TokenId
from trio_copy.ports import Document
from trio_copy_sqlite.accounts import COLUMNS, documents_of
from trio_copy_sqlite.reader import Reader
from trio_copy_sqlite.schema import IS_OPEN, STEM

_MOST = 100
_HIGHEST = "\U0010ffff" * STEM
_FACT = (
    "f.key, f.kind, f.at, f.follower, f.leader, f.token_id, f.signal_id, f.task_id, f.order_id,"
    " f.trades, f.bought, f.sold, f.fees, f.realised, f.provisional, CAST(f.body AS BLOB)"
)
_BOOKED = f"({' OR '.join(f'{name} != 0' for name in AMOUNTS)})"
_BY = {
    "follower": "follower",
    "leader": "leader",
    "token_id": "token_id",
    "day": "CAST(at AS INTEGER) / 86400",
}
_ACCOUNT = "WITH accounts AS (SELECT shard, ? AS follower FROM shards)"
_ACCOUNTS = """
WITH RECURSIVE accounts (shard, follower) AS (
    SELECT shard, (SELECT min(follower) FROM documents d WHERE d.shard = s.shard) FROM shards s
    UNION ALL
    SELECT shard, (SELECT min(follower) FROM documents d WHERE d.shard = a.shard AND d.follower > a.follower)
    FROM accounts a WHERE follower IS NOT NULL
)
"""
"""Hops from account to account, and so over all their documents of other kinds."""


@define(eq=False)
class SqliteHistory:
    reader: Reader

    async def facts(self, query: FactQuery) -> Sequence[Fact]:
        where, values = _where(query)
        # The numbers alone are sorted and cut off, out of the index; only what is wanted is read.
        ask = (
            f"SELECT {_FACT} FROM (SELECT number FROM fact_rows WHERE {where} ORDER BY at DESC, number DESC LIMIT ?) n"
            " CROSS JOIN facts f ON f.number = n.number ORDER BY f.at DESC, f.number DESC"
        )
        rows = await self.reader.run(lambda connection: connection.execute(ask, (*values, query.limit)).fetchall())
        return tuple(map(_fact, rows))

    async def sums(self, query: FactQuery, by: Sequence[str]) -> Sums:
        where, values = _where(query)
        groups = ", ".join(_BY[name] for name in by)
        totals = ", ".join(f"sum({name})" for name in AMOUNTS)
        # Of everybody, the one index that holds it all is read from end to end; any other leads to each fact by itself.
        index = "facts_by_time" if query.follower is None else "facts_by_follower"
        ask = f"SELECT {totals}{groups and ', '}{groups} FROM fact_rows INDEXED BY {index} WHERE {where} AND {_BOOKED}"
        if groups:
            ask += f" GROUP BY {groups}"

        def work(connection: sqlite3.Connection) -> dict[tuple[str, ...], Amounts]:
            sums: dict[tuple[str, ...], Amounts] = {}
            words: list[Callable[[int], str]] = [_day if name == "day" else _named(connection) for name in by]
            for trades, bought, sold, fees, realised, provisional, *numbers in connection.execute(ask, values):
                amounts = (trades, bought, sold, fees, realised, provisional)
                if any(amounts):
                    sums[tuple(word(number) for word, number in zip(words, numbers, strict=True))] = amounts
            return sums

        return await self.reader.run(work)

    async def story(self, prefix: str) -> tuple[Sequence[Fact], Sequence[Document]]:
        def work(connection: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            facts: dict[str, Any] = {}
            for column in ("task_id", "signal_id", "order_id"):
                facts.update((row[0], row) for row in connection.execute(*_begins(column, prefix)))
            # What is open is little: it is looked through.
            open_ones = connection.execute(
                f"SELECT {COLUMNS} FROM documents INDEXED BY heads WHERE {IS_OPEN}"
                " AND instr('/' || name, '/' || ?) > 0 AND instr(?, '/') = 0 LIMIT ?",
                (prefix, prefix, _MOST),
            )
            return list(facts.values())[:_MOST], open_ones.fetchall()

        rows, documents = await self.reader.run(work)
        return tuple(map(_fact, rows)), documents_of(documents)

    async def documents(self, kind: str, follower: FollowerId | None = None) -> Sequence[Document]:
        accounts, values = (_ACCOUNTS, ()) if follower is None else (_ACCOUNT, (follower,))
        ask = (
            f"{accounts} SELECT d.follower, d.kind, d.name, CAST(d.body AS BLOB) FROM accounts a CROSS JOIN documents d"
            " ON d.shard = a.shard AND d.follower = a.follower AND d.kind = ?"
        )
        rows = await self.reader.run(lambda connection: connection.execute(ask, (*values, kind)).fetchall())
        return sorted(documents_of(rows), key=lambda document: document.key)


def _begins(column: str, prefix: str) -> tuple[str, tuple[object, ...]]:
    stem = prefix[:STEM]
    return (
        f"SELECT {_FACT} FROM facts f WHERE {column} != '' AND substr({column}, 1, {STEM}) BETWEEN ? AND ?"
        f" AND substr({column}, 1, ?) = ? LIMIT ?",
        (stem, stem + _HIGHEST[len(stem) :], len(prefix), prefix, _MOST),
    )


def _fact(row: tuple[Any, ...]) -> Fact:
    key, kind, at, follower, leader, token_id, signal_id, task_id, order_id, *amounts, body = row
    return Fact(
        key=key,
        kind=kind,
        at=at,
        follower=FollowerId(follower),
        leader=Address(leader),
        token_id=TokenId(int(token_id)),
        signal_id=SignalId(signal_id),
        task_id=TaskId(task_id),
        order_id=OrderId(order_id),
        amounts=tuple(amounts),
        body=body,
    )


@lru_cache(maxsize=10_000)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()


def _named(connection: sqlite3.Connection) -> Callable[[int], str]:
    """Return what tells names by their numbers: one text for all that is equal, for there may be many groups."""

    @cache
    def name(number: int) -> str:
        (told,) = connection.execute("SELECT name FROM names WHERE id = ?", (number,)).fetchone()
        return str(told)

    return name


def _where(query: FactQuery) -> tuple[str, tuple[object, ...]]:
    """Write a question as a condition and its values."""
    kinds = sorted(query.kinds)
    marks = ", ".join("?" * len(kinds))
    conditions = (
        ("follower = (SELECT id FROM names WHERE name = ?)", query.follower),
        ("leader = (SELECT id FROM names WHERE name = ?)", query.leader),
        ("token_id = (SELECT id FROM names WHERE name = ?)", None if query.token_id is None else str(query.token_id)),
        ("at >= ?", query.since),
        ("at < ?", query.until),
    )
    wanted = [(condition, value) for condition, value in conditions if value is not None]
    words = [f"kind IN (SELECT id FROM names WHERE name IN ({marks}))", *(condition for condition, _ in wanted)]
    return " AND ".join(words), (*kinds, *(value for _, value in wanted))
