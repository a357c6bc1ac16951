"""The first trade in a question that nobody here has seen: who waits for what, for how long, and who does not."""

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, NOW, make_signal
from tests.engine.market_source.test_market_watch import TENTH, book, facts
from tests.harness import Recorder, World, make_test_plan, open_world, running_engine
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.copying.decide import judge
from trio_copy.engine.gate import undecided
from trio_copy.engine.gate.undecided import Undecided
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.engine.shards.progress import Progress
from trio_copy.errors import LeaseLost, MarketsUnavailable
from trio_copy.model.books import Book, Level, PricesLost, SeenPrice
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.decisions import Code, End
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps, Execution, Filters, FollowSettings
from trio_copy.model.follows import Terms
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.settings import NoSettings
from trio_copy.model.signals import Signal
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.testing.markets import MemoryMarkets, memory_markets_plugin

Clock = trio.testing.MockClock
ONE, TWO = TokenId(1), TokenId(2)
TOLD_S = 0.3
BY_ARITHMETIC = {"price_source": "leader"}
"""A venue by a book waits for facts by itself: here it is seen who waits before."""
RAIN = facts(1, question="Rain tomorrow?", event="week", category="weather", opposite=TWO, ends_at=2e9)
WET: dict[str, Any] = {"filters": Filters(keyword_allow=frozenset({"rain"}))}
REVERSE = evolve(TENTH, direction="reverse")


@define(eq=False)
class Timed(MemoryMarkets):
    """Tells facts, and that it does not know them, after a while."""

    facts_s: float = TOLD_S
    prices: bool = True

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        await trio.sleep(self.facts_s)
        return await super().facts(tokens)

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        if not self.prices:
            raise MarketsUnavailable("no prices here")
        await super().run_prices(tokens, send)


def told() -> Timed:
    source = Timed()
    source.tell(RAIN, evolve(RAIN, token_id=TWO, opposite=ONE))
    source.move(book(1, "0.49", "0.50"), book(2, "0.49", "0.50"))
    return source


def two_follow(source: MemoryMarkets, settings: dict[str, Any], **tables: Any) -> Plan:
    """Alice's settings need what is not known; Bob's need nothing."""
    plan = make_test_plan(executor=BY_ARITHMETIC, **tables)
    alice, bob = (evolve(table, size=TENTH) for table in plan.settings.follow)
    plan = evolve(plan, settings=evolve(plan.settings, follow=(evolve(alice, **settings), bob)))
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    return evolve(plan, markets=planned)


@define(eq=False)
class Seen:
    """What came of one trade, and how many seconds after it was seen."""

    bob_s: float
    alice_s: float
    alice: str
    """The token that was bought, or the reason and its control."""


async def first_trade(world: World, token: int = 1) -> Seen:
    """Let the leader buy a token, and wait for what both make of it."""
    recorder, began = world.recorder, trio.current_time()
    recorder.finished.clear()
    recorder.skips.clear()
    world.chain.mine(world.buy(token=token))
    await recorder.wait_until(lambda: any(one.task.follower == "bob" for one in recorder.finished))
    bob_s = trio.current_time() - began
    await recorder.wait_until(lambda: len(recorder.finished) + len(recorder.skips) == 2)
    reasons = [one.outcome.reason for one in recorder.finished] + [skip.reason for skip in recorder.skips]
    refused = [f"{reason.code.name} {reason.control} {reason.value}" for reason in reasons if reason is not None]
    bought = [str(one.task.intent.token_id) for one in recorder.finished if one.task.follower == "alice"]
    return Seen(bob_s, trio.current_time() - began, (refused or bought)[0])


DEPTH: dict[str, Any] = {"filters": Filters(min_depth_usd=Usd.parse(100))}
SPREAD: dict[str, Any] = {"filters": Filters(max_spread_bps=500)}
NEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "keyword": (WET, "1"),
    "an unwanted word": ({"filters": Filters(keyword_deny=frozenset({"snow"}))}, "1"),
    "question": ({"filters": Filters(condition_allow=frozenset({RAIN.condition_id}))}, "1"),
    "category": ({"filters": Filters(category_allow=frozenset({"weather"}))}, "1"),
    "expiry": ({"filters": Filters(min_hours_to_end=1.0)}, "1"),
    "reverse": ({"size": REVERSE}, "2"),
    "one entry": ({"filters": Filters(entry="first")}, "1"),
    "cap of a question": ({"caps": Caps(max_market_usd=Usd.parse(50))}, "1"),
    "cap of an event": ({"caps": Caps(max_event_usd=Usd.parse(50))}, "1"),
    "depth": (DEPTH, "1"),
    "spread": (SPREAD, "1"),
    "too good": ({"execution": Execution(too_good_bps=500)}, "1"),
    "spread of the other token": ({"size": REVERSE, **SPREAD}, "2"),
}


