"""Adding facts up, a piece of a day at a time: SQLite sorts what it adds up, and a piece fits into little memory.

What was forgotten stands in totals, by whole days and without tokens.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from math import inf, nextafter

from trio_copy.model.facts import AMOUNTS, NO_AMOUNTS, Amounts, FactQuery, Sums
from trio_copy.ports import FORGOTTEN_TOKEN
from trio_copy_sqlite.questions import of_facts, of_names

_DAY_S = 86_400
_PIECE = 50_000
_EVER = (-1e12, 1e12)
"""Unix seconds before and after everything."""
_SUMS = ", ".join(f"sum({name})" for name in AMOUNTS)
_BOOKED = f"({' OR '.join(f'{name} != 0' for name in AMOUNTS)})"
_NOTHING = "0"
"""Stands for the token of what was forgotten: no name has this number."""
_ByNumbers = dict[tuple[int, ...], Amounts]


def add_up(connection: sqlite3.Connection, query: FactQuery, by: Sequence[str]) -> Sums:
    """Add up what a question is about."""
    sums: _ByNumbers = {}
    # Of everybody, the one index that holds it all is read from end to end; any other leads to each fact by itself.
    index = "facts_by_time" if query.follower is None else "facts_by_follower"
    wanted = of_facts(query)
    for day, start, end in _pieces(connection, query, index):
        columns = ", ".join(str(day) if name == "day" else name for name in by)
        groups = ", ".join(name for name in by if name != "day")
        ask = (
            f"SELECT {_SUMS}{columns and ', '}{columns} FROM fact_rows INDEXED BY {index}"
            f" WHERE {wanted.text} AND at >= ? AND at < ? AND {_BOOKED}{groups and ' GROUP BY '}{groups}"
        )
        _add(sums, connection.execute(ask, (*wanted.values, start, end)))
    if query.token_id is None:
        columns = ", ".join(_NOTHING if name == "token_id" else name for name in by)
        groups = ", ".join(str(len(AMOUNTS) + number) for number in range(1, len(by) + 1))
        names = of_names(query)
        ask = (
            f"SELECT {_SUMS}{columns and ', '}{columns} FROM totals"
            f" WHERE {names.text} AND day * {_DAY_S} >= ? AND day * {_DAY_S} < ?{groups and ' GROUP BY '}{groups}"
        )
        bounds = (_EVER[0] if query.since is None else query.since, _EVER[1] if query.until is None else query.until)
        _add(sums, connection.execute(ask, (*names.values, *bounds)))
    words: list[Callable[[int], str]] = [_day if name == "day" else _named(connection) for name in by]
    return {
        tuple(word(number) for word, number in zip(words, numbers, strict=True)): amounts
        for numbers, amounts in sums.items()
    }


def _add(sums: _ByNumbers, rows: sqlite3.Cursor) -> None:
    for trades, bought, sold, fees, realised, provisional, *numbers in rows:
        if trades is None:
            continue  # there was nothing
        key = tuple(numbers)
        one, two, three, four, five, six = sums.get(key, NO_AMOUNTS)
        sums[key] = (one + trades, two + bought, three + sold, four + fees, five + realised, six + provisional)


def _pieces(connection: sqlite3.Connection, query: FactQuery, index: str) -> Iterator[tuple[int, float, float]]:
    """Cut the time that a question is about into pieces of one day each, in which not too much was told: day, start, end."""
    who, names = "", tuple[str, ...]()
    if query.follower is not None:
        who, names = "follower = (SELECT id FROM names WHERE name = ?) AND ", (query.follower,)
    first = f"SELECT min(at) FROM fact_rows INDEXED BY {index} WHERE {who}at >= ?"
    far = f"SELECT at FROM fact_rows INDEXED BY {index} WHERE {who}at >= ? ORDER BY at LIMIT 1 OFFSET {_PIECE}"
    end = _EVER[0] if query.since is None else query.since
    while True:
        (start,) = connection.execute(first, (*names, end)).fetchone()
        if start is None or (query.until is not None and start >= query.until):
            return
        day = int(start // _DAY_S)
        end = float((day + 1) * _DAY_S)
        row = connection.execute(far, (*names, start)).fetchone()
        if row is not None:
            end = min(end, max(row[0], nextafter(start, inf)))  # more than a piece may have been told in one moment
        yield day, start, end


@cache
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY_S, UTC).date().isoformat()


def _named(connection: sqlite3.Connection) -> Callable[[int], str]:
    """Return what tells names by their numbers: one text for all that is equal, for there may be many groups."""

    @cache
    def name(number: int) -> str:
        if not number:
            return FORGOTTEN_TOKEN
        (told,) = connection.execute("SELECT name FROM names WHERE id = ?", (number,)).fetchone()
        return str(told)

    return name
