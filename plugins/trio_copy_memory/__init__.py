"""The store that lives in this process: complete, fast, and gone when the process ends.

Every method runs without giving way to another task, which makes it atomic, and so none of them is a checkpoint except
the two that wait. What would grow for ever (known signals, ended tasks, booked entries) is bounded by age or number.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from attrs import frozen

from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import Closing, Store, StoreContext, StorePlugin
from trio_copy_memory.control import MemoryControl
from trio_copy_memory.follows import MemoryFollows
from trio_copy_memory.history import MemoryHistory
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
        100_000,
        unit="records",
        why="Ended tasks, orders and bookings that are remembered by name.",
        check=within(1, 10**9),
    )
    history_max: int = setting(
        10_000, unit="records", why="Ended tasks and skips that are remembered whole.", check=within(1, 10**9)
    )


@frozen
class MemoryStore:
    inbox: MemoryInbox
    journal: MemoryJournal
    limits: MemoryLimits
    ledger: MemoryLedger
    follows: MemoryFollows
    control: MemoryControl
    history: MemoryHistory


@asynccontextmanager
async def open_memory_store(context: StoreContext) -> AsyncGenerator[Store, None]:
    """Open an empty store."""
    settings: MemorySettings = context.settings
    control = MemoryControl(wall=context.wall)
    journal = MemoryJournal(wall=context.wall, ended_max=settings.ended_max)
    ledger = MemoryLedger(booked_max=settings.ended_max)
    limits = MemoryLimits(settled_max=settings.ended_max, held=ledger.held)
    ledger.credit = limits.credit

    def close(closing: Closing) -> None:
        journal.note(closing.key, closing.state, closing.report)
        limits.settle(closing.key, closing.spent)

    ledger.close = close
    inbox = MemoryInbox(
        wall=context.wall,
        forget=limits.forget,
        advance=control.advance,
        capacity=context.queue_capacity,
        dedup_ttl_s=context.dedup_ttl_s,
        dedup_max=settings.dedup_max,
        ended_max=settings.ended_max,
        lease_s=context.lease_s,
        history=deque(maxlen=settings.history_max),
        skips=deque(maxlen=settings.history_max),
    )
    yield MemoryStore(
        inbox=inbox,
        journal=journal,
        limits=limits,
        ledger=ledger,
        follows=MemoryFollows(),
        control=control,
        history=MemoryHistory(inbox, journal, ledger),
    )


@hookimpl
def trio_copy_register_stores(register: Callable[[StorePlugin], None]) -> None:
    register(StorePlugin(name="memory", open=open_memory_store, settings=MemorySettings, durable=False))
