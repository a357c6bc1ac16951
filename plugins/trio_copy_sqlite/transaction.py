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
from trio_copy_sqlite.schema import SAME, STEM

DAY_S = 86_400
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
_NAME = (
    "INSERT INTO names (name, told_on) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET told_on = excluded.told_on WHERE told_on < excluded.told_on"
)
_MOST_ROWS = 256
"""Of one statement."""
_ANSWER = "UPDATE requests SET answer = ?, answered_at = ? WHERE shard = ? AND name = ? AND answer IS NULL"
_Row = tuple[object, ...]


@define(eq=False)
class Statements:
    """Writes changes. Numbers of names that were met today are remembered: whoever gave them, none of these names goes soon."""

    _numbers: dict[str | int, int] = field(factory=dict)
    """By name; by token id as a number. Each name is told on `_today` at least."""
    _today: int = 0
    """In days since 1970."""

    def carry_out(self, connection: sqlite3.Connection, shard: int, changes: Changes, now: float) -> None:
        """Make the changes of one write, inside a transaction."""
        _run(connection, _DELETE, _KEY, shard, changes.deletes)
        _run(connection, _PUT, _DOCUMENT, shard, changes.puts)
        self._begin_day(int(now // DAY_S))
        _run(connection, _TELL, _FACT, shard, list(self._rows(connection, changes.facts)))
        if changes.answers:
            answers = [(answer, now, shard, name) for name, answer in changes.answers.items()]
            connection.executemany(_ANSWER, answers)

    def forget_names(self) -> None:
        """Ask the file again for every number: some names are gone."""
        self._numbers.clear()

    def _begin_day(self, today: int) -> None:
        if today != self._today or len(self._numbers) > _NAMES_KEPT:
            self._numbers.clear()
            self._today = today

    def _rows(self, connection: sqlite3.Connection, facts: Iterable[Fact]) -> Iterator[_Row]:
        numbers, tomorrow = self._numbers, (self._today + 1) * DAY_S
        for fact in facts:
            names = (fact.kind, fact.follower, fact.leader, fact.token_id)
            ahead = fact.at >= tomorrow  # a clock is wrong; its names have to last as long
            for name in names:
                if ahead or name not in numbers:
                    numbers[name] = _number(connection, str(name), int(fact.at // DAY_S) if ahead else self._today)
            yield (
                fact.key,
                numbers[fact.kind],
                fact.at,
                numbers[fact.follower],
                numbers[fact.leader],
                numbers[fact.token_id],
                fact.signal_id,
                # Most facts are keyed by their task: it is written once.
                f"{fact.key[:STEM]}{SAME}" if fact.key == fact.task_id and len(fact.key) >= STEM else fact.task_id,
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


def _number(connection: sqlite3.Connection, name: str, day: int) -> int:
    connection.execute(_NAME, (name, day))
    (number,) = connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
    return int(number)
