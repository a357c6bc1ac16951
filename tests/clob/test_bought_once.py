"""What the executor `clob` promises, as every executor does: nothing is bought twice or lost, and books are the venue's."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.clob.traded import TOKEN, check_recorded, list_token, open_traded, prepared, settled
from trio_copy.clock import anchored_wall_clock
from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.model.books import Quote
from trio_copy.model.fills import Side
from trio_copy.model.orders import Settlement, Status
from trio_copy.model.units import Price, Shares
from trio_copy.ports import Executor
from trio_copy.testing.clob_venue import (
    Accepted,
    Later,
    Mode,
    OrderAnswer,
    Settles,
    Standing,
    open_clob_venue,
)
from trio_copy.testing.conformance import EXECUTOR_CHECKS, name_of
from trio_copy.testing.market_server.faults import Body
from trio_copy.testing.samples import sample_intent

Clock = trio.testing.MockClock


@asynccontextmanager
async def open_for_test() -> AsyncGenerator[Executor, None]:
    async with open_traded() as traded:
        yield traded.executor


@pytest.mark.parametrize("check", EXECUTOR_CHECKS, ids=name_of)
async def test_clob(autojump_clock: Clock, check: Callable[..., Any]) -> None:
    """It keeps the promise in the check's docstring."""
    await check(open_for_test)


@pytest.mark.parametrize(
    ("exchange", "neg_risk", "name"), [(2, False, "v2"), (2, True, "v2-neg-risk"), (3, False, "v3")]
)
async def test_a_purchase_and_a_sale_are_booked_as_the_venue_has_them(
    autojump_clock: Clock, exchange: int, neg_risk: bool, name: str
) -> None:
    """On each exchange; counted by the guard for what was signed, and firm a few seconds later."""
    async with open_traded() as traded:
        list_token(traded.server, exchange=exchange, neg_risk=neg_risk)
        for number, side in enumerate(Side, 1):
            order = await prepared(traded, number, side=side)
            report = await settled(traded, order)
            assert report is not None
            assert (report.status, report.settlement) == (Status.FILLED, Settlement.FIRM)
            assert traded.signer.released == traded.signer.wanted[:number]
            check_recorded(traded, order, report)
        assert {one.exchange for one in traded.server.clob.record.of(Accepted)} == {name}
        assert traded.kinds == []


_ONCE = {"path": "POST /order", "requests": 1}


@pytest.mark.parametrize(
    ("faults", "ends"),
    [
        ({**_ONCE, "lose_reply": True}, Status.FILLED),
        ({**_ONCE, "drop": True}, Status.FILLED),
        ({**_ONCE, "stall": True}, Status.FILLED),
        ({**_ONCE, "stall": True, "carried_out": True}, Status.FILLED),
        ({**_ONCE, "status": 500}, Status.FILLED),
        ({**_ONCE, "status": 500, "carried_out": True}, Status.FILLED),
        ({**_ONCE, "status": 425}, Status.FILLED),
        ({**_ONCE, "status": 429, "retry_after_s": 1}, Status.FILLED),
        ({**_ONCE, "status": 401}, Status.FILLED),
        ({**_ONCE, "body": Body.CUT}, Status.FILLED),
        ({**_ONCE, "body": Body.GARBAGE}, Status.FILLED),
        ({**_ONCE, "body": Body.PAGE}, Status.FILLED),
        ({**_ONCE, "body": Body.HUGE}, Status.FILLED),
        ({"path": "POST /order", "drop": True}, Status.ABSENT),
        ({"path": "POST /order", "lose_reply": True}, Status.FILLED),
        ({"path": "POST /order", "status": 502, "carried_out": True}, Status.FILLED),
        ({"path": "/data/", "status": 500, "requests": 3, "order_answer": OrderAnswer.NO_AMOUNTS}, Status.FILLED),
        ({"order_answer": OrderAnswer.OTHER_ID}, Status.FILLED),
        ({"order_answer": OrderAnswer.NO_ID}, Status.FILLED),
        ({"order_answer": OrderAnswer.LIVE}, Status.FILLED),
        ({"order_answer": OrderAnswer.DELAYED}, Status.FILLED),
        ({"order_answer": OrderAnswer.UNMATCHED}, Status.FILLED),
        ({"order_answer": OrderAnswer.DELAYED, "later": Later.KILLED}, Status.KILLED),
        ({"order_answer": OrderAnswer.ERROR}, Status.REJECTED),
        ({"settles": Settles.RETRIED}, Status.FILLED),
        ({"settles": Settles.FAILED}, Status.FILLED),
        ({"settles": Settles.UNDONE}, Status.FILLED),
        ({"trades_lag_s": 30, "order_answer": OrderAnswer.NO_AMOUNTS}, Status.FILLED),
        ({"mode": Mode.DISABLED}, None),
        ({"mode": Mode.CANCEL_ONLY}, None),
        ({"path": "POST /order", "blocked": True}, None),
        ({"standing": Standing.BANNED}, Status.REJECTED),
        ({"clock_off_s": 100}, Status.FILLED),
        ({"clock_off_s": -100}, Status.FILLED),
    ],
    ids=str,
)
async def test_whatever_the_venue_does_nothing_is_bought_twice_or_lost(
    autojump_clock: Clock, faults: dict[str, Any], ends: Status | None
) -> None:
    """What is told in the end is what the venue has written down, and every send was of the same bytes."""
    async with open_traded() as traded:
        for fault, value in faults.items():
            setattr(traded.server.faults, fault, value)
        order = await prepared(traded)
        report = await settled(traded, order)
        assert (None if report is None else report.status) is ends
        check_recorded(traded, order, report)


