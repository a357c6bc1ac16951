"""What the watchdogs see of clocks, sleep and steps, and what they do about it: clocks that a test turns."""

import pytest
import trio
import trio.testing

from tests.builders import LEADER
from tests.engine.gate.mined import mine_steadily
from tests.engine.watched import Turned, alarms, lights, starting_engine, until
from tests.harness import make_test_plan, open_world, running_engine
from trio_copy.clock import AnchoredClock
from trio_copy.engine.opening import open_service
from trio_copy.model.decisions import Code
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.watches import Light

Clock = trio.testing.MockClock


@pytest.mark.parametrize("anchored", [False, True], ids=["a plain clock", "an anchored clock"])
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize(("wrong_s", "way"), [(8.0, "ahead"), (-8.0, "behind")])
async def test_a_wrong_clock_arms_nothing_until_it_is_mended(
    clock: Clock, wrong_s: float, way: str, nodes: int, anchored: bool
) -> None:
    """One alert names the direction; nothing is copied; when somebody sets the clock, the engine arms by itself."""
    async with open_world(nodes=nodes) as world, trio.open_nursery() as nursery:
        turned = Turned(world.wall, wrong_s)
        real = AnchoredClock(trio.current_time, turned) if anchored else None
        world.wall = real or turned
        nursery.start_soon(mine_steadily, world, 60.0)
        async with starting_engine(world, make_test_plan(), real) as service:
            await trio.sleep(10)
            assert "armed" not in world.recorder.steps
            (told,) = alarms(world.recorder, "clock-skew")
            assert told.startswith("not armed: ")
            assert f" {way} " in told
            assert "NTP" in told
            assert lights(service, "clock_skew_s") == [Light.RED]
            status = service.status()
            assert (status.ready, status.block) == (False, None)
            turned.by = 0.0
            await world.recorder.wait_until(lambda: "armed" in world.recorder.steps)
            await trio.sleep(3)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            assert lights(service, "clock_skew_s") == [Light.GREEN]
            assert service.status().ready
        nursery.cancel_scope.cancel()
    assert len(alarms(world.recorder, "clock-skew")) == 1


async def test_a_small_skew_is_told_and_copied_through(clock: Clock) -> None:
    """Three seconds are worth an alert, and no halt."""
    async with open_world() as world:
        world.wall = Turned(world.wall, 3.0)
        async with running_engine(world, make_test_plan()):
            await mine_steadily(world, 5)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
    (told,) = alarms(world.recorder, "clock-skew")
    assert told.startswith("this machine's clock is 3")


async def test_a_clock_that_is_behind_does_not_make_old_fills_fresh(clock: Clock) -> None:
    """A fill six seconds old is too old with a deadline of five, though our clock, three behind, believes in three."""
    async with open_world() as world:
        world.wall = Turned(world.wall, -3.0)
        async with running_engine(world, make_test_plan()):
            await mine_steadily(world, 3)
            world.nodes[0].faults.silent_heads = world.nodes[0].faults.silent_logs = True
            world.chain.mine(world.buy())
            await trio.sleep(6)
            world.nodes[0].faults.silent_heads = world.nodes[0].faults.silent_logs = False
            world.chain.mine()
            await world.recorder.wait_until(lambda: len(world.recorder.skips) == 2)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
    assert {skip.reason.code for skip in world.recorder.skips} == {Code.TOO_OLD}


async def test_a_skew_that_appears_halts_entries_and_says_so(clock: Clock) -> None:
    """Not everything silently too old: the reason is the clock. Exits go on, and so do entries when it is over."""
    async with open_world(nodes=3) as world, running_engine(world, make_test_plan()) as service:
        await mine_steadily(world, 3)
        world.chain.mine(world.buy(shares=100))
        await world.recorder.wait_copies(2)
        world.nodes[0].faults.time_lag_s = -9
        await mine_steadily(world, 10)
        assert not alarms(world.recorder, "clock-skew"), "one node alone is no witness"
        world.nodes[1].faults.time_lag_s = world.nodes[2].faults.time_lag_s = -9
        await mine_steadily(world, 3)
        (told,) = alarms(world.recorder, "clock-skew")
        assert told.startswith("entries are halted: this machine's clock is 9")
        assert "behind" in told
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.skips) == 2)
        assert service.status().halted.startswith("watchdog.clock: 9")
        world.chain.mine(world.buy(side=Side.SELL))
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 4)
        for node in world.nodes:
            node.faults.time_lag_s = 0
        await mine_steadily(world, 8)
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(6)
    assert {(skip.reason.code, skip.reason.control) for skip in world.recorder.skips} == {
        (Code.ENTRIES_HALTED, "watchdog.clock")
    }


