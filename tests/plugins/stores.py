"""How tests open the stores of this project."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import trio

from trio_copy.ports import Store, StoreContext, to_thread_run_sync
from trio_copy.testing.conformance import StoreForTest, StoreTerms
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData
from trio_copy_sqlite import SqliteSettings, open_sqlite_store


async def in_place(run: Callable[[], Any]) -> Any:
    """Run what would block right here: a virtual clock cannot wait for a thread."""
    await trio.lowlevel.checkpoint()
    return run()


_OPENED: WeakValueDictionary[Path, MemoryData] = WeakValueDictionary()
"""The data of each folder, as long as some store is open on it."""


@asynccontextmanager
async def open_memory(terms: StoreTerms) -> AsyncGenerator[Store, None]:
    data = _OPENED.setdefault(terms.folder, MemoryData())
    context = StoreContext(
        settings=MemorySettings(**({"facts_max": 1000} if terms.brief else {})), wall=terms.wall, shards=terms.shards
    )
    async with open_memory_store(context, data) as store:
        yield store


MEMORY = StoreForTest(open=open_memory, shared=True)
"""Two of them on the same data work as two instances would."""


@asynccontextmanager
async def open_sqlite(terms: StoreTerms) -> AsyncGenerator[Store, None]:
    context = StoreContext(
        settings=SqliteSettings(path=str(terms.folder / "books.db"), keep_days=1.0 if terms.brief else 90.0),
        wall=terms.wall,
        in_thread=in_place if terms.virtual else to_thread_run_sync,
        shards=terms.shards,
    )
    async with open_sqlite_store(context) as store:
        yield store


SQLITE = StoreForTest(open=open_sqlite, durable=True)
