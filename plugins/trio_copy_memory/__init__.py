"""The store that lives in this process: complete, fast, and gone when the process ends.

What would grow for ever, facts about what is over, is bounded by number. What is open is kept as long as it is open.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from attrs import frozen

from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy_memory.accounts import MemoryAccounts
from trio_copy_memory.control import MemoryControl
from trio_copy_memory.data import MemoryData
from trio_copy_memory.follows import MemoryFollows
from trio_copy_memory.history import MemoryHistory


@frozen(kw_only=True)
class MemorySettings:
    """How much the process remembers."""

    facts_max: int = setting(
        20_000,
        unit="facts",
        why="Ended tasks, skips and bookings that are remembered, about 1 kB each; what was told longest ago goes first.",
        check=within(1, 10**9),
    )


@frozen
class MemoryStore:
    accounts: MemoryAccounts
    control: MemoryControl
    follows: MemoryFollows
    history: MemoryHistory


@asynccontextmanager
async def open_memory_store(context: StoreContext, data: MemoryData | None = None) -> AsyncGenerator[Store, None]:
    """Open a store on data that somebody keeps, or an empty one."""
    settings: MemorySettings = context.settings
    data = MemoryData() if data is None else data
    yield MemoryStore(
        accounts=MemoryAccounts(data=data, wall=context.wall, facts_max=settings.facts_max, at=context.at),
        control=MemoryControl(data=data, wall=context.wall),
        follows=MemoryFollows(data),
        history=MemoryHistory(data),
    )


@hookimpl
def trio_copy_register_stores(register: Callable[[StorePlugin], None]) -> None:
    register(
        StorePlugin(
            name="memory",
            open=open_memory_store,
            settings=MemorySettings,
            durable=False,
            back_up_instead="it lives and ends inside a run, so there is nothing to copy; [store.sqlite] keeps its books",
        )
    )
