"""Executes nothing and tells what would have happened: the same ten steps as live, only the venue is simulated."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from trio_copy.hookspecs import hookimpl
from trio_copy.ports import Executor, ExecutorContext, ExecutorPlugin
from trio_copy_dry_run.executor import DryRunExecutor
from trio_copy_dry_run.settings import DryRunSettings
from trio_copy_dry_run.shared_books import SharedBooks
from trio_copy_dry_run.venue import SimulatedVenue
from trio_copy_dry_run.venue_file import VenueFile

_SENT_WITHIN_S = 0.01
"""The copies of one signal leave within so long of each other."""


@asynccontextmanager
async def open_dry_run(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
    """Open an executor with a venue of its own."""
    settings: DryRunSettings = context.settings
    # A trial meets a venue of its own: it must neither find the orders of real copies nor leave any behind.
    file = VenueFile(Path(settings.venue_file)) if settings.venue_file and not context.throwaway else None
    venue = SimulatedVenue(settings, context.quotes, context.wall, file)
    asked = context.books if settings.price_source == "book" else None
    books = None if asked is None else SharedBooks(asked, settings.latency_jitter_ms / 1000 + _SENT_WITHIN_S)
    yield DryRunExecutor(context.name, settings, venue, context.wall, books, context.facts)


@hookimpl
def trio_copy_register_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    register(ExecutorPlugin(name="dry-run", open=open_dry_run, settings=DryRunSettings, moves_money=False, rests=True))
