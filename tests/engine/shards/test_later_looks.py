"""What prices are known while a copy is made, and what its shares were worth by the book a little later."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, NOW, make_signal, make_task
from tests.engine.market_source.test_market_watch import TENTH, book, buy, facts, plan_for
from tests.harness import World, make_test_plan, open_world, running_engine, with_follow_settings
from trio_copy.accounts.sighted import looks_of
from trio_copy.accounts.telling import TaskEnd
from trio_copy.clock import wall_clock_from
from trio_copy.config import PluginTable
from trio_copy.engine.market_source.prices import Prices
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.engine.shards import later_looks
from trio_copy.engine.shards.later_looks import LaterLooks
from trio_copy.engine.shards.stored import told_by
from trio_copy.engine.shards.writing import Batch
from trio_copy.errors import LeaseLost
from trio_copy.model.books import Book, Level, Quote, SeenPrice
from trio_copy.model.facts import Fact, FactQuery
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.settings import NoSettings
from trio_copy.model.sightings import Look, Looks, Sighting
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.ports import Store
from trio_copy.records import read_plain
from trio_copy.testing.markets import MemoryMarkets, memory_markets_plugin
from trio_copy.testing.samples import sample_order

Clock = trio.testing.MockClock
ONE = TokenId(1)
TEN = Shares.parse("10")


def by_book(source: MemoryMarkets, followers: Sequence[str] = ("alice",), **executor: Any) -> Plan:
    """Everybody copies a tenth of the leader's hundred shares, out of the book that a source tells."""
    made = make_test_plan(followers=followers, executor={"price_source": "book", **executor})
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    return evolve(with_follow_settings(made, size=TENTH), markets=planned)


def levels(*prices_and_shares: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(Price.parse(price), Shares.parse(shares)) for price, shares in prices_and_shares)


def quote(bid: str, ask: str) -> Quote:
    return Quote(bid=Price.parse(bid), ask=Price.parse(ask))


def look(notional: str, *, shares: Shares = TEN, by_book: bool = True) -> Look:
    return Look(shares, Usd.parse(notional), by_book)


async def ends(store: Store) -> list[TaskEnd]:
    told = map(told_by, await store.history.facts(FactQuery(kinds=("filled", "ended", "attempt"))))
    return [end for end in told if isinstance(end, TaskEnd)]


async def all_looks(store: Store) -> list[Looks]:
    facts = await store.history.facts(FactQuery(kinds=("looks",)))
    return [looks_of(fact.key, read_plain(fact.body)) for fact in facts]


async def after(store: Store) -> list[tuple[Look | None, ...]]:
    return [looks.after for looks in await all_looks(store)]


async def watched(world: World) -> None:
    """Let a first copy go by, so that the prices of its token are known to the next one."""
    await buy(world, 1, 1)
    await trio.sleep(40)


async def test_the_prices_of_each_moment_are_told_with_the_end(clock: Clock) -> None:
    """At the gate, at the order, at the answer: each is as it was then, whatever came after."""
    source = MemoryMarkets()
    source.move(book(1, "0.47", "0.48"))
    async with open_world() as world, running_engine(world, by_book(source, latency_ms=500)) as service:
        await watched(world)
        world.chain.mine(world.buy(token=1))
        await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 2)
        await trio.sleep(0.2)
        source.move(book(1, "0.48", "0.49"))
        await world.recorder.wait_copies(2)
        second, first = await ends(service.store)
        assert first.sighting is not None
        assert first.sighting.seen is None  # nobody had asked for it before
        before = quote("0.47", "0.48")
        assert second.sighting == Sighting(before, before, quote("0.48", "0.49"))


async def test_the_book_is_looked_at_thrice_after_the_answer(clock: Clock) -> None:
    """Level by level for the filled shares, as it is one, five and thirty seconds later; it is told beside the end."""
    source = MemoryMarkets()
    source.move(book(1, "0.47", "0.48"))
    async with open_world() as world, running_engine(world, by_book(source)) as service:
        await buy(world, 1, 1)
        for asks, pause in ((levels(("0.49", "4"), ("0.5", "100")), 3), ((), 4), (levels(("0.46", "100")), 30)):
            source.move(Book(token_id=ONE, bids=(), asks=asks, at=NOW))
            await trio.sleep(pause)
        (looks,) = await all_looks(service.store)
        assert looks.shares == TEN
        assert looks.after == (look("4.96"), look("0", shares=Shares(0)), look("4.6"))
        (end,) = await ends(service.store)
        (fact,) = await service.store.history.facts(FactQuery(kinds=("looks",)))
        assert (fact.at, fact.task_id, fact.leader) == (end.at, end.task.task_id, LEADER)
        assert service.housekeeping.later_looks is not None
        assert len(service.housekeeping.later_looks) == 0


