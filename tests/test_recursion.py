"""A library that raises the recursion limit for everybody does not make nested JSON deadly."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest
import trio.testing
from attrs import evolve

from tests.engine.borders.test_contract import odd_plan
from tests.engine.faulty import FaultyExecutor
from tests.harness import open_world
from trio_copy.engine.opening import open_service
from trio_copy.ports import Executor, ExecutorContext
from trio_copy.registry import Source, _load

_RAISED = 77_777


def test_our_venue_brings_eth_account_and_leaves_the_limit_alone() -> None:
    """In a process of its own: here, it may be imported already."""
    code = "import sys; at_first = sys.getrecursionlimit(); import trio_copy.testing.clob_venue as v, eth_account; "
    code += "assert v and 'py_ecc' in sys.modules; assert sys.getrecursionlimit() == at_first"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_plugin_that_raises_it_when_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: EntryPoint) -> ModuleType:
        sys.setrecursionlimit(_RAISED)
        return ModuleType("one")

    monkeypatch.setattr(EntryPoint, "load", load)
    at_first = sys.getrecursionlimit()
    _load(
        EntryPoint("one", "one", "trio_copy"), Source(entry_point="one", distribution="one", version="1", allowed=True)
    )
    assert sys.getrecursionlimit() == at_first


async def test_a_plugin_that_raises_it_when_it_is_opened(autojump_clock: trio.testing.MockClock) -> None:
    @asynccontextmanager
    async def opens(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
        sys.setrecursionlimit(_RAISED)
        yield FaultyExecutor(name=context.name)

    at_first = sys.getrecursionlimit()
    plan = odd_plan(FaultyExecutor(name="odd"))
    (*others, odd) = plan.executors
    plan = evolve(plan, executors=(*others, evolve(odd, plugin=evolve(odd.plugin, open=opens))))
    async with open_world() as world, open_service(plan, world.seams(), world.endpoints):
        assert sys.getrecursionlimit() == at_first
