"""Reading beside the writer: each question has a connection and a snapshot of its own, so that neither waits for the other.

A snapshot costs something while it stays: the file's log cannot be folded back and grows. So none stays long: what is
large is read in pieces, what is decoded is decoded after the snapshot's end, and whatever takes too long is given up.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from attrs import define

from trio_copy.errors import StoreError, StoreUnavailable
from trio_copy.ports import InThread

_T = TypeVar("_T")
_Raw = TypeVar("_Raw")
MOST_S = 30.0
"""How long one snapshot may stay."""
_BUSY_MS = 10_000
_LOOK_EVERY = 20_000
"""Steps of SQLite's machine, a few milliseconds, between two looks at whether anybody still waits for the answer."""
_PIECE = 500


@define(eq=False)
class Reader:
    path: Path
    in_thread: InThread
    most_s: float = MOST_S

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Answer a question from what was committed when it was asked. Cancelled, it stops in the middle.

        Raises:
            StoreError: it took too long, or a row cannot be read.
            StoreUnavailable: the file cannot be read.
        """
        with trio.move_on_after(self.most_s):
            answer: _T = await self.in_thread(partial(self._ask, work))
            return answer
        raise StoreError(
            f"reading {self.path} took longer than {self.most_s:g} s and was given up, for the file grows meanwhile;"
            " ask for less, with --since, --follower or --limit"
        )

    async def each(self, which: str, values: Sequence[object], what: str, make: Callable[[_Raw], _T]) -> tuple[_T, ...]:
        """Read many rows that never change: `which` finds their numbers, `what` reads one by its number.

        The numbers are one snapshot; the rows are read and made into something in pieces, outside of it.
        """

        def find(connection: sqlite3.Connection) -> list[int]:
            return [number for (number,) in connection.execute(which, values)]

        def read(numbers: Sequence[int], connection: sqlite3.Connection) -> list[_Raw]:
            return [connection.execute(what, (number,)).fetchone()[0] for number in numbers]

        numbers, made = await self.run(find), []
        for start in range(0, len(numbers), _PIECE):
            raw = await self.run(partial(read, numbers[start : start + _PIECE]))
            made += await self.in_thread(partial(_make, make, raw))
        return tuple(made)

    def _ask(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = None
        try:
            connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, isolation_level=None)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            connection.set_progress_handler(_look_whether_anybody_waits, _LOOK_EVERY)
            connection.execute("BEGIN DEFERRED")
            return work(connection)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                trio.from_thread.check_cancelled()
            raise StoreUnavailable(f"the SQLite file cannot be read: {error}") from None
        finally:
            if connection is not None:
                connection.close()


def _make(make: Callable[[_Raw], _T], raw: Sequence[_Raw]) -> list[_T]:
    return [make(one) for one in raw]


def _look_whether_anybody_waits() -> None:
    """Let SQLite stop once the caller was cancelled or its time is over: it takes any exception here for that."""
    with suppress(RuntimeError):  # in place, without a thread: nobody can be waiting meanwhile
        trio.from_thread.check_cancelled()
