"""Heartbeats: sent while something rests, and only then; without them the venue takes off its book what rests."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
import trio.testing

from tests.clob.test_user_channel import prepared
from tests.clob.traded import Traded, open_traded
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.model.orders import Order, Status
from trio_copy.model.units import Rounding
from trio_copy.testing.clob_venue import ClobServer, open_virtual_clob_venue
from trio_copy.testing.samples import sample_intent

Clock = trio.testing.MockClock
_PATH = "/v1/heartbeats"
_BELOW = sample_intent().limit_price.lowered_bps(1000, Rounding.DOWN)


async def _rest(traded: Traded, number: int = 1) -> Order:
    """Let an order rest below what is offered."""
    order = await prepared(traded, number, order_type="GTC", limit_price=_BELOW)
    assert (await traded.executor.submit(order)).status is Status.RESTING
    return order


async def _look(traded: Traded, order: Order, for_s: float) -> Status | None:
    """Look an order up every five seconds, as the reconciler does; returns how it is at the end."""
    report = None
    for _ in range(int(for_s / 5)):
        await trio.sleep(5)
        report = await traded.executor.find(order)
    return None if report is None else report.status


async def test_they_keep_alive_what_rests_and_end_with_it(autojump_clock: Clock) -> None:
    """One every four seconds for the signer, however many orders of his rest; begun anew with the next one."""
    async with open_traded() as traded:
        first, second = await _rest(traded, 1), await _rest(traded, 2)
        assert await _look(traded, first, 60) is Status.RESTING
        assert 15 <= traded.asked(_PATH) <= 17
        await traded.executor.cancel(first)
        over = await traded.executor.find(first)
        assert over is not None
        assert over.off_book
        assert await _look(traded, second, 20) is Status.RESTING
        await traded.executor.cancel(second)
        await traded.executor.find(second)
        beats = traded.asked(_PATH)
        await trio.sleep(8)
        assert traded.asked(_PATH) <= beats + 1
        third = await _rest(traded, 3)
        assert await _look(traded, third, 60) is Status.RESTING, "the switch that was armed before is kept from falling"
        assert traded.kinds == []


async def test_nothing_at_rest_needs_none(autojump_clock: Clock) -> None:
    """An instant order, and a resting one that is matched at once or was never sent, ends on its own."""
    async with open_traded(faults={"mined_after_s": 20}) as traded:
        await traded.executor.submit(await prepared(traded, 1))
        await trio.sleep(20)
        assert traded.asked(_PATH) == 0
        order = await prepared(traded, 2, order_type="GTC")
        assert (await traded.executor.submit(order)).status is Status.FILLED
        await trio.sleep(30)
        assert traded.asked(_PATH) <= 1, "the one that left beside the order"


@asynccontextmanager
async def _open_venue(wall: WallClock) -> AsyncGenerator[Callable[[], AbstractAsyncContextManager[Traded]], None]:
    """Open a venue that outlives the executors in front of it."""
    async with open_virtual_clob_venue(wall) as server:

        @asynccontextmanager
        async def same(_wall: WallClock) -> AsyncGenerator[ClobServer, None]:
            yield server

        yield lambda: open_traded(same, wall=wall)


@pytest.mark.parametrize("away_s", [4, 30])
async def test_who_comes_back_in_time_goes_on_with_what_rests(autojump_clock: Clock, away_s: int) -> None:
    """After a crash, what rests is taken off unless somebody asks about it within some seconds; then it is kept alive again."""
    wall = wall_clock_from(sample_intent().leader_time)
    async with _open_venue(wall) as opened:
        async with opened() as traded:
            order = await _rest(traded)
            await trio.sleep(20)
        await trio.sleep(away_s)
        async with opened() as traded:
            expected = Status.RESTING if away_s < 10 else Status.KILLED
            assert await _look(traded, order, 120) is expected
            await trio.sleep(20)
            assert traded.kinds == []


async def test_two_who_beat_for_one_signer_do_not_disturb_each_other(autojump_clock: Clock) -> None:
    """Two instances may have wallets of one key; each goes on from what the venue heard last."""
    wall = wall_clock_from(sample_intent().leader_time)
    async with _open_venue(wall) as opened, opened() as one, opened() as other:
        first, second = await _rest(one, 1), await _rest(other, 2)
        for _ in range(12):
            for traded, order in ((one, first), (other, second)):
                assert await _look(traded, order, 5) is Status.RESTING
        assert one.kinds == other.kinds == []


async def test_a_venue_that_takes_none_is_told_once(autojump_clock: Clock) -> None:
    """Before ten seconds are over; what it takes off the book meanwhile is learned as ever, and told is when it takes them again."""
    async with open_traded() as traded:
        order = await _rest(traded)
        await trio.sleep(5)
        faults = traded.server.faults
        faults.path, faults.status = f"POST {_PATH}", 500
        assert await _look(traded, order, 100) is Status.KILLED
        assert traded.kinds == ["venue-heartbeat-away"]
        assert "HTTP status 500; after 10 s what rests is taken off the book" in traded.told[0][1]
        faults.clear()
        assert await _look(traded, await _rest(traded, 2), 30) is Status.RESTING
        assert traded.kinds == ["venue-heartbeat-away", "venue-heartbeat-back"]


async def test_what_nobody_asks_about_any_more_is_let_go(autojump_clock: Clock) -> None:
    """It is somebody else's by now, or a person has settled it: after ten minutes the venue is told nothing more for it."""
    async with open_traded() as traded:
        order = await _rest(traded)
        await trio.sleep(660)
        beats = traded.asked(_PATH)
        await trio.sleep(60)
        assert traded.asked(_PATH) == beats
        assert not traded.server.clob.orders.by_id[order.order_id].is_open
