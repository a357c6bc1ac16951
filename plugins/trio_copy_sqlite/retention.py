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
from trio_copy_sqlite.writer import Writer

_DAY_S = 86_400.0
_EVERY_S = 60.0
_PAUSE_S = 0.05
"""Between two pieces, while there is more: a few thousand rows a second go, and a copy waits for one piece at most."""
_PIECE = 200
_OLD = "SELECT at, number FROM fact_rows WHERE at < ? ORDER BY at, number LIMIT ?"
_UP_TO = "(at, number) <= (?, ?)"
_ADD = (
    f"INSERT INTO totals (kind, follower, leader, day, {', '.join(AMOUNTS)})"
    " SELECT kind, follower, leader, CAST(at AS INTEGER) / 86400 AS day,"
    f" {', '.join(f'sum({name})' for name in AMOUNTS)} FROM fact_rows"
    f" WHERE {_UP_TO} AND ({' OR '.join(f'{name} != 0' for name in AMOUNTS)}) GROUP BY kind, follower, leader, day"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in AMOUNTS)}"
)
_FORGET = f"DELETE FROM fact_rows WHERE {_UP_TO}"
_OVER = (
    ("DELETE FROM budgets WHERE drawn_at < ?", 3 * _DAY_S),
    ("DELETE FROM instances WHERE seen_at < ?", _DAY_S),
    (
        "DELETE FROM requests WHERE number IN"
        f" (SELECT number FROM requests WHERE answer IS NOT NULL AND answered_at < ? LIMIT {_PIECE})",
        _DAY_S,
    ),
)


@define(eq=False)
class Retention:
    writer: Writer
    wall: WallClock
    keep_days: float

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget until cancelled, or until the file is gone: whoever asks for something is told of that."""
        task_status.started()
        with suppress(StoreUnavailable):
            while True:
                more = await self.writer.run(partial(self.forget, now=self.wall()))
                await trio.sleep(_PAUSE_S if more else _EVERY_S)

    def forget(self, connection: sqlite3.Connection, now: float) -> bool:
        """Delete a piece of what is too old; returns whether there may be more."""
        before = now - self.keep_days * _DAY_S
        old = connection.execute(_OLD, (before, _PIECE)).fetchall()
        if old:
            connection.execute(_ADD, old[-1])
            connection.execute(_FORGET, old[-1])
        for statement, kept_s in _OVER:
            connection.execute(statement, (now - kept_s,))
        return len(old) == _PIECE
