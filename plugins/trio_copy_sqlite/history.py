"""What was written, for people who ask: read beside the writer, so that no copy waits for them."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from attrs import define

from trio_copy.model.facts import Fact, FactQuery, Sums
from trio_copy.model.ids import Address, FollowerId, OrderId, SignalId, TaskId, TokenId
from trio_copy.ports import Document
from trio_copy_sqlite.accounts import COLUMNS, documents_of
from trio_copy_sqlite.questions import of_facts
from trio_copy_sqlite.reader import Reader
from trio_copy_sqlite.schema import IS_OPEN, KEY_IS_TASK, STEM
from trio_copy_sqlite.sums import add_up

_MOST = 100
_HIGHEST = "\U0010ffff" * STEM
_FACT = (
    "f.key, f.kind, f.at, f.follower, f.leader, f.token_id, f.signal_id, f.task_id, f.order_id,"
    " f.trades, f.bought, f.sold, f.fees, f.realised, f.provisional, CAST(f.body AS BLOB)"
)
_STEMS = (
    ("task_id", "key"),
    ("task_id", f"NOT {KEY_IS_TASK} AND substr(task_id, 1, {STEM})"),
    ("signal_id", f"substr(signal_id, 1, {STEM})"),
    ("order_id", f"substr(order_id, 1, {STEM})"),
)
"""Ids, and what of them is indexed."""
_OF_ALL_SHARDS = f"SELECT {COLUMNS} FROM documents WHERE shard IN (SELECT shard FROM shards)"


@define(eq=False)
class SqliteHistory:
    reader: Reader

    async def facts(self, query: FactQuery) -> Sequence[Fact]:
        where = of_facts(query)
        # The numbers alone are sorted and cut off, out of the index; only what is wanted is read.
        ask = (
            f"SELECT {_FACT} FROM (SELECT number FROM fact_rows WHERE {where.text} ORDER BY at DESC, number DESC LIMIT ?) n"
            " CROSS JOIN facts f ON f.number = n.number ORDER BY f.at DESC, f.number DESC"
        )
        rows = await self.reader.run(
            lambda connection: connection.execute(ask, (*where.values, query.limit)).fetchall()
        )
        return tuple(map(_fact, rows))

    async def sums(self, query: FactQuery, by: Sequence[str]) -> Sums:
        return await self.reader.run(lambda connection: add_up(connection, query, by))

    async def story(self, prefix: str) -> tuple[Sequence[Fact], Sequence[Document]]:
        def work(connection: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            facts: dict[str, Any] = {}
            for column, indexed in _STEMS:
                ask = (
                    f"SELECT {_FACT} FROM (SELECT number FROM fact_rows WHERE {column} != '' AND {indexed} BETWEEN ? AND ?) n"
                    f" CROSS JOIN facts f ON f.number = n.number WHERE substr(f.{column}, 1, ?) = ? LIMIT ?"
                )
                stem = prefix[:STEM]
                values = (stem, stem + _HIGHEST, len(prefix), prefix, _MOST)
                facts.update((row[0], row) for row in connection.execute(ask, values))
            # What is open is little: it is looked through.
            open_ones = connection.execute(
                f"{_OF_ALL_SHARDS} AND {IS_OPEN} AND instr('/' || name, '/' || ?) > 0 AND instr(?, '/') = 0 LIMIT ?",
                (prefix, prefix, _MOST),
            )
            return list(facts.values())[:_MOST], open_ones.fetchall()

        rows, documents = await self.reader.run(work)
        return tuple(map(_fact, rows)), documents_of(documents)

    async def documents(self, kind: str, follower: FollowerId | None = None) -> Sequence[Document]:
        ask, values = f"{_OF_ALL_SHARDS} AND kind = ?", [kind]
        if follower is not None:
            ask, values = f"{ask} AND follower = ?", [kind, follower]
        rows = await self.reader.run(lambda connection: connection.execute(ask, values).fetchall())
        return sorted(documents_of(rows))  # by their keys: no two are equal


def _fact(row: tuple[Any, ...]) -> Fact:
    key, kind, at, follower, leader, token_id, signal_id, task_id, order_id, *amounts, body = row
    # By position, which takes half as long: many are read at once.
    return Fact(
        key,
        kind,
        at,
        FollowerId(follower),
        Address(leader),
        TokenId(int(token_id)),
        body,
        tuple(amounts),
        SignalId(signal_id),
        TaskId(task_id),
        OrderId(order_id),
    )
