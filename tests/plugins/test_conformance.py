"""One suite over every store, one over every executor, real and fake alike."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing

from tests.plugins.stores import MEMORY, SQLITE
from trio_copy.clock import wall_clock_from
from trio_copy.ports import Executor, ExecutorContext
from trio_copy.registry import discover
from trio_copy.testing.conformance import EXECUTOR_CHECKS, checks_of, name_of
from trio_copy.testing.scripted import ScriptedExecutor


@pytest.mark.parametrize("check", checks_of(MEMORY), ids=name_of)
async def test_memory(autojump_clock: trio.testing.MockClock, check: Callable[..., Any]) -> None:
    """The memory store keeps the promise in the check's docstring."""
    await check(MEMORY)


@pytest.mark.parametrize("check", checks_of(SQLITE), ids=name_of)
async def test_sqlite(autojump_clock: trio.testing.MockClock, check: Callable[..., Any]) -> None:
    """The SQLite store keeps it too, after a restart and a kill as well."""
    await check(SQLITE)


@asynccontextmanager
async def open_dry_run() -> AsyncGenerator[Executor, None]:
    plugin = discover().executor("dry-run")
    settings = plugin.settings(latency_ms=30, price_source="leader", slippage_bps=100, partial_bps=3000)
    context = ExecutorContext(name="sim", settings=settings, wall=wall_clock_from(0), quotes=None)
    async with plugin.open(context) as executor:
        yield executor


@asynccontextmanager
async def open_scripted() -> AsyncGenerator[Executor, None]:
    yield ScriptedExecutor(latency_s=0.01)


@pytest.mark.parametrize("check", EXECUTOR_CHECKS, ids=name_of)
@pytest.mark.parametrize("open_executor", [open_dry_run, open_scripted])
async def test_executor(autojump_clock: trio.testing.MockClock, open_executor: Any, check: Callable[..., Any]) -> None:
    """Every executor keeps the promise in the check's docstring."""
    await check(open_executor)
