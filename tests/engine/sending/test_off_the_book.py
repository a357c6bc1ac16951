"""Off the book, and perhaps not counted whole: no exit waits for it, it is not called off, and a person hears of it in the end."""

from pathlib import Path

import trio
import trio.testing
from attrs import evolve

from tests.builders import usd
from tests.engine.rig import Rig, buy, on_sqlite, open_rig
from tests.engine.sending.rests import REST_S, leaving, resting, rests, venue_of
from tests.written import carry_out
from trio_copy.engine.people.requests import call_off
from trio_copy.model.decisions import Code, End
from trio_copy.model.orders import Order, Status
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


def takes_off(rig: Rig) -> None:
    """Let the venue say of what is called off that it is over, and count what it has filled later."""
    venue = venue_of(rig)

    async def cancel(order: Order) -> None:
        await trio.lowlevel.checkpoint()
        venue.called_off.append(order)
        before = venue.filled[order.order_id]
        if before.status is Status.RESTING:
            venue.filled[order.order_id] = evolve(before, off_book=True)

    venue.cancel = cancel  # type: ignore[method-assign]


async def test_an_exit_does_not_wait_until_what_it_called_off_is_counted(clock: Clock) -> None:
    """Off the book it can meet nothing. What turns out to have been filled is booked all the same, and a person hears of it."""
    first = resting()
    async with open_rig() as rig:
        await rig.hold("alice", number=900)
        order = await rests(rig, first)
        takes_off(rig)
        began = trio.current_time()
        leave = leaving(decided_at=rig.wall())
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        assert trio.current_time() - began < 1
        assert rig.position(leave).shares == Shares.parse(0)
        await trio.sleep(30)
        # What it holds stays held; it is in nobody's way, and not called off again and again.
        assert (rig.reconciler.unknown, rig.reconciler.resting, rig.open_cost()) == (0, 1, usd("5.1"))
        assert len(venue_of(rig).called_off) == 1
        assert await rig.end_of(buy(60, deadline=rig.wall() + 5)) == [(End.FILLED, None)]
        venue_of(rig).filled[order.order_id] = evolve(venue_of(rig).grow(order, Shares.parse(4)), off_book=True)
        await trio.sleep(10)
        assert rig.position(first).shares == Shares.parse(14)
        told = f"order {order.order_id} of alice: 4 shares more, filled before it ended"
        assert rig.recorder.alerts == [("outcome-proven-late", told)]
        venue_of(rig).grow(order, Shares.parse(4), Status.PARTIAL)
        assert await rig.wait_ends(first) == [(End.PARTIAL, None)]
        assert rig.open_orders() == []


async def test_what_is_off_the_book_and_never_counted_is_handed_over(clock: Clock) -> None:
    """Two minutes after that, and not after it was sent: a person looks, and may settle it."""
    first = resting()
    async with open_rig() as rig:
        order = await rests(rig, first)
        await trio.sleep(200)
        takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(110)
        assert rig.recorder.finished == []
        assert await rig.wait_ends(first) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        assert [kind for kind, _ in rig.recorder.alerts] == ["outcome-unproven"]


async def test_a_restart_knows_what_is_off_the_book(clock: Clock, tmp_path: Path) -> None:
    """It holds nothing up then either: the next exit goes at once."""
    books = on_sqlite(tmp_path)
    first = resting()
    async with open_rig(open_store=books) as rig:
        await rig.hold("alice", number=900)
        order = await rests(rig, first)
        takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(10)
        venue, cost = venue_of(rig), rig.open_cost()
    async with open_rig(open_store=books, executor=venue) as rig:
        venue.hide = True
        (left,) = rig.open_orders()
        assert (left.off_book, left.unproven, rig.open_cost()) == (True, False, cost)
        assert await rig.end_of(leaving(decided_at=rig.wall())) == [(End.FILLED, None)]


async def test_what_is_off_the_book_is_handed_over_two_minutes_after_it_filled_something_last(clock: Clock) -> None:
    """As long as more of it turns out to be filled, the venue is counting."""
    first = resting()
    async with open_rig() as rig:
        order = await rests(rig, first)
        takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(100)
        venue_of(rig).filled[order.order_id] = evolve(venue_of(rig).grow(order, Shares.parse(4)), off_book=True)
        await trio.sleep(110)
        assert rig.recorder.finished == []
        await trio.sleep(20)
        assert rig.ends() == [("alice", End.ESCALATED, Code.OUTCOME_UNPROVEN)]


async def test_what_is_off_the_book_is_not_called_off(clock: Clock) -> None:
    """It rests no longer: it did not end because its time was over after that, and no person is asked about it twice."""
    first = resting()
    async with open_rig() as rig:
        order = await rests(rig, first)
        await trio.sleep(REST_S - 150)
        takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(400)
        assert [kind for kind, _ in rig.recorder.alerts] == ["outcome-unproven"]
        (left,) = rig.open_orders()
        assert (left.called_off, left.off_book) == (None, True)
        asked = call_off("1", left.task.follower, order.key, rig.wall())
        assert "is off the book already" in carry_out(asked, rig.account("alice"), rig.wall())


async def test_what_is_on_the_book_again_is_called_off_before_an_exit(clock: Clock) -> None:
    """Also where a person was asked about it meanwhile: an order of ours must not meet another one of ours."""
    first = resting()
    async with open_rig() as rig:
        await rig.hold("alice", number=900)
        order = await rests(rig, first)
        venue = venue_of(rig)
        venue.filled[order.order_id] = evolve(venue.filled[order.order_id], off_book=True)
        assert await rig.wait_ends(first) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        venue.filled[order.order_id] = evolve(venue.filled[order.order_id], off_book=False)
        await trio.sleep(10)
        assert await rig.end_of(leaving(decided_at=rig.wall(), deadline=rig.wall() + 60)) == [(End.FILLED, None)]
        assert {one.order_id for one in venue.called_off} == {order.order_id}