@pytest.mark.parametrize("need", NEEDS)
async def test_a_first_trade_is_copied_once_its_facts_are_known(clock: Clock, need: str) -> None:
    """In some tenths of a second; who needs nothing goes on at once. The token is asked about once for both."""
    settings, bought = NEEDS[need]
    source = told()
    async with open_world() as world, running_engine(world, two_follow(source, settings)):
        seen = await first_trade(world)
        assert seen.alice == bought
        assert seen.bob_s < 0.1
        assert seen.alice_s < TOLD_S + 0.1
        await trio.sleep(1)
        assert [asked for asked in source.asked if ONE in asked] == [(ONE,)]
        # Told once, when all of it was decided.
        assert world.recorder.admissions == ["admitted"]


THIN = Book(token_id=ONE, bids=(), asks=(Level(Price.parse("0.5"), Shares.parse("10")),), at=0.0)
UNWANTED: dict[str, tuple[dict[str, Any], Any, str]] = {
    "another word": ({"filters": Filters(keyword_allow=frozenset({"sun"}))}, None, "KEYWORD_NOT_ALLOWED"),
    "ends too late": ({"filters": Filters(max_days_to_end=1.0)}, None, "ENDS_TOO_LATE"),
    "too thin": (DEPTH, THIN, "BOOK_TOO_THIN filters.min_depth_usd 5"),
    "too wide": (SPREAD, book(1, "0.40", "0.50"), "SPREAD_TOO_WIDE filters.max_spread_bps 2000"),
    "one side": (SPREAD, THIN, "SPREAD_TOO_WIDE filters.max_spread_bps unknown"),
    "too good": ({"execution": Execution(too_good_bps=500)}, book(1, "0.30", "0.40"), "PRICE_TOO_GOOD"),
}


@pytest.mark.parametrize("case", UNWANTED)
async def test_a_first_trade_is_refused_for_what_the_source_says(clock: Clock, case: str) -> None:
    """And not because it said nothing."""
    settings, standing, reason = UNWANTED[case]
    source = told()
    if standing is not None:
        source.move(standing)
    async with open_world() as world, running_engine(world, two_follow(source, settings)):
        seen = await first_trade(world)
        assert seen.alice.startswith(reason)
        assert seen.alice_s < TOLD_S + 0.1


@define(eq=False)
class Lying(Timed):
    """Tells of other tokens."""

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        await trio.sleep(self.facts_s)
        return [facts(99, question="Rain?")]


def nothing_known() -> Timed:
    return Timed()


SOURCES: dict[str, tuple[Any, float]] = {
    # And how long a first trade waits for it.
    "slow": (lambda: Timed(facts_s=5.0, known={ONE: RAIN}), 2.0),
    "hangs": (lambda: Timed(facts_s=1e9, known={ONE: RAIN}), 2.0),
    "says that it does not know": (nothing_known, TOLD_S),
    "lies": (Lying, TOLD_S),
    "away": (lambda: Timed(away=True, facts_s=0.0), 0.0),
}


@pytest.mark.parametrize("case", SOURCES)
async def test_what_is_not_told_is_skipped_with_its_reason_and_holds_nobody_up(clock: Clock, case: str) -> None:
    """Two seconds at most, once: the next trade does not wait for what was waited for in vain."""
    make, waits_s = SOURCES[case]
    async with open_world() as world, running_engine(world, two_follow(make(), WET)):
        seen = await first_trade(world)
        assert seen.alice == "MARKET_UNKNOWN filters.keyword_allow unknown"
        assert seen.bob_s < 0.1
        assert waits_s <= seen.alice_s < waits_s + 0.1
        again = await first_trade(world)
        assert max(again.alice_s, again.bob_s) < 0.1


