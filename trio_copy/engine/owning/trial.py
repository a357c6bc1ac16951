"""A shard of accounts with its gate and its lanes, and nobody who works: to try what a store remembers and lanes hold."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.met import New
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import seal, take_in
from trio_copy.errors import LeaseLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.ids import Hash32, TaskId
from trio_copy.model.logs import BlockRef
from trio_copy.model.signals import Signal
from trio_copy.ports import Store
from trio_copy.telemetry.observer import Finished, Observer

EXECUTOR = "trial"
"""Whom the tasks of a trial are for."""
_LEASE_S = 60.0
_OVER = Outcome(
    end=End.HALTED, reason=Reason(code=Code.DRAINED, control="trial", value="nobody works", limit="a worker")
)


@define(eq=False)
class _Ends(Observer):
    """Hears how tasks end once that is durable."""

    by_task: dict[TaskId, Finished] = field(factory=dict)

    def on_finished(self, finished: Finished) -> None:
        self.by_task[finished.task.task_id] = finished


@define(eq=False)
class Trial:
    wall: WallClock
    ttl_s: float
    _shard: Shard
    _lanes: Lanes
    _ends: _Ends
    _newest: int = 0
    """The highest block of a signal that was offered."""

    async def offer(self, signal: Signal, tasks: Sequence[CopyTask]) -> Sequence[Finished] | None:
        """Let a signal through the gate, durably. Returns what was shed because of it; None for one that is known."""
        self._newest = max(self._newest, signal.block_number)
        # No reorg can take back what is tried here: what is known is forgotten as soon as its time is over.
        self._shard.met.forget(self.wall(), settled_before=self.wall() - self.ttl_s)
        if not isinstance(self._shard.met.meet(signal, self.wall(), whole=True), New):
            return None
        await self._shard.load([task.follower for task in tasks])
        before = set(self._ends.by_task)
        take_in(self._shard, signal, tasks, ())
        await self._shard.writer.flush()
        return [finished for task, finished in self._ends.by_task.items() if task not in before]

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return self._lanes.unplaced.waiting

    async def clear(self) -> None:
        """End everything that waits, durably, and let the checkpoint pass it: the store alone remembers the signals then."""
        for queued in self._lanes.unplaced:
            self._shard.give_up(queued, _OVER)
        block = BlockRef(number=self._newest, hash=_NO_HASH, parent=_NO_HASH, time=int(self.wall()))
        seal(self._shard, block)
        await self._shard.writer.flush()


_NO_HASH = Hash32("0x" + "0" * 64)


@asynccontextmanager
async def open_trial(
    store: Store, *, owner: str, wall: WallClock, capacity: int, ttl_s: float
) -> AsyncGenerator[Trial, None]:
    """Own the first shard of a store that nobody trades on, as an engine does; what waits at the end is ended.

    Raises:
        LeaseLost: somebody else owns it.
    """
    ends, lanes = _Ends(), Lanes(capacity)
    holder = Holder(
        store=store,
        lanes={EXECUTOR: lanes},
        catalog=Catalog(),
        wall=wall,
        observer=ends,
        lane_of=lambda task: (task.follower, str(task.intent.token_id)),
        dedup_ttl_s=ttl_s,
        max_day_usd=None,
        alone=True,
        owner=owner,
        lease_s=_LEASE_S,
    )
    lease = await store.control.acquire(shard_lease(0), owner, _LEASE_S)
    if lease is None:
        raise LeaseLost("somebody else owns the accounts of this store")
    async with trio.open_nursery() as nursery:
        await nursery.start(holder.run)
        trial = Trial(wall, ttl_s, await holder.begin(0, lease), lanes, ends)
        try:
            yield trial
            await trial.clear()
            await holder.end(0)
        finally:
            holder.stop()  # whatever happened: its writers hear nothing of a cancellation
    await store.control.release(lease)
