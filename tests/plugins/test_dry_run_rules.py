"""The dry run keeps the venue's rules where they are known: ticks, minimums, decimals, fees."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW, TOKEN
from tests.plugins.test_shared_books import Asked
from trio_copy.accounts.costs import with_fees, worst_cost
from trio_copy.clock import wall_clock_from
from trio_copy.engine.gate.facts_soon import FactsSoon
from trio_copy.model.books import Book, Level
from trio_copy.model.breaches import breach_of_market, breach_of_order, breach_of_report
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps, FollowSettings, Sizing
from trio_copy.model.ids import FollowerId, IntentKey, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Status, Wallet
from trio_copy.model.units import NO_USD, Price, Ratio, Rounding, Shares, Usd
from trio_copy.ports import Executor, ExecutorContext
from trio_copy.registry import discover
from trio_copy.testing.conformance import EXECUTOR_CHECKS, name_of
from trio_copy.testing.samples import sample_intent

Clock = trio.testing.MockClock
WALLET = Wallet(follower=FollowerId("alice"), address=None)
KEY = IntentKey("0xkey")
KNOWN = TokenFacts(
    token_id=TOKEN,
    condition_id="question",
    exchange=2,
    neg_risk=False,
    tick=Price.parse("0.01"),
    minimum=Shares.parse("5"),
    fee_rate=Ratio.parse("0.05"),
    fee_exponent=1,
)


def catalog(*facts: TokenFacts) -> Catalog:
    known = Catalog()
    known.put(facts)
    return known


@asynccontextmanager
async def dry_run(facts: Catalog | None, books: Asked | None = None, **options: Any) -> AsyncGenerator[Executor, None]:
    plugin = discover().executor("dry-run")
    made = plugin.settings(**{"latency_jitter_ms": 0, "partial_bps": 0, "slippage_bps": 0, **options})
    context = ExecutorContext(
        name="sim",
        settings=made,
        wall=wall_clock_from(NOW),
        quotes=None,
        books=books,
        facts=None if facts is None else FactsSoon(catalog=facts, most_s=1.0),
    )
    async with plugin.open(context) as executor:
        yield executor


def wish(
    side: Side = Side.BUY, shares: str = "12.345678", limit: str = "0.518", leader: str | None = None
) -> OrderIntent:
    size, price = Shares.parse(shares), Price.parse(limit)
    cost = size.at(price, Rounding.UP) if side is Side.BUY else NO_USD
    made: dict[str, Any] = {"shares": size, "limit_price": price, "max_cost": cost}
    made["price"] = price if leader is None else Price.parse(leader)
    return OrderIntent(side=side, token_id=TOKEN, **made)


async def prepared(executor: Executor, intent: OrderIntent) -> tuple[Market, Order]:
    market = await executor.market(intent.token_id)
    assert breach_of_market(market, intent.token_id) is None
    order = executor.prepare(KEY, intent, WALLET, market)
    assert breach_of_order(order, "sim", KEY, intent, WALLET) is None
    return market, order


@pytest.mark.parametrize("check", EXECUTOR_CHECKS, ids=name_of)
async def test_with_rules_it_is_an_executor_as_any(autojump_clock: Clock, check: Any) -> None:
    """It keeps the contract by a venue's rules as well."""
    facts = evolve(KNOWN, token_id=sample_intent().token_id)
    await check(partial(dry_run, catalog(facts), partial_bps=3000, slippage_bps=100))


async def test_an_order_is_as_the_venue_takes_it(autojump_clock: Clock) -> None:
    """The limit on a tick, cash in cents, and the fee of the venue's formula, paid once."""
    async with dry_run(catalog(KNOWN), fee_bps=500) as executor:
        market, order = await prepared(executor, wish(leader="0.5"))
        assert (market.exchange, market.least_cost, market.fee_bps) == ("v2", Usd.parse(1), 0)
        assert (str(order.shares), str(order.limit_price)) == ("12.33", "0.51")
        assert str(order.max_cost) == "6.29"
        report = await executor.submit(order)
        # All of its cash is spent where the book is better than the limit.
        assert (str(report.shares), str(report.notional), str(report.fee)) == ("12.58", "6.29", "0.15725")
        _, sale = await prepared(executor, wish(Side.SELL, "4.9", "0.5"))
        assert not sale.shares


@pytest.mark.parametrize(
    ("facts", "fee_bps", "rate", "exponent"),
    [
        (None, 30, "0", 1),
        (evolve(KNOWN, fee_rate=None, fee_exponent=None), 30, "0", 1),
        (evolve(KNOWN, fee_rate=Ratio(0)), 0, "0", 1),
        (evolve(KNOWN, fee_rate=Ratio(0), fee_exponent=0), 0, "0", 1),
        (KNOWN, 0, "0.05", 1),
        (evolve(KNOWN, fee_exponent=None), 0, "0.05", 1),
        (evolve(KNOWN, fee_exponent=2), 0, "0.05", 2),
        # What cannot be reckoned with is as if nobody had told.
        (evolve(KNOWN, fee_exponent=0), 30, "0", 1),
        (evolve(KNOWN, fee_exponent=9), 30, "0", 1),
        (evolve(KNOWN, fee_rate=Ratio.parse(2)), 30, "0", 1),
    ],
)
async def test_the_venues_fee_counts_where_it_is_told(
    facts: TokenFacts | None, fee_bps: int, rate: str, exponent: int
) -> None:
    """Else the one of the settings."""
    async with dry_run(catalog() if facts is None else catalog(facts), fee_bps=30) as executor:
        market = await executor.market(TOKEN)
        assert (market.fee_bps, str(market.fee_rate), market.fee_exponent) == (fee_bps, rate, exponent)


