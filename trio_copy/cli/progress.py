"""Progress for long commands: a bar on a terminal, silence in a pipe."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress(what: str, total: int) -> Generator[Callable[[int], None], None, None]:
    """Show how far something has come; call what is yielded with the count that is done."""
    console = Console(file=sys.stderr, markup=False, emoji=False)
    if not console.is_terminal:
        yield lambda done: None
        return
    with Progress(console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(what, total=total)

        def show(done: int) -> None:
            bar.update(task, completed=done, refresh=True)

        yield show
