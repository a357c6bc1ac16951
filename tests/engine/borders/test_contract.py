"""The engine holds its executor to the contract: every breach of it, played against a running engine. Virtual time."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.engine.faulty import (
    FAULTS,
    Fault,
    FaultyExecutor,
    but,
    faulty_plugin,
    filled,
    name_of_fault,
    raises,
)
from tests.harness import World, make_test_plan, open_world, running_engine, with_follow_settings
from trio_copy.config import PluginTable
from trio_copy.engine.books.books import BOOKINGS
from trio_copy.engine.plan import Plan, PlannedExecutor
from trio_copy.engine.service import Service
from trio_copy.engine.shards.stored import booked_by
from trio_copy.errors import OrderNotSent
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.decisions import Code, End, Reason
from trio_copy.model.facts import FactQuery
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import ExecutionReport, Order, Status, greatest_cost
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Ratio, Shares, Usd
from trio_copy.registry import Source
from trio_copy.testing.conformance import EXECUTOR_CHECKS
from trio_copy.testing.conformance.executor import lanes_are_named_and_pure
from trio_copy.testing.samples import sample_order, sample_signal, sample_task

Clock = trio.testing.MockClock
ALICE, BOB = FollowerId("alice"), FollowerId("bob")
DAY = Usd.parse("8")
"""What a follower may spend: one copy of 10 shares at half a dollar, and no second one beside it."""
GUARDED = Reason(code=Code.GUARD_REFUSED, control="max_order_usd", value="51 \ud800", limit="50")
UNPROVEN = (End.ESCALATED, Code.OUTCOME_UNPROVEN)
WHO = 'executor "odd" (odd-venue 1.0), '


@define(eq=False)
class Play:
    """Alice trades through an executor with a fault, Bob through another one."""

    world: World
    service: Service
    odd: FaultyExecutor

    async def trade(self, **trade: Any) -> tuple[End, Code | None]:
        """Let the leader trade and both followers copy it; returns how Alice's copy ends."""
        recorder, before = self.world.recorder, len(self.ends(ALICE))
        self.world.chain.mine(self.world.buy(**trade))
        await recorder.wait_until(lambda: len(self.ends(ALICE)) > before)
        return self.ends(ALICE)[before]

    def ends(self, follower: FollowerId) -> list[tuple[End, Code | None]]:
        return [
            (one.outcome.end, one.outcome.reason.code if one.outcome.reason else None)
            for one in self.world.recorder.finished
            if one.task.follower == follower
        ]

    def alerts(self, *kinds: str) -> list[str]:
        return [detail for kind, detail in self.world.recorder.alerts if kind in kinds]

    async def booked(self, follower: FollowerId) -> list[tuple[Side, Shares, Usd]]:
        """Return what the books hold of a follower."""
        facts = await self.service.store.history.facts(FactQuery(kinds=BOOKINGS, follower=follower))
        entries = [entry for entry in map(booked_by, facts) if entry is not None and entry.shares]
        return [(entry.side, entry.shares, entry.notional + entry.fee) for entry in entries]


def odd_plan(odd: FaultyExecutor, **engine: Any) -> Plan:
    plan = make_test_plan(engine={"send_timeout_s": 4.0, "reconcile_every_s": 1.0, "escalate_after_s": 20.0, **engine})
    plan = with_follow_settings(plan, caps=Caps(max_day_usd=DAY))
    alice, bob = plan.settings.follower
    table = PluginTable(name="odd", plugin="faulty", options={})
    settings = evolve(
        plan.settings, follower=(evolve(alice, executor="odd"), bob), executor=(*plan.settings.executor, table)
    )
    plugin = faulty_plugin(odd)
    source = Source(entry_point="odd", distribution="odd-venue", version="1.0", allowed=True)
    plan.registry.executors["faulty"] = (plugin, source)
    odd_one = PlannedExecutor(name="odd", plugin=plugin, settings=None)
    return evolve(plan, settings=settings, executors=(*plan.executors, odd_one))


