"""An exit calls off what rests, sells what came of it at once, and is held up by nothing else."""

import pytest
import trio
import trio.testing

from tests.builders import ALICE, LEADER, NOW
from tests.engine.rig import buy, open_rig
from tests.engine.sending.rests import leaving, resting, rests, venue_of
from trio_copy.accounts import commands as c
from trio_copy.engine.shards.taking_in import take_in
from trio_copy.errors import ExecutorError
from trio_copy.model.decisions import Code, End, Reason, Skip
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


EXITS: dict[str, tuple[str, str, Code]] = {
    # what it has filled, what the exit sells of it and the ten that were held before, and why it ends
    "nothing filled": ("0", "10", Code.LEADER_LEFT),
    "filled in part": ("4", "14", Code.LEADER_LEFT),
}


@pytest.mark.parametrize("how", EXITS)
async def test_an_exit_calls_it_off_and_sells_what_came_of_it_at_once(clock: Clock, how: str) -> None:
    """No share is sold twice, none stays behind, and nobody waits for the lifetime of the entry."""
    filled, sells, code = EXITS[how]
    entry, leave = resting(), leaving()
    async with open_rig() as rig:
        await rig.hold()
        order = await rests(rig, entry, filled)
        began = trio.current_time()
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        assert trio.current_time() - began < 0.5
        assert venue_of(rig).called_off == [order]
        assert venue_of(rig).sent[-1].shares == Shares.parse(sells)
        assert rig.position(leave).shares == Shares(0)
        (end,) = await rig.wait_ends(entry)
        assert end == ((End.PARTIAL, None) if filled != "0" else (End.KILLED, code))


async def test_an_exit_waits_while_nobody_proves_what_came_of_it_and_no_worker_with_it(clock: Clock) -> None:
    """Its lane is closed, others go on, and as soon as it is proven the exit goes out."""
    entry, leave, elsewhere = resting(), leaving(), buy(3, token=8)
    async with open_rig(workers=1) as rig:
        await rig.hold()
        venue = venue_of(rig)
        order = await rests(rig, entry, "4")
        venue.deaf = True
        await rig.take_in(leave)
        await trio.sleep(3)
        assert rig.reconciler.unknown == 1
        assert [one.key for one in venue.sent] == [order.key]
        assert await rig.end_of(elsewhere) == [(End.FILLED, None)]
        venue.grow(order, Shares.parse(5))  # still open there, and filled further
        await trio.sleep(3)
        venue.deaf = False
        assert await rig.wait_ends(leave, entry) == [(End.FILLED, None), (End.PARTIAL, None)]
        assert venue.sent[-1].shares == Shares.parse(15)
        assert rig.position(leave).shares == Shares(0)


async def test_one_that_nobody_can_call_off_is_handed_to_a_person_and_holds_nothing_up(clock: Clock) -> None:
    """After the usual time a person is asked; its lane opens, and what it holds stays held."""
    entry = resting()
    async with open_rig(escalate_after_s=20.0) as rig:
        await rig.hold()
        await rests(rig, entry, "4")
        venue_of(rig).deaf = True
        late = leaving(50, deadline=NOW + 10)
        assert await rig.end_of(late) == [(End.EXPIRED, Code.DEADLINE_PASSED)]
        assert await rig.wait_ends(entry) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        assert await rig.end_of(leaving(51)) == [(End.FILLED, None)]
        assert [one.unproven for one in rig.open_orders()] == [True]


async def test_a_sale_that_is_heard_of_too_late_still_calls_off(clock: Clock) -> None:
    """After a gap, or a restart: it is too late to sell with the leader, and not to stop buying after him."""
    parked = buy(3, deadline=NOW + 500)
    async with open_rig() as rig:
        await rests(rig, resting(1, deadline=NOW + 500))
        rig.shard.act(ALICE, c.Park(task=parked, at=NOW))
        leave = leaving(50)
        late = Reason(code=Code.TOO_OLD, control="filters.max_age_s", value="20", limit="5")
        skip = Skip(signal_id=leave.signal.signal_id, follower=ALICE, leader=LEADER, reason=late)
        take_in(rig.shard, leave.signal, (), (skip,))
        await trio.sleep(10)
        assert len(venue_of(rig).called_off) == 1
        reasons = [one.outcome.reason for one in rig.recorder.finished]
        assert [reason and reason.code for reason in reasons] == [Code.LEADER_LEFT] * 2


async def test_an_exit_calls_off_all_that_rests_at_once(clock: Clock) -> None:
    """Twenty entries, and a venue that takes a fifth of a second for each answer: the exit is sold long before its deadline."""
    async with open_rig() as rig:
        await rig.hold()
        venue = venue_of(rig)
        for number in range(100, 120):
            await rests(rig, resting(number, deadline=NOW + 500))
        find = venue.find

        async def slow(order: Order) -> ExecutionReport | None:
            await trio.sleep(0.2)
            return await find(order)

        venue.find = slow  # type: ignore[method-assign]
        began = trio.current_time()
        ((end, _),) = await rig.end_of(leaving(50, deadline=rig.wall() + 5))
        assert end is End.FILLED
        assert trio.current_time() - began < 1


async def test_what_rests_of_others_holds_no_exit_up(clock: Clock) -> None:
    """A hundred orders rest at a venue that answers slowly; one exit cannot call off at once, and is sold soon all the same."""
    async with open_rig() as rig:
        await rig.hold()
        venue = venue_of(rig)
        for number in range(100, 200):
            await rests(rig, resting(number, follower="bob", token=number, deadline=NOW + 500))
        await rests(rig, resting(deadline=NOW + 500))
        find, cancel, failed = venue.find, venue.cancel, list[Order]()

        async def slow(order: Order) -> ExecutionReport | None:
            await trio.sleep(0.3)
            return await find(order)

        async def fail_once(order: Order) -> None:
            if not failed:
                failed.append(order)
                raise ExecutorError("503, once")
            await cancel(order)

        venue.find, venue.cancel = slow, fail_once  # type: ignore[method-assign]
        await trio.sleep(20)
        began = trio.current_time()
        await rig.end_of(leaving(50, deadline=rig.wall() + 300))
        assert failed
        assert trio.current_time() - began < 5
