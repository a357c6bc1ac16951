"""The venue on paper keeps its rules also in a question that nobody here has seen: it waits a moment for them."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.engine.gate.test_undecided import TOLD_S, Lying, Timed
from tests.engine.market_source.test_market_watch import TENTH, book, facts
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.model.decisions import End
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.settings import NoSettings
from trio_copy.model.units import NO_USD, Price, Ratio, Shares
from trio_copy.telemetry.observer import Finished
from trio_copy.testing.markets import memory_markets_plugin

Clock = trio.testing.MockClock
RULES = facts(1, tick=Price.parse("0.01"), minimum=Shares.parse("5"), fee_rate=Ratio.parse("0.05"), fee_exponent=1)


def plan_for(source: Timed, price_source: str = "book", **engine: Any) -> Plan:
    plan = make_test_plan(followers=("alice",), executor={"price_source": price_source}, engine=engine)
    follow = tuple(evolve(table, size=TENTH) for table in plan.settings.follow)
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    return evolve(plan, settings=evolve(plan.settings, follow=follow), markets=planned)


async def trade(world: World, side: Side = Side.BUY) -> tuple[Finished, float]:
    """Let the leader trade; returns what became of the copy, and after how many seconds."""
    began, before = trio.current_time(), len(world.recorder.finished)
    world.chain.mine(world.buy(side=side))
    await world.recorder.wait_until(lambda: len(world.recorder.finished) > before)
    return world.recorder.finished[-1], trio.current_time() - began


async def test_a_first_trade_pays_the_fee_of_its_question(clock: Clock) -> None:
    """Its facts come a moment after the trade; the exit, which knows them, waits for nothing."""
    source = Timed(known={TokenId(1): RULES})
    source.move(book(1, "0.49", "0.50"))
    async with open_world() as world, running_engine(world, plan_for(source)):
        bought, after_s = await trade(world)
        assert bought.outcome.end is End.FILLED
        assert bought.report is not None
        assert bought.report.fee > NO_USD
        assert TOLD_S <= after_s < TOLD_S + 0.2
        sold, after_s = await trade(world, Side.SELL)
        assert sold.outcome.end is End.FILLED
        assert after_s < 0.2


@pytest.mark.parametrize(
    ("source", "price_source", "first_s"),
    [
        (lambda: Timed(facts_s=1e9), "book", 2.0),
        (Lying, "book", TOLD_S),
        (Timed, "book", TOLD_S),
        (lambda: Timed(facts_s=1e9), "leader", 0.0),
    ],
    ids=["hangs", "lies", "does not know", "not by a book"],
)
async def test_who_is_told_nothing_waits_once(clock: Clock, source: Any, price_source: str, first_s: float) -> None:
    """Then it is filled as without facts, and the next one at once."""
    timed = source()
    timed.move(book(1, "0.49", "0.50"))
    async with open_world() as world, running_engine(world, plan_for(timed, price_source)):
        for most in (first_s, 0.0):
            copy, after_s = await trade(world)
            assert copy.outcome.end is End.FILLED
            assert most <= after_s < most + 0.2


async def test_nobody_waits_longer_than_a_venue_may_take(clock: Clock) -> None:
    """Half of it: the copy is made, and does not end for want of an answer."""
    source = Timed(facts_s=1e9)
    source.move(book(1, "0.49", "0.50"))
    async with open_world() as world, running_engine(world, plan_for(source, send_timeout_s=1.0)):
        copy, after_s = await trade(world)
        assert copy.outcome.end is End.FILLED
        assert 0.5 <= after_s < 0.7
