"""Progress for long commands: a bar on a terminal, silence in a pipe."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import Progress


class Tell(Protocol):
    """Takes how much is done, and of how much where that has become known only meanwhile."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


@contextmanager
def progress(what: str, total: int | None) -> Generator[Tell, None, None]:
    """Show how far something has come; call what is yielded with the count that is done."""
    console = Console(file=sys.stderr, markup=False, emoji=False)
    if not console.is_terminal:
        yield lambda done, total=None, /: None
        return
    with Progress(console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(what, total=total)

        def show(done: int, total: int | None = None, /) -> None:
            bar.update(task, completed=done, total=total, refresh=True)

        yield show
