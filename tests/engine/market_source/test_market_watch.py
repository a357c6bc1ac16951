"""What an engine asks a market source, and what comes of the answers."""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, NOW
from tests.harness import World, make_test_plan, open_world, running_engine, with_follow_settings
from trio_copy.engine.market_source.market_watch import MarketWatch
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.engine.service import Service
from trio_copy.engine.shards import known_tokens
from trio_copy.engine.shards.known_tokens import KIND, facts_in
from trio_copy.model.books import Book, Level, PricesLost, SeenPrice
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.decisions import End
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Leaving, Sizing
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.model.settings import NoSettings
from trio_copy.model.units import NO_USD, Price, Ratio, Shares
from trio_copy.model.watches import Light, Watch
from trio_copy.ports import Markets, MarketsContext, MarketsPlugin
from trio_copy.records import read_plain
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.markets import MemoryMarkets, memory_markets_plugin

Clock = trio.testing.MockClock
ALICE = FollowerId("alice")
ONE, TWO = TokenId(1), TokenId(2)
TENTH = Sizing(ratio=Ratio.parse("0.1"), minimum_usd=NO_USD)


def facts(token: int, **known: Any) -> TokenFacts:
    return TokenFacts(token_id=TokenId(token), condition_id=fake_hash("condition", token), **known)


def book(token: int, bid: str, ask: str) -> Book:
    bids, asks = ((Level(Price.parse(price), Shares.parse("1000")),) for price in (bid, ask))
    return Book(token_id=TokenId(token), bids=bids, asks=asks, at=NOW)


def plan_for(source: Markets, **tables: Any) -> Plan:
    plan = with_follow_settings(make_test_plan(followers=("alice",)), **{"size": TENTH, **tables})
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    return evolve(plan, markets=planned)


def watch_of(service: Service) -> MarketWatch:
    watch = service.housekeeping.market_watch
    assert watch is not None
    return watch


async def buy(world: World, token: int, copies: int) -> None:
    world.chain.mine(world.buy(token=token))
    await world.recorder.wait_copies(copies)