async def test_an_exit_is_compared_with_what_the_bids_would_have_given(clock: Clock) -> None:
    """Rounded against ourselves, as a sale is."""
    source = MemoryMarkets()
    source.move(book(1, "0.5", "0.51"))
    async with open_world() as world, running_engine(world, by_book(source)) as service:
        await watched(world)
        source.move(Book(token_id=ONE, bids=levels(("0.5", "3.333333"), ("0.499999", "100")), asks=(), at=NOW))
        await trio.sleep(1)
        world.chain.mine(world.buy(token=1, side=Side.SELL))
        await world.recorder.wait_copies(2)
        await trio.sleep(31)
        assert (await after(service.store))[0] == (look("4.999993"),) * 3


async def test_the_copies_of_one_signal_share_the_book_that_is_looked_at(clock: Clock) -> None:
    """Twenty shares wanted, fifteen there: each could have had seven and a half, at the same price, by one question."""
    source = MemoryMarkets()
    source.move(book(1, "0.47", "0.48"))
    async with open_world() as world, running_engine(world, by_book(source, ("alice", "bob"))) as service:
        await buy(world, 1, 2)
        source.move(Book(token_id=ONE, bids=(), asks=levels(("0.48", "10"), ("0.5", "5")), at=NOW))
        await trio.sleep(32)
        half = look("3.65", shares=Shares.parse("7.5"))
        assert await after(service.store) == [(half,) * 3] * 2


async def test_what_was_not_filled_is_looked_at_as_it_was_asked_for(clock: Clock) -> None:
    """A book that is too dear kills the order; a moment later the same shares were to be had."""
    source = MemoryMarkets()
    source.move(book(1, "0.7", "0.8"))
    async with open_world() as world, running_engine(world, by_book(source)) as service:
        world.chain.mine(world.buy(token=1))
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 1)
        source.move(book(1, "0.47", "0.48"))
        await trio.sleep(32)
        (looks,) = await all_looks(service.store)
        assert (looks.shares, looks.after) == (TEN, (look("4.8"),) * 3)


@define(eq=False)
class Fitful(MemoryMarkets):
    """Answers for books late, or not at all, while it tells prices all the time."""

    how: str = ""
    asked_books: list[int] = field(factory=list)
    """Tokens of each call."""

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        self.asked_books.append(len(tokens))
        match self.how:
            case "late":
                await trio.sleep(2)
            case "hangs":
                await trio.sleep_forever()
            case "raises":
                raise ZeroDivisionError("a bug")
            case "others":
                return [book(99, "0.1", "0.2")]
            case "no levels":
                return [evolve(book(1, "0.1", "0.2"), asks=None)]  # type: ignore[arg-type]  # it breaks its contract
            case "below zero":
                return [evolve(book(1, "0.1", "0.2"), asks=(Level(Price(-1), TEN),))]
        return await super().books(tokens)


@pytest.mark.parametrize(
    ("how", "calls"), [("late", 3), ("hangs", 3), ("raises", 2), ("others", 2), ("no levels", 2), ("below zero", 2)]
)
async def test_where_no_book_comes_in_time_the_best_price_has_to_do(clock: Clock, how: str, calls: int) -> None:
    """What comes later is of another moment, and is not taken for this one; and it is said that it is no book."""
    source = Fitful()
    source.move(book(1, "0.47", "0.48"))
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        await watched(world)
        source.how = how
        await buy(world, 1, 2)
        await trio.sleep(45)
        assert (await after(service.store))[0] == (look("4.8", by_book=False),) * 3
        # A source that failed is left alone for a while, by whoever can do without.
        assert len(source.asked_books) == 3 + calls


