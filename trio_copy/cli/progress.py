"""Progress of long commands, on standard error: a bar on a terminal, a line every few seconds in a pipe."""

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Protocol

_EVERY_S = 4.0
"""Whoever hears nothing for longer takes a command for dead."""
_SELDOM_S = 30.0
"""So often once a command has taken a minute: a log of hours shall be read by somebody."""


class Tell(Protocol):
    """Takes how much is done, and of how much where that has become known only meanwhile."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


@contextmanager
def progress(what: str, total: int | None) -> Generator[Tell, None, None]:
    """Show how far something has come; call what is yielded with the count that is done."""
    if not sys.stderr.isatty():
        with telling(what, total) as tell:
            yield tell
        return
    from rich.console import Console  # not above: a pipe needs none of it
    from rich.progress import Progress

    console = Console(file=sys.stderr, markup=False, emoji=False)
    with Progress(console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(what, total=total)

        def show(done: int, total: int | None = None, /) -> None:
            bar.update(task, completed=done, total=total, refresh=True)

        yield show


@contextmanager
def telling(what: str, total: int | None = None) -> Generator[Tell, None, None]:
    """Say every few seconds, in a line of its own, that something goes on, and how far it has come where that is told.

    From a thread: what takes long may be a node, or work of ours that lets nobody else run.
    """
    lines, over = _Lines(what, total), Event()
    teller = Thread(target=lines.tell_until, args=(over,), name="progress", daemon=True)
    teller.start()
    try:
        yield lines.note
    finally:
        over.set()
        teller.join()


class _Lines:
    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._done: int | None = None

    def note(self, done: int, total: int | None = None, /) -> None:
        self._done, self._total = done, self._total if total is None else total

    def tell_until(self, over: Event) -> None:
        passed_s, pause_s = 0.0, _EVERY_S
        while not over.wait(pause_s):
            passed_s += pause_s
            if passed_s >= 60:
                pause_s = _SELDOM_S
            with suppress(OSError):  # nobody reads it: whoever writes what the command is for finds out
                sys.stderr.write(f"{self._what}{self._how_far()}, for {passed_s:.0f} s now\n")
                sys.stderr.flush()

    def _how_far(self) -> str:
        if self._done is None:
            return ""
        return f": {self._done:,} of {self._total:,}" if self._total else f": {self._done:,}"
