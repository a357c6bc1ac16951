"""An entry that rests, or may: after a restart, when the venue says one thing and then another, and when a person was asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import usd
from tests.engine.rig import OpenStore, Venue, on_memory, on_sqlite, open_rig
from tests.engine.sending.rests import leaving, resting, rests, venue_of
from trio_copy.errors import OrderUncertain
from trio_copy.model.decisions import Code, End
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return on_memory() if request.param == "memory" else on_sqlite(tmp_path)


RESTARTS: dict[str, tuple[Callable[[Venue, Order], object], str, bool]] = {
    # what happens while nobody watches, what is held afterwards, and whether it rests on
    "it rests on": (lambda venue, order: None, "4", True),
    "it filled further": (lambda venue, order: venue.grow(order, Shares.parse(7)), "7", True),
    "it was filled": (lambda venue, order: venue.grow(order, order.shares, Status.FILLED), "10", False),
    "it ended in part": (lambda venue, order: venue.grow(order, Shares.parse(4), Status.PARTIAL), "4", False),
    "the venue has it no more": (
        lambda venue, order: venue.filled.update(
            {order.order_id: ExecutionReport(order_id=order.order_id, status=Status.ABSENT)}
        ),
        "4",
        False,
    ),
    "nobody answers": (lambda venue, order: setattr(venue, "hide", True), "4", True),
}


@pytest.mark.parametrize("how", RESTARTS)
async def test_a_restart_asks_for_what_rests_and_goes_on(clock: Clock, open_store: OpenStore, how: str) -> None:
    """It is known, so that it holds no start up; what came of it meanwhile is in the books before anything is traded."""
    happens, held, rests_on = RESTARTS[how]
    task, venue = resting(), Venue(name="sim")
    async with open_rig(open_store=open_store, executor=venue) as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        assert rig.position(task).shares == Shares.parse(4)
    happens(venue, order)
    async with open_rig(open_store=open_store, executor=venue, at_work=False) as rig:
        began = trio.current_time()
        assert await rig.reconciler.settle_earlier_run() == 1
        assert trio.current_time() - began < 5
        assert rig.position(task).shares == Shares.parse(held)
        assert [one.rests for one in rig.open_orders()] == ([True] if rests_on else [])
        assert rig.shard.grants._days == {} or sum(day.held for day in rig.shard.grants._days.values()) >= 0
        await rig.take_in(task)  # its signal is read again, and changes nothing
        assert rig.lanes.take_nowait() is None
        assert len(venue.sent) == 1


async def test_what_turns_out_to_rest_is_not_handed_to_a_person(clock: Clock) -> None:
    """However long nobody could say it: its reply was lost, the process died, and it was there all the time."""
    store, task, venue = on_memory(), resting(), Venue(name="sim")
    venue.script.append(OrderUncertain("the reply was lost"))
    async with open_rig(open_store=store, executor=venue) as rig:
        await rig.take_in(task)
        await trio.sleep(5)
        assert [one.unproven for one in rig.open_orders()] == [True]
    await trio.sleep(100)
    venue.grow(venue.sent[0], Shares.parse(3))
    async with open_rig(open_store=store, executor=venue, escalate_after_s=20.0) as rig:
        await trio.sleep(10)
        assert [(one.rests, one.ended) for one in rig.open_orders()] == [(True, False)]
        assert await rig.end_of(leaving()) == [(End.FILLED, None)]
        assert rig.position(task).shares == Shares(0)


async def test_what_a_person_was_asked_about_and_rests_after_all_is_called_off_by_an_exit(clock: Clock) -> None:
    """No exit of ours meets an entry of ours; where the venue is deaf then, a person is asked again, and the lane opens."""
    task = resting()
    async with open_rig(escalate_after_s=20.0) as rig:
        venue = venue_of(rig)
        await rig.hold()
        venue.script.append(OrderUncertain("the reply was lost"))
        assert await rig.end_of(task) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        order = venue.sent[-1]
        venue.grow(order, Shares.parse(3))
        await trio.sleep(10)
        assert [(one.rests, one.ended) for one in rig.open_orders()] == [(True, True)]
        venue.deaf = True
        assert await rig.end_of(leaving(50, deadline=rig.wall() + 10)) == [(End.EXPIRED, Code.DEADLINE_PASSED)]
        await trio.sleep(20)
        assert [kind for kind, _ in rig.recorder.alerts].count("outcome-unproven") == 2
        assert await rig.end_of(leaving(51)) == [(End.FILLED, None)]
        venue.deaf = False
        await trio.sleep(3)
        assert {one.key for one in venue.called_off} == {order.key}
        assert rig.open_orders() == []


async def test_one_that_lies_while_it_rests_is_handed_over_as_late_as_any_other(clock: Clock) -> None:
    """It rested for long and was known: from the lie on there is the usual time, in which a person sees the alert."""
    task = resting()
    async with open_rig(escalate_after_s=20.0) as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(100)
        venue_of(rig).filled[order.order_id] = ExecutionReport(
            order_id=order.order_id, status=Status.RESTING, shares=Shares.parse(5), notional=usd("500")
        )
        await trio.sleep(15)
        assert [one.breached for one in rig.open_orders()] == [True]
        assert rig.recorder.finished == []
        began = trio.current_time()
        assert await rig.wait_ends(task) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        assert 5 < trio.current_time() - began < 15


async def test_an_older_answer_is_no_contradiction(clock: Clock) -> None:
    """The reconciler's question was answered before the exit's, and comes back after it."""
    entry, leave = resting(), leaving()
    async with open_rig() as rig:
        order = await rests(rig, entry, "2")
        await trio.sleep(10)
        venue = venue_of(rig)
        find, first = venue.find, [True]

        async def slow(order: Order) -> ExecutionReport | None:
            report = await find(order)
            if first:
                first.clear()
                await trio.sleep(1.5)
            return report

        venue.find = slow  # type: ignore[method-assign]
        while first:  # noqa: ASYNC110  virtual time
            await trio.sleep(0.1)
        venue.grow(order, Shares.parse(5))
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        assert venue.sent[-1].shares == Shares.parse(5)
        await trio.sleep(5)
        assert rig.recorder.alerts == []
        assert rig.position(leave).shares == Shares(0)


async def test_a_lie_about_it_ends_what_is_believed_of_it(clock: Clock) -> None:
    """It is called off at the venue, its lane stays closed, and a person decides about the rest."""
    task = resting()
    async with open_rig() as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        report = venue_of(rig).filled[order.order_id]
        venue_of(rig).filled[order.order_id] = evolve(report, shares=Shares.parse(6), notional=usd("900"))
        await trio.sleep(10)
        (one,) = rig.open_orders()
        assert (one.breached, one.unproven, rig.reconciler.unknown) == (True, True, 1)
        assert venue_of(rig).called_off
        assert rig.position(task).shares == Shares.parse(4)
