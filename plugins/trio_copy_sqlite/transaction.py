"""What the calls of one transaction change, gathered: many writes become one statement for each table.

Gathering is allowed because changes are absolute: what a later write says of a row is all that counts. Whatever else
wants to look at the file sees what was gathered first.
"""

import sqlite3
from collections.abc import Sequence

from attrs import define, field, frozen

from trio_copy.model.facts import Fact
from trio_copy.ports import Changes, DocumentKey

_NAMES_KEPT = 100_000
_FACT_COLUMNS = (
    "key, kind, at, follower, leader, token_id, signal_id, task_id, order_id,"
    " trades, bought, sold, fees, realised, provisional, body"
)
_PUT = "INSERT INTO documents VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
_DELETE = "DELETE FROM documents WHERE shard = ? AND follower = ? AND kind = ? AND name = ?"
_TELL = (
    f"INSERT INTO fact_rows ({_FACT_COLUMNS}) VALUES ({', '.join('?' * 16)}) ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _FACT_COLUMNS.split(", ")[1:])
)
_OWN = (
    "INSERT INTO shards VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " token = excluded.token, number = excluded.number, checkpoint = excluded.checkpoint"
)
_ANSWER = "UPDATE requests SET answer = ?, answered_at = ? WHERE shard = ? AND name = ? AND answer IS NULL"


@define(eq=False)
class Names:
    """The numbers of names that were met before. A name's number never changes, whoever gave it."""

    _numbers: dict[str, int] = field(factory=dict)

    def learn(self, connection: sqlite3.Connection, names: set[str]) -> dict[str, int]:
        """Return a mapping that has the numbers of some names, and give numbers to new ones."""
        unknown = [name for name in names if name not in self._numbers]
        if len(self._numbers) + len(unknown) > _NAMES_KEPT:
            self._numbers, unknown = {}, list(names)
        if unknown:
            rows = [(name,) for name in unknown]
            connection.executemany("INSERT INTO names (name) VALUES (?) ON CONFLICT DO NOTHING", rows)
        for name in unknown:
            (self._numbers[name],) = connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
        return self._numbers


@frozen
class ShardRow:
    token: int = 0
    number: int = 0
    checkpoint: str | None = None
    """As JSON."""


@define(eq=False)
class Transaction:
    """One transaction of the connection, from its begin to its commit."""

    _connection: sqlite3.Connection
    _names: Names
    _shards: dict[int, ShardRow] = field(factory=dict)
    _owned: set[int] = field(factory=set)
    """Shards whose rows were set."""
    _bodies: dict[tuple[int, DocumentKey], str | bytes | None] = field(factory=dict)
    """None for what is deleted."""
    _facts: dict[str, Fact] = field(factory=dict)
    _answers: list[tuple[str, float, int, str]] = field(factory=list)

    @property
    def connection(self) -> sqlite3.Connection:
        """For any other statement: what was gathered so far is in the file first."""
        self.settle()
        return self._connection

    def shard(self, shard: int) -> ShardRow:
        """Return the row of a shard, as this transaction has it so far."""
        if shard not in self._shards:
            row = self._connection.execute(
                "SELECT token, number, checkpoint FROM shards WHERE shard = ?", (shard,)
            ).fetchone()
            self._shards[shard] = ShardRow(*row or ())
        return self._shards[shard]

    def own(self, shard: int, row: ShardRow) -> None:
        """Set the row of a shard."""
        self._shards[shard] = row
        self._owned.add(shard)

    def gather(self, shard: int, changes: Changes, now: float) -> None:
        """Take the changes of one write."""
        for key in changes.deletes:
            self._bodies[shard, key] = None
        for document in changes.puts:
            self._bodies[shard, document.key] = as_text(document.body)
        for fact in changes.facts:
            self._facts[fact.key] = fact
        self._answers += [(answer, now, shard, name) for name, answer in changes.answers.items()]

    def settle(self) -> None:
        """Bring what was gathered into the file."""
        if self._bodies:
            rows, self._bodies = self._bodies, {}
            self._run(_DELETE, [(shard, *key) for (shard, key), body in rows.items() if body is None])
            self._run(_PUT, [(shard, *key, body) for (shard, key), body in rows.items() if body is not None])
        if self._facts:
            facts, self._facts = self._facts.values(), {}
            words = {word for fact in facts for word in (fact.kind, fact.follower, fact.leader, str(fact.token_id))}
            numbers = self._names.learn(self._connection, words)
            self._run(_TELL, [_row(fact, numbers) for fact in facts])
        answers, self._answers = self._answers, []
        self._run(_ANSWER, answers)
        owned, self._owned = [(shard, self._shards[shard]) for shard in self._owned], set()
        self._run(_OWN, [(shard, row.token, row.number, row.checkpoint) for shard, row in owned])

    def _run(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            self._connection.executemany(statement, rows)


def _row(fact: Fact, numbers: dict[str, int]) -> tuple[object, ...]:
    who = (numbers[fact.follower], numbers[fact.leader], numbers[str(fact.token_id)])
    names = (fact.signal_id, fact.task_id, fact.order_id)
    return (fact.key, numbers[fact.kind], fact.at, *who, *names, *fact.amounts, as_text(fact.body))


def as_text(body: bytes) -> str | bytes:
    """Return a body as text where it is text, so that people can read it and `json_extract` takes it."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