@pytest.mark.parametrize("case", ["none", "no such token", "lost"])
async def test_prices_that_are_not_told_are_unknown(clock: Clock, case: str) -> None:
    """A source without prices, or that has lost them, is not waited for; one that may tell them, once."""
    source = told()
    source.prices = case != "none"
    if case == "no such token":
        source.standing.clear()
    async with open_world() as world, running_engine(world, two_follow(source, SPREAD)) as service:
        if case == "lost":
            watch = service.housekeeping.market_watch
            assert watch is not None
            watch.tokens.note(ONE)
            await trio.sleep(1)
            source.go(away=True)
            await trio.sleep(1)
        seen = await first_trade(world)
        assert seen.alice == "SPREAD_TOO_WIDE filters.max_spread_bps unknown"
        assert (seen.alice_s > 1.9) is (case == "no such token")
        assert seen.alice_s < 2.1
        assert (await first_trade(world)).alice_s < 0.1


@pytest.mark.parametrize(
    ("engine", "settings"),
    [
        ({"deadline_s": 1.0}, {}),
        ({}, {"execution": Execution(deadline_s=1.0)}),
        ({}, {"filters": evolve(WET["filters"], max_age_s=1.0)}),
    ],
)
async def test_nobody_waits_until_it_is_too_late(
    clock: Clock, engine: dict[str, Any], settings: dict[str, Any]
) -> None:
    """The reason is what was missing, not that time has passed."""
    plan = two_follow(Timed(facts_s=1e9), {**WET, **settings}, engine=engine)
    async with open_world() as world, running_engine(world, plan):
        seen = await first_trade(world)
        assert seen.alice == "MARKET_UNKNOWN filters.keyword_allow unknown"
        assert 0.5 < seen.alice_s < 1.0


async def test_what_is_refused_anyway_does_not_wait(clock: Clock) -> None:
    """Facts would change nothing."""
    dear = {"filters": evolve(WET["filters"], price_max=Price.parse("0.1"))}
    async with open_world() as world, running_engine(world, two_follow(Timed(facts_s=1e9), dear)):
        seen = await first_trade(world)
        assert seen.alice.startswith("PRICE_TOO_HIGH")
        assert seen.alice_s < 0.1


@pytest.mark.parametrize(("sold", "copied"), [(100, False), (40, False)])
async def test_an_exit_goes_before_what_waits(clock: Clock, sold: int, copied: bool) -> None:
    """His entry is decided by what is known, which is nothing; nothing is bought after he has left."""
    async with open_world() as world, running_engine(world, two_follow(told(), WET)):
        recorder = world.recorder
        world.chain.mine(world.buy())
        await trio.sleep(0.1)
        began = trio.current_time()
        world.chain.mine(world.buy(side=Side.SELL, shares=sold))
        await recorder.wait_until(lambda: len(recorder.finished) == 3)
        assert trio.current_time() - began < 0.1
        await trio.sleep(5)
        assert [(one.reason.code, one.follower) for one in recorder.skips] == [(Code.MARKET_UNKNOWN, "alice")]
        ends = [(one.task.follower, one.task.signal.side.name, one.outcome.end) for one in recorder.finished]
        assert sorted(ends) == [
            ("alice", "SELL", End.DENIED),
            ("bob", "BUY", End.FILLED),
            ("bob", "SELL", End.FILLED),
        ]  # fmt: skip


async def test_an_exit_that_needs_the_facts_itself_comes_behind_its_entry(clock: Clock) -> None:
    """Who bets against his leader does not know yet what to sell. Decided one after the other, the exit calls the entry off."""
    async with open_world() as world, running_engine(world, two_follow(told(), {"size": REVERSE})):
        recorder = world.recorder
        world.chain.mine(world.buy())
        await trio.sleep(0.1)
        world.chain.mine(world.buy(side=Side.SELL))
        await recorder.wait_until(lambda: len(recorder.finished) == 4)
        ends = {one.task.signal.side: one.outcome for one in recorder.finished if one.task.follower == "alice"}
        reasons = [(side, outcome.reason.code) for side, outcome in ends.items() if outcome.reason is not None]
        assert sorted(reasons, key=str) == [(Side.BUY, Code.LEADER_LEFT), (Side.SELL, Code.LEADER_LEFT)]
        assert not recorder.skips


async def test_what_a_reorg_took_back_meanwhile_is_not_bought(clock: Clock) -> None:
    """Decided, it is suspended like all that is not placed; mined again, it goes on."""
    async with open_world() as world, running_engine(world, two_follow(told(), WET)):
        recorder = world.recorder
        trade = world.buy()
        world.chain.mine(trade)
        await trio.sleep(0.1)
        world.chain.reorg(1, [[], []])
        await recorder.wait_until(lambda: len(recorder.retracted) == 1)
        await trio.sleep(1)
        assert [one.task.follower for one in recorder.finished] == ["bob"]
        world.chain.mine(trade)
        await recorder.wait_until(lambda: len(recorder.finished) == 2)
        assert recorder.finished[-1].outcome.end is End.FILLED
        assert recorder.admissions.count("admitted") == 1


