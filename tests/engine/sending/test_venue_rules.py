"""What a source tells of the venue, from the leader's trade to the books: rules, fees, and caps of questions and events."""

from typing import Any

import pytest
import trio.testing
from attrs import evolve

from tests.builders import LEADER
from tests.engine.market_source.test_market_watch import ALICE, ONE, TENTH, TWO, book, buy, facts, mine_for
from tests.harness import make_test_plan, open_world, running_engine, with_follow_settings
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps, Leaving
from trio_copy.model.settings import NoSettings
from trio_copy.model.units import Price, Ratio, Shares, Usd
from trio_copy.testing.markets import MemoryMarkets, memory_markets_plugin

Clock = trio.testing.MockClock
RULES: dict[str, Any] = {
    "tick": Price.parse("0.01"),
    "minimum": Shares.parse("5"),
    "fee_rate": Ratio.parse("0.05"),
    "fee_exponent": 1,
}


def plan_for(source: MemoryMarkets, **caps: Any) -> Plan:
    """Alice copies a tenth, by the book."""
    made = make_test_plan(followers=("alice",), executor={"price_source": "book", "fee_bps": 500})
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    return evolve(with_follow_settings(made, size=TENTH, caps=Caps(**caps)), markets=planned)


async def test_a_copy_keeps_the_venues_rules_from_the_first_trade_on(clock: Clock) -> None:
    """Its limit is on a tick, its cash in cents, its fee the venue's; an exit under the minimum says what it was under."""
    source = MemoryMarkets()
    source.tell(facts(1, **RULES))
    source.move(book(1, "0.49", "0.50"))
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        world.chain.mine(world.buy(shares=133))
        await world.recorder.wait_copies(1)
        (end,) = world.recorder.finished
        assert end.report is not None
        # 13.3 shares at the limit of 0.51 are 6.783 dollars, 6.78 in cents; the book asks for 0.50, and all of it is spent.
        got = (str(end.report.shares), str(end.report.notional), str(end.report.fee))
        assert got == ("13.56", "6.78", "0.1695")
        world.chain.mine(world.buy(side=Side.SELL, shares=13))
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 2)
        reason = world.recorder.finished[-1].outcome.reason
        assert reason is not None
        said = (reason.code.name, reason.control, reason.value, reason.limit)
        assert said == ("BELOW_MINIMUM", "venue.minimum", "1.325414 shares", "5 shares")
        account = service.holder.shards[0].accounts[ALICE]
        assert account.exposure.cost("all") == Usd.parse("6.9495").micro
        world.chain.mine(world.buy(side=Side.SELL, shares=120))
        await world.recorder.wait_copies(2)
        assert not account.position((LEADER, ONE)).shares


async def test_a_cap_per_order_holds_with_the_venues_fee(clock: Clock) -> None:
    """Ten dollars: the order is as much smaller as its fee may take at most."""
    source = MemoryMarkets()
    source.tell(facts(1, **RULES))
    source.move(book(1, "0.49", "0.50"))
    async with open_world() as world, running_engine(world, plan_for(source, max_order_usd=Usd.parse(10))):
        world.chain.mine(world.buy(shares=1000))
        await world.recorder.wait_copies(1)
        report = world.recorder.finished[0].report
        assert report is not None
        assert Usd.parse("9.4") < report.notional + report.fee <= Usd.parse(10)


@pytest.mark.parametrize(("cap", "same"), [("max_market_usd", "condition_id"), ("max_event_usd", "event")])
@pytest.mark.parametrize("known", [False, True])
async def test_a_cap_counts_what_the_source_says_belongs_together(
    clock: Clock, cap: str, same: str, known: bool
) -> None:
    """Two tokens of one question, or questions of one event, whether they were known before the trade or not."""
    source = MemoryMarkets()
    both = [facts(token, event="week" if same == "event" else "") for token in (1, 2)]
    source.tell(*(evolve(one, condition_id=both[0].condition_id) if same == "condition_id" else one for one in both))
    source.move(book(1, "0.49", "0.50"), book(2, "0.49", "0.50"))
    async with open_world() as world, running_engine(world, plan_for(source, **{cap: Usd.parse(8)})):
        if known:
            world.catalog.put(source.known.values())
        await buy(world, ONE, 1)
        world.chain.mine(world.buy(token=TWO))
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 2)
        reason = world.recorder.finished[-1].outcome.reason
        assert reason is not None
        assert (reason.code.name, reason.control) == ("CAP_REACHED", f"caps.{cap}")


async def test_what_the_venue_would_not_sell_is_not_tried_again_and_again(clock: Clock) -> None:
    """Four shares are left until the question is decided; a person is told once, and told why when he asks for it."""
    source = MemoryMarkets()
    source.tell(facts(1, **RULES))
    source.move(book(1, "0.49", "0.50"))
    plan = with_follow_settings(plan_for(source), leaving=Leaving(take_profit_bps=2000))
    async with open_world() as world, running_engine(world, plan) as service:
        world.chain.mine(world.buy(shares=41))
        await world.recorder.wait_copies(1)
        source.move(book(1, "0.80", "0.82"))
        await mine_for(world, 100)
        assert len(world.recorder.finished) == 1
        assert world.recorder.steps.count("kept") == 1
        market = await service.exit_rules.look_for(ALICE, ONE)
        refused = service.exit_rules.leave_now(service.holder.shards[0], (ALICE, LEADER, ONE), market)
        assert "are held, and the venue sells no less than 5: nothing was sent" in refused
        source.move(book(1, "0.49", "0.50"))
        await buy(world, ONE, 2)
        source.move(book(1, "0.80", "0.82"))
        await world.recorder.wait_copies(3)
        assert not service.holder.shards[0].accounts[ALICE].position((LEADER, ONE)).shares
