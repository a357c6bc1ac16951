"""The store that lives in this process: complete, fast, and gone when the process ends.

Every method runs without giving way to another task, which makes it atomic, and so none of them is a checkpoint except
the two that wait. What would grow for ever (known signals, ended tasks, booked entries) is bounded by age or number.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from attrs import frozen

from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy_memory.control import MemoryControl
from trio_copy_memory.follows import MemoryFollows
from trio_copy_memory.inbox import MemoryInbox
from trio_copy_memory.journal import MemoryJournal
from trio_copy_memory.ledger import MemoryLedger
from trio_copy_memory.limits import MemoryLimits


@frozen(kw_only=True)
class MemorySettings:
    """How much the process remembers."""

    dedup_max: int = setting(
        1_000_000,
        unit="signals",
        why="Bounds the memory of the gate; the oldest are forgotten first.",
        check=within(1, 10**9),
    )
    ended_max: int = setting(
        100_000, unit="records", why="Ended tasks, orders and bookings that are remembered.", check=within(1, 10**9)
    )


@frozen
class MemoryStore:
    inbox: MemoryInbox
    journal: MemoryJournal
    limits: MemoryLimits
    ledger: MemoryLedger
    follows: MemoryFollows
    control: MemoryControl


@asynccontextmanager
async def open_memory_store(context: StoreContext) -> AsyncGenerator[Store, None]:
    """Open an empty store."""
    settings: MemorySettings = context.settings
    control = MemoryControl(wall=context.wall)
    yield MemoryStore(
        inbox=MemoryInbox(
            wall=context.wall,
            advance=control.advance,
            capacity=context.queue_capacity,
            dedup_ttl_s=context.dedup_ttl_s,
            dedup_max=settings.dedup_max,
            ended_max=settings.ended_max,
            lease_s=context.lease_s,
        ),
        journal=MemoryJournal(wall=context.wall, ended_max=settings.ended_max),
        limits=MemoryLimits(settled_max=settings.ended_max),
        ledger=MemoryLedger(booked_max=settings.ended_max),
        follows=MemoryFollows(),
        control=control,
    )


@hookimpl
def trio_copy_register_stores(register: Callable[[StorePlugin], None]) -> None:
    register(StorePlugin(name="memory", open=open_memory_store, settings=MemorySettings, durable=False))
