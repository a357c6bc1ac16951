"""A lease that is in doubt, lost, or back again: nothing is placed, booked or sent twice by whoever had it."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.engine.rig import LEASE_S, buy, on_memory, open_rig
from tests.engine.sending.answers import AskedMarket, prove_absence
from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import Code, End
from trio_copy.model.units import NO_USD, Shares

Clock = trio.testing.MockClock


async def test_nothing_is_placed_while_the_lease_is_in_doubt(clock: Clock) -> None:
    """A store that is away for a moment is no other owner: what waited is copied once the lease is ours again."""
    async with open_rig(alone=False) as rig:
        rig.shard.until = rig.wall()
        await rig.take_in(buy())
        await trio.sleep(1)
        assert await rig.store.history.documents("order") == []
        rig.shard.extend(rig.wall() + 100)
        assert await rig.wait_ends(buy()) == [(End.FILLED, None)]


async def test_what_waits_for_a_lease_ends_in_time(clock: Clock) -> None:
    """Nobody renews it before the deadline: the task ends as too old, and was never placed."""
    async with open_rig(alone=False) as rig:
        task = buy(deadline=NOW + 5)
        rig.shard.until = rig.wall()
        assert await rig.end_of(task) == [(End.EXPIRED, Code.DEADLINE_PASSED)]
        assert rig.executor.sent == []
        assert await rig.store.history.documents("order") == []


@pytest.mark.parametrize("taken", [False, True])
async def test_what_was_placed_when_the_lease_ran_out_waits_for_it(clock: Clock, taken: bool) -> None:
    """It is sent only once a write under our own token has shown that nobody had the shard meanwhile."""
    async with open_rig(alone=False) as rig:
        shard = rig.shard

        def run_out(point: str) -> None:
            if point == "place: durable":
                shard.until = rig.wall()

        rig.call_at(run_out)
        await rig.take_in(buy())
        await trio.sleep(1)
        assert rig.executor.sent == []
        assert len(await rig.store.history.documents("order")) == 1
        if taken:
            await rig.store.accounts.take(0, shard.writer.token + 1)
        shard.extend(rig.wall() + 100)
        await trio.sleep(1)
        assert len(rig.executor.sent) == (0 if taken else 1)
        assert rig.holder.shards == ({} if taken else {0: shard})


async def test_what_is_learned_after_the_lease_is_lost_is_not_booked(clock: Clock) -> None:
    """While the order was at the venue, somebody else took the shard: he proves it, and books it once."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False) as first:
        first.executor.latency_s, task = 1.0, buy()
        await first.take_in(task)
        await trio.sleep(0.5)
        await first.store.control.release(first.lease)
        async with open_rig(open_store=books, owner="another", executor=first.executor) as second:
            await trio.sleep(2)
            assert first.recorder.finished == []
            assert await second.wait_ends(task) == [(End.FILLED, None)]
            assert Shares.parse(10) == second.position(task).shares
            # It has not noticed yet. The first thing that it wants to write tells it.
            assert first.holder.shards == {}
    assert len(first.executor.sent) == 1


async def test_a_shard_that_is_ours_again_takes_nothing_of_the_time_before(clock: Clock) -> None:
    """A task in hand when the shard was lost ends nowhere; met again by the new owner, which is we, it is sent once."""
    async with open_rig(alone=False, send_timeout_s=60.0) as rig:
        ask, task = AskedMarket(rig.executor), buy(deadline=NOW + 60)
        rig.executor.market = ask
        await rig.take_in(task)
        await ask.asked.wait()
        rig.holder.lose(rig.shard, _lost())
        await rig.holder.begin(0, evolve(rig.lease, token=rig.lease.token + 1, until=NOW + LEASE_S))
        await rig.take_in(task)
        ask.answer.set()
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
        assert len(rig.lanes.unplaced) == 0
    assert len(rig.executor.sent) == 1


async def test_a_task_that_was_just_taken_when_the_shard_was_lost_is_nobodys(clock: Clock) -> None:
    """Ours again before the worker began: what he took is of the time before, and its lane is free for the new one."""
    async with open_rig(alone=False, at_work=False) as rig:
        task = buy()
        await rig.take_in(task)
        old = rig.lanes.take_nowait()
        assert old is not None
        rig.holder.lose(rig.shard, _lost())
        await rig.holder.begin(0, evolve(rig.lease, token=rig.lease.token + 1, until=NOW + LEASE_S))
        await rig.carry_out(old)
        assert rig.executor.sent == []
        await rig.take_in(task)
        new = rig.lanes.take_nowait()
        assert new is not None
        await rig.carry_out(new)
        assert len(rig.executor.sent) == 1


async def test_an_order_in_flight_keeps_the_lane_of_the_shard_that_came_back(clock: Clock) -> None:
    """The lease was lost and won back while it was sent: until it is proven, nothing else is done in that token."""
    async with open_rig(alone=False) as rig:
        rig.executor.latency_s, rig.executor.hide = 1.0, True
        first, second = buy(1), buy(2, deadline=NOW + 60)
        await rig.take_in(first)
        await trio.sleep(0.5)
        rig.holder.lose(rig.shard, _lost())
        await rig.holder.begin(0, evolve(rig.lease, token=rig.lease.token + 1, until=NOW + LEASE_S))
        await rig.take_in(second)
        await trio.sleep(5)
        assert len(rig.executor.sent) == 1
        rig.executor.hide = False
        assert await rig.wait_ends(first, second) == [(End.FILLED, None)] * 2
        assert Shares.parse(20) == rig.position(first).shares


async def test_what_an_earlier_owner_placed_is_proven_and_never_sent_again(clock: Clock) -> None:
    """Provably not at the venue, and still in time: after a takeover it ends all the same."""
    books = on_memory()
    async with open_rig(open_store=books, at_work=False) as rig:
        task = buy(deadline=NOW + 600)
        rig.executor.script = ["lose request"]
        await rig.take_in(task)
        queued = await rig.lanes.take()
        assert queued is not None
        await rig.carry_out(queued)
        await rig.shard.writer.flush()
    await trio.sleep(1)
    async with open_rig(open_store=books) as rig:
        prove_absence(rig)
        assert await rig.wait_ends(task) == [(End.REJECTED, Code.NOT_SENT)]
        assert rig.executor.sent == []
        assert rig.open_cost() == NO_USD


def _lost() -> LeaseLost:
    return LeaseLost("the lease ran out")