async def mine_for(world: World, seconds: int) -> None:
    for _ in range(seconds // 2):
        world.chain.mine()
        await trio.sleep(2)


async def test_a_traded_token_is_asked_about_once_and_kept(clock: Clock) -> None:
    """Its facts are in the catalog a moment after the trade, and in the store for those who come later."""
    source = MemoryMarkets()
    source.tell(
        facts(
            1,
            question="Rain?",
            outcome="YES",
            event="weather-week",
            category="weather",
            opposite=TWO,
            slot=1,
            ends_at=NOW + 60,
            slug="rain",
            neg_risk=False,
            exchange=3,
            tick=Price.parse("0.01"),
            minimum=Shares.parse("5"),
            fee_rate=Ratio.parse("0"),
            fee_exponent=1,
        )
    )
    assert not [one.name for one in attrs.fields(TokenFacts) if getattr(source.known[ONE], one.name) == one.default]
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        await buy(world, 1, 1)
        await trio.sleep(1)
        await buy(world, 1, 2)
        await trio.sleep(60)
        assert source.asked == [(ONE,)]
        assert world.catalog.of(ONE) == source.known[ONE]
        (kept,) = await service.store.history.documents(KIND)
        assert facts_in(kept.name, read_plain(kept.body)) == source.known[ONE]


async def test_what_an_earlier_run_has_learned_is_known_from_the_start(clock: Clock) -> None:
    """Whoever takes a shard over reads names with it; they are asked for anew only later."""
    source = MemoryMarkets()
    source.tell(facts(1, question="Rain?"))
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        await buy(world, 1, 1)
        await trio.sleep(5)
        shard = service.holder.shards[0]
        documents = dict(shard.tokens.documents())
        again = type(shard.tokens)(type(world.catalog)())
        again.load({(KIND, name): body for name, body in documents.items()})
        assert again.catalog.of(ONE) == source.known[ONE]
        assert list(again.take_changes()) == []


def test_what_nobody_told_of_for_long_is_forgotten_but_not_what_a_person_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    """New markets come every day: the catalog does not grow with them. The file's word is not replaced either."""
    monkeypatch.setattr(known_tokens, "_MOST", 2)
    catalog = Catalog()
    catalog.pin([facts(1, question="Mine?")])
    known = known_tokens.KnownTokens(catalog)
    for token in (1, 2, 3, 2, 4):
        catalog.put([facts(token, question="Theirs?")])
        known.note(facts(token, question="Theirs?"))
    assert [(token, catalog.of(token).question) for token in catalog] == [(1, "Mine?"), (2, "Theirs?"), (4, "Theirs?")]  # type: ignore[union-attr]  # it is in the catalog
    assert {name: body is None for name, body in known.take_changes()} == {"1": True, "2": False, "3": True, "4": False}


async def test_a_token_of_the_file_is_not_asked_about(clock: Clock) -> None:
    """A person has said what it is about."""
    source = MemoryMarkets()
    source.tell(facts(1, question="Theirs?"), facts(2))
    async with open_world() as world:
        world.catalog.pin([facts(1, question="Mine?")])
        async with running_engine(world, plan_for(source)):
            await buy(world, 1, 1)
            await buy(world, 2, 2)
            await trio.sleep(700)
            assert source.asked == [(TWO,)]


async def test_an_unknown_token_is_asked_about_again_and_more_rarely(clock: Clock) -> None:
    """New markets are told late: a minute later it is known; until then it was asked about three times."""
    source = MemoryMarkets()
    async with open_world() as world, running_engine(world, plan_for(source)):
        await buy(world, 1, 1)
        await trio.sleep(60)
        assert source.asked == [(ONE,)] * 3
        source.tell(facts(1))
        await trio.sleep(60)
        assert world.catalog.of(ONE) is not None
        assert len(source.asked) == 4


async def test_prices_come_with_what_is_held_and_go_with_it(clock: Clock) -> None:
    """A price is one while it holds: not before it is told, not after the source has lost it."""
    source = MemoryMarkets()
    source.move(book(1, "0.40", "0.42"), book(2, "0.10", "0.12"))
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        prices = watch_of(service).prices
        assert prices.quote(ONE) is None
        await buy(world, 1, 1)
        await trio.sleep(5)
        assert prices.quote(ONE) == source.standing[ONE].quote
        assert prices.quote(TWO) is None
        source.move(book(1, "0.50", "0.52"))
        await trio.sleep(1)
        quote = prices.quote(ONE)
        assert quote is not None
        assert quote.bid == Price.parse("0.50")
        source.go(away=True)
        await trio.sleep(1)
        assert len(prices) == 0
        source.go(away=False)
        await trio.sleep(1)
        assert prices.quote(ONE) == quote


async def test_what_is_held_is_watched_as_long_as_it_is(clock: Clock) -> None:
    """A trade alone is watched for ten minutes; what was bought, until it is sold and ten minutes are over."""
    source = MemoryMarkets()
    source.move(book(1, "0.40", "0.42"), book(2, "0.10", "0.12"))
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        watch = watch_of(service)
        watch.tokens.note(TWO)
        await buy(world, 1, 1)
        await trio.sleep(5)
        assert watch.tokens.wanted() == {ONE, TWO}
        await trio.sleep(700)
        assert watch.tokens.wanted() == {ONE}
        assert watch.prices.quote(ONE) is not None
        world.chain.mine(world.buy(token=1, side=Side.SELL))
        await world.recorder.wait_copies(2)
        await trio.sleep(700)
        assert watch.tokens.wanted() == frozenset()
        assert len(watch.prices) == 0


async def test_a_take_profit_fires_by_the_sources_bid(clock: Clock) -> None:
    """Nobody has to write a file by hand: the position is left when the book is high enough."""
    source = MemoryMarkets()
    source.move(book(1, "0.47", "0.49"))
    leaving = Leaving(take_profit_bps=2000)
    async with open_world() as world, running_engine(world, plan_for(source, leaving=leaving)) as service:
        await buy(world, 1, 1)
        await trio.sleep(30)
        account = service.holder.shards[0].accounts[ALICE]
        assert account.position((LEADER, ONE)).shares
        source.move(book(1, "0.90", "0.92"))
        await trio.sleep(60)
        assert not account.position((LEADER, ONE)).shares


async def test_the_followers_of_a_signal_share_what_the_book_offers(clock: Clock) -> None:
    """Six shares for two who want ten each: three apiece, at the book's price; the next signal finds nothing."""
    source = MemoryMarkets()
    six = (Level(Price.parse("0.48"), Shares.parse("6")),)
    source.move(Book(token_id=ONE, bids=(), asks=six, at=NOW))
    made = make_test_plan(followers=("alice", "bob"), executor={"price_source": "book"})
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    plan = evolve(with_follow_settings(made, size=TENTH), markets=planned)
    async with open_world() as world, running_engine(world, plan):
        await buy(world, 1, 2)
        reports = [one.report for one in world.recorder.finished]
        assert [(str(report.shares), str(report.price)) for report in reports if report] == [("3", "0.48")] * 2
        world.chain.mine(world.buy(token=1))
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 4)
        assert [one.outcome.end for one in world.recorder.finished[2:]] == [End.KILLED] * 2


async def test_a_source_that_is_away_leaves_copying_alone(clock: Clock) -> None:
    """Nothing is known, everything is copied, and nobody is told by us: the source itself does that."""
    source = MemoryMarkets(away=True)
    source.tell(facts(1))
    async with open_world() as world, running_engine(world, plan_for(source)):
        await buy(world, 1, 1)
        await trio.sleep(200)
        assert world.catalog.of(ONE) is None
        assert len(source.asked) < 20
        source.go(away=False)
        await trio.sleep(120)
        assert world.catalog.of(ONE) is not None
    assert [kind for kind, _ in world.recorder.alerts if kind == "markets-failed"] == []