@pytest.mark.parametrize(
    "faults",
    [
        {**_ONCE, "lose_reply": True},
        {"order_answer": OrderAnswer.NO_AMOUNTS},
        {"order_answer": OrderAnswer.DELAYED},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("ask", [300_000, 500_000])
async def test_what_comes_in_two_trades_is_booked_whole(
    autojump_clock: Clock, faults: dict[str, Any], ask: int
) -> None:
    """A book better than the limit gives the shares that are named with the first of them, and half a minute later the rest."""
    async with open_traded() as traded:
        plenty = Shares.parse(100_000)
        quote = Quote(bid=Price(ask - 10_000), ask=Price(ask), bid_shares=plenty, ask_shares=plenty)
        traded.server.clob.market.set_quote(TOKEN, quote)
        for fault, value in {"later_part": 20, **faults}.items():
            setattr(traded.server.faults, fault, value)
        order = await prepared(traded)
        report = await settled(traded, order)
        assert report is not None
        assert (report.status, report.settlement) == (Status.FILLED, Settlement.FIRM)
        assert len(traded.server.clob.record.fills(order.order_id)) == 2
        check_recorded(traded, order, report)


async def test_nobody_can_tell_about_a_venue_that_is_away(autojump_clock: Clock) -> None:
    """Within the time that a person has set; an order is certainly not sent."""
    async with open_traded(timeout_s=2.0) as traded:
        order = await prepared(traded)
        traded.server.away = True
        traded.server.cut()
        traded.executor.terms.forget(TOKEN)
        for call in (partial(traded.executor.market, TOKEN), partial(traded.executor.submit, order)):
            began = trio.current_time()
            with pytest.raises(OrderNotSent):
                await call()
            assert trio.current_time() - began <= 2.0


async def test_a_caller_that_gives_up_hears_before_that(autojump_clock: Clock) -> None:
    """So it is known whether the order may be there, and not cut off in the middle."""
    async with open_traded() as traded:
        traded.server.faults.stall, traded.server.faults.path = True, "POST /order"
        order = await prepared(traded)
        with trio.fail_after(1.0), pytest.raises(OrderUncertain):
            await traded.executor.submit(order)


async def test_over_a_socket() -> None:
    """The same over loopback, with time as it is."""
    wall = anchored_wall_clock()
    async with open_traded(open_clob_venue, wall=wall) as traded:
        intent = evolve(sample_intent(), leader_time=int(wall()))
        order = await prepared(traded, intent=intent)
        assert (await traded.executor.submit(order)).status is Status.FILLED
        check_recorded(traded, order, await traded.executor.find(order))