async def test_the_checkpoint_waits_for_what_is_undecided(clock: Clock) -> None:
    """A crash meanwhile lets the next run meet the trade again."""
    source = Timed(facts_s=1.5, known={ONE: RAIN})
    async with open_world() as world, running_engine(world, two_follow(source, WET)) as service:
        world.chain.mine(world.buy())
        for _ in range(2):
            world.chain.mine()
        await trio.sleep(1)
        traded = world.recorder.fills[0].block_number
        shard = service.holder.shards[0]
        assert service.status().queued == 1
        assert shard.checkpoint is not None
        assert shard.checkpoint.number < traded
        await world.recorder.wait_copies(2)
        await trio.sleep(1)
        assert shard.checkpoint.number > traded
        assert service.status().queued == 0


async def test_a_drain_decides_by_what_is_known(clock: Clock) -> None:
    """It does not wait for a source, and nothing is left without an end."""
    async with open_world() as world:
        async with running_engine(world, two_follow(Timed(facts_s=1e9), WET)) as service:
            world.chain.mine(world.buy())
            await trio.sleep(0.1)
            assert not world.recorder.skips
            began = trio.current_time()
            service.drain()
            await world.recorder.wait_until(lambda: bool(world.recorder.skips))
            assert trio.current_time() - began < 0.1
        assert [one.reason.code for one in world.recorder.skips] == [Code.MARKET_UNKNOWN]


async def test_a_cap_of_a_question_counts_a_first_trade_in_its_other_token(clock: Clock) -> None:
    """By the time it is placed, both are known to be of one question."""
    caps = {"caps": Caps(max_market_usd=Usd.parse(8))}
    async with open_world() as world, running_engine(world, two_follow(told(), caps)):
        assert (await first_trade(world)).alice == "1"
        assert (await first_trade(world, token=2)).alice.startswith("CAP_REACHED caps.max_market_usd")


def test_the_same_inputs_give_the_same_decision() -> None:
    """However long the facts took: the task is a pure function of the signal, the settings and what was told."""

    async def play(facts_s: float) -> tuple[Any, Any]:
        source = told()
        source.facts_s = facts_s
        async with open_world() as world, running_engine(world, two_follow(source, {"size": REVERSE, **SPREAD})):
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            task = world.recorder.finished[-1].task
            return task.key, task.intent

    played = [trio.run(play, wait, clock=trio.testing.MockClock(autojump_threshold=0)) for wait in (0.1, 0.1, 0.7)]
    assert played[0] == played[1] == played[2]


async def test_many_who_wait_are_decided_in_one_go(clock: Clock) -> None:
    """Follows with equal settings are one decision, however many they are."""
    names = tuple(f"follower-{number}" for number in range(100))
    source = told()
    plan = make_test_plan(followers=names, executor=BY_ARITHMETIC)
    follow = tuple(evolve(table, size=TENTH, **WET) for table in plan.settings.follow)
    planned = PlannedMarkets(name="memory", plugin=memory_markets_plugin(source), settings=NoSettings())
    plan = evolve(plan, settings=evolve(plan.settings, follow=follow), markets=planned)
    async with open_world() as world, running_engine(world, plan) as service:
        world.chain.mine(world.buy(shares=1))
        await trio.sleep(0.1)
        assert service.status().queued == 1
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == len(names))
        assert source.asked == [(ONE,)]


async def test_an_account_that_was_let_go_meanwhile_is_read_again(clock: Clock) -> None:
    """One that nothing else happened to does not have to be at hand while a follow of it waits."""
    async with open_world() as world, running_engine(world, two_follow(told(), WET)) as service:
        world.chain.mine(world.buy())
        await trio.sleep(0.1)
        hand = service.holder.shards[0].at_hand
        for _ in range(2):
            hand.drop_idle((), NOW)
        assert "alice" not in hand.accounts
        await world.recorder.wait_copies(2)


