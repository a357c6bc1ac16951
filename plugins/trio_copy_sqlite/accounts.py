"""The accounts of each shard. The token and the number are compared in the transaction that writes."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import define, evolve

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost, StoreForgot
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Changes, Document, Heads, Request
from trio_copy.records import decode, encode
from trio_copy_sqlite.schema import IS_HEAD
from trio_copy_sqlite.transaction import ShardRow, Transaction
from trio_copy_sqlite.writer import Writer

COLUMNS = "follower, kind, name, CAST(body AS BLOB)"
"""Of a document, in the order of its fields: text comes back as the bytes that it was."""
_REQUESTS_SHOWN = 100


def documents_of(rows: Iterable[tuple[str, str, str, bytes]]) -> tuple[Document, ...]:
    return tuple(Document(FollowerId(follower), kind, name, body) for follower, kind, name, body in rows)


@define(eq=False)
class SqliteAccounts:
    writer: Writer
    wall: WallClock

    async def take(self, shard: int, token: int) -> Heads:
        def work(transaction: Transaction) -> tuple[str | None, list[tuple[str, str, str, bytes]]]:
            row = _unless_fenced(transaction, shard, token)
            transaction.own(shard, evolve(row, token=token, number=0))
            heads = f"SELECT {COLUMNS} FROM documents INDEXED BY heads WHERE shard = ? AND {IS_HEAD}"
            return row.checkpoint, transaction.connection.execute(heads, (shard,)).fetchall()

        checkpoint, rows = await self.writer.run(work)
        return Heads(
            checkpoint=None if checkpoint is None else decode(checkpoint, Checkpoint), documents=documents_of(rows)
        )

    async def load(
        self, shard: int, token: int, followers: Collection[FollowerId]
    ) -> Mapping[FollowerId, Sequence[Document]]:
        def work(transaction: Transaction) -> dict[FollowerId, list[tuple[str, str, str, bytes]]]:
            _unless_fenced(transaction, shard, token)
            whole = f"SELECT {COLUMNS} FROM documents WHERE shard = ? AND follower = ?"
            connection = transaction.connection
            return {follower: connection.execute(whole, (shard, follower)).fetchall() for follower in followers}

        found = await self.writer.run(work)
        return {follower: documents_of(rows) for follower, rows in found.items()}

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        now, text = self.wall(), None if checkpoint is None else encode(checkpoint)

        def work(transaction: Transaction) -> None:
            row = _unless_fenced(transaction, shard, token)
            if row.token != token or number not in (row.number, row.number + 1):
                raise StoreForgot(
                    f"shard {shard}: expected write {row.number + 1} of token {row.token}, was {number} of token {token}"
                )
            if number == row.number:
                return
            transaction.own(shard, ShardRow(token, number, row.checkpoint if text is None else text))
            transaction.gather(shard, changes, now)

        await self.writer.run(work)

    async def ask(self, shard: int, request: Request) -> None:
        row = (shard, request.name, request.kind, request.body, request.at)
        await self.writer.change(
            lambda connection: connection.execute(
                "INSERT INTO requests (shard, name, kind, body, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (shard, name) DO NOTHING",
                row,
            )
        )

    async def requests(self, shard: int, token: int) -> Sequence[Request]:
        def work(transaction: Transaction) -> list[tuple[str, str, str, float]]:
            _unless_fenced(transaction, shard, token)
            return transaction.connection.execute(
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


def _unless_fenced(transaction: Transaction, shard: int, token: int) -> ShardRow:
    row = transaction.shard(shard)
    if row.token > token:
        raise LeaseLost(f"shard {shard} was taken with token {row.token}, this is {token}")
    return row