@asynccontextmanager
async def playing(odd: FaultyExecutor, **engine: Any) -> AsyncGenerator[Play, None]:
    async with open_world() as world, running_engine(world, odd_plan(odd, **engine)) as service:
        await trio.sleep(1)
        yield Play(world, service, odd)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.fails != "keys_tell_orders_apart"], ids=name_of_fault)
async def test_a_breach_is_contained(clock: Clock, fault: Fault) -> None:
    """Nothing outside is sent or booked, the outcome is the right one, one line says who; the other executor trades."""
    odd = fault.executor()
    async with playing(odd) as play:
        sells = fault.side is Side.SELL
        if sells:
            odd.switched_on = False
            assert await play.trade() == (End.FILLED, None)
            odd.switched_on = True
        before, sent = await play.booked(ALICE), len(odd.sent)
        end = await play.trade(side=fault.side or Side.BUY)
        assert await play.booked(ALICE) == before
        if fault.call in ("market", "prepare"):
            assert (end, len(odd.sent)) == ((End.DENIED, Code.CONTRACT_BROKEN), sent)
            reason = play.world.recorder.finished[-1].outcome.reason
        else:
            assert (end, len(odd.sent)) == (UNPROVEN, sent + 1)
            if not sells:
                # Nobody knows what it has cost: what is set aside for it stays set aside.
                assert await play.trade(token=2) == (End.DENIED, Code.CAP_REACHED)
        await play.world.recorder.wait_until(lambda: len(play.ends(BOB)) == len(play.ends(ALICE)))
        assert play.ends(BOB)[: 1 + sells] == [(End.FILLED, None)] * (1 + sells)
        (told,) = play.alerts("contract-broken")
        assert told.startswith(f"{WHO}{fault.call}: ")
        assert fault.says in told
        assert len(told.splitlines()) == 1
        if fault.call in ("market", "prepare"):
            assert any(f.outcome.reason and f.outcome.reason.value == told for f in play.world.recorder.finished), (
                reason
            )


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.fails], ids=name_of_fault)
async def test_the_conformance_suite_finds_it_first(clock: Clock, fault: Fault) -> None:
    """What a running engine contains, its author can find before."""

    @asynccontextmanager
    async def open_executor() -> AsyncGenerator[Any, None]:
        yield fault.executor()

    (check,) = [check for check in EXECUTOR_CHECKS if check.__name__ == fault.fails]
    with pytest.raises((AssertionError, AttributeError, TypeError)):
        await check(open_executor)


@pytest.mark.parametrize("lane", [["alice"], (), ("alice", 1), None], ids=["a list", "empty", "a number", "none"])
async def test_the_conformance_suite_finds_a_lane_that_is_none(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, lane: Any
) -> None:
    """Without lanes an executor gets no entry: its author hears of it before."""
    monkeypatch.setattr(FaultyExecutor, "lane", lambda *_: lane)

    @asynccontextmanager
    async def open_executor() -> AsyncGenerator[Any, None]:
        yield FaultyExecutor()

    with pytest.raises(AssertionError):
        await lanes_are_named_and_pure(open_executor)


async def test_a_second_order_under_the_same_id_is_not_sent(clock: Clock) -> None:
    """Nobody could tell afterwards which of the two a report is about."""
    odd = FaultyExecutor(call="prepare", spoil=but(order_id="same"))
    async with playing(odd) as play:
        assert await play.trade(shares=50) == (End.FILLED, None)
        assert await play.trade(shares=50, token=2) == (End.DENIED, Code.CONTRACT_BROKEN)
        assert "an order's id: expected one of its own" in play.alerts("contract-broken")[0]
    assert len(odd.sent) == 1


