"""Reading beside the writer: each question has a connection and a snapshot of its own, so that neither waits for the other.

A snapshot costs something while it stays: the file's log cannot be folded back and grows. So none stays long: what is
read is made into something after the snapshot's end, and whatever takes too long is given up.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from attrs import define

from trio_copy.errors import StoreError, StoreUnavailable
from trio_copy.ports import InThread

_T = TypeVar("_T")
MOST_S = 30.0
"""How long one snapshot may stay."""
_BUSY_MS = 10_000
_CACHE_KIB = 32_768
"""Sums over a million facts are sorted in this much, instead of in a file."""
_LOOK_EVERY = 1_000_000
"""Steps of SQLite's machine, some 20 milliseconds, between two looks at whether anybody still waits for the answer. Each look
has to wait for its turn among the threads of Python."""


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

    def _ask(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = None
        try:
            connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, isolation_level=None)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
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


def _look_whether_anybody_waits() -> None:
    """Let SQLite stop once the caller was cancelled or its time is over: it takes any exception here for that."""
    with suppress(RuntimeError):  # in place, without a thread: nobody can be waiting meanwhile
        trio.from_thread.check_cancelled()