async def test_what_nobody_knows_is_not_guessed(clock: Clock) -> None:
    """A source that is away: no prices, no looks, and the copy is as good as any."""
    source = MemoryMarkets(away=True)
    async with open_world() as world, running_engine(world, plan_for(source)) as service:
        await buy(world, 1, 1)
        await trio.sleep(40)
        (end,) = await ends(service.store)
        assert end.sighting is None
        assert await all_looks(service.store) == []


async def test_without_a_source_nothing_is_kept(clock: Clock) -> None:
    """Nothing is looked for where nobody could tell."""
    async with open_world() as world, running_engine(world, make_test_plan(followers=("alice",))) as service:
        await buy(world, 1, 1)
        await trio.sleep(40)
        assert service.housekeeping.later_looks is None
        assert [end.sighting for end in await ends(service.store)] == [None]


@define(eq=False)
class Told:
    """Knows best prices and no more, as a devnet's market does."""

    best: Quote | None

    def quote(self, token_id: TokenId) -> Quote | None:
        return self.best


async def test_an_end_writes_down_what_was_seen_by_then(clock: Clock) -> None:
    """A drain waits for no look: two of three were taken, the third is not known."""
    async with open_world() as world:
        world.quotes = Told(quote("0.47", "0.48"))
        async with running_engine(world, make_test_plan(followers=("alice",))) as service:
            await buy(world, 1, 1)
            await trio.sleep(8)
            began = trio.current_time()
            service.drain()
            await trio.lowlevel.checkpoint()
            store = service.store
        assert trio.current_time() - began < 5
        seen = look("4.8", by_book=False)
        assert await after(store) == [(seen, seen, None)]


