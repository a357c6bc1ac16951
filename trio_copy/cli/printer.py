"""Writes to standard output without ever holding up the engine: a slow or stopped terminal costs lines, not trades."""

import errno
import io
import os
import shutil
import threading
from collections import deque
from typing import TextIO

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

_NO_WRAP = 10_000
_MOST_CHARS = 1 << 20
"""Output that may wait for a slow reader; beyond it lines are dropped and counted."""
_GONE = (errno.EPIPE, errno.EIO)
"""What a pipe without a reader answers, and a terminal that was closed."""


def console(width: int | None = None) -> Console:
    """Make a console for tables. It takes no text for markup, because texts come from outside too."""
    return Console(highlight=False, markup=False, emoji=False, width=width)


class Printer:
    """Collects lines and a status line; `run` writes them from a thread."""

    def __init__(self, stream: TextIO, *, live: bool) -> None:
        """Show the status lines at the bottom of a terminal when `live`, else leave them out."""
        self._stream = stream
        self._buffer = io.StringIO()
        self._console = Console(
            file=self._buffer,
            force_terminal=live,
            no_color=None if live else True,
            width=shutil.get_terminal_size().columns if live else _NO_WRAP,
            highlight=False,
            soft_wrap=not live,
        )
        # Redirection would feed our own writes to standard output back into the console.
        self._live = (
            Live(
                console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            if live
            else None
        )
        self._foreign: deque[str] = deque()
        self._begun = ""
        self._thread = threading.get_ident()
        self._news = trio.Event()
        self._done = False
        self._written = trio.Event()
        self.dropped = 0
        self.closed = trio.Event()
        """Set when nobody reads any more."""
        self.failed = trio.Event()
        """Set when a write failed for the first time though somebody may read: a full disk costs lines, not trades."""
        self.failure = ""
        """Why that was."""
        self.stuck = False
        """Whether the last write never came back: then only leaving the process at once ends it."""

    def text(self, text: Text) -> None:
        """Print a styled line."""
        if self._full():
            return
        self._console.print(text)
        self._news.set()

    def line(self, line: str) -> None:
        """Print a line as it is."""
        if self._full():
            return
        self._buffer.write(line + "\n")
        self._news.set()

    @property
    def live(self) -> bool:
        """Whether there is a status at the bottom of a terminal."""
        return self._live is not None

    @property
    def done(self) -> bool:
        """Whether nothing is taken any more."""
        return self._done

    @property
    def width(self) -> int | None:
        """How many columns a line may take: what a terminal that was made narrower has now; None without one."""
        if self._live is None:
            return None
        self._console.width = shutil.get_terminal_size().columns
        return self._console.width - 1

    def status(self, *lines: Text) -> None:
        """Replace the status lines."""
        if self._live is not None:
            self._show_foreign()
            if not self._live.is_started:
                self._live.start()
            for line in lines:
                line.truncate(self._console.width - 1, overflow="ellipsis")
            self._live.update(Group(*lines), refresh=True)
            self._news.set()

    def finish(self) -> None:
        """Take the status line away and let `run` end when everything is written."""
        if self._live is not None:
            self.write("\n" if self._begun else "")
            self._live.stop()
        self._done = True
        self._news.set()

    async def wait_written(self) -> None:
        """Wait until `run` has written everything, after `finish`."""
        await self._written.wait()

    def write(self, text: str) -> None:
        """Take text as a file would, for loggers; above a status from any thread, and line by line."""
        if self._live is not None:
            self._foreign.append(text)
            if threading.get_ident() == self._thread:
                self._show_foreign()
        elif not self._full():
            self._buffer.write(text)
            self._news.set()

    def flush(self) -> None:
        """Do nothing: `run` writes when it can."""

    async def run(self) -> None:
        """Write until `finish`. When the reader goes away, set `closed` and drop the rest.

        Lines that a full disk does not take are dropped and counted, and the next ones are tried again.
        On cancellation a write that hangs is left behind in its thread, and `stuck` is set.
        """
        while True:
            await self._news.wait()
            self._news = trio.Event()
            text = self._buffer.getvalue()
            self._buffer.seek(0)
            self._buffer.truncate()
            if text and not self.closed.is_set():
                self.stuck = True
                try:
                    await trio.to_thread.run_sync(_write, self._stream, text, abandon_on_cancel=True)
                except OSError as error:
                    if error.errno in _GONE:
                        self.closed.set()
                    else:
                        self.dropped += text.count("\n")
                        self.failure = self.failure or error.strerror or str(error)
                        self.failed.set()
                self.stuck = False
            if self._done and not self._buffer.tell():
                self._written.set()
                return

    def _show_foreign(self) -> None:
        """Print the lines that are complete. What another thread wrote waits for the next status."""
        while self._foreign:
            *lines, self._begun = (self._begun + self._foreign.popleft()).split("\n")
            for line in lines:
                self.text(Text.from_ansi(line))

    def _full(self) -> bool:
        full = self._buffer.tell() > _MOST_CHARS
        self.dropped += full
        return full


class Above(io.TextIOBase):
    """Standard error while a status stands at the bottom of the same terminal: its lines are shown above."""

    def __init__(self, printer: Printer, stream: TextIO) -> None:
        """Show lines through `printer` until it is done, and write to `stream` afterwards."""
        self._printer, self._stream = printer, stream

    def write(self, text: str) -> int:
        """Take text from any thread."""
        if self._printer.done:
            self._stream.write(text)
        else:
            self._printer.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written after the end; before it, the printer writes when it can."""
        if self._printer.done:
            self._stream.flush()

    def isatty(self) -> bool:
        """Be the terminal that it stands for."""
        return True

    def fileno(self) -> int:
        """Be the terminal that it stands for."""
        return self._stream.fileno()


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise
