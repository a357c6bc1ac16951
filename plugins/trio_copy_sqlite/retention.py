"""What is forgotten, and when: a little at a time, between what has to be done.

What forgotten facts add up to is kept, in the step that forgets them.
"""

import sqlite3
from contextlib import suppress
from functools import partial

import trio
from attrs import define

from trio_copy.clock import WallClock
from trio_copy.errors import StoreUnavailable
from trio_copy.model.facts import AMOUNTS
from trio_copy_sqlite.transaction import DAY_S, Statements
from trio_copy_sqlite.writer import Writer

_EVERY_S = 60.0
_PAUSE_S = 0.05
"""Between two pieces, while there is more: a few thousand rows a second go, and a copy waits for one piece at most."""
_PIECE = 200
_OLD = "SELECT at, number FROM fact_rows WHERE at < ? ORDER BY at, number LIMIT ?"
_UP_TO = "(at, number) <= (?, ?)"
_BOOKED = f"{_UP_TO} AND ({' OR '.join(f'{name} != 0' for name in AMOUNTS)})"
_ADD = (
    f"INSERT INTO totals (kind, follower, leader, day, {', '.join(AMOUNTS)})"
    " SELECT kind, follower, leader, CAST(at AS INTEGER) / 86400 AS day,"
    f" {', '.join(f'sum({name})' for name in AMOUNTS)} FROM fact_rows"
    f" WHERE {_BOOKED} GROUP BY kind, follower, leader, day"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in AMOUNTS)}"
)
# What stands in totals is needed as long as they are.
_KEEP_NAMES = "UPDATE names SET told_on = NULL WHERE +told_on NOT NULL AND id IN (" + (
    " UNION ".join(f"SELECT {column} FROM fact_rows WHERE {_BOOKED}" for column in ("kind", "follower", "leader")) + ")"
)
_FORGET = f"DELETE FROM fact_rows WHERE {_UP_TO}"
_FORGET_NAMES = (
    "DELETE FROM names WHERE id IN"
    f" (SELECT id FROM names WHERE told_on NOT NULL AND told_on < ? ORDER BY told_on LIMIT {_PIECE})"
)
# Whoever waits for changes of the book is this engine, which has read it since: what was removed before that is of no use.
_FORGET_FOLLOWS = (
    "DELETE FROM follows WHERE (leader, follower) IN"
    f" (SELECT leader, follower FROM follows WHERE removed = 1 AND version <= ? LIMIT {_PIECE})"
)
_OVER = (
    ("DELETE FROM budgets WHERE drawn_at < ?", 3 * DAY_S),
    ("DELETE FROM instances WHERE seen_at < ?", DAY_S),
    (
        "DELETE FROM requests WHERE number IN"
        f" (SELECT number FROM requests WHERE answer IS NOT NULL AND answered_at < ? LIMIT {_PIECE})",
        DAY_S,
    ),
)


@define(eq=False)
class Retention:
    writer: Writer
    statements: Statements
    wall: WallClock
    keep_days: float
    book_version: int
    """Of the follow book, before this process has read it."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget until cancelled, or until the file is gone: whoever asks for something is told of that."""
        task_status.started()
        with suppress(StoreUnavailable):
            while True:
                more = await self.writer.run(partial(self.forget, now=self.wall()))
                await trio.sleep(_PAUSE_S if more else _EVERY_S)

    def forget(self, connection: sqlite3.Connection, now: float) -> bool:
        """Delete a piece of what is too old; returns whether there may be more."""
        before = now - self.keep_days * DAY_S
        old = connection.execute(_OLD, (before, _PIECE)).fetchall()
        if old:
            connection.execute(_ADD, old[-1])
            connection.execute(_KEEP_NAMES, (*old[-1], *old[-1], *old[-1]))
            connection.execute(_FORGET, old[-1])
        names = 0
        if len(old) < _PIECE:  # else facts are left that such old names were told in
            names = connection.execute(_FORGET_NAMES, (before // DAY_S,)).rowcount
        if names:
            self.statements.forget_names()
        follows = connection.execute(_FORGET_FOLLOWS, (self.book_version,)).rowcount
        for statement, kept_s in _OVER:
            connection.execute(statement, (now - kept_s,))
        return _PIECE in (len(old), names, follows)
