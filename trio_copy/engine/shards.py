"""Which leaders this instance copies: shards are leased, shared evenly, handed over, and taken over from the dead.

A lease lasts two and a half heartbeats and is renewed twice a heartbeat, so that a dead instance's shards are owned again
within three. Whoever loses one stops by itself: its token is refused by the store, and its own clock tells it not to send.
Losing all leases is also how an engine pauses when Redis may have forgotten something: see `_gain`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.config import ShardsSettings
from trio_copy.errors import LeaseLost
from trio_copy.model.control import Instance, Lease, shard_lease, shard_of
from trio_copy.model.ids import Address
from trio_copy.ports import Store
from trio_copy.telemetry.observer import Observer

LEASE_BEATS = 2.5
"""Heartbeats that a lease outlives its owner, and after which an instance counts as dead."""
_LOOKS_PER_BEAT = 2


class Ownership(Protocol):
    """What the rest of the engine asks about leaders."""

    @property
    def shared(self) -> bool:
        """Whether other instances lease from the same store."""
        ...

    @property
    def label(self) -> str:
        """Names this instance's part, for the status line."""
        ...

    def reads(self, leader: Address) -> bool:
        """Tell whether the leader's logs are read here."""
        ...

    def owns(self, leader: Address) -> bool:
        """Tell whether the leader's tasks, orders and positions are looked after here."""
        ...

    def may_send(self, leader: Address) -> bool:
        """Tell whether the lease still holds at this very moment, by our own clock."""
        ...


class Engine(Protocol):
    """What a keeper needs of the engine whose shards it keeps."""

    def works_on(self, shard: int) -> bool:
        """Tell whether a task of a shard is under way here."""
        ...

    async def begin_shards(self, shards: Sequence[int]) -> None:
        """Begin with new shards, once their leases are held. Raises `LeaseLost` when they are gone again."""
        ...

    def lose_shard(self, shard: int) -> None:
        """Take note that a shard was lost: what is read of it is not stored any more."""
        ...

    def narrow(self) -> None:
        """Read other leaders: some came or went."""
        ...

    def drain(self) -> None:
        """Finish and end: somebody asked for it."""
        ...


class Everything:
    """The ownership of an engine that works alone."""

    label = "1/1"
    shared = False

    def reads(self, leader: Address) -> bool:
        return True

    def owns(self, leader: Address) -> bool:
        return True

    def may_send(self, leader: Address) -> bool:
        return True