@define(eq=False)
class FakeShard:
    """Counts what is held back of it, and may be lost."""

    progress: Progress = field(factory=Progress)
    writer: Any = field(factory=lambda: SimpleNamespace(tell=lambda: None))
    met: Any = field(factory=lambda: SimpleNamespace(is_retracted=lambda signal: False))
    accounts: Collection[FollowerId] = (FollowerId("alice"), FollowerId("bob"))
    """At hand."""
    lost: bool = False

    def is_read(self) -> bool:
        return not self.lost

    async def load(self, followers: Sequence[FollowerId]) -> None:
        await trio.lowlevel.checkpoint()
        if self.lost:
            raise LeaseLost("somebody else's")

    def lose(self, error: LeaseLost) -> None:
        assert self.lost


def waiting_room(decided: list[str], wall: WallClock) -> Undecided:
    """One that nobody tells anything."""
    catalog = Catalog()

    def decide(shard: Any, signal: Signal, follows: Sequence[Terms]) -> int:
        decided.extend(terms.follower for terms in follows)
        return len(follows)

    deciding: Any = SimpleNamespace(
        judge=lambda signal, settings: judge(signal, settings, catalog, NOW, None),
        decide=decide,
        behind_s=lambda: 0.0,
    )
    tokens: Any = SimpleNamespace(may_tell_facts=lambda token: True, note=lambda token: None)
    return Undecided(
        deciding=deciding,
        catalog=catalog,
        quote=None,
        tokens=tokens,
        observer=Recorder(),
        wall=wall,
        deadline_s=5.0,
    )


def terms_of(*names: str) -> list[Terms]:
    """Each with settings of his own."""
    return [Terms(FollowerId(name), FollowSettings(filters=evolve(WET["filters"]))) for name in names]


@pytest.mark.parametrize("lost", [False, True])
async def test_what_waits_of_a_lost_shard_is_left_to_its_next_owner(clock: Clock, lost: bool) -> None:
    """Nothing of it is decided here, nothing of it is waited for, and no checkpoint passes it."""
    decided: list[str] = []
    shard: Any = FakeShard()
    room = waiting_room(decided, wall_clock_from(NOW))
    assert room.keep_back(shard, make_signal(), terms_of("alice", "bob")) == []
    assert (len(room), shard.progress.waiting) == (2, 2)
    assert room.owes(make_signal(), 0) is None
    shard.lost = lost
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert decided == ([] if lost else ["alice", "bob"])
    assert (len(room), shard.progress.waiting) == (0, 2 if lost else 0)
    recorder: Any = room.observer
    assert recorder.admissions == ["admitted"]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, decisions are made at once by what is known."""
    monkeypatch.setattr(undecided, "_PARTS_MOST", 2)
    shard: Any = FakeShard()
    room = waiting_room([], lambda: NOW)
    room.keep_back(shard, make_signal(1), terms_of("alice", "bob"))
    late = terms_of("carol", "dave")
    assert room.keep_back(shard, make_signal(2), late) == late


async def test_nothing_is_bought_after_he_has_left_however_much_is_lacking(clock: Clock) -> None:
    """Who bets against him lacks the price of the other token once the facts are there; his exit lacks the facts alone."""
    source = Timed()
    source.tell(RAIN, evolve(RAIN, token_id=TWO, opposite=ONE))
    source.move(book(1, "0.49", "0.50"))
    plan = two_follow(source, {"size": REVERSE, **SPREAD})
    async with open_world() as world, running_engine(world, plan) as service:
        world.chain.mine(world.buy())
        await trio.sleep(0.1)
        world.chain.mine(world.buy(side=Side.SELL))
        await trio.sleep(0.9)
        source.move(book(2, "0.49", "0.50"))
        await trio.sleep(5)
        assert not service.holder.shards[0].accounts[FollowerId("alice")].position((LEADER, TWO)).shares


async def test_what_is_undecided_of_a_shard_that_is_given_away_is_met_by_its_next_owner(clock: Clock) -> None:
    """It is not decided here any more, and the checkpoint stays before it."""
    source = Timed(facts_s=1.5, known={ONE: RAIN})
    async with open_world() as world, running_engine(world, two_follow(source, WET)) as service:
        world.chain.mine(world.buy())
        world.chain.mine()
        await trio.sleep(0.5)
        shard, traded = service.holder.shards[0], world.recorder.fills[0].block_number
        service.holder.hand_over(0)
        await trio.sleep(3)
        assert not [one for one in world.recorder.finished if one.task.follower == "alice"]
        assert shard.checkpoint is not None
        assert shard.checkpoint.number < traded
