"""Owns the only shard, where there is one instance: commands that need the accounts see that it lives, and ask it."""

from collections.abc import Callable
from contextlib import suppress

import trio
from attrs import define, evolve, field

from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.seams import Seams
from trio_copy.errors import LeaseLost, StoreError
from trio_copy.model.control import Instance, Lease, shard_lease
from trio_copy.ports import Store

_LEASE_RENEWALS = 3
"""Renewals per lease: one may fail without losing it."""
_ASK_AGAIN_S = 1.0


@define(eq=False, kw_only=True)
class SoleOwner:
    """Does for one instance what a `Keeper` does for several."""

    seams: Seams
    store: Store
    holder: Holder
    watchdogs: Watchdogs
    describe: Callable[[Instance], Instance]
    """Adds to a heartbeat what is watched here."""
    drain_asked: trio.Event = field(factory=trio.Event)
    """Set once somebody has asked this instance to end."""
    _lease: Lease | None = None

    async def enter(self) -> None:
        """Become the owner; a command may have the accounts for a moment."""
        while (lease := await self._acquire_only_shard()) is None:
            if await self._free_from_the_dead():
                continue
            self.seams.observer.on_step("waiting", "somebody else, a command perhaps, has the accounts for a moment")
            await trio.sleep(_ASK_AGAIN_S)
        self._lease = lease
        await self.holder.begin(0, lease)

    async def run(self) -> None:
        """Keep the lease, and show that this instance lives; until cancelled."""
        assert self._lease is not None  # it has entered
        me = Instance(instance=self.seams.instance, shards=(0,), started_at=self.seams.wall())
        while True:
            me = evolve(me, draining=self.drain_asked.is_set())
            heard = await self.store.control.beat(self.describe(me))
            if heard.drain and not self.drain_asked.is_set():
                self.seams.observer.on_step("draining", "somebody asked this instance to drain")
                self.drain_asked.set()
            try:
                self._lease = await self.store.control.renew(self._lease, self.holder.lease_s)
            except LeaseLost:
                # This process stood still for long. The store's own token says whether anybody has written meanwhile.
                self._lease = await self._acquire_only_shard() or self._lease
            with trio.move_on_after(self.holder.lease_s / _LEASE_RENEWALS):
                await self.watchdogs.wait_changed()  # so that whoever asks the store hears of it at once

    async def leave(self) -> None:
        """Give the accounts up and leave the list of instances."""
        # A store that fails now must not hide how the run ended: the entry is then shown as dead by its last heartbeat.
        with suppress(StoreError):
            await self.holder.end(0)
            if self._lease is not None:
                await self.store.control.release(self._lease)
            await self.store.control.leave(self.seams.instance)

    async def _free_from_the_dead(self) -> bool:
        """Release what another engine held when it died: the store lets one in at a time, and that is this one.

        Only commands are let in beside it. They are on no list of instances, and give the accounts back by themselves.
        """
        control = self.store.control
        lease = (await control.held([shard_lease(0)])).get(shard_lease(0))
        if lease is None or lease.owner not in {one.instance for one in await control.instances()}:
            return False
        await control.release(lease)
        await control.leave(lease.owner)  # or it would be shown as alive until it is missed
        return True

    async def _acquire_only_shard(self) -> Lease | None:
        return await self.store.control.acquire(shard_lease(0), self.seams.instance, self.holder.lease_s)