@pytest.mark.parametrize(
    ("call", "end"), [("market", (End.REJECTED, Code.NOT_SENT)), ("submit", UNPROVEN), ("find", UNPROVEN)]
)
@pytest.mark.parametrize("swallows", [False, True])
async def test_a_call_that_hangs_is_given_up_in_time(
    clock: Clock, call: str, end: tuple[End, Code], swallows: bool
) -> None:
    """Every call has a deadline and a line; one that catches the cancellation is closed all the same."""

    async def hang(*_: Any) -> None:
        while True:  # noqa: ASYNC913  this is the fault
            try:
                await trio.sleep_forever()
            except trio.Cancelled:  # noqa: ASYNC103
                if not swallows:
                    raise

    odd = FaultyExecutor(call=call, spoil=lambda *_: hang())
    odd.hide = call == "submit"  # else it is found
    async with playing(odd) as play:
        started = trio.current_time()
        assert await play.trade() == end
        assert trio.current_time() - started < (5 if call == "market" else 60)
        assert await play.booked(ALICE) == []
        (slow,) = play.alerts("executor-slow")
        assert slow == f"{WHO}{call}: slow: no answer in 4 s"
        deaf = f"{WHO}{call}: does not let itself be cancelled"
        assert set(play.alerts("contract-broken")) == ({deaf} if swallows else set())
        assert play.ends(BOB) == [(End.FILLED, None)]
        if call == "market":
            odd.switched_on = False
            assert await play.trade(token=2) == (End.FILLED, None)


async def test_a_send_knows_its_time(clock: Clock) -> None:
    """In a running engine, an executor asks Trio until when it may take; its worker has sent before, and rested for longer."""
    left_s: list[float] = []

    def look(report: ExecutionReport, _: Order) -> ExecutionReport:
        left_s.append(trio.current_effective_deadline() - trio.current_time())
        return report

    async with playing(FaultyExecutor(call="submit", spoil=look), workers=1) as play:
        for side in (Side.BUY, Side.SELL):
            assert await play.trade(side=side) == (End.FILLED, None)
            await trio.sleep(6)
        assert left_s == [pytest.approx(4.0, abs=0.1)] * 2


