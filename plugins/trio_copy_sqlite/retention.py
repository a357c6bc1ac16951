"""What is forgotten, and when: a little at a time, between what has to be done.

Only what changed no amount is forgotten: what was booked is kept for ever.
"""

import sqlite3
from contextlib import suppress
from functools import partial

import trio
from attrs import define

from trio_copy.clock import WallClock
from trio_copy.errors import StoreUnavailable
from trio_copy_sqlite.writer import Writer

_DAY_S = 86_400.0
_EVERY_S = 60.0
_PAUSE_S = 0.05
"""Between two pieces, while there is more: a few thousand rows a second go, and a copy waits for one piece at most."""
_PIECE = 200
_OLD = "SELECT number, at FROM fact_rows WHERE (at, number) > (?, ?) AND at < ? ORDER BY at, number LIMIT ?"
_FORGET = (
    "DELETE FROM fact_rows WHERE number = ? AND trades = 0 AND bought = 0 AND sold = 0 AND fees = 0 AND realised = 0"
    " AND provisional = 0"
)
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
    _looked_at: tuple[float, int] = (0.0, 0)
    """The moment and the number of the last fact that was looked at: what is kept is not looked at again."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget until cancelled, or until the file is gone: whoever asks for something is told of that."""
        task_status.started()
        with suppress(StoreUnavailable):
            while True:
                more = await self.writer.change(partial(self.forget, now=self.wall()))
                await trio.sleep(_PAUSE_S if more else _EVERY_S)

    def forget(self, connection: sqlite3.Connection, now: float) -> bool:
        """Delete a piece of what is too old; returns whether there may be more."""
        before = now - self.keep_days * _DAY_S
        old = connection.execute(_OLD, (*self._looked_at, before, _PIECE)).fetchall()
        connection.executemany(_FORGET, [(number,) for number, _ in old])
        if old:
            number, at = old[-1]
            self._looked_at = (at, number)
        for statement, kept_s in _OVER:
            connection.execute(statement, (now - kept_s,))
        return len(old) == _PIECE
