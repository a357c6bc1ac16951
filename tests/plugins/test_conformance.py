"""One suite over every store, one over every executor, real and fake alike."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing
from attrs import evolve

from tests.plugins.stores import MEMORY, SQLITE
from trio_copy.clock import wall_clock_from
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.units import Usd
from trio_copy.ports import Executor, ExecutorContext
from trio_copy.registry import discover
from trio_copy.testing.conformance import EXECUTOR_CHECKS, checks_of, name_of
from trio_copy.testing.conformance.executor import what_is_firm_stays_as_it_is
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
async def open_dry_run(**terms: Any) -> AsyncGenerator[Executor, None]:
    plugin = discover().executor("dry-run")
    settings = plugin.settings(latency_ms=30, price_source="leader", slippage_bps=100, partial_bps=3000, **terms)
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


class _Fickle(ScriptedExecutor):
    """Tells another fee each time that it is asked, and calls each FIRM."""

    asked = 0

    async def find(self, order: Order) -> ExecutionReport | None:
        self.asked += 1
        report = await super().find(order)
        return None if report is None else evolve(report, fee=Usd(self.asked % 2))


@pytest.mark.parametrize("fault", ["settle-fail", "settle-part"])
async def test_what_settles_otherwise_keeps_the_promise(autojump_clock: trio.testing.MockClock, fault: str) -> None:
    """It is pending until the chain has spoken, and says less then, or nothing."""

    @asynccontextmanager
    async def open_pending() -> AsyncGenerator[Executor, None]:
        async with open_dry_run(faults=(fault,), settle_s=200.0) as executor:
            yield executor

    await what_is_firm_stays_as_it_is(open_pending)


async def test_what_was_firm_and_changes_breaks_it(autojump_clock: trio.testing.MockClock) -> None:
    """By a millionth of a fee, too."""

    @asynccontextmanager
    async def open_fickle() -> AsyncGenerator[Executor, None]:
        yield _Fickle(latency_s=0.01)

    with pytest.raises(AssertionError):
        await what_is_firm_stays_as_it_is(open_fickle)
