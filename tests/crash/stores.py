"""The stores that lives work on: they outlive whoever is killed."""

import pickle
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from attrs import evolve, fields, frozen

from tests.plugins.stores import in_place
from trio_copy.config import PluginTable
from trio_copy.engine.plan import Plan, PlannedStore, make_plan
from trio_copy.model.ids import IntentKey
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData, Wakeup
from trio_copy_sqlite import SqliteSettings, open_sqlite_store

KINDS = ("sqlite", "memory")
_FORGETS = 3
"""Promised writes that a store loses when it forgets."""
_MEMORY = MemorySettings(facts_max=1_000_000)


@frozen
class Place:
    """A store on the disk of a test; the memory store's data is put there by whoever dies."""

    kind: str
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / ("store.db" if self.kind == "sqlite" else "store.pickle")

    @property
    def exists(self) -> bool:
        return self.file.exists()

    def checkpoints(self) -> Mapping[int, int]:
        """Return the block that each shard's checkpoint has reached."""
        if self.kind == "memory":
            shards = self._read().shards.items()
            return {number: shard.checkpoint.number for number, shard in shards if shard.checkpoint is not None}
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT shard, checkpoint FROM shards WHERE checkpoint IS NOT NULL").fetchall()
        db.close()
        return {shard: msgspec.json.decode(text)["number"] for shard, text in rows}

    @asynccontextmanager
    async def look(self) -> AsyncGenerator[Store, None]:
        """Open what is left, to look at it."""
        if self.kind == "memory":
            context = StoreContext(settings=_MEMORY, wall=lambda: 0.0)
            async with open_memory_store(context, self._read()) as store:
                yield store
        else:
            settings = SqliteSettings(path=str(self.file))
            context = StoreContext(settings=settings, wall=lambda: 0.0, in_thread=in_place, guest=True)
            async with open_sqlite_store(context) as store:
                yield store

    def _read(self) -> MemoryData:
        data = MemoryData()
        if self.exists:
            for name, value in pickle.loads(self.file.read_bytes()).items():
                setattr(data, name, value)
        return data


class StoreOfLife:
    """What one life works on."""

    def __init__(self, place: Place, *, forget_nth: int | None = None) -> None:
        """Take up what earlier lives have left; the store forgets its last writes after `forget_nth` of them."""
        self.place = place
        self._data = place._read() if place.kind == "memory" else MemoryData()
        self._forget_nth, self._written = forget_nth, 0
        self._earlier: list[MemoryData] = []
        self._promised: set[str] = set()
        """Names of orders that were durable before the store forgot them."""

    def planned(self, plan: Plan) -> Plan:
        """Let a plan use it."""
        if self.place.kind == "memory":
            plugin = StorePlugin(name="memory", open=self._open_memory, settings=MemorySettings, durable=True)
            return evolve(plan, store=PlannedStore(plugin=plugin, settings=_MEMORY))
        table = PluginTable(name="sqlite", plugin="sqlite", options={"path": str(self.place.file)})
        return make_plan(evolve(plan.settings, store=table), plan.registry)

    @asynccontextmanager
    async def _open_memory(self, context: StoreContext) -> AsyncGenerator[Store, None]:
        async with open_memory_store(evolve(context, at=self._watching(context.at)), self._data) as store:
            yield store

    def _watching(self, at: Callable[[str], None]) -> Callable[[str], None]:
        def watch(point: str) -> None:
            if point == "memory: written" and self._forget_nth is not None:
                self._note_write(self._forget_nth)
            at(point)

        return watch

    def _note_write(self, forget_nth: int) -> None:
        self._written += 1
        self._promised.update(one.name for one in self._data.documents() if one.kind == "order")
        self._earlier = [*self._earlier[-_FORGETS:], self._data.copy()]
        if self._written == forget_nth:
            self._data.fall_back(self._earlier[0])

    def keep(self) -> None:
        """Put on the disk what a store outside of this process would have."""
        if self.place.kind == "memory":
            kept = {each.name: getattr(self._data, each.name) for each in fields(MemoryData) if each.type is not Wakeup}
            self.place.file.write_bytes(pickle.dumps(kept))

    def has_order(self, key: IntentKey) -> bool:
        """Tell whether an order is durable at this moment."""
        if self.place.kind == "memory":
            kept = [one.name for one in self._data.documents() if one.kind == "order"]
            return any(name.startswith(f"{key}/") for name in (*kept, *self._promised))
        with sqlite3.connect(f"file:{self.place.file}?mode=ro", uri=True) as db:
            found = db.execute("SELECT 1 FROM documents WHERE kind = 'order' AND name GLOB ?", (f"{key}/*",)).fetchone()
        db.close()
        return found is not None
