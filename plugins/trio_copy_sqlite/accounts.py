"""The accounts of each shard. The token and the number are compared in the transaction that writes."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import define

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost, StoreForgot
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import HEAD_KINDS, NOBODY, Changes, Document, Heads, Request
from trio_copy.records import decode, encode
from trio_copy_sqlite.schema import IS_OPEN
from trio_copy_sqlite.transaction import Statements
from trio_copy_sqlite.writer import Writer

COLUMNS = "follower, kind, name, CAST(body AS BLOB)"
"""Of a document, in the order of its fields: text comes back as the bytes that it was."""
_Row = tuple[str, str, str, bytes]
_REQUESTS_SHOWN = 100
_TAKE = "INSERT INTO shards (shard, token, number) VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET token = excluded.token, number = 0"
# The token and the number are compared by the same statement that counts: a write of a copy begins with this one.
_COUNT = "UPDATE shards SET number = ?, checkpoint = coalesce(?, checkpoint) WHERE shard = ? AND token = ? AND number = ? - 1"
_KINDS = """
WITH RECURSIVE kinds (kind) AS (
    SELECT min(kind) FROM documents WHERE shard = ?1
    UNION ALL
    SELECT (SELECT min(kind) FROM documents WHERE shard = ?1 AND kind > k.kind) FROM kinds k WHERE k.kind IS NOT NULL
)
SELECT kind FROM kinds WHERE kind IS NOT NULL
"""
"""Hops from kind to kind: there are few, and many documents of each."""
_HEADS = f"SELECT {COLUMNS} FROM documents WHERE shard = ? AND {IS_OPEN}"


def documents_of(rows: Iterable[_Row]) -> tuple[Document, ...]:
    return tuple(Document(FollowerId(follower), kind, name, body) for follower, kind, name, body in rows)


@define(eq=False)
class SqliteAccounts:
    writer: Writer
    wall: WallClock
    statements: Statements

    async def take(self, shard: int, token: int) -> Heads:
        def work(connection: sqlite3.Connection) -> tuple[str | None, list[_Row]]:
            _, _, checkpoint = _unless_fenced(connection, shard, token)
            connection.execute(_TAKE, (shard, token))
            heads = connection.execute(_HEADS, (shard,)).fetchall()
            own = [row for row in _of(connection, shard, (NOBODY,))[NOBODY] if row[1] not in HEAD_KINDS]
            return checkpoint, [*heads, *own]

        checkpoint, rows = await self.writer.run(work)
        return Heads(
            checkpoint=None if checkpoint is None else decode(checkpoint, Checkpoint), documents=documents_of(rows)
        )

    async def load(
        self, shard: int, token: int, followers: Collection[FollowerId]
    ) -> Mapping[FollowerId, Sequence[Document]]:
        def work(connection: sqlite3.Connection) -> dict[FollowerId, list[_Row]]:
            _unless_fenced(connection, shard, token)
            return _of(connection, shard, followers)

        found = await self.writer.run(work)
        return {follower: documents_of(rows) for follower, rows in found.items()}

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        now, text = self.wall(), None if checkpoint is None else encode(checkpoint)

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(_COUNT, (number, text, shard, token, number)).rowcount:
                self.statements.carry_out(connection, shard, changes, now)
                return
            owner, written, _ = _unless_fenced(connection, shard, token)
            if (owner, written) != (token, number):
                raise StoreForgot(
                    f"shard {shard}: expected write {written + 1} of token {owner}, was {number} of token {token}"
                )

        await self.writer.run(work)

    async def ask(self, shard: int, request: Request) -> None:
        row = (shard, request.name, request.kind, request.body, request.at)
        await self.writer.run(
            lambda connection: connection.execute(
                "INSERT INTO requests (shard, name, kind, body, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (shard, name) DO NOTHING",
                row,
            )
        )

    async def requests(self, shard: int, token: int) -> Sequence[Request]:
        def work(connection: sqlite3.Connection) -> list[tuple[str, str, str, float]]:
            _unless_fenced(connection, shard, token)
            return connection.execute(
                "SELECT name, kind, body, at FROM requests WHERE shard = ? AND answer IS NULL ORDER BY at, number LIMIT ?",
                (shard, _REQUESTS_SHOWN),
            ).fetchall()

        rows = await self.writer.run(work)
        return tuple(Request(name=name, kind=kind, body=body, at=at) for name, kind, body, at in rows)

    async def answer(self, shard: int, name: str) -> str | None:
        row = await self.writer.read(
            lambda connection: connection.execute(
                "SELECT answer FROM requests WHERE shard = ? AND name = ?", (shard, name)
            ).fetchone()
        )
        return None if row is None else row[0]


def _of(connection: sqlite3.Connection, shard: int, followers: Collection[FollowerId]) -> dict[FollowerId, list[_Row]]:
    """Return all documents of some accounts."""
    kinds = [kind for (kind,) in connection.execute(_KINDS, (shard,))]
    if not kinds:
        return {follower: [] for follower in followers}
    marks = ", ".join("?" * len(kinds))
    ask = f"SELECT {COLUMNS} FROM documents WHERE shard = ? AND kind IN ({marks}) AND follower = ?"
    return {follower: connection.execute(ask, (shard, *kinds, follower)).fetchall() for follower in followers}


def _unless_fenced(connection: sqlite3.Connection, shard: int, token: int) -> tuple[int, int, str | None]:
    """Return the owner's token, the number of its last write and the checkpoint."""
    row = connection.execute("SELECT token, number, checkpoint FROM shards WHERE shard = ?", (shard,)).fetchone()
    owner, number, checkpoint = row or (0, 0, None)
    if owner > token:
        raise LeaseLost(f"shard {shard} was taken with token {owner}, this is {token}")
    return owner, number, checkpoint
