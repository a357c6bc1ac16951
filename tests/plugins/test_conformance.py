"""One suite over every store, one over every executor, real and fake alike."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
import trio.testing

from trio_copy.clock import wall_clock_from
from trio_copy.ports import Executor, ExecutorContext, Store, StoreContext
from trio_copy.registry import discover
from trio_copy.testing.conformance import EXECUTOR_CHECKS, STORE_CHECKS, StoreTerms, name_of
from trio_copy.testing.scripted import ScriptedExecutor


@asynccontextmanager
async def open_memory(terms: StoreTerms) -> AsyncGenerator[Store, None]:
    plugin = discover().store("memory")
    context = StoreContext(
        settings=plugin.settings(),
        wall=terms.wall,
        queue_capacity=terms.queue_capacity,
        dedup_ttl_s=terms.dedup_ttl_s,
        lease_s=terms.lease_s,
    )
    async with plugin.open(context) as store:
        yield store


async def in_place(run: Callable[[], Any]) -> Any:
    """Run what would block right here: a virtual clock cannot wait for a thread."""
    await trio.lowlevel.checkpoint()
    return run()


@asynccontextmanager
async def open_sqlite(terms: StoreTerms, path: Path | None = None) -> AsyncGenerator[Store, None]:
    plugin = discover().store("sqlite")
    with TemporaryDirectory() as folder:
        context = StoreContext(
            settings=plugin.settings(path=str(path or Path(folder) / "store.db")),
            wall=terms.wall,
            queue_capacity=terms.queue_capacity,
            dedup_ttl_s=terms.dedup_ttl_s,
            lease_s=terms.lease_s,
            in_thread=in_place,
        )
        async with plugin.open(context) as store:
            yield store


@pytest.mark.parametrize("check", STORE_CHECKS, ids=name_of)
@pytest.mark.parametrize("open_store", [open_memory, open_sqlite])
async def test_store(autojump_clock: trio.testing.MockClock, open_store: Any, check: Callable[..., Any]) -> None:
    """Every store keeps the promise in the check's docstring."""
    await check(open_store)


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
