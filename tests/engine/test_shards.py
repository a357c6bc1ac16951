"""How instances share the shards: evenly, without anybody in charge, on virtual time and one store."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio
import trio.testing
from attrs import define, field

from tests.harness import Recorder
from tests.plugins.test_conformance import open_memory
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.config import ShardsSettings
from trio_copy.engine.shards import ShardKeeper
from trio_copy.model.control import shard_of
from trio_copy.model.ids import Address
from trio_copy.ports import Store
from trio_copy.testing.conformance import StoreTerms

START = 1_764_000_000.0
COUNT = 16


@define(eq=False)
class FakeEngine:
    """Remembers what a keeper tells it."""

    busy: set[int] = field(factory=set)
    begun: list[int] = field(factory=list)
    lost: list[int] = field(factory=list)
    drained: bool = False

    def works_on(self, shard: int) -> bool:
        return shard in self.busy

    async def begin_shards(self, shards: Sequence[int]) -> None:
        self.begun.extend(shards)

    def lose_shard(self, shard: int) -> None:
        self.lost.append(shard)

    def narrow(self) -> None: ...

    def drain(self) -> None:
        self.drained = True


@define(eq=False)
class Crowd:
    """Keepers that share one store; each runs in a scope of its own, and dies with it."""

    store: Store
    wall: WallClock
    nursery: trio.Nursery
    keepers: dict[str, ShardKeeper] = field(factory=dict)
    engines: dict[str, FakeEngine] = field(factory=dict)
    scopes: dict[str, trio.CancelScope] = field(factory=dict)
    recorders: dict[str, Recorder] = field(factory=dict)

    async def join(self, name: str, settings: ShardsSettings = ShardsSettings(count=COUNT)) -> ShardKeeper:  # noqa: B008
        recorder = self.recorders[name] = Recorder()
        keeper = ShardKeeper(settings=settings, store=self.store, instance=name, wall=self.wall, observer=recorder)
        keeper.engine = self.engines[name] = FakeEngine()
        await keeper.enter()
        await keeper.start()
        self.keepers[name], self.scopes[name] = keeper, trio.CancelScope()
        self.nursery.start_soon(self._run, keeper, self.scopes[name])
        return keeper

    async def _run(self, keeper: ShardKeeper, scope: trio.CancelScope) -> None:
        with scope:
            await keeper.run()

    def kill(self, name: str) -> None:
        self.scopes[name].cancel()
        del self.keepers[name]

    def owned(self) -> dict[str, int]:
        every = [shard for keeper in self.keepers.values() for shard in keeper.owned]
        assert len(set(every)) == len(every), "two owners of one shard"
        return {name: len(keeper.owned) for name, keeper in self.keepers.items()}


@asynccontextmanager
async def open_crowd() -> AsyncGenerator[Crowd, None]:
    wall = wall_clock_from(START)
    async with open_memory(StoreTerms(wall=wall)) as store, trio.open_nursery() as nursery:
        yield Crowd(store, wall, nursery)
        nursery.cancel_scope.cancel()


async def test_shards_are_shared_evenly(clock: trio.testing.MockClock) -> None:
    """Whoever comes gets its share, and all shards always have exactly one owner soon after."""
    async with open_crowd() as crowd:
        await crowd.join("a")
        assert crowd.owned() == {"a": 16}
        for name, shares in (("b", [8, 8]), ("c", [5, 5, 6]), ("d", [4, 4, 4, 4])):
            await crowd.join(name)
            await trio.sleep(3)
            assert sorted(crowd.owned().values()) == shares
        assert len(crowd.engines["d"].begun) == 4


async def test_a_dead_ones_shards_are_owned_again_within_three_heartbeats(clock: trio.testing.MockClock) -> None:
    """Nobody gives them up: their leases run out, and the living take them, with a word to a person."""
    async with open_crowd() as crowd:
        for name in ("a", "b", "c"):
            await crowd.join(name)
            await trio.sleep(3)
        crowd.kill("b")
        await trio.sleep(3)
        assert sorted(crowd.owned().values()) == [8, 8]
        assert "instance-dead" in dict(crowd.recorders["a"].alerts)


async def test_a_shard_is_handed_over_when_nothing_of_it_is_under_way(clock: trio.testing.MockClock) -> None:
    """What is being sent ends where it began; until then the shard stays, and no new task of it is taken."""
    async with open_crowd() as crowd:
        await crowd.join("a")
        crowd.engines["a"].busy = set(range(COUNT))
        await crowd.join("b")
        await trio.sleep(5)
        assert crowd.owned() == {"a": 16, "b": 0}
        crowd.engines["a"].busy.clear()
        await trio.sleep(3)
        assert crowd.owned() == {"a": 8, "b": 8}
        assert len(crowd.engines["a"].lost) == 8


async def test_who_drains_gives_everything_up(clock: trio.testing.MockClock) -> None:
    """It hears the wish with its next heartbeat, and the others own everything soon after; alone, it keeps all."""
    async with open_crowd() as crowd:
        alone = await crowd.join("a")
        assert not alone.hand_over()
        await trio.sleep(3)
        assert crowd.owned() == {"a": 16}
    async with open_crowd() as crowd:
        for name in ("a", "b"):
            await crowd.join(name)
            await trio.sleep(3)
        assert await crowd.store.control.ask_drain("a")
        await trio.sleep(1)
        assert crowd.engines["a"].drained
        await trio.sleep(2)
        assert crowd.owned() == {"a": 0, "b": 16}
        assert crowd.keepers["a"].label == "none of 16, paused"


async def test_fixed_parts_stay_fixed(clock: trio.testing.MockClock) -> None:
    """With index and of, each takes its own part only, and nobody takes over another's."""
    async with open_crowd() as crowd:
        for index in range(2):
            await crowd.join(f"part-{index}", ShardsSettings(count=4, index=index, of=2))
        assert [set(keeper.owned) for keeper in crowd.keepers.values()] == [{0, 2}, {1, 3}]
        assert [keeper.label for keeper in crowd.keepers.values()] == ["1/2", "2/2"]
        crowd.kill("part-1")
        await trio.sleep(10)
        assert set(crowd.keepers["part-0"].owned) == {0, 2}


