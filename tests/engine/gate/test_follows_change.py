"""Who is followed changes while an engine reads: filters follow without a gap."""

from itertools import pairwise

import trio
import trio.testing
from attrs import evolve

from tests.builders import LEADER, OTHER_LEADER
from tests.engine.gate.mined import expected_copies, mine_steadily
from tests.harness import make_test_plan, open_world, running_engine
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address

Clock = trio.testing.MockClock


async def test_a_new_follow_widens_the_filters_without_a_gap(clock: Clock) -> None:
    """The new subscription stands before the old one falls, and the window is read again."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        (node,) = world.nodes
        (follow,) = [f for f in (await service.store.follows.load())[1] if f.follower == "alice"]
        new = Follow(follower=follow.follower, leader=OTHER_LEADER, own=follow.own)
        await service.store.follows.put([new])
        world.chain.mine(world.buy(OTHER_LEADER), world.buy(LEADER))
        await world.recorder.wait_copies(3)
        await mine_steadily(world, 2)
        assert len(node.log_filters) == 1
        await service.store.follows.remove([new.key])
        await mine_steadily(world, 2)
        world.chain.mine(world.buy(OTHER_LEADER))
        await mine_steadily(world, 2)
        assert service.scanner.late_logs == 0
    assert len(world.recorder.copies) == 3


async def test_many_leaders_are_spread_over_several_subscriptions(clock: Clock) -> None:
    """Filters are cut into chunks that nodes accept."""
    leaders = tuple("0x" + f"{number:040x}" for number in range(1, 26))
    plan = make_test_plan(leaders=leaders, chain={"leaders_per_subscription": 10})  # type: ignore[arg-type]  # addresses
    async with open_world() as world, running_engine(world, plan):
        assert len(world.nodes[0].log_filters) == 3
        world.chain.mine(*(world.buy(leader) for leader in leaders))  # type: ignore[arg-type]  # addresses
        await world.recorder.wait_copies(50)
    expected_copies(world, signals=25)


async def test_of_very_many_leaders_everybodys_logs_are_read_and_those_of_nobody_dropped(clock: Clock) -> None:
    """One subscription that names contracts alone; of who is followed from now on, the window is read again."""
    leaders = tuple("0x" + f"{number:040x}" for number in range(1, 26))
    chain = {"leaders_per_subscription": 10, "leaders_named": 24}
    plan = make_test_plan(leaders=leaders, followers=("alice",), chain=chain)  # type: ignore[arg-type]  # addresses
    async with open_world() as world, running_engine(world, plan) as service:
        (log_filter,) = world.nodes[0].log_filters
        assert len(log_filter.topics) == 1
        world.chain.mine(*(world.buy(leader) for leader in (*leaders, LEADER, OTHER_LEADER)))  # type: ignore[arg-type]  # addresses
        await world.recorder.wait_copies(25)
        await mine_steadily(world, 2)
        (follow, *_) = (await service.store.follows.load())[1]
        await service.store.follows.put([Follow(follower=follow.follower, leader=LEADER, own=follow.own)])
        await mine_steadily(world, 2)
        world.chain.mine(world.buy(LEADER))
        await world.recorder.wait_copies(27)
        await mine_steadily(world, 2)
        assert service.scanner.late_logs == 0
        assert service.gate.reader.counts["new"] == 27
    expected_copies(world, signals=27, followers=1)


async def test_without_follows_nothing_is_subscribed(clock: Clock) -> None:
    """An engine that copies nobody asks for no logs."""
    async with open_world() as world, running_engine(world, make_test_plan(followers=())):
        await mine_steadily(world, 3)
        assert world.nodes[0].log_filters == []


async def test_thousands_of_follows_may_change_at_once_and_nothing_else_waits_for_all(clock: Clock) -> None:
    """They are taken up in short steps, and the filters change once."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        (follow, *_) = (await service.store.follows.load())[1]
        steps, before = [len(service.book)], len(world.recorder.steps)

        async def watch() -> None:
            while len(service.book) < 2002:
                await trio.lowlevel.checkpoint()
                steps.append(len(service.book))

        new = [evolve(follow, leader=Address(f"0x{number:040x}")) for number in range(1, 2001)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await service.store.follows.put(new)
        assert (
            max(after - earlier for earlier, after in pairwise(steps)) <= 200
        )  # two, where it comes last and then first
        await trio.sleep(1)
        assert world.recorder.steps[before:].count("filters") == 1
        world.chain.mine(world.buy(new[-1].leader))
        await world.recorder.wait_copies(1)
