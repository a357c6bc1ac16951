"""An order that rested has all its fills, however late they are told, and ends a minute after its last sign of life."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.clob.traded import Traded, open_traded, prepared
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.units import NO_SHARES, Price, Shares
from trio_copy.testing.samples import sample_intent

Clock = trio.testing.MockClock


async def _rest(traded: Traded, number: int = 1) -> Order:
    """Let an order rest under the market."""
    intent = evolve(sample_intent(), order_type="GTC", limit_price=Price(400_000))
    order = await prepared(traded, number, intent=intent)
    assert (await traded.executor.submit(order)).status is Status.RESTING
    return order


async def _looks(traded: Traded, order: Order, for_s: float, every_s: float = 2.0) -> list[ExecutionReport | None]:
    """Look an order up for a while; returns what each look said, once where it was the same."""
    said: list[ExecutionReport | None] = []
    for _ in range(int(for_s / every_s)):
        report = await traded.executor.find(order)
        said += [] if said and said[-1] == report else [report]
        await trio.sleep(every_s)
    return said


@pytest.mark.parametrize("late_s", [5, 30, 55])
async def test_an_order_that_rested_has_all_its_fills_however_late_they_are_told(
    autojump_clock: Clock, late_s: int
) -> None:
    """Its row says that it is over, and empty, before anything of it was counted. No exit waits for it meanwhile."""
    async with open_traded(faults={"counts_lag_s": late_s, "trades_lag_s": late_s}) as traded:
        order = await _rest(traded)
        await trio.sleep(300)
        traded.server.clob.trading.trade_against(order.order_id, 3_000_000)
        await traded.executor.cancel(order)
        said = await _looks(traded, order, 150)
        assert [one and (one.status, one.off_book, one.shares) for one in said] == [
            (Status.RESTING, True, NO_SHARES),
            (Status.RESTING, True, Shares.parse(3)),
            (Status.PARTIAL, False, Shares.parse(3)),
        ]
        assert sum(fill.shares for fill in traded.server.clob.record.fills(order.order_id)) == 3_000_000


async def test_what_was_matched_right_before_an_order_was_over_is_not_lost_behind_what_was_counted_before(
    autojump_clock: Clock,
) -> None:
    """Its row, and its trades, agree for half a minute about less than there is."""
    async with open_traded(faults={"counts_lag_s": 30, "trades_lag_s": 30}) as traded:
        order = await _rest(traded)
        traded.server.clob.trading.trade_against(order.order_id, 3_000_000)
        await _looks(traded, order, 120)
        traded.server.clob.trading.trade_against(order.order_id, 2_000_000)
        await traded.executor.cancel(order)
        said = await _looks(traded, order, 120)
        assert [one and (one.status, one.off_book, one.shares) for one in said] == [
            (Status.RESTING, True, Shares.parse(3)),
            (Status.RESTING, True, Shares.parse(5)),
            (Status.PARTIAL, False, Shares.parse(5)),
        ]


@pytest.mark.parametrize("how", ["called off", "taken off by the venue", "in part"])
async def test_an_order_that_rested_ends_a_minute_after_its_last_sign_of_life(autojump_clock: Clock, how: str) -> None:
    """Not after it was sent: that may have been hours ago."""
    async with open_traded() as traded:
        order = await _rest(traded)
        await _looks(traded, order, 120)
        if how == "in part":
            traded.server.clob.trading.trade_against(order.order_id, 3_000_000)
            await trio.sleep(10)
        if how == "taken off by the venue":
            placed = traded.server.clob.orders.by_id[order.order_id]
            traded.server.clob.orders.end(placed, "CANCELED_NOT_ENOUGH_BALANCE")
        else:
            await traded.executor.cancel(order)
        began = trio.current_time()
        report = await traded.executor.find(order)
        assert report is not None
        assert report.off_book
        while not report.proven:
            await trio.sleep(1)
            report = await traded.executor.find(order)
            assert report is not None
        assert report.status is (Status.PARTIAL if how == "in part" else Status.KILLED)
        took_s = trio.current_time() - began
        assert 60 <= took_s <= 62
        fills = traded.server.clob.record.fills(order.order_id)
        assert sum(fill.shares for fill in fills) == report.shares.micro
