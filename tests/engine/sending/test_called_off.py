"""What forbids an entry calls off one that rests, at the next look; what was over in a moment does not."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.engine.rig import open_rig
from tests.engine.sending.rests import CALLED_OFF, REST_S, follow_goes, goes_blind, resting, rests, venue_of
from trio_copy.errors import ExecutorError
from trio_copy.model.decisions import Code, End
from trio_copy.model.orders import Order, Status

Clock = trio.testing.MockClock


@pytest.mark.parametrize("why", CALLED_OFF)
async def test_what_forbids_an_entry_calls_it_off(clock: Clock, why: str) -> None:
    """At the next look, not at the end of its time: cancelled at the venue, proven, and its end says why."""
    happens, code, within_s = CALLED_OFF[why]
    task = resting()
    async with open_rig() as rig:
        order = await rests(rig, task)
        if within_s < REST_S:
            await trio.sleep(60)
            assert venue_of(rig).called_off == []
        happens(rig, task)
        with trio.fail_after(within_s):
            assert await rig.wait_ends(task) == [(End.KILLED, code)]
        assert venue_of(rig).called_off == [order]
        assert rig.open_orders() == []


async def test_a_reorg_that_takes_one_of_several_calls_their_order_off(clock: Clock) -> None:
    """They went out as one, and no part of it can be taken off: nothing is bought for a trade that never was."""
    tasks = [evolve(resting(number), aggregates=True, not_before=NOW + 1) for number in (1, 2)]
    async with open_rig(terms={"aggregate_s": 1.0}) as rig:
        for task in tasks:
            rig.shard.met.meet(task.signal, NOW, whole=True)
        venue_of(rig).script.append("rest")
        await rig.take_in(*tasks)
        await trio.sleep(10)
        (open_order,) = rig.open_orders()
        assert open_order.members == (tasks[1].task_id,)
        assert venue_of(rig).called_off == []
        assert rig.shard.met.retract(tasks[1].signal, NOW) == tasks[1].signal.signal_id
        with trio.fail_after(3):
            assert await rig.wait_ends(tasks[0]) == [(End.KILLED, Code.RETRACTED)]
        assert venue_of(rig).called_off == [open_order.order]


async def test_a_reorg_that_is_over_lets_their_order_rest(clock: Clock) -> None:
    """What was retracted and mined again before anybody looked is in the chain."""
    tasks = [evolve(resting(number), aggregates=True, not_before=NOW + 1) for number in (1, 2)]
    async with open_rig(terms={"aggregate_s": 1.0}) as rig:
        venue_of(rig).script.append("rest")
        await rig.take_in(*tasks)
        await trio.sleep(10)
        for task in tasks:
            rig.shard.met.meet(task.signal, NOW, whole=True)
            rig.shard.met.retract(task.signal, NOW)
            rig.shard.met.meet(task.signal, NOW, whole=True)
        assert rig.shard.met.retracted == set()
        await trio.sleep(10)
        assert venue_of(rig).called_off == []


async def test_a_short_halt_by_a_watchdog_lets_it_rest(clock: Clock) -> None:
    """What passes by itself, passes."""
    async with open_rig() as rig:
        await rests(rig, resting())
        for _ in range(3):
            goes_blind(rig, resting())
            await trio.sleep(20)
            rig.mode.halted = lambda: None
            await trio.sleep(5)
        assert venue_of(rig).called_off == []


@pytest.mark.parametrize("answer", [ExecutorError("away"), ValueError("odd"), None], ids=["away", "breaks", "hangs"])
async def test_a_venue_that_does_not_take_it_off_is_asked_again(clock: Clock, answer: Exception | None) -> None:
    """Whatever `cancel` does, the engine goes on, tells it, and tries again."""
    task = resting()
    async with open_rig() as rig:
        await rests(rig, task)
        venue = venue_of(rig)
        cancel = venue.cancel

        async def odd(order: Order) -> None:
            if answer is None:
                await trio.sleep_forever()
            else:
                await trio.lowlevel.checkpoint()
                raise answer

        venue.cancel = odd  # type: ignore[method-assign]
        follow_goes(rig, task)
        await trio.sleep(20)
        assert rig.recorder.alerts != []
        assert [one.called_off is not None for one in rig.open_orders()] == [True]
        venue.cancel = cancel  # type: ignore[method-assign]
        assert await rig.wait_ends(task) == [(End.KILLED, Code.NOT_FOLLOWED)]


async def test_a_watchdog_that_halted_long_ago_is_forgotten(clock: Clock) -> None:
    """Nothing rested when it was over: the next time it halts, half a minute counts anew."""
    one, two = resting(1, deadline=NOW + 900), resting(2, token=8, deadline=NOW + 900)
    async with open_rig() as rig:
        order = await rests(rig, one)
        goes_blind(rig, one)
        await trio.sleep(10)
        venue_of(rig).grow(order, order.shares, Status.FILLED)
        await rig.wait_ends(one)
        rig.mode.halted = lambda: None
        await trio.sleep(100)
        await rests(rig, two)
        goes_blind(rig, two)
        await trio.sleep(10)
        assert not venue_of(rig).called_off
