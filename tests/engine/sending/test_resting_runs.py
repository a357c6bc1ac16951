"""Whole runs in which entries rest: the leader's sale goes first, and the end of the engine leaves nothing behind."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import LEADER, make_intent, make_settings, make_signal
from tests.harness import World, make_test_plan, open_world, running_engine, with_follow_settings
from trio_copy.engine.lacking import lacking
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.engine.service import Service
from trio_copy.model.decisions import End
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Execution, FollowSettings, Leaving, contradictions
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock
SPOT = (LEADER, TokenId(1))


def resting_plan(kind: str = "GTC", **executor: Any) -> Plan:
    """Everything fills in part only, so that all of it rests."""
    plan = make_test_plan(followers=("alice",), executor={"partial_bps": 10_000, **executor})
    return with_follow_settings(plan, execution=Execution(order_type=kind), leaving=Leaving(sell="all"))


async def entered(world: World, service: Service) -> Shares:
    """Let the leader buy, and the copy rest; returns what it has filled."""
    world.chain.mine(world.buy(shares=100))
    await world.recorder.wait_until(lambda: "rests" in world.recorder.steps)
    await trio.sleep(1)
    (shard,) = service.holder.shards.values()
    return shard.accounts[FollowerId("alice")].position(SPOT).shares


@pytest.mark.parametrize("kind", ["GTC", "GTD"])
async def test_a_copy_rests_and_goes_with_its_leader(clock: Clock, kind: str) -> None:
    """What has filled is sold at once, although the rest of the order had minutes left."""
    async with open_world() as world:
        async with running_engine(world, resting_plan(kind)) as service:
            filled = await entered(world, service)
            assert Shares(0) < filled < Shares.parse(10)
            assert (service.status().unknown, service.status().left) == (0, 1)
            world.chain.mine(world.buy(side=Side.SELL, shares=100))
            await world.recorder.wait_until(lambda: len(world.recorder.finished) == 2)
            ends = {one.task.intent.side: one for one in world.recorder.finished}
            assert ends[Side.BUY].outcome.end is End.PARTIAL
            sold = ends[Side.SELL].report
            assert sold is not None
            assert sold.shares <= filled
        assert service.left_open == []
        assert world.recorder.alerts == []


async def test_its_time_is_over_and_it_ends(clock: Clock) -> None:
    """The venue ends GTD by itself; what is left is what it has filled, and nothing is held."""
    async with open_world() as world, running_engine(world, resting_plan("GTD")) as service:
        filled = await entered(world, service)
        await trio.sleep(Execution().rest_s)
        assert [one.outcome.end for one in world.recorder.finished] == [End.PARTIAL]
        (shard,) = service.holder.shards.values()
        account = shard.accounts[FollowerId("alice")]
        assert (account.orders, account.position(SPOT).shares) == ({}, filled)


async def test_the_end_of_the_engine_calls_off_what_rests(clock: Clock) -> None:
    """Nobody would see its leader leave. It is told as what it came to, and nothing is left unproven or lost."""
    async with open_world() as world:
        async with running_engine(world, resting_plan()) as service:
            await entered(world, service)
        assert [one.outcome.end for one in world.recorder.finished] == [End.PARTIAL]
        assert (service.left_open, service.status().left, service.abandoned) == ([], 0, 0)


async def test_a_reorg_calls_off_what_rests(clock: Clock) -> None:
    """The trade that it copied has not happened: what was filled stays, nothing more is bought."""
    async with open_world() as world, running_engine(world, resting_plan()) as service:
        world.chain.mine()
        filled = await entered(world, service)
        world.chain.reorg(1, [(), ()])
        with trio.fail_after(60):
            await world.recorder.wait_until(lambda: len(world.recorder.finished) == 1)
        (shard,) = service.holder.shards.values()
        assert shard.accounts[FollowerId("alice")].position(SPOT).shares == filled


def test_how_long_it_may_rest_counts_from_the_leaders_block() -> None:
    """A pure function of signal and settings: every instance freezes the same bytes. Exits are instant."""
    signal, sale = make_signal(), make_signal(side=Side.SELL)
    wishes = {kind: make_intent(signal, order_type=kind, rest_s=300) for kind in ("FAK", "FOK", "GTC", "GTD")}
    assert {kind: intent.rest_until for kind, intent in wishes.items()} == {
        "FAK": 0,
        "FOK": 0,
        "GTC": signal.block_time + 300,
        "GTD": signal.block_time + 300,
    }
    exit_ = make_intent(sale, order_type="GTC")
    assert (exit_.order_type, exit_.rest_until) == ("FAK", 0)


@pytest.mark.parametrize("kind", ["FAK", "FOK", "GTC", "GTD"])
def test_only_what_may_rest_can_be_post_only(kind: str) -> None:
    """With an instant order it contradicts itself; an exit has it never."""
    settings: FollowSettings = make_settings(order_type=kind, post_only=True)
    instant = kind in ("FAK", "FOK")
    assert [path for path, _ in contradictions(settings)] == (["execution.post_only"] if instant else [])
    assert make_intent(make_signal(), order_type=kind, post_only=True).post_only == (not instant)
    assert not make_intent(make_signal(side=Side.SELL), order_type=kind, post_only=True).post_only


@pytest.mark.parametrize(
    ("kind", "delay_s", "wrong"), [("GTC", 300.0, True), ("GTC", 299.0, False), ("FAK", 300.0, False)]
)
def test_what_would_be_over_before_it_is_sent_contradicts_itself(kind: str, delay_s: float, *, wrong: bool) -> None:
    settings: FollowSettings = make_settings(order_type=kind, rest_s=300, delay_s=delay_s)
    assert [path for path, _ in contradictions(settings)] == (["execution.rest_s"] if wrong else [])


@pytest.mark.parametrize("kind", ["FAK", "GTC", "GTD"])
def test_a_check_says_where_nothing_can_rest(kind: str) -> None:
    """An executor of before knows nothing of it; the line names the setting, the executor and a follow."""
    plan = resting_plan(kind)
    follows = plan.settings.follows()
    (planned,) = plan.executors
    unpriced = lacking(plan, follows, tuple)
    assert len(unpriced) == (kind != "FAK")
    assert all("executor sim of books" in one for one in unpriced)  # it is a dry run
    source = plan.registry.market_source("polymarket")
    planned = evolve(planned, settings=evolve(planned.settings, price_source="book"))
    markets = PlannedMarkets(name="polymarket", plugin=source, settings=source.settings())
    plan = evolve(plan, markets=markets, executors=(planned,))
    assert lacking(plan, follows, tuple) == []
    plan = evolve(plan, executors=(evolve(planned, plugin=evolve(planned.plugin, rests=False)),))
    problems = lacking(plan, follows, tuple)
    assert len(problems) == (kind != "FAK")
    assert all("execution.order_type" in one and "executor sim" in one and "alice" in one for one in problems)