@pytest.mark.parametrize("time_lag_s", [-1000, 1000])
async def test_one_node_of_two_with_wrong_times_stops_nothing(clock: Clock, time_lag_s: int) -> None:
    """Arming and copying go on by the word of the other one."""
    async with open_world(nodes=2) as world:
        world.nodes[1].faults.time_lag_s = time_lag_s
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mine_steadily, world, 600.0)
            async with running_engine(world, make_test_plan()) as service:
                await trio.sleep(10)
                assert lights(service, "clock_skew_s") == [Light.GREEN]
                assert service.watchdogs.halted() is None
            nursery.cancel_scope.cancel()
    assert not alarms(world.recorder, "clock-skew")


async def test_a_chain_that_stands_still_is_no_wrong_clock(clock: Clock) -> None:
    """A start behind an old block waits a little for a fresh one, then arms without a word about clocks."""
    async with open_world() as world:
        await trio.sleep(100)
        started = trio.current_time()
        async with running_engine(world, make_test_plan()):
            assert 9 < trio.current_time() - started < 12
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
    assert not alarms(world.recorder, "clock-skew")


async def test_a_fresh_block_ends_the_wait_at_once(clock: Clock) -> None:
    """As soon as a block comes whose time fits, the engine arms."""
    async with open_world() as world:
        await trio.sleep(100)
        async with starting_engine(world, make_test_plan()):
            await trio.sleep(1)
            assert "armed" not in world.recorder.steps
            world.chain.mine()
            await trio.sleep(0.5)
            assert "armed" in world.recorder.steps


async def test_what_happened_while_the_machine_slept_is_not_copied(clock: Clock) -> None:
    """After 50 minutes of sleep: a word, every node dialled again, the old fill left alone, the next one copied."""
    async with open_world(nodes=2) as world:
        asleep = Turned(world.wall)
        world.wall = world.chain.now = asleep
        async with running_engine(world, make_test_plan()) as service:
            await mine_steadily(world, 5)
            for node in world.nodes:
                node.faults.silent_heads = node.faults.silent_logs = True
            world.chain.mine(world.buy())
            for node in world.nodes:
                node.faults.silent_heads = node.faults.silent_logs = False
            dials = world.dials
            asleep.by += 3011
            await world.recorder.wait_until(lambda: len(world.recorder.skips) == 2)
            await until(lambda: world.dials == dials + 4)  # both connections of both nodes
            await mine_steadily(world, 3)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            assert service.watchdogs.halted() is None
    assert {skip.reason.code for skip in world.recorder.skips} == {Code.TOO_OLD}
    (told,) = alarms(world.recorder, "clock-jump")
    assert told.startswith("+3011 s went by at once")


async def test_entries_wait_after_sleep_until_a_node_was_dialled_again(clock: Clock) -> None:
    """While no node answers, what was under way is not bought; the halt ends by itself."""
    plan = make_test_plan(engine={"deadline_s": 3600.0})
    async with open_world() as world:
        asleep = Turned(world.wall)
        world.wall = world.chain.now = asleep
        async with running_engine(world, plan) as service:
            await mine_steadily(world, 3)
            world.down = {0}
            asleep.by += 600
            await trio.sleep(1.5)
            reason = service.watchdogs.halted()
            assert reason is not None
            assert (reason.code, reason.control) == (Code.ENTRIES_HALTED, "watchdog.sleep")
            assert service.mode.forbids(Side.BUY, FollowerId("alice"), LEADER) == reason
            assert service.mode.forbids(Side.SELL, FollowerId("alice"), LEADER) is None
            world.down = set()
            await until(lambda: service.watchdogs.halted() is None)


async def test_a_step_of_the_systems_clock_moves_nothing_while_ours_is_right(clock: Clock) -> None:
    """Somebody sets the clock an hour ahead: one alert, and copies go on by our own clock."""
    async with open_world() as world:
        system = Turned(world.wall)
        world.wall = real = AnchoredClock(trio.current_time, system)
        seams = world.seams()
        seams.clock = real
        async with open_service(make_test_plan(), seams, world.endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await mine_steadily(world, 3)
            system.by = 3600
            await mine_steadily(world, 5)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            service.drain()
    assert alarms(world.recorder, "clock-stepped") == [
        "the system's clock was set by +3600.0 s; ours goes on as it was"
    ]
