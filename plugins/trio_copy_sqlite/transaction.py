"""The statements of a copy: few for each write, and many rows in each.

A statement is carried out without Python: one for each row would stop after each of them and wait until the rest of the
engine lets go of the interpreter.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, repeat

from attrs import define, field

from trio_copy.model.facts import Fact
from trio_copy.ports import Changes

_NAMES_KEPT = 100_000
_FACT_COLUMNS = (
    "key, kind, at, follower, leader, token_id, signal_id, task_id, order_id,"
    " trades, bought, sold, fees, realised, provisional, body"
)
# As text where it is text, so that people can read it and `json_extract` takes it. The bytes stay what they are.
_FACT = f"({'?, ' * 15}CAST(? AS TEXT))"
_TELL = f"INSERT INTO fact_rows ({_FACT_COLUMNS}) SELECT * FROM (VALUES {{rows}}) WHERE column1 NOT NULL" + (
    " ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _FACT_COLUMNS.split(", ")[1:])
)
_DOCUMENT = "(?, ?, ?, CAST(? AS TEXT))"
_PUT = (
    "INSERT INTO documents (shard, follower, kind, name, body) SELECT {shard}, * FROM (VALUES {rows}) WHERE column1 NOT NULL"
    " ON CONFLICT (shard, kind, follower, name) DO UPDATE SET body = excluded.body"
)
_KEY = "(?, ?, ?)"
_DELETE = (
    "WITH gone (follower, kind, name) AS (VALUES {rows}) DELETE FROM documents WHERE number IN"
    " (SELECT d.number FROM gone g CROSS JOIN documents d"
    " ON d.shard = {shard} AND d.kind = g.kind AND d.follower = g.follower AND d.name = g.name)"
)
_MOST_ROWS = 256
"""Of one statement."""
_ANSWER = "UPDATE requests SET answer = ?, answered_at = ? WHERE shard = ? AND name = ? AND answer IS NULL"
_Row = tuple[object, ...]


@define(eq=False)
class Statements:
    """Writes changes. A name's number never changes, whoever gave it: those that were met before are remembered."""

    _numbers: dict[str | int, int] = field(factory=dict)
    """By name; by token id as a number."""

    def carry_out(self, connection: sqlite3.Connection, shard: int, changes: Changes, now: float) -> None:
        """Make the changes of one write, inside a transaction."""
        _run(connection, _DELETE, _KEY, shard, changes.deletes)
        _run(connection, _PUT, _DOCUMENT, shard, changes.puts)
        _run(connection, _TELL, _FACT, shard, list(self._rows(connection, changes.facts)))
        if changes.answers:
            answers = [(answer, now, shard, name) for name, answer in changes.answers.items()]
            connection.executemany(_ANSWER, answers)

    def _rows(self, connection: sqlite3.Connection, facts: Iterable[Fact]) -> Iterator[_Row]:
        numbers = self._numbers
        if len(numbers) > _NAMES_KEPT:
            numbers.clear()
        for fact in facts:
            names = (fact.kind, fact.follower, fact.leader, fact.token_id)
            for name in names:
                if name not in numbers:
                    numbers[name] = _number(connection, str(name))
            yield (
                fact.key,
                numbers[fact.kind],
                fact.at,
                numbers[fact.follower],
                numbers[fact.leader],
                numbers[fact.token_id],
                fact.signal_id,
                fact.task_id,
                fact.order_id,
                *fact.amounts,
                fact.body,
            )


def _run(
    connection: sqlite3.Connection, statement: str, row: str, shard: int, rows: Sequence[Iterable[object]]
) -> None:
    for start in range(0, len(rows), _MOST_ROWS):
        some = rows[start : start + _MOST_ROWS]
        # Filled up with rows that say nothing: so that few statements are ever prepared, and one is carried out.
        size = 1 << (len(some) - 1).bit_length()
        values = (*chain.from_iterable(some), *repeat(None, (size - len(some)) * row.count("?")))
        connection.execute(_statement(statement, row, shard, size), values)


@cache
def _statement(statement: str, row: str, shard: int, size: int) -> str:
    return statement.format(shard=f"{shard:d}", rows=", ".join([row] * size))


def _number(connection: sqlite3.Connection, name: str) -> int:
    connection.execute("INSERT INTO names (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    (number,) = connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
    return int(number)
