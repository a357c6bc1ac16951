"""One connection, used by one thread at a time: calls that come together share a transaction and its trip to the disk.

Nobody hears an answer before it is durable, in the file that has the name. When anything fails on the way there, the file
is not touched again: whoever waits, and whoever comes later, is told that the store is gone.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import trio
from attrs import define, field

from trio_copy.errors import StoreError, StoreUnavailable
from trio_copy.ports import InThread
from trio_copy_sqlite.files import Files, why_failed
from trio_copy_sqlite.reader import Reader

_T = TypeVar("_T")
_TURNS = 6
"""How often a locked file is tried, each for the ten seconds of its busy timeout."""
PATIENCE_S = 60.0
"""A disk that takes longer is gone: nothing is traded blind, and a shutdown is not held up for ever."""
Work = Callable[[sqlite3.Connection], _T]


@define(eq=False)
class _Call:
    work: Work[Any]
    done: trio.Event = field(factory=trio.Event)
    answer: Any = None
    error: StoreError | None = None


@define(eq=False)
class Writer:
    connection: sqlite3.Connection
    files: Files
    in_thread: InThread
    at: Callable[[str], None]
    reader: Reader | None = None
    """Answers a guest's questions: a guest must never hold the lock that an engine commits under, just to look."""
    _waiting: list[_Call] = field(factory=list)
    _news: trio.Event = field(factory=trio.Event)
    _broken: str | None = None

    async def run(self, work: Work[_T]) -> _T:
        """Do some work as part of the next transaction; its answer is durable when it comes.

        `work` raises before it writes, or the whole transaction is dropped and the store with it: a row that cannot be
        read must not leave half a step behind. Cancelled while it waits, it happens all the same.

        Raises:
            StoreError: raised by `work`.
            StoreUnavailable: the file failed, now or earlier.
        """
        if self._broken is not None:
            raise StoreUnavailable(self._broken)
        call = _Call(work)
        self._waiting.append(call)
        self._news.set()
        with trio.move_on_after(PATIENCE_S) as patience:
            await call.done.wait()
        if patience.cancelled_caught:
            raise StoreUnavailable(f"the SQLite file did not answer within {PATIENCE_S:g} s")
        if call.error is not None:
            raise call.error
        answer: _T = call.answer
        return answer

    async def read(self, work: Work[_T]) -> _T:
        """Ask something without changing anything: beside the writer for a guest, with the next transaction otherwise.

        Raises:
            StoreError: as `run`; for a guest, also when it takes too long.
        """
        return await (self.run(work) if self.reader is None else self.reader.run(work))

    async def run_batches(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out calls until cancelled; a transaction under way is finished first."""
        task_status.started()
        while True:
            await self._news.wait()
            self._news = trio.Event()
            with trio.CancelScope(shield=True):
                await self.flush()

    async def flush(self) -> None:
        """Carry out what waits now."""
        while self._waiting:
            calls, self._waiting = self._waiting, []
            try:
                await self.in_thread(partial(self._execute, calls))
            except Exception as error:
                self._break(calls, error)
            for call in calls:
                call.done.set()

    def _execute(self, calls: list[_Call]) -> None:
        connection = self.connection
        if self._broken is not None:
            raise sqlite3.OperationalError(self._broken)
        self._begin()
        for call in calls:
            changes = connection.total_changes
            try:
                call.answer = call.work(connection)
            except StoreError as error:
                if connection.total_changes != changes:
                    raise sqlite3.DatabaseError(f"a call was cut off half-way: {error}") from error
                call.error = error
        self.at("sqlite: before commit")
        connection.execute("COMMIT")
        self.at("sqlite: committed")
        # Only now: a file that was taken away a moment earlier has taken these commits with it.
        self.files.check()

    def _break(self, calls: list[_Call], error: Exception) -> None:
        # Which of the pages reached the disk is not known any more: trusting the next commit would be guessing.
        match error:
            case sqlite3.Error():
                told = why_failed(error)
            case StoreError():
                told = str(error)
            case _:
                told = repr(error)
        self._broken = self._broken or f"the SQLite file failed: {told}"
        for call in calls:
            call.error = StoreUnavailable(self._broken)

    def _begin(self) -> None:
        """Begin a transaction, and wait for a guest that holds the file: nothing was written yet, nothing is lost."""
        for turn in range(1, _TURNS + 1):
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or turn == _TURNS:
                    raise
            else:
                return
