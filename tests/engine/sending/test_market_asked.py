"""What happens while a market is asked about is heard before anything is placed."""

import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.engine.rig import buy, open_rig, sell
from tests.engine.sending.answers import AskedMarket
from trio_copy.engine.shards.taking_in import resume, retract
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, End
from trio_copy.model.fills import Side

Clock = trio.testing.MockClock


async def test_a_cancelled_question_leaves_the_task_and_its_lane_as_they_were(clock: Clock) -> None:
    """Cancelled while the market is asked, nothing has happened: the next worker gets the same task."""
    async with open_rig(at_work=False) as rig:
        rig.executor.market = AskedMarket(rig.executor)
        await rig.take_in(buy(1), buy(2))
        queued = await rig.lanes.take()
        assert queued is not None
        with trio.move_on_after(1):
            await rig.carry_out(queued)
        assert rig.lanes.take_nowait() is queued
        assert rig.lanes.take_nowait() is None


@pytest.mark.parametrize(
    ("error", "silent"), [(OrderNotSent("nobody listens"), False), (None, True)], ids=["refused", "silent"]
)
async def test_a_market_that_nobody_tells_ends_the_task_and_frees_its_lane(
    clock: Clock, error: Exception | None, silent: bool
) -> None:
    """A venue that says nothing holds a worker as long as a send may take, and no longer."""
    async with open_rig(workers=1) as rig:
        ask = rig.executor.market = AskedMarket(rig.executor, error)
        if not silent:
            ask.answer.set()
        assert await rig.end_of(buy(1)) == [(End.REJECTED, Code.NOT_SENT)]
        del rig.executor.market
        assert await rig.end_of(buy(2)) == [(End.FILLED, None)]


@pytest.mark.parametrize(("side", "waits_s"), [(Side.BUY, 0.0), (Side.SELL, 0.5)])
async def test_an_exit_does_not_end_by_somebody_elses_question(clock: Clock, side: Side, waits_s: float) -> None:
    """One request was lost on its way: an exit waits for none of an entry, and asks once more when another exit's failed."""
    async with open_rig() as rig:
        await rig.hold("alice")
        await rig.hold("bob", number=901)
        await trio.sleep(1)
        ask = rig.executor.market = AskedMarket(rig.executor)
        await rig.take_in(buy(1, side=side))
        await ask.asked.wait()
        del rig.executor.market
        await trio.sleep(1.5)
        began = trio.current_time()
        assert await rig.end_of(sell(2, "bob")) == [(End.FILLED, None)]
        assert trio.current_time() == began + waits_s


async def test_a_task_that_became_too_old_while_the_market_was_asked_is_not_placed(clock: Clock) -> None:
    """Nothing is held for it, and it ends as what it is: too late."""
    async with open_rig(send_timeout_s=60.0) as rig:
        ask = rig.executor.market = AskedMarket(rig.executor)
        await rig.take_in(buy(deadline=NOW + 2))
        await trio.sleep(3)
        ask.answer.set()
        await rig.recorder.wait_until(lambda: bool(rig.recorder.finished))
    assert rig.ends() == [("alice", End.EXPIRED, Code.DEADLINE_PASSED)]
    assert rig.executor.sent == []


async def test_what_a_reorg_takes_back_while_the_market_is_asked_is_not_placed(clock: Clock) -> None:
    """It waits for its signal; mined again, it is sent under its first deadline."""
    async with open_rig() as rig:
        ask, task = AskedMarket(rig.executor), buy()
        rig.executor.market = ask
        await rig.take_in(task)
        await ask.asked.wait()
        assert retract(rig.shard, task.signal.signal_id) == (1, 0)
        ask.answer.set()
        await trio.sleep(1)
        assert (rig.executor.sent, rig.lanes.unplaced.suspended) == ([], 1)
        assert resume(rig.shard, task.signal.signal_id) == 1
        assert await rig.wait_ends(task) == [(End.FILLED, None)]


async def test_another_attempt_of_what_a_reorg_took_back_waits_for_its_signal(clock: Clock) -> None:
    """The first attempt was under way, and went on; the next one is not placed before the trade is there again."""
    async with open_rig(terms={"attempts": 3}) as rig:
        rig.executor.script, rig.executor.latency_s = ["kill"], 1.0
        task = buy()
        rig.shard.met.meet(task.signal, NOW, whole=True)
        await rig.take_in(task)
        await trio.sleep(0.5)
        assert rig.shard.met.retract(task.signal, NOW) == task.signal.signal_id
        assert retract(rig.shard, task.signal.signal_id) == (0, 1)
        await trio.sleep(2)
        assert (len(rig.executor.sent), rig.lanes.unplaced.suspended) == (1, 1)
        resume(rig.shard, task.signal.signal_id)
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
    assert len({order.key for order in rig.executor.sent}) == 2


async def test_an_entry_gives_way_to_an_exit_that_came_while_the_market_was_asked(clock: Clock) -> None:
    """The leader sold: his exit calls the entry off before it is bought, and nothing is sent at all."""
    async with open_rig(workers=1) as rig:
        ask = rig.executor.market = AskedMarket(rig.executor)
        entry = buy(1)
        await rig.take_in(entry)
        await ask.asked.wait()
        leave = sell(2)
        await rig.take_in(leave)
        ask.answer.set()
        assert await rig.wait_ends(entry, leave) == [(End.SKIPPED, Code.LEADER_LEFT), (End.SKIPPED, Code.LEADER_LEFT)]
    assert rig.executor.sent == []