@pytest.mark.parametrize(("call", "code"), [("market", Code.NOT_SENT), ("submit", Code.OUTCOME_UNPROVEN)])
async def test_a_call_whose_own_tasks_hang_is_given_up_in_time(clock: Clock, call: str, code: Code) -> None:
    """A nursery of the plugin ends with a group of cancellations instead of one."""

    async def hang(*_: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    odd = FaultyExecutor(call=call, spoil=hang)
    odd.hide = True
    async with playing(odd) as play:
        assert (await play.trade())[1] is code
        (slow,) = play.alerts("executor-slow")
        assert slow == f"{WHO}{call}: slow: no answer in 4 s"


async def test_half_a_character_in_a_detail_stops_nobody(clock: Clock) -> None:
    """JSON may hold such halves, and a venue's words are written down."""
    odd = FaultyExecutor(
        call="submit",
        spoil=but(status=Status.REJECTED, detail="half \ud800", shares=NO_SHARES, notional=NO_USD, fee=NO_USD),
    )
    odd.hide = True
    async with playing(odd) as play:
        assert await play.trade() == (End.REJECTED, Code.VENUE_REFUSED)
        (told,) = [one.outcome.reason for one in play.world.recorder.finished if one.task.follower == ALICE]
        assert told is not None
        assert told.value == "half ?"
        assert await play.trade(token=2) == (End.REJECTED, Code.VENUE_REFUSED)


async def test_words_of_any_length_hold_nobody_up(clock: Clock) -> None:
    """A plugin may quote all that it was answered: its beginning is told, and nothing else is searched for secrets."""
    odd = FaultyExecutor(call="submit", spoil=raises(OrderNotSent("no key in 0x" + "ab" * 15_000_000)), hide=True)
    async with playing(odd) as play:
        began = time.process_time()
        assert await play.trade() == (End.REJECTED, Code.NOT_SENT)
        assert time.process_time() - began < 10
        (told,) = [one.outcome.reason for one in play.world.recorder.finished if one.task.follower == ALICE]
        assert told is not None
        assert told.value.startswith("no key in 0xabab")
        assert len(told.value) == 300


class _OwnNotSentError(OrderNotSent):
    def __init__(self) -> None:
        self.args = ("too much",)


@pytest.mark.parametrize(
    ("call", "error", "ends", "value"),
    [
        ("prepare", OrderNotSent("too much", GUARDED), (End.DENIED, Code.GUARD_REFUSED), "51 ?"),
        ("submit", OrderNotSent("too much", GUARDED), (End.DENIED, Code.GUARD_REFUSED), "51 ?"),
        ("submit", OrderNotSent("too much", cast("Any", "because")), (End.REJECTED, Code.NOT_SENT), "too much"),
        ("submit", _OwnNotSentError(), (End.REJECTED, Code.NOT_SENT), "too much"),
    ],
)
async def test_why_a_guard_refused_is_cleaned_and_believed_where_it_is_a_reason(
    clock: Clock, call: str, error: OrderNotSent, ends: tuple[End, Code], value: str
) -> None:
    """Whether in `prepare` or when the order was to leave."""
    async with playing(FaultyExecutor(call=call, spoil=raises(error), hide=True)) as play:
        assert await play.trade() == ends
        (told,) = [one.outcome.reason for one in play.world.recorder.finished if one.task.follower == ALICE]
        assert told is not None
        assert told.value == value
        assert play.alerts("contract-broken") == []


async def test_timeouts_of_a_plugin_are_its_own_affair(clock: Clock) -> None:
    """Who tries again a few times, each for a moment, is cancelled by himself, and keeps the contract."""

    async def patient(report: ExecutionReport, order: Order) -> ExecutionReport:
        for _ in range(7):
            with trio.move_on_after(0.1):
                await trio.sleep_forever()
        return report

    async with playing(FaultyExecutor(call="submit", spoil=patient)) as play:
        assert await play.trade() == (End.FILLED, None)
        assert play.alerts("contract-broken", "executor-slow") == []


async def test_markets_that_hang_do_not_stop_the_group(clock: Clock) -> None:
    """As many hung markets as there are workers: each ends by itself, and then the next ones are served."""

    async def hang(*_: Any) -> None:
        await trio.sleep_forever()

    odd = FaultyExecutor(call="market", spoil=hang)
    async with playing(odd, workers=3, deadline_s=30.0) as play:
        play.world.chain.mine(*(play.world.buy(token=10 + number) for number in range(3)))
        await trio.sleep(2)
        odd.switched_on = False
        assert await play.trade(token=20) == (End.REJECTED, Code.NOT_SENT)
        await play.world.recorder.wait_until(lambda: len(play.ends(ALICE)) == 4)
        assert play.ends(ALICE)[3] == (End.FILLED, None)
        assert len(play.alerts("executor-slow")) == 1


@pytest.mark.parametrize("call", ["market", "prepare", "submit"])
async def test_a_plugin_that_keeps_the_loop_is_named(clock: Clock, call: str) -> None:
    """A step that computes, or calls what blocks, holds everybody up: it is told, and what it answers is good."""

    def compute(answer: Any, *_: Any) -> Any:
        clock.jump(1.5)
        return answer

    async with playing(FaultyExecutor(call=call, spoil=compute)) as play:
        assert await play.trade() == (End.FILLED, None)
        blocked = play.alerts("plugin-blocks")
        assert blocked == [f"{WHO}{call}: kept everything else waiting for 1.5 s"]


async def test_the_breaker_stops_entries_and_lets_exits_go(clock: Clock) -> None:
    """Three breaches in a row: a minute without entries through this executor, then one good answer is enough."""
    odd = FaultyExecutor(call="prepare", spoil=but(shares=Shares(1 << 50)), side=Side.BUY, switched_on=False)
    async with playing(odd) as play:
        assert await play.trade(shares=20) == (End.FILLED, None)
        odd.switched_on = True
        for token in (2, 3, 4):
            assert await play.trade(shares=20, token=token) == (End.DENIED, Code.CONTRACT_BROKEN)
        (opened,) = play.alerts("breaker-open")
        assert opened == f"{WHO}prepare: 3 breaches in a row; no entries for 60 s, exits go on"
        odd.switched_on = False
        assert await play.trade(shares=20, token=5) == (End.DENIED, Code.CONTRACT_BROKEN)
        assert await play.trade(side=Side.SELL, shares=20) == (End.FILLED, None)
        await trio.sleep(60)
        assert await play.trade(shares=20, token=6) == (End.FILLED, None)
        assert await play.trade(shares=20, token=7) == (End.FILLED, None)
        assert len(play.alerts("contract-broken")) == 1


async def test_what_was_lied_about_once_waits_for_a_person(clock: Clock) -> None:
    """A second, sensible report of the same order is no proof either: one of the two is wrong, and nobody knows which."""
    odd = FaultyExecutor(call="submit", spoil=filled("10"))
    async with playing(odd) as play:
        assert await play.trade() == UNPROVEN
        assert await play.booked(ALICE) == []
    (order,) = odd.sent
    assert breach_of_report(odd.filled[order.order_id], order) is None


async def test_a_bug_after_sending_is_settled_by_what_the_venue_knows(clock: Clock) -> None:
    """An exception says nothing about the order: the next look finds it."""
    odd = FaultyExecutor(script=[ZeroDivisionError("a bug in the parser")])

    def venue_fills(order: Order) -> None:
        odd.filled[order.order_id] = odd._fill(order)

    async with playing(odd) as play:
        odd.on_send = venue_fills
        assert await play.trade() == (End.FILLED, None)
        assert [shares for _, shares, _ in await play.booked(ALICE)] == [Shares.parse(10)]
        assert play.alerts("contract-broken") == [f"{WHO}submit: raised ZeroDivisionError: a bug in the parser"]


async def test_a_breach_that_repeats_for_ever_is_told_twice_in_a_hundred(clock: Clock) -> None:
    """Whoever is asked every second does not fill the log."""
    odd = FaultyExecutor(call="find", spoil=raises(KeyError("status")))
    async with playing(odd) as play:
        await play.trade()
        await trio.sleep(150)
        first, again = play.alerts("contract-broken")
    assert again == f"{first} (100 times)"


async def test_an_order_remembers_the_fee_that_its_fills_are_judged_by(clock: Clock) -> None:
    """It is written down with the order, so that a restart judges a late report as strictly."""
    odd = FaultyExecutor()
    async with playing(odd) as play:
        assert await play.trade() == (End.FILLED, None)
    assert [order.fee_bps for order in odd.sent] == [100]


def order_of(
    side: Side,
    *,
    price: int = 510_000,
    fee_bps: int | None = 100,
    shares: int = 10_000_000,
    rate: int = 0,
    cash: int | None = None,
) -> Order:
    made = sample_order(sample_task(sample_signal(1, side=side)))
    cost = greatest_cost(side, Shares(shares), Price(price)) if cash is None else Usd(cash)
    amounts: dict[str, Any] = {"limit_price": Price(price), "shares": Shares(shares), "max_cost": cost}
    return evolve(made, fee_bps=fee_bps, fee_rate=Ratio(rate), **amounts)


@pytest.mark.parametrize(
    ("order", "shares", "notional", "fee", "inside"),
    [
        # The whole of it, to the millionth: cost and fee rounded up once.
        (order_of(Side.BUY), 10_000_000, 5_100_000, 51_000, True),
        (order_of(Side.BUY), 10_000_000, 5_100_001, 51_000, False),
        (order_of(Side.BUY), 10_000_000, 5_100_000, 51_001, False),
        (order_of(Side.BUY, shares=3, price=333_333), 3, 1, 1, True),
        (order_of(Side.BUY, shares=3, price=333_333), 3, 2, 0, False),
        (order_of(Side.BUY, shares=1, price=1), 1, 1, 1, True),
        (order_of(Side.BUY), 3_333_333, 1_700_000, 17_000, True),
        (order_of(Side.BUY), 3_333_333, 1_700_001, 17_000, False),
        # The same cash brings more shares where the book is better.
        (order_of(Side.BUY), 12_750_000, 5_100_000, 51_000, True),
        (order_of(Side.BUY), 12_750_000, 5_100_001, 51_000, False),
        # Cash in cents and shares in four decimals name a price that is a hair over the limit, and no more than that.
        (order_of(Side.BUY, shares=3_921_500, cash=2_000_000), 3_921_500, 2_000_000, 0, True),
        (order_of(Side.BUY, shares=3_921_500, cash=2_000_000), 3_921_500, 2_000_001, 0, False),
        (order_of(Side.BUY, shares=3_921_500, cash=2_000_000), 3_921_498, 2_000_000, 0, False),
        (order_of(Side.BUY, shares=3_921_500, cash=2_000_000), 8_000_000, 2_000_000, 20_000, True),
        (order_of(Side.BUY, shares=3_000_000, cash=2_000_000), 3_000_000, 1_530_300, 0, True),
        (order_of(Side.BUY, shares=3_000_000, cash=2_000_000), 3_000_000, 1_530_301, 0, False),
        (order_of(Side.BUY, cash=5_000_000), 10_000_000, 5_000_001, 0, False),
        # A sale: shares and price, proceeds rounded down once.
        (order_of(Side.SELL), 10_000_000, 5_100_000, 51_000, True),
        (order_of(Side.SELL), 10_000_000, 5_099_999, 0, False),
        (order_of(Side.SELL), 10_000_001, 5_200_000, 0, False),
        (order_of(Side.SELL), 10_000_000, 10_000_000, 100_000, True),
        (order_of(Side.SELL), 10_000_000, 10_000_001, 0, False),
        (order_of(Side.SELL, shares=1), 1, 0, 0, True),
        (order_of(Side.SELL, price=1_500_000), 10_000_000, 20_000_000, 0, True),
        # A formula of the price: a twentieth of the cash for the cheapest shares, of a sale a quarter of that of its shares.
        (order_of(Side.BUY, fee_bps=0, rate=50_000), 12_750_000, 5_100_000, 255_000, True),
        (order_of(Side.BUY, fee_bps=0, rate=50_000), 12_750_000, 5_100_000, 255_001, False),
        (order_of(Side.SELL, price=400_000, fee_bps=0, rate=50_000), 10_000_000, 5_000_000, 125_000, True),
        (order_of(Side.SELL, price=400_000, fee_bps=0, rate=50_000), 10_000_000, 5_000_000, 125_001, False),
        # Orders of earlier versions do not tell the fee: more than everything it is not.
        (order_of(Side.BUY, fee_bps=None), 10_000_000, 5_000_000, 5_000_000, True),
        (order_of(Side.BUY, fee_bps=None), 10_000_000, 5_000_000, 5_000_001, False),
        (order_of(Side.BUY, fee_bps=0), 10_000_000, 5_000_000, 1, False),
    ],
)  # fmt: skip
def test_a_fill_is_inside_to_the_millionth(order: Order, shares: int, notional: int, fee: int, inside: bool) -> None:
    """The border lies where the budgets have set money aside, and nowhere beyond."""
    report = ExecutionReport(
        order_id=order.order_id, status=Status.FILLED, shares=Shares(shares), notional=Usd(notional), fee=Usd(fee)
    )
    assert (breach_of_report(report, order) is None) == inside
