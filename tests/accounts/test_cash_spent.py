"""An instant BUY spends cash: where the book is better than its limit, more shares come than it asked for. All books take what came."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.accounts.played import FAILED, PENDING, SPOT, Played, entry, freeze, leave, report_on
from tests.accounts.states import held
from tests.builders import NOW, make_settings, usd
from trio_copy.accounts import OrderState
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.cash import cash
from trio_copy.accounts.costs import worst_cost
from trio_copy.accounts.orders import outside
from trio_copy.accounts.telling import TaskEnd
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.decisions import End, OrderIntent
from trio_copy.model.fees import Fee
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.positions import EMPTY
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Ratio, Rounding, Shares, Usd

FEES = st.sampled_from([Fee(), Fee(150), Fee(0, Ratio.parse("0.05"), 1), Fee(0, Ratio.parse("0.25"), 2)])
quick = settings(max_examples=40)
PRICES = st.integers(1, 999_999)
"""Of the best offer, in millionths; the limit is 0.51."""


def market_with(fee: Fee) -> Any:
    return evolve(Played().market, fee_bps=fee.bps, fee_rate=fee.rate, fee_exponent=fee.exponent)


def of_fee(fee: Fee) -> Any:
    """Prepare as an executor does whose orders name cash in cents, and the fee of their market."""

    def prepare(key: IntentKey, intent: OrderIntent) -> Order:
        order = freeze(key, intent)
        if intent.max_cost:
            spent = Usd(intent.max_cost.micro // 10_000 * 10_000)
            shares = Shares(spent.shares_at(intent.limit_price, Rounding.DOWN).micro // 100 * 100)
            order = evolve(order, max_cost=spent, shares=shares)
        return evolve(order, fee_bps=fee.bps, fee_rate=fee.rate, fee_exponent=fee.exponent)

    return prepare


def spends(order: Order, price: int, **changes: Any) -> ExecutionReport:
    """Say that an order spent all of its cash at a price."""
    best = Price(min(price, order.limit_price.micro))
    shares = order.max_cost.shares_at(best, Rounding.DOWN)
    fee = order.fee.of(shares, order.max_cost)
    return report_on(order, **{"shares": shares, "notional": order.max_cost, "fee": fee, **changes})


@quick
@given(price=PRICES, fee=FEES, size=st.integers(10, 10_000))
def test_what_came_is_booked_and_what_was_held_was_enough(price: int, fee: Fee, size: int) -> None:
    """At whatever price up to the limit: no cap sees more than was held, and nothing stays held."""
    played, task = Played(market=market_with(fee)), entry(shares=str(size))
    order = played.place(task, prepare=of_fee(fee))
    before, day = played.cost, played.day(task)
    assert before == worst_cost(order.max_cost, order.limit_price, fee)
    report = spends(order, price)
    assert breach_of_report(report, order) is None
    assert outside(played.account.orders[order.key], report) is None
    played.do(c.Answer(key=order.key, report=report, at=NOW))
    paid = report.notional + report.fee
    assert played.end_of(task).end is End.FILLED
    assert played.shares == report.shares >= order.shares
    assert played.cost == played.account.position(SPOT).cost == paid <= before
    assert played.day(task) == paid.micro <= day
    assert not held(played.account)
    assert cash(played.account, usd("100000")) == usd("100000") - paid


@quick
@given(
    price=PRICES,
    fee=FEES,
    sold=st.integers(1, 200),
    sell=st.sampled_from(["proportional", "all", "sized"]),
    at=st.integers(1, 10**6),
)
def test_exits_sell_of_what_came_and_gain_what_it_brings_over_what_it_cost(
    price: int, fee: Fee, sold: int, sell: str, at: int
) -> None:
    """The part that the leader sold is a part of all that is held, however much he has bought for the same money."""
    played = Played(market=market_with(fee))
    order = played.place(entry(), prepare=of_fee(fee))
    played.do(c.Answer(key=order.key, report=spends(order, price), at=NOW))
    whole, paid = played.shares, played.cost
    exit_ = leave(shares=str(sold), sell=sell)
    exit_ = evolve(exit_, intent=evolve(exit_.intent, limit_price=Price(at)))
    order = played.place(exit_)
    part = whole.part(Shares.parse(min(sold, 100)), Shares.parse(100), Rounding.UP)
    expected = {"proportional": part, "all": whole, "sized": min(whole, exit_.intent.shares)}[sell]
    assert order.shares == expected
    assert order.max_cost == NO_USD
    brought = order.shares.at(order.limit_price, Rounding.UP)
    played.answer(order, notional=brought)
    left = played.account.position(SPOT)
    assert left.shares == whole - expected
    assert played.account.performance.realised == brought - (paid - left.cost)


@quick
@given(price=PRICES, fee=FEES, sizes=st.lists(st.integers(20, 300), min_size=2, max_size=4))
def test_what_went_out_as_one_holds_what_came_of_all(price: int, fee: Fee, sizes: list[int]) -> None:
    """One booking, under the first of them, for all that the leader bought; each task ends once."""
    played = Played(market=market_with(fee))
    tasks = [entry(number, str(size), aggregates=True, decided_at=NOW + number) for number, size in enumerate(sizes, 1)]
    events = played.offer(tasks[0], resting=tuple(tasks[1:]), prepare=of_fee(fee))
    (placed,) = [event for event in events if isinstance(event, e.Placed)]
    assert placed.members == tuple(task.task_id for task in tasks[1:])
    report = spends(placed.order, price)
    played.do(c.Answer(key=placed.order.key, report=report, at=NOW))
    position = played.account.position(SPOT)
    assert (position.shares, position.cost) == (report.shares, report.notional + report.fee)
    assert position.leader_shares == Shares.parse(sum(sizes))
    ends = [told.record.task.task_id for told in played.told if isinstance(told.record, TaskEnd)]
    assert sorted(ends) == sorted(task.task_id for task in tasks)
    half = leave(99, str(sum(sizes) / 2), decided_at=NOW + 99)
    assert played.place(half).shares == position.shares.part(Shares(1), Shares(2), Rounding.UP)


@quick
@given(price=PRICES, fee=FEES, firm=st.booleans())
def test_what_the_chain_undoes_leaves_nothing_of_it(price: int, fee: Fee, firm: bool) -> None:
    """Confirmed, all that came is firm; undone, all of it is gone, and what the day has spent stays spent."""
    played, task = Played(market=market_with(fee)), entry()
    order = played.place(task, prepare=of_fee(fee))
    report = spends(order, price, **PENDING)
    played.do(c.Answer(key=order.key, report=report, at=NOW))
    assert played.account.orders[order.key].state is OrderState.MATCHED
    assert played.shares == report.shares
    last = evolve(report, settlement=spends(order, price).settlement) if firm else evolve(report, **FAILED)
    played.do(c.Answer(key=order.key, report=last, at=NOW))
    assert played.account.orders == {}
    if firm:
        assert played.account.position(SPOT).firm_shares == report.shares
    else:
        assert (played.account.position(SPOT), played.cost) == (EMPTY, NO_USD)
    assert played.day(task) == report.notional.micro + report.fee.micro


@pytest.mark.parametrize("more", [False, True])
def test_caps_count_the_cash_of_an_order_and_not_the_shares_that_it_names(*, more: bool) -> None:
    """Whose amounts name a hair more than his shares at their limit is held to all of it."""
    limit = Price.parse("0.51")
    shares = Shares.parse("9.8039")

    def prepare(key: IntentKey, intent: OrderIntent) -> Order:
        return evolve(freeze(key, intent), shares=shares, max_cost=usd("5"))

    assert shares.at(limit, Rounding.UP) < usd("5")
    cap = usd("4.999999") if more else usd("5")
    played = Played(settings=make_settings(max_order_usd=None, max_exposure_usd=cap))
    played.offer(entry(), prepare=prepare)
    assert played.cost == (NO_USD if more else usd("5"))


OUTSIDE: dict[str, dict[str, Any]] = {
    "over its cash": {"shares": Shares.parse(20), "notional": usd("5.100001")},
    "over its price": {"shares": Shares.parse(9), "notional": usd("4.6")},
}


@pytest.mark.parametrize("how", OUTSIDE)
def test_cash_and_average_price_stay_inside_whatever_is_told(how: str) -> None:
    """More shares are no breach; more money, or a dearer price, is one."""
    played = Played()
    order = played.place(entry())
    played.answer(order, **OUTSIDE[how])
    assert played.shares == NO_SHARES
    assert played.account.orders[order.key].breached
    assert breach_of_report(report_on(order, Status.FILLED, **OUTSIDE[how]), order) is not None


def test_an_order_that_may_spend_more_than_its_task_is_not_placed() -> None:
    """However few shares it names."""
    played, task = Played(), entry()
    played.offer(task, prepare=lambda key, intent: evolve(freeze(key, intent), max_cost=usd("5.100001")))
    assert played.end_of(task).end is End.REJECTED
    assert played.cost == NO_USD