@define(eq=False)
class Slow(MemoryMarkets):
    """Has no book in time."""

    calls: int = field(default=0)

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        self.calls += 1
        await trio.sleep_forever()


async def test_a_book_that_does_not_come_holds_up_one_copy_and_not_each(clock: Clock) -> None:
    """The first one waits five seconds and is filled without it; those after it wait for nothing, until it is asked again."""
    source = Slow()
    made = make_test_plan(followers=("alice",), executor={"price_source": "book"}, engine={"deadline_s": 60})
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    plan = evolve(with_follow_settings(made, size=TENTH), markets=planned)
    async with open_world() as world, running_engine(world, plan) as service:
        service.holder.sightings.later = None  # who looks at the book after copies asks for it as well
        for copies, calls in ((1, 1), (2, 1), (3, 1), (4, 2)):
            await buy(world, copies, copies)
            assert source.calls == calls
            await trio.sleep(4)
        took = [one.ended_at - one.started_at for one in world.recorder.finished]
    assert [seconds > 4 for seconds in took] == [True, False, False, True]


@define(eq=False)
class Broken(MemoryMarkets):
    """Breaks its contract in one way."""

    how: str = ""
    calls: int = field(default=0)

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        await trio.lowlevel.checkpoint()
        self.calls += 1
        answers: dict[str, Any] = {"none": None, "words": ["Rain?"], "others": [facts(99)]}
        match self.how:
            case "raises":
                raise ZeroDivisionError("a bug")
            case "exits":
                raise SystemExit(3)
            case "hangs":
                await trio.sleep_forever()
        answer: Sequence[TokenFacts] = answers[self.how]
        return answer

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        await trio.lowlevel.checkpoint()
        if self.how == "raises":
            raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("how", ["raises", "exits", "hangs", "none", "words", "others"])
async def test_a_broken_source_is_named_once_and_ends_nothing(clock: Clock, how: str) -> None:
    """The alert names plugin, distribution and call; what was answered is not believed, and it is asked again."""
    source = Broken(how=how)
    async with open_world() as world, running_engine(world, plan_for(source)):
        await buy(world, 1, 1)
        await trio.sleep(150)
        assert source.calls > 2
        assert world.catalog.of(ONE) is None
        assert world.catalog.of(TokenId(99)) is None
    told = [detail for kind, detail in world.recorder.alerts if kind == "markets-failed"]
    assert sum(detail.startswith('markets "memory" (of no distribution), facts: ') for detail in told) == 1
    assert sum(", run_prices: " in detail for detail in told) == 1


async def test_a_position_is_redeemed_when_the_source_says_how_its_question_was_decided(clock: Clock) -> None:
    """Nobody heard it of the chain; within two minutes it is booked at its payout, once."""
    source = MemoryMarkets()
    source.tell(facts(1, slot=1))
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        await buy(world, 1, 1)
        await mine_for(world, 70)
        source.decided = {"0x00": Decided(condition_id="0x00", payouts=(1, 1))}
        condition = source.known[ONE].condition_id
        source.decided[condition] = Decided(condition_id=condition, payouts=(0, 1))
        await mine_for(world, 120)
        assert not service.holder.shards[0].accounts[ALICE].position((LEADER, ONE)).shares
    assert world.recorder.steps.count("redeemed") == 1


async def test_where_money_moves_the_source_decides_nothing(clock: Clock) -> None:
    """It may be wrong, and the chain is asked anyway."""
    source = MemoryMarkets()
    source.tell(facts(1))
    condition = source.known[ONE].condition_id
    source.decided[condition] = Decided(condition_id=condition, payouts=(1, 0))
    plan = plan_for(source)
    (executor,) = plan.executors
    plan = evolve(plan, executors=(evolve(executor, plugin=evolve(executor.plugin, moves_money=True)),))
    async with open_world() as world, running_engine(world, plan) as service:
        await buy(world, 1, 1)
        await mine_for(world, 190)
        assert service.holder.shards[0].accounts[ALICE].position((LEADER, ONE)).shares


async def test_what_a_source_left_out_is_shown_where_people_look(clock: Clock) -> None:
    """By kind in the status, as one figure in the heartbeat that `trio-copy status` reads; kinds without end are one."""

    @asynccontextmanager
    async def open_source(context: MarketsContext) -> AsyncGenerator[Markets, None]:
        for what in ("a book", "a book", *(f"kind {number}" for number in range(100))):
            context.on_left_out(what)
        yield MemoryMarkets()

    plan = plan_for(MemoryMarkets())
    markets = PlannedMarkets(name="venue", plugin=MarketsPlugin(name="odd", open=open_source), settings=NoSettings())
    async with open_world() as world, running_engine(world, evolve(plan, markets=markets)) as service:
        left_out = service.status().left_out
        (instance,) = await service.store.control.instances()

    assert (left_out["a book"], sum(left_out.values()), len(left_out)) == (2, 102, 65)
    assert instance.watches[-1] == Watch(name="left_out", endpoint="venue", light=Light.RED, value=102.0, limit=0.0)