@define(eq=False, kw_only=True)
class ShardKeeper:
    """Leases shards for one instance. One task runs it."""

    settings: ShardsSettings
    store: Store
    instance: str
    wall: WallClock
    observer: Observer
    owned: dict[int, Lease] = field(factory=dict)
    standby: dict[int, Lease] = field(factory=dict)
    """Shards that are read along with their owners."""
    others: tuple[Instance, ...] = ()
    """Who else lives."""
    describe: Callable[[Instance], Instance] = lambda me: me
    """Adds to a heartbeat what only the engine knows."""
    gained: int = 0
    """Grows with each time that shards came: what was read before has to be read again for them."""
    engine: "Engine" = field(init=False)
    _leaving: set[int] = field(factory=set)
    _news: trio.Event = field(factory=trio.Event)
    _started_at: float = 0.0
    _draining: bool = False

    async def enter(self) -> None:
        """Let the others know of us, and learn who they are; nothing is taken yet."""
        self._started_at = self.wall()
        self.store.inbox.serve(frozenset())
        self.observer.on_step("instance", self.instance)
        await self._beat()

    async def start(self) -> None:
        """Take the first shards, before anything else runs."""
        await self._look()

    async def run(self) -> None:
        """Keep the leases, take what is free, give up what is too much; until cancelled."""
        while True:
            await trio.sleep(self.settings.heartbeat_s / _LOOKS_PER_BEAT)
            await self._look()

    def hand_over(self) -> bool:
        """Take no more tasks, so that others can; False when there are no others, who would do it."""
        self._draining = True
        if not self.others or self.settings.index is not None:
            return False
        self.store.inbox.serve(frozenset())
        return True

    async def leave(self) -> None:
        """Give everything up and leave the list of instances: the next owner need not wait."""
        for lease in (*self.owned.values(), *self.standby.values()):
            await self.store.control.release(lease)
        self.owned.clear()
        self.standby.clear()
        await self.store.control.leave(self.instance)

    async def wait_change(self, seen: int) -> None:
        """Wait until shards came after the caller looked at `gained`, or none is read any more."""
        while self.gained == seen and self.reading:
            await self._news.wait()

    async def wait_reading(self) -> None:
        """Wait until there is something to read."""
        while not self.reading:
            await self._news.wait()

    @property
    def reading(self) -> bool:
        return bool(self.owned or self.standby)

    @property
    def read_now(self) -> frozenset[int]:
        """The shards whose leaders are read."""
        return frozenset((*self.owned, *self.standby))

    @property
    def alone(self) -> bool:
        """Whether no other instance lives."""
        return not self.others

    @property
    def shared(self) -> bool:
        return True

    @property
    def label(self) -> str:
        count = self.settings.count
        if not self.owned:
            return f"none of {count}, {'standing by' if self.standby else 'paused'}"
        if self.settings.index is not None:
            return f"{self.settings.index + 1}/{self.settings.of}"
        living = 1 + len(self.others)
        if len(self.owned) == 1 and count <= living:
            return f"{min(self.owned) + 1}/{count}"
        rank = sum(other.instance < self.instance for other in self.others)
        return f"{rank + 1}/{living} ({len(self.owned)} of {count})"

    def reads(self, leader: Address) -> bool:
        shard = shard_of(leader, self.settings.count)
        return shard in self.owned or shard in self.standby

    def owns(self, leader: Address) -> bool:
        return shard_of(leader, self.settings.count) in self.owned

    def may_send(self, leader: Address) -> bool:
        lease = self.owned.get(shard_of(leader, self.settings.count))
        return lease is not None and self.wall() < lease.until

    @property
    def _lease_s(self) -> float:
        return LEASE_BEATS * self.settings.heartbeat_s

    async def _look(self) -> None:
        before = (set(self.owned), set(self.standby))
        await self._renew()
        await self._beat()
        await self._give_up_too_much()
        fresh = await self._take(self.owned, 0)
        if fresh:
            await self._gain(fresh)
        for replica in range(1, self.settings.replicas):
            fresh += await self._take(self.standby, replica)
        if fresh or (set(self.owned), set(self.standby)) != before:
            # Also what was lost and taken back at once: in between, nothing of it was admitted.
            self.gained += bool(fresh)
            self.engine.narrow()
            self._tell(before[0])
        self._serve()

    async def _renew(self) -> None:
        for held in (self.owned, self.standby):
            for shard, lease in tuple(held.items()):
                try:
                    held[shard] = await self.store.control.renew(lease, self._lease_s)
                except LeaseLost as error:
                    del held[shard]
                    self._leaving.discard(shard)
                    self.engine.lose_shard(shard)
                    self.observer.on_alert("shard-lost", str(error))

    async def _beat(self) -> None:
        me = Instance(
            instance=self.instance,
            started_at=self._started_at,
            shards=tuple(sorted(self.owned)),
            standby=tuple(sorted(self.standby)),
            draining=self._draining,
        )
        if await self.store.control.beat(self.describe(me)) and not self._draining:
            self._draining = True
            self.observer.on_step("draining", "somebody asked this instance to drain")
            self.engine.drain()
        dead, known = self.wall() - self._lease_s, await self.store.control.instances()
        lost = {other.instance for other in known if other.seen_at <= dead}
        for other in self.others:
            if other.instance in lost:
                free = " ".join(map(str, other.shards)) or "none"
                self.observer.on_alert("instance-dead", f"{other.instance} is silent; its shards are free: {free}")
        self.others = tuple(
            other for other in known if other.instance not in {*lost, self.instance} and not other.draining
        )

    def _quota(self, shards: int) -> int:
        """Return how many of so many leases are ours: the same for everybody, one more for the first in line."""
        if self._draining:
            return 0
        rank = sum(other.instance < self.instance for other in self.others)
        each, rest = divmod(shards, 1 + len(self.others))
        return each + (rank < rest)

    def _wanted(self, replica: int) -> tuple[int, ...]:
        """Return the shards that may be ours, those first that are nobody else's first choice."""
        shards = range(self.settings.count)
        if self.settings.index is not None and self.settings.of is not None:
            return tuple(s for s in shards if (s + replica) % self.settings.of == self.settings.index)
        rank = sum(other.instance < self.instance for other in self.others)
        start = rank * self.settings.count // (1 + len(self.others)) + replica
        return tuple((start + shard) % self.settings.count for shard in shards)

    async def _give_up_too_much(self) -> None:
        if self._draining and not self.others:
            return  # nobody would take them: what is queued is finished here
        if self.settings.index is None:
            excess = len(self.owned) - len(self._leaving) - self._quota(self.settings.count)
            stays = [shard for shard in self._wanted(0) if shard in self.owned and shard not in self._leaving]
            self._leaving.update(stays[len(stays) - excess :] if excess > 0 else ())
            surplus = len(self.standby) - self._quota(self.settings.count * (self.settings.replicas - 1))
            for shard in sorted(self.standby)[: max(0, surplus)]:
                await self._release(self.standby, shard)
        self._serve()
        for shard in tuple(self._leaving):
            if not self.engine.works_on(shard):
                self._leaving.discard(shard)
                await self._release(self.owned, shard)

    async def _release(self, held: dict[int, Lease], shard: int) -> None:
        lease = held.pop(shard, None)
        if lease is not None:
            self.engine.lose_shard(shard)
            await self.store.control.release(lease)

    async def _take(self, held: dict[int, Lease], replica: int) -> list[int]:
        """Take free leases up to our share; returns the shards."""
        wanted = [
            shard for shard in self._wanted(replica) if shard not in held and (not replica or shard not in self.owned)
        ]
        if self.settings.index is None:
            room = self._quota(self.settings.count * (1 if not replica else self.settings.replicas - 1)) - len(held)
        else:
            room = 0 if self._draining else len(wanted)
        if room <= 0 or not wanted:
            return []
        names = {shard_lease(shard, replica): shard for shard in wanted}
        busy = await self.store.control.held(tuple(names))
        taken: list[int] = []
        for name, shard in names.items():
            theirs = name in busy and busy[name].owner != self.instance
            if theirs or len(taken) >= room:
                continue
            lease = await self.store.control.acquire(name, self.instance, self._lease_s)
            if lease is not None:
                held[shard] = lease
                taken.append(shard)
        return taken

    async def _gain(self, shards: Sequence[int]) -> None:
        """Begin with what earlier owners left: their tasks, the orders they may have sent, and our own of before."""
        for shard in shards:
            await self._release(self.standby, shard)
            try:
                back = await self.store.inbox.reclaim(shard)
            except LeaseLost:
                self.owned.pop(shard, None)
                continue
            if back:
                self.observer.on_step("taken over", f"{back} tasks of shard {shard} that an earlier owner left")
            with suppress(LeaseLost):  # the next look finds out
                await self.engine.begin_shards([shard])

    def _serve(self) -> None:
        if not self._draining:
            self.store.inbox.serve(frozenset(self.owned) - self._leaving)

    def _tell(self, before: set[int]) -> None:
        came, went = sorted(set(self.owned) - before), sorted(before - set(self.owned))
        if came or went:
            what = [*(f"+{shard}" for shard in came), *(f"-{shard}" for shard in went)]
            self.observer.on_step("shards", f"{self.label}: {' '.join(what)}")
        self._news.set()
        self._news = trio.Event()