async def test_many_at_once_are_looked_at_by_one_question(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over the bound is counted; nothing of it is on the way of a copy, and nothing is left behind."""
    monkeypatch.setattr(later_looks, "_MOST", 150)
    source = Fitful()
    source.move(book(1, "0.47", "0.48"))
    followers = tuple(f"user-{number}" for number in range(200))
    plan = evolve(plan_for(source), settings=make_test_plan(followers=followers).settings)
    async with open_world() as world, running_engine(world, plan) as service:
        await buy(world, 1, 200)
        await trio.sleep(40)
        later = service.housekeeping.later_looks
        assert later is not None
        assert (later.refused, len(later)) == (50, 0)
        assert [kind for kind, _ in world.recorder.alerts].count("looks-refused") == 1
        assert source.asked_books == [1, 1, 1]
        part = look("3.2", shares=Shares.parse("6.666666"))  # of the thousand shares that are there for all of them
        assert await after(service.store) == [(part,) * 3] * 150


async def test_a_crash_costs_what_was_not_looked_at_yet(clock: Clock, tmp_path: Path) -> None:
    """The copy and its prices are in the books; the looks are unknown, and those after it are taken as ever."""
    table = PluginTable(name="sqlite", plugin="sqlite", options={"path": str(tmp_path / "books.db")})
    plan = make_test_plan(followers=("alice",), store=table)
    best = quote("0.47", "0.48")
    async with open_world() as world:
        world.quotes = Told(best)
        async with open_service(plan, world.seams(), world.endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await buy(world, 1, 1)
            await trio.sleep(3)
            nursery.cancel_scope.cancel()
        async with running_engine(world, plan) as service:
            assert await all_looks(service.store) == []
            await buy(world, 1, 2)
            await trio.sleep(40)
            assert [end.sighting for end in await ends(service.store)] == [Sighting(best, best, best)] * 2
            assert len(await all_looks(service.store)) == 1


async def test_a_machine_that_slept_has_not_looked(clock: Clock, nursery: trio.Nursery) -> None:
    """What is due after five seconds by a clock that stood still for an hour is not what the book was after five seconds."""
    slept = 0.0
    asked = Told(quote("0.47", "0.48"))
    later = LaterLooks(quotes=asked, asks=None, wall=lambda: NOW + trio.current_time() + slept)
    nursery.start_soon(later.run)
    task, kept = make_task(make_signal(1)), Kept()
    later.want(sample_order(task), task, TEN, NOW, kept)  # type: ignore[arg-type]  # as much of a writer as is needed
    await trio.sleep(2)
    slept = 3600.0
    await trio.sleep(40)
    (fact,) = kept.facts
    assert looks_of(fact.key, read_plain(fact.body)).after == (look("4.8", by_book=False), None, None)


async def test_each_order_is_looked_at_in_its_own_time(clock: Clock, nursery: trio.Nursery) -> None:
    """Whatever else waits for its last look: a second after each answer, not when the one before it is due."""
    asked = Told(quote("0.47", "0.48"))
    later = LaterLooks(quotes=asked, asks=None, wall=wall_clock_from(NOW))
    nursery.start_soon(later.run)
    kept: Any = Kept()
    for number in (1, 2, 3):
        task = make_task(make_signal(number))
        later.want(sample_order(task), task, TEN, NOW + trio.current_time(), kept)
        await trio.sleep(2)
        asked.best = quote("0.47", f"0.5{number}")
        await trio.sleep(5)
    await trio.sleep(40)
    looks = [looks_of(fact.key, read_plain(fact.body)).after[0] for fact in kept.facts]
    assert looks == [look(usd, by_book=False) for usd in ("4.8", "5.1", "5.2")]


@define(eq=False)
class Kept:
    """Keeps what is written."""

    open: Batch = field(factory=Batch)
    facts: list[Fact] = field(factory=list)

    def tell(self) -> None:
        self.open, batch = Batch(), self.open
        self.facts += batch.facts
        batch.end(None)


@define(eq=False)
class Gone:
    """Writes for a shard that somebody else owns by now."""

    open: Batch = field(factory=Batch)

    def tell(self) -> None:
        self.open, batch = Batch(), self.open
        batch.end(LeaseLost("it is somebody else's"))


async def test_what_belongs_to_somebody_else_by_now_is_dropped(clock: Clock, nursery: trio.Nursery) -> None:
    """Looks for a shard that was handed over or lost end nothing, and others are told."""
    later = LaterLooks(quotes=Told(quote("0.47", "0.48")), asks=None, wall=wall_clock_from(NOW))
    nursery.start_soon(later.run)
    task = make_task(make_signal(1))
    gone: Any = Gone()
    for _ in range(2):
        later.want(sample_order(task), task, TEN, NOW, gone)
        await trio.sleep(40)
        assert len(later) == 0


async def test_an_answer_that_was_proven_later_is_not_looked_at(clock: Clock) -> None:
    """It was filled long before: what the book is now says nothing about it, and neither does the price."""
    best = quote("0.47", "0.48")
    async with open_world() as world:
        world.quotes = Told(best)
        plan = make_test_plan(followers=("alice",), executor={"faults": ["lose-reply"]})
        async with running_engine(world, plan) as service:
            await buy(world, 1, 1)
            await trio.sleep(40)
            assert [end.sighting for end in await ends(service.store)] == [Sighting(best, best, None)]
            assert await all_looks(service.store) == []


async def test_a_reverse_copy_is_told_with_the_prices_of_its_own_token(clock: Clock) -> None:
    """The leader's is another one; the source is asked for the price of this one as soon as it is wanted."""
    source = MemoryMarkets()
    two = TokenId(2)
    source.tell(facts(1, opposite=two), facts(2, opposite=ONE))
    source.move(book(1, "0.47", "0.48"), book(2, "0.51", "0.52"))
    plan = plan_for(source, size=evolve(TENTH, direction="reverse"))
    async with open_world() as world:
        world.catalog.put(list(source.known.values()))
        async with running_engine(world, plan) as service:
            await buy(world, 1, 1)
            await trio.sleep(1)
            await buy(world, 1, 2)
            await trio.sleep(40)
            second, first = await ends(service.store)
            best = quote("0.51", "0.52")
            assert first.task.intent.token_id == two
            assert second.sighting == Sighting(best, best, best)
            assert (await after(service.store))[0] == (look("5.2"),) * 3


def test_what_is_no_price_is_not_kept() -> None:
    """A source is somebody else's code: what it sends is looked at before it is written into the books of a copy."""
    prices = Prices()
    prices.want({ONE})
    best = quote("0.47", "0.48")
    odd: list[Any] = [None, "0.5", Quote(bid=0.5, ask=None), Quote(bid=None, ask="0.5")]  # type: ignore[arg-type]
    for said in odd:
        prices.take(SeenPrice(token_id=ONE, quote=said, at=NOW))
    prices.take(SeenPrice(token_id="1", quote=best, at=NOW))  # type: ignore[arg-type]
    assert prices.quote(ONE) is None
    prices.take(SeenPrice(token_id=ONE, quote=best, at=NOW))
    assert prices.quote(ONE) == best