@pytest.mark.parametrize("facts", [None, catalog(), catalog(evolve(KNOWN, tick=None))])
async def test_where_nobody_tells_the_rules_there_are_none(facts: Catalog | None) -> None:
    """Any price and any number of shares, as if there were no source."""
    async with dry_run(facts) as executor:
        for intent in (wish(), wish(shares="0.000001"), wish(Side.SELL, "0.01", "0.000001")):
            market, order = await prepared(executor, intent)
            assert (order.shares, order.limit_price) == (intent.shares, intent.limit_price)
            assert (market.tick, market.least_cost) == (Price(1), NO_USD)


@pytest.mark.parametrize(
    ("exchange", "neg_risk", "named"),
    [(2, False, "v2"), (2, True, "v2-neg-risk"), (2, None, ""), (3, None, "v3"), (3, True, "v3"), (None, True, "")],
)
async def test_the_exchange_is_named_where_it_is_known(exchange: int | None, neg_risk: bool | None, named: str) -> None:
    """An order for another one would be refused."""
    async with dry_run(catalog(evolve(KNOWN, exchange=exchange, neg_risk=neg_risk))) as executor:
        assert (await executor.market(TOKEN)).exchange == named


async def test_the_book_says_the_tick_that_holds_now(autojump_clock: Clock) -> None:
    """It changes while the market runs: facts are told hours later."""
    asks = (Level(Price.parse("0.515"), Shares.parse("100")),)
    finer = Book(token_id=TOKEN, bids=(), asks=asks, at=NOW, tick=Price.parse("0.005"), minimum=Shares.parse("1"))
    async with dry_run(catalog(KNOWN), Asked(finer)) as executor:
        _, order = await prepared(executor, wish())
        assert (await executor.submit(order)).status is Status.KILLED
        market, order = await prepared(executor, wish())
        assert (str(market.minimum), str(order.limit_price)) == ("1", "0.515")
        assert (await executor.submit(order)).status is Status.FILLED


async def test_a_replay_gives_the_same_bytes(autojump_clock: Clock) -> None:
    """Whatever was learned meanwhile, the same market makes the same order, in another instance too."""
    async with dry_run(catalog(KNOWN)) as one, dry_run(catalog()) as other:
        market, order = await prepared(one, wish())
        again = other.prepare(KEY, wish(), WALLET, market)
        assert again == order
        assert await one.submit(order) == await other.submit(again)


@define(eq=False)
class _Lucky:
    """An executor with a fee, and what became of one order."""

    facts: TokenFacts
    side: Side
    shares: int
    limit: int
    cap: int

    async def play(self) -> tuple[OrderIntent, Order, Market, ExecutionReport] | None:
        follow = FollowSettings(caps=Caps(max_order_usd=Usd(self.cap)), size=Sizing(minimum_usd=NO_USD))
        intent = wish(self.side, str(Shares(self.shares)), str(Price(self.limit)))
        async with dry_run(catalog(self.facts), partial_bps=3000, slippage_bps=1000) as executor:
            market = await executor.market(TOKEN)
            fitted = with_fees(intent, follow, market.fee)
            if not isinstance(fitted, OrderIntent):
                return None
            order = executor.prepare(KEY, fitted, WALLET, market)
            return fitted, order, market, await executor.submit(order)


@settings(max_examples=30)
@given(
    lucky=st.builds(
        _Lucky,
        facts=st.builds(
            partial(evolve, KNOWN),
            tick=st.sampled_from([Price.parse(one) for one in ("0.1", "0.01", "0.0025", "0.001", "0.0001")]),
            fee_rate=st.builds(Ratio, st.integers(0, 300_000)),
            fee_exponent=st.integers(1, 3),
        ),
        side=st.sampled_from(Side),
        shares=st.integers(1, 10**10),
        limit=st.integers(1, 10**6),
        cap=st.integers(0, 10**9),
    )
)
def test_what_is_paid_was_wanted_allowed_and_held(lucky: _Lucky) -> None:
    """Never over the intent, never over the cap, and no fee above what was held for it."""
    played = trio.run(lucky.play, clock=trio.testing.MockClock(autojump_threshold=0))
    if played is None:
        return
    intent, order, market, report = played
    assert breach_of_order(order, "sim", KEY, intent, WALLET) is None
    if order.shares:
        assert breach_of_report(report, order) is None
    if lucky.side is Side.BUY:
        held = worst_cost(order.max_cost, order.limit_price, market.fee)
        assert report.notional + report.fee <= held <= Usd(lucky.cap)
    assert order.token_id == TokenId(TOKEN)
