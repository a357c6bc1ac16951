"""An entry that rests: its fills are a position at once, what it holds counts, nothing waits behind it, and it is sent once."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, LEADER, NOW, usd
from tests.engine.rig import Venue, buy, on_memory, open_rig
from tests.engine.sending.rests import resting, rests, venue_of
from trio_copy.model.decisions import Code, End
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.units import Price, Shares

Clock = trio.testing.MockClock


async def test_what_it_fills_is_a_position_before_it_ends(clock: Clock) -> None:
    """It is learned at a calm pace, told, and nobody doubts the rest; it ends once, as a whole."""
    task = resting()
    async with open_rig() as rig:
        order = await rests(rig, task)
        before = rig.open_cost()
        venue_of(rig).grow(order, Shares.parse(4))
        await trio.sleep(10)
        assert rig.position(task).shares == Shares.parse(4)
        assert (rig.reconciler.unknown, rig.reconciler.resting, rig.open_cost()) == (0, 1, before)
        assert [entry.shares for entry in rig.recorder.entries] == [Shares.parse(4)]
        assert rig.recorder.steps.count("rests") == 2
        venue_of(rig).grow(order, order.shares, Status.FILLED)
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
        assert [entry.shares for entry in rig.recorder.entries] == [Shares.parse(4), Shares.parse(6)]
        assert rig.recorder.alerts == []


async def test_the_venue_is_asked_at_a_calm_pace(clock: Clock) -> None:
    """Every second something is looked at; an order that rests, not more than every five."""
    asked: list[float] = []
    async with open_rig() as rig:
        await rests(rig, resting())
        find = venue_of(rig).find

        async def counted(order: Order) -> ExecutionReport | None:
            asked.append(trio.current_time())
            return await find(order)

        venue_of(rig).find = counted  # type: ignore[method-assign]
        await trio.sleep(60)
        assert 10 <= len(asked) <= 12


async def test_the_next_entry_does_not_wait_behind_it(clock: Clock) -> None:
    first, second = resting(1), buy(2)
    async with open_rig() as rig:
        await rests(rig, first)
        assert await rig.end_of(second) == [(End.FILLED, None)]
        assert len(rig.open_orders()) == 1


async def test_nothing_rests_at_an_executor_that_cannot_call_it_off(clock: Clock) -> None:
    """It is refused before it is placed."""
    async with open_rig() as rig:
        rig.execution.executor.rests = False
        assert await rig.end_of(resting()) == [(End.REJECTED, Code.VENUE_REFUSED)]
        assert venue_of(rig).sent == []


async def test_the_same_bytes_are_never_sent_again_once_it_rested(clock: Clock) -> None:
    """Even where the venue swears that it has it no more: what it filled, it filled."""
    task = resting(deadline=NOW + 500)
    async with open_rig() as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        venue_of(rig).filled[order.order_id] = ExecutionReport(order_id=order.order_id, status=Status.ABSENT)
        assert await rig.wait_ends(task) == [(End.PARTIAL, None)]
        assert venue_of(rig).sent == [order]
        assert rig.position(task).shares == Shares.parse(4)


async def test_the_day_of_all_accounts_counts_what_it_used_and_holds_the_rest(clock: Clock) -> None:
    """Before and after a restart, and nothing is left held once it ended."""
    store, venue, task = on_memory(), Venue(name="sim"), resting()
    async with open_rig(open_store=store, executor=venue, max_day_usd=usd("100")) as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        (day,) = rig.shard.grants._days.values()
        cost = usd("2.04")
        assert (day.spent, day.held) == (cost.micro, usd("5.1").micro - cost.micro)
    async with open_rig(open_store=store, executor=venue, max_day_usd=usd("100")) as rig:
        (day,) = rig.shard.grants._days.values()
        assert (day.spent, day.held) == (cost.micro, usd("5.1").micro - cost.micro)
        venue.grow(order, Shares.parse(5), Status.PARTIAL)
        assert await rig.wait_ends(task) == [(End.PARTIAL, None)]
        assert (day.spent, day.held) == (usd("2.55").micro, 0)


@pytest.mark.parametrize(("bid", "peak", "called_off"), [("0.99", "4.8", False), ("0.1", "0", True)])
async def test_a_drawdown_by_mark_counts_what_is_held(clock: Clock, bid: str, peak: str, called_off: bool) -> None:
    """Up as never before, nothing is wrong; far down, what rests is called off as a new entry would be denied."""
    async with open_rig(terms={"max_drawdown_usd": usd("2"), "drawdown_by": "mark"}) as rig:
        await rig.hold()
        await rests(rig, resting(1, token=8, deadline=NOW + 500))
        account = rig.account()
        account.performance = evolve(account.performance, worth_peak=usd(peak))
        rig.shard.marks.note((ALICE, LEADER, TokenId(7)), Price.parse(bid), rig.wall())
        await trio.sleep(10)
        assert bool(venue_of(rig).called_off) is called_off