async def test_standbys_read_along(clock: trio.testing.MockClock) -> None:
    """With two replicas every shard is read by two, and the survivor of two owns all and stands by for none."""
    settings = ShardsSettings(count=4, replicas=2)
    async with open_crowd() as crowd:
        for name in ("a", "b"):
            await crowd.join(name, settings)
        await trio.sleep(3)
        for keeper in crowd.keepers.values():
            assert set(keeper.owned) | set(keeper.standby) == {0, 1, 2, 3}
            assert len(keeper.owned) == 2
        crowd.kill("a")
        await trio.sleep(3)
        assert (set(crowd.keepers["b"].owned), set(crowd.keepers["b"].standby)) == ({0, 1, 2, 3}, set())


async def test_what_was_lost_and_taken_back_is_read_anew(clock: trio.testing.MockClock) -> None:
    """A lease that is gone for a moment may mean that something was not stored: it counts as gained."""
    async with open_crowd() as crowd:
        keeper = await crowd.join("a")
        seen = keeper.gained
        lease = keeper.owned[3]
        await crowd.store.control.release(lease)
        await trio.sleep(1)
        assert set(keeper.owned) == set(range(COUNT))
        assert keeper.gained == seen + 1
        assert crowd.engines["a"].lost == [3]


async def test_nothing_is_sent_after_the_lease_ran_out(clock: trio.testing.MockClock) -> None:
    """An instance that was frozen knows by its own clock, before it asks anybody."""
    async with open_crowd() as crowd:
        keeper = await crowd.join("a")
        leader = Address("0x" + "11" * 20)
        assert keeper.may_send(leader)
        crowd.kill("a")
        await trio.sleep(2.6)
        assert not keeper.may_send(leader)


def test_leaders_spread_evenly() -> None:
    """A leader's shard depends on its address alone."""
    places = [shard_of(Address(f"0x{number:040x}"), COUNT) for number in range(16_000)]
    assert all(800 < places.count(shard) < 1200 for shard in range(COUNT))
