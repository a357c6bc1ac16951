"""Which shards this instance owns: leased, shared evenly, handed over, and taken over from the dead.

A lease lasts two and a half heartbeats and is renewed twice a heartbeat, so that a dead instance's shards are owned again
within three. Whoever loses one stops by itself: its token is refused by the store, and its own clock tells it not to send.
"""

from collections.abc import Callable

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.config import ShardsSettings
from trio_copy.engine.owning.holder import Holder
from trio_copy.errors import LeaseLost
from trio_copy.model.control import LEASE_BEATS, Instance, Lease, shard_lease
from trio_copy.ports import Store
from trio_copy.telemetry.observer import Observer

_LOOKS_PER_BEAT = 2


@define(eq=False, kw_only=True)
class Keeper:
    """Leases shards for one instance. One task runs it."""

    settings: ShardsSettings
    store: Store
    holder: Holder
    instance: str
    wall: WallClock
    observer: Observer
    describe: Callable[[Instance], Instance]
    """Adds to a heartbeat what the rest of the engine knows."""
    others: tuple[Instance, ...] = ()
    """Who else lives."""
    gained: int = 0
    """Grows with each time that shards came: what was read before has to be read again for them."""
    drain_asked: trio.Event = field(factory=trio.Event)
    """Set once somebody has asked this instance to finish and end."""
    _leases: dict[int, Lease] = field(factory=dict)
    _leaving: set[int] = field(factory=set)
    """Shards that are given up as soon as nothing of them is under way."""
    _beginning: int | None = None
    """The shard that is being taken: its lease is ours, and it is not among those of the holder yet."""
    _news: trio.Event = field(factory=trio.Event)
    _started_at: float = 0.0
    _draining: bool = False

    async def enter(self) -> None:
        """Let the others know of us, learn who they are, and take the first shards."""
        self._started_at = self.wall()
        self.observer.on_step("instance", self.instance)
        await self._beat()
        await self._look()

    async def run(self) -> None:
        """Keep the leases, take what is free, give up what is too much; until cancelled."""
        while True:
            await trio.sleep(self.settings.heartbeat_s / _LOOKS_PER_BEAT)
            await self._look()

    def drain(self) -> None:
        """Take nothing new, and hand over what is free; where nobody else lives, it is finished here."""
        self._draining = True

    async def leave(self) -> None:
        """Give everything up and leave the list of instances: the next owner need not wait."""
        for number in tuple(self._leases):
            await self._release(number)
        await self.store.control.leave(self.instance)

    async def wait_news(self) -> None:
        """Wait until shards come or go."""
        await self._news.wait()

    async def wait_shards(self) -> None:
        """Wait until there is a shard to read for."""
        while not self.holder.shards:
            await self._news.wait()

    @property
    def alone(self) -> bool:
        """Whether no other instance lives."""
        return not self.others

    @property
    def label(self) -> str:
        """Names this instance's part, for the status line."""
        count, owned = self.settings.count, self.holder.shards
        if not owned:
            return f"none of {count}, {'warm' if self.settings.warm else 'paused'}"
        if self.settings.index is not None:
            return f"{self.settings.index + 1}/{self.settings.of}"
        living = 1 + len(self.others)
        if len(owned) == 1 and count <= living:
            return f"{min(owned) + 1}/{count}"
        return f"{self._rank + 1}/{living} ({len(owned)} of {count})"

    @property
    def _lease_s(self) -> float:
        return LEASE_BEATS * self.settings.heartbeat_s

    @property
    def _rank(self) -> int:
        return sum(other.instance < self.instance for other in self.others)

    async def acquire(self, number: int) -> Lease | None:
        """Take the lease of a shard, or take it again; None when somebody else has it."""
        lease = await self.store.control.acquire(shard_lease(number), self.instance, self._lease_s)
        if lease is not None:
            self._note(number, lease)
        return lease

    def _note(self, number: int, lease: Lease) -> None:
        self._leases[number] = lease
        shard = self.holder.shards.get(number)
        if shard is not None:
            shard.extend(lease.until)

    async def _look(self) -> None:
        before = set(self.holder.shards)
        if not await self.holder.forgetting.is_steady():
            for shard in tuple(self.holder.shards.values()):
                await shard.grants.draw_again()
        await self._renew()
        async with trio.open_nursery() as nursery:
            # To take over what others have left takes as long as it takes; what is held must not run out meanwhile, or
            # whoever has most to take over would lose it again, and all of it would be read once more.
            nursery.start_soon(self._renew_steadily)
            await self._beat()
            await self._give_up_too_much()
            fresh = await self._take()
            nursery.cancel_scope.cancel()
        self.gained += bool(fresh)
        # Also what was lost and taken back at once: in between, nothing of it was read.
        if fresh or set(self.holder.shards) != before:
            self._tell(before)

    async def _renew_steadily(self) -> None:
        while True:
            await trio.sleep(self.settings.heartbeat_s / _LOOKS_PER_BEAT)
            await self._renew()

    async def _renew(self) -> None:
        # All at once: on a busy machine each answer takes its time, and one after the other the last lease would run out
        # before its turn came.
        async with trio.open_nursery() as nursery:
            for number, lease in self._leases.items():
                nursery.start_soon(self._renew_one, number, lease)

    async def _renew_one(self, number: int, lease: Lease) -> None:
        if number not in self.holder.shards and number != self._beginning:
            await self._forget(number)
            return
        try:
            self._note(number, await self.store.control.renew(lease, self._lease_s))
        except LeaseLost as error:
            # It ran out, or the store forgot it. Where nobody else has it, we go on, under the token that we write
            # with: the store refuses that once somebody else has written, and only then it is lost.
            if await self.acquire(number) is None:
                self._lose(number, error)

    async def _forget(self, number: int) -> None:
        """Give up the lease of a shard that the holder has dropped: taken again, it must have another token.

        A write of the time before may still be on its way.
        """
        self._leaving.discard(number)
        lease = self._leases.pop(number, None)
        if lease is not None:
            await self.store.control.release(lease)

    def _lose(self, number: int, error: LeaseLost) -> None:
        self._leases.pop(number, None)
        self._leaving.discard(number)
        if number in self.holder.shards:
            self.holder.lose(self.holder.shards[number], error)

    async def _beat(self) -> None:
        me = Instance(
            instance=self.instance,
            started_at=self._started_at,
            shards=tuple(sorted(self.holder.shards)),
            draining=self._draining,
        )
        heard = await self.holder.forgetting.beat(self.describe(me))
        if heard.drain and not self._draining:
            self._draining = True
            self.observer.on_step("draining", "somebody asked this instance to drain")
            self.drain_asked.set()
            self._ring()
        dead, known = self.wall() - self._lease_s, await self.store.control.instances()
        lost = {other.instance for other in known if other.seen_at <= dead}
        for other in self.others:
            if other.instance in lost:
                free = " ".join(map(str, other.shards)) or "none"
                self.observer.on_alert("instance-dead", f"{other.instance} is silent; its shards are free: {free}")
        self.others = tuple(
            other for other in known if other.instance not in {*lost, self.instance} and not other.draining
        )

    def _quota(self) -> int:
        """Return how many of all shards are ours: the same for everybody, one more for the first in line."""
        if self._draining:
            return 0
        each, rest = divmod(self.settings.count, 1 + len(self.others))
        return each + (self._rank < rest)

    def _wanted(self) -> tuple[int, ...]:
        """Return the shards that may be ours, those first that are nobody else's first choice."""
        shards = range(self.settings.count)
        if self.settings.index is not None and self.settings.of is not None:
            return tuple(shard for shard in shards if shard % self.settings.of == self.settings.index)
        start = self._rank * self.settings.count // (1 + len(self.others))
        return tuple((start + shard) % self.settings.count for shard in shards)

    async def _give_up_too_much(self) -> None:
        if self._draining and not self.others:
            return  # nobody would take them: what waits is finished here
        if self.settings.index is None:
            stays = [
                number for number in self._wanted() if number in self.holder.shards and number not in self._leaving
            ]
            excess = len(stays) - self._quota()
            self._leaving.update(stays[len(stays) - excess :] if excess > 0 else ())
        for number in tuple(self._leaving):
            self.holder.hand_over(number)
            if not self.holder.works_on(number):
                await self._release(number)

    async def _release(self, number: int) -> None:
        await self.holder.end(number)
        await self._forget(number)

    async def _take(self) -> list[int]:
        """Take free shards up to our share."""
        wanted = [number for number in self._wanted() if number not in self.holder.shards]
        fixed = self.settings.index is not None
        room = (0 if self._draining else len(wanted)) if fixed else self._quota() - len(self.holder.shards)
        if room <= 0 or not wanted or not await self.holder.forgetting.is_steady():
            return []
        held = await self.store.control.held([shard_lease(number) for number in wanted])
        taken: list[int] = []
        for number in wanted:
            lease = held.get(shard_lease(number))
            if len(taken) >= room or not self.holder.forgetting.seems_steady:
                break
            if lease is None or lease.owner == self.instance:
                await self._forget(number)
                self._beginning = number
                try:
                    taken += [number] if await self._take_one(number) else []
                finally:
                    self._beginning = None
        return taken

    async def _take_one(self, number: int) -> bool:
        lease = await self.acquire(number)
        if lease is None:
            return False
        if not await self.holder.forgetting.is_steady():  # then it was not free, but forgotten
            await self._release(number)
            return False
        try:
            shard = await self.holder.begin(number, lease)
        except LeaseLost:
            self._leases.pop(number, None)
            return False
        renewed = self._leases.get(number)
        if renewed is None:
            self.holder.lose(shard, LeaseLost(f"shard {number} was taken by somebody else while it was read"))
            return False
        shard.extend(renewed.until)
        return True

    def _tell(self, before: set[int]) -> None:
        now = set(self.holder.shards)
        came, went = sorted(now - before), sorted(before - now)
        if came or went:
            what = [*(f"+{number}" for number in came), *(f"-{number}" for number in went)]
            self.observer.on_step("shards", f"{self.label}: {' '.join(what)}")
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()
