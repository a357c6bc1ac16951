"""A store that instances share has forgotten everything: nobody spends what was promised to another, or takes what is his."""

import trio
import trio.testing
from attrs import define, field

from tests.builders import NOW, usd
from tests.engine.rig import buy
from tests.harness import Recorder
from trio_copy.engine.shards.forgetting import Forgetting
from trio_copy.engine.shards.grants import Grants
from trio_copy.model.control import Instance
from trio_copy.model.decisions import CopyTask
from trio_copy_memory.control import MemoryControl
from trio_copy_memory.data import MemoryData

LEASE_S = 2.5
LIMIT = usd("100")


@define(eq=False)
class Fleet:
    """Two shards, each of another instance, on one budget."""

    clock: trio.testing.MockClock
    recorder: Recorder = field(factory=Recorder)
    data: MemoryData = field(factory=MemoryData)
    one: Forgetting = field(init=False)
    two: Forgetting = field(init=False)
    first: Grants = field(init=False)
    second: Grants = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.one, self.two = self._instance("one"), self._instance("two")
        self.first, self.second = self._grants(0, self.one), self._grants(1, self.two)

    def _wall(self) -> float:
        return NOW + self.clock.current_time()

    def _instance(self, name: str) -> Forgetting:
        control = MemoryControl(data=self.data, wall=self._wall)
        return Forgetting(control=control, instance=name, lease_s=LEASE_S, wall=self._wall, observer=self.recorder)

    def _grants(self, shard: int, forgetting: Forgetting) -> Grants:
        return Grants(control=forgetting.control, shard=shard, alone=False, limit=LIMIT, forgetting=forgetting)

    async def beat(self) -> None:
        for instance in (self.one, self.two):
            await instance.beat(Instance(instance=instance.instance))

    def forget(self) -> None:
        self.data.instances.clear()
        self.data.budgets.clear()


async def spend(grants: Grants, task: CopyTask, count: int) -> int:
    """Hold entries of five dollars each until there is no more; returns how many."""
    for done in range(count):
        if not grants.covers(task, usd("5")) and not await grants.draw(task, usd("5")):
            return done
        grants.hold(buy(done).key, task, usd("5"))
    return count


def held(grants: Grants) -> int:
    return sum(day.held for day in grants._days.values())


async def test_a_heartbeat_notices_that_it_was_forgotten(clock: trio.testing.MockClock) -> None:
    """It puts the instance on the list again: looking there afterwards would show nothing."""
    fleet = Fleet(clock)
    await fleet.beat()
    assert await fleet.one.is_steady()
    fleet.forget()
    await fleet.beat()
    assert not await fleet.one.is_steady()
    assert [kind for kind, _ in fleet.recorder.alerts] == ["store-forgot"] * 2
    await trio.sleep(LEASE_S)
    assert await fleet.one.is_steady()


async def test_nothing_is_drawn_from_a_store_that_forgot_lately(clock: trio.testing.MockClock) -> None:
    """What others have drawn is not known to it yet, and what it gives away now is kept from them."""
    fleet = Fleet(clock)
    await fleet.beat()
    assert await spend(fleet.first, buy(), 8) == 8
    fleet.forget()
    assert await spend(fleet.second, buy(), 20) == 0
    await fleet.beat()
    before = {name: dict(budget.has) for name, budget in fleet.data.budgets.items()}
    assert await spend(fleet.second, buy(), 20) == 0
    assert {name: budget.has for name, budget in fleet.data.budgets.items()} == before


async def test_what_was_drawn_while_it_forgot_passes_no_cap(clock: trio.testing.MockClock) -> None:
    """One asked just then, and was given what the other had: told of that, the store lets it spend the rest only."""
    fleet = Fleet(clock)
    await fleet.beat()
    spent = await spend(fleet.first, buy(), 16)
    fleet.forget()
    assert await spend(fleet.second, buy(), 20) == 0
    await fleet.two.control.draw("day 2025-11-24", 1, LIMIT.micro, LIMIT.micro)
    await fleet.beat()
    await fleet.first.draw_again()
    await fleet.second.draw_again()
    await trio.sleep(LEASE_S)
    assert spent == 16
    assert await spend(fleet.second, buy(), 20) == 3
    assert await spend(fleet.first, buy(), 20) == 0
    assert held(fleet.first) + held(fleet.second) == 19 * usd("5").micro


async def test_what_an_owner_before_spent_is_told_again(clock: trio.testing.MockClock) -> None:
    """The new owner never drew it, but it is gone from the budget."""
    fleet = Fleet(clock)
    await fleet.beat()
    fleet.first.load({("spent", "2025-11-24"): [1, usd("90").micro]})
    fleet.forget()
    await fleet.beat()
    await fleet.first.draw_again()
    await trio.sleep(LEASE_S)
    assert await spend(fleet.second, buy(), 20) == 2
