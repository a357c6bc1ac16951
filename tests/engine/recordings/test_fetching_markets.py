"""What markets said in the past, between the fills of a recording that is fetched; and what a backtest makes of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.builders import LEADER, NOW, POLYGON
from tests.chain.test_resolutions import CANARY, of_event
from tests.harness import World, make_test_plan, open_world, with_follow_settings
from tests.market_day import run_past
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder, OrderFilledSettings
from trio_copy.chain.decoders.resolutions import (
    BINARY_MODULE,
    CONDITIONAL_TOKENS,
    RESOLUTION_TOPIC,
    RESOLVED_TOPIC,
    ResolutionDecoder,
)
from trio_copy.chain.feed import SeenLog
from trio_copy.config import ChainSettings
from trio_copy.engine.recordings.fetching import FetchWorld, History, Read, fetch_history
from trio_copy.engine.recordings.recorded_lines import Moment
from trio_copy.engine.recordings.recording import read_recording
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ConfigError, MarketsUnavailable, leaves_of
from trio_copy.model.books import PastPrice, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Filters, Leaving, Sizing
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import MICRO, NO_USD, Price, Ratio
from trio_copy.ports import Decoder, Markets
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.chain import DevLog, fake_hash
from trio_copy.testing.devnet.encode import module_resolution_log
from trio_copy.testing.markets import MemoryMarkets

Clock = trio.testing.MockClock
BLOCK_S, BLOCKS, WINDOW = 2.0, 400, 8
ONE, TWO, THREE, OTHER, NOBODYS = (TokenId(number) for number in (1, 2, 3, 101, 4))
BOUGHT, DECIDED = 30, 200


def condition(token: int) -> str:
    return str(fake_hash("condition", token))


def time_of(block: int) -> float:
    return NOW + block * BLOCK_S


def resolution(condition_id: str, payouts: Sequence[int]) -> DevTx:
    """The chain's word on a question."""
    words = (len(payouts), 64, len(payouts), *payouts)
    log = DevLog(
        address=CONDITIONAL_TOKENS,
        topics=(RESOLUTION_TOPIC, condition_id, "0x" + "0" * 64, "0x" + "0" * 64),
        data=b"".join(word.to_bytes(32, "big") for word in words),
    )
    return DevTx(tx_hash=fake_hash("resolution", condition_id), logs=(log,))


async def mine_history(world: World) -> None:
    """The leader buys four tokens; one question is decided on the chain, and one that nobody here trades."""
    for number in range(1, BLOCKS + 1):
        await trio.sleep(BLOCK_S)
        trades = [world.buy(token=token) for token in (ONE, TWO, THREE, NOBODYS)] if number == BOUGHT else []
        if number == DECIDED:
            trades += [resolution(condition(TWO), (1, 0)), resolution(condition(77), (1, 0))]
        world.chain.mine(*trades)


def venue() -> MemoryMarkets:
    """It knows three of the tokens; one rises from 50 to 80 cents in five minutes, and what it had for long is no news."""
    source = MemoryMarkets()
    for token in (ONE, TWO, THREE):
        source.tell(TokenFacts(token_id=token, condition_id=condition(token), question=f"{token}?", opposite=None))
    source.tell(evolve(source.known[ONE], opposite=OTHER))
    source.tell(TokenFacts(token_id=OTHER, condition_id=condition(ONE), slot=1, opposite=ONE))
    prices = ["0.5", "0.5", "0.5", "0.55", "0.62", "0.7", "0.8", "0.8"]
    source.past[ONE] = [PastPrice(NOW + 60.0 * number, Price.parse(text)) for number, text in enumerate(prices)]
    source.past[TWO] = [PastPrice(NOW + 60.0, Price.parse("0.4"))]
    source.decided[condition(THREE)] = Decided(condition_id=condition(THREE), payouts=(0, 1))
    return source


async def fetched(world: World, path: Path, source: Markets | None, **changes: Any) -> Read:
    history = History(
        path=path,
        leaders=[LEADER],
        since=time_of(10),
        until=None,
        endpoints=world.endpoints,
        chain=ChainSettings(chain_id=POLYGON, window_blocks=WINDOW, max_range_blocks=50),
        decoders=[OrderFilledDecoder(frozenset(OrderFilledSettings().exchanges))],
        markets="" if source is None else "memory",
    )
    seams = FetchWorld(dial=world.dial, wall=world.wall, entropy=seeded_entropy(1), markets=source)
    return await fetch_history(evolve(history, **changes), seams)


def moments(path: Path) -> list[Moment]:
    return list(read_recording(path)[1])


async def test_what_markets_said_stands_where_it_belongs(clock: Clock, tmp_path: Path) -> None:
    """Facts before the first trade, prices as they changed, decisions at their block, or at the end where nobody knows when."""
    path = tmp_path / "past.rec"
    async with open_world() as world:
        await mine_history(world)
        read = await fetched(world, path, venue())
    found = moments(path)
    assert [moment.at for moment in found] == sorted(moment.at for moment in found)
    facts = {moment.seen.token_id: moment.at for moment in found if isinstance(moment.seen, TokenFacts)}
    assert facts.keys() == {ONE, TWO, THREE, OTHER}
    assert {facts[token] for token in (ONE, TWO, THREE)} == {time_of(BOUGHT)}
    prices = [
        (moment.at - NOW, str(moment.seen.quote.price))
        for moment in found
        if isinstance(moment.seen, SeenPrice) and moment.seen.token_id == ONE
    ]
    assert prices == [(60, "0.5"), (180, "0.55"), (240, "0.62"), (300, "0.7"), (360, "0.8")]
    decided = [(moment.at, moment.seen.condition_id) for moment in found if isinstance(moment.seen, Decided)]
    assert decided == [(time_of(DECIDED), condition(TWO)), (time_of(BLOCKS - WINDOW), condition(THREE))]
    assert read.unknown == 1


@pytest.mark.parametrize("reads", ["all decisions", "those of conditional tokens", "none"])
async def test_decisions_of_protocol_v2_stand_at_their_block(clock: Clock, tmp_path: Path, reads: str) -> None:
    """Of a question that was traded, and of those that are decided by another one of their event; its log is kept for who reads it."""
    traded = [of_event(0), of_event(1), CANARY]
    tokens = [TokenId(int(one, 16)) for one in traded]
    source, path = MemoryMarkets(), tmp_path / "past.rec"
    for token, name in zip(tokens, traded, strict=True):
        source.tell(TokenFacts(token_id=token, condition_id=name, question="?", opposite=None))
    came_true, alone, nobodys = (
        module_resolution_log(module=BINARY_MODULE, condition_id=name, payouts=payouts)
        for name, payouts in ((of_event(2), (MICRO, 0)), (CANARY, (0, MICRO)), (of_event(2, "cd"), (MICRO, 0)))
    )
    readers: dict[str, list[Decoder]] = {
        "all decisions": [ResolutionDecoder(frozenset({CONDITIONAL_TOKENS}), frozenset({BINARY_MODULE}))],
        "those of conditional tokens": [ResolutionDecoder(frozenset({CONDITIONAL_TOKENS}))],
        "none": [],
    }
    trades: list[Decoder] = [OrderFilledDecoder(frozenset(OrderFilledSettings().exchanges))]
    async with open_world() as world:
        for number in range(1, 100):
            await trio.sleep(BLOCK_S)
            mined = [world.buy(token=token) for token in tokens] if number == BOUGHT else []
            decided = [one for block, one in ((50, came_true), (60, alone), (70, nobodys)) if block == number]
            mined += [DevTx(tx_hash=fake_hash("decided", number), logs=(one,)) for one in decided]
            world.chain.mine(*mined)
        await fetched(world, path, source, decoders=trades + readers[reads])
    told = [(one.at, one.seen) for one in moments(path) if isinstance(one.seen, Decided)]
    assert [(at, one.condition_id, one.payouts) for at, one in told] == [
        (time_of(50), of_event(0), (0, MICRO)),
        (time_of(50), of_event(1), (0, MICRO)),
        (time_of(60), CANARY, (0, MICRO)),
    ]
    logs = [one.seen.log for one in moments(path) if isinstance(one.seen, SeenLog)]
    kept = [log.block_number for log in logs if log.topics[0] == RESOLVED_TOPIC]
    assert kept == ([50, 60] if reads == "all decisions" else [])


@pytest.mark.parametrize("facts", ["none", "in other words"])
async def test_a_token_of_protocol_v2_is_decided_whatever_the_source_says_of_it(
    clock: Clock, tmp_path: Path, facts: str
) -> None:
    """Its own name says which question it answers, for a backtest as for an engine."""
    source, path, token = MemoryMarkets(), tmp_path / "past.rec", TokenId(int(CANARY, 16))
    if facts != "none":
        source.tell(TokenFacts(token_id=token, condition_id=CANARY[:-2], question="?", opposite=None))
    said = module_resolution_log(module=BINARY_MODULE, condition_id=CANARY, payouts=(0, MICRO))
    async with open_world() as world:
        for number in range(1, 100):
            await trio.sleep(BLOCK_S)
            mined = [world.buy(token=token)] if number == BOUGHT else []
            mined += [DevTx(tx_hash=fake_hash("decided", number), logs=(said,))] if number == 50 else []
            world.chain.mine(*mined)
        await fetched(world, path, source, until=time_of(45))
        await fetched(world, path, source)
    told = [(one.at, one.seen.condition_id) for one in moments(path) if isinstance(one.seen, Decided)]
    assert told == [(time_of(50), CANARY)]


async def test_a_fetch_in_pieces_is_a_fetch_in_one(clock: Clock, tmp_path: Path) -> None:
    """Ended anywhere, it goes on with the same facts, prices and decisions, and repeats none."""
    one, many = tmp_path / "one.rec", tmp_path / "many.rec"
    async with open_world() as world:
        await mine_history(world)
        await fetched(world, one, venue())
        for until in (time_of(25), time_of(100), time_of(150), time_of(201)):
            await fetched(world, many, venue(), until=until)
        many.write_bytes(many.read_bytes()[:-30])  # and killed in the middle of the last one
        await fetched(world, many, venue())
    assert _told(many) == _told(one)


def _told(path: Path) -> list[Moment]:
    return [one for one in moments(path) if isinstance(one.seen, TokenFacts | SeenPrice | Decided)]


@define
class Failing(MemoryMarkets):
    """Answers so often, and then no more."""

    answers: int = 3

    async def past_prices(self, token_id: TokenId, since: float, until: float) -> Sequence[PastPrice]:
        self.answers -= 1
        self.away = self.answers < 0
        return await super().past_prices(token_id, since, until)


async def test_a_source_that_goes_away_leaves_a_good_file(clock: Clock, tmp_path: Path) -> None:
    """The call ends, and the next one goes on where it was."""
    path, whole = tmp_path / "past.rec", tmp_path / "whole.rec"
    known = venue()
    failing = Failing(known=known.known, past=known.past, decided=known.decided)
    async with open_world() as world:
        await mine_history(world)
        with pytest.raises((MarketsUnavailable, BaseExceptionGroup)) as raised:
            await fetched(world, path, failing)
        assert [type(leaf) for leaf in leaves_of(raised.value)] == [MarketsUnavailable]
        await fetched(world, path, venue())
        await fetched(world, whole, venue())
    assert _told(path) == _told(whole)


async def test_a_file_is_of_one_source_or_of_none(clock: Clock, tmp_path: Path) -> None:
    """Half with prices and half without would be neither; and a source without a past is said to be one."""
    path = tmp_path / "past.rec"

    class Forgetful:
        """A source that knows the present alone."""

    async with open_world() as world:
        await mine_history(world)
        await fetched(world, path, None, until=time_of(100))
        before = path.read_bytes()
        with pytest.raises(
            ConfigError, match="was begun with no market source; expected the same or another file, got memory"
        ):
            await fetched(world, path, venue())
        with pytest.raises(ConfigError, match="expected a market source that knows the past"):
            await fetched(world, tmp_path / "new.rec", Forgetful())  # type: ignore[arg-type]  # that is the point
    assert path.read_bytes() == before


def test_a_backtest_leaves_by_past_prices_and_redeems(tmp_path: Path) -> None:
    """A profit is taken at the price of its minute, two questions pay, and what nobody knows is held at its last price."""
    path = tmp_path / "past.rec"

    async def fetch() -> None:
        async with open_world() as world:
            await mine_history(world)
            await fetched(world, path, venue())

    trio.run(fetch, clock=trio.testing.MockClock(autojump_threshold=0))
    plan = make_test_plan(
        followers=("alice",), executor={"price_source": "book", "slippage_bps": 0}, chain={"window_blocks": WINDOW}
    )
    plan = with_follow_settings(
        plan,
        size=Sizing(ratio=Ratio.parse("0.1"), minimum_usd=NO_USD),
        leaving=Leaving(take_profit_bps=3000),
        filters=Filters(keyword_allow=frozenset({"?"})),
    )
    run, judge, what = run_past(path, plan)
    assert what.markets
    sold = {(one[3], one[0], one[4]): (one[5], one[6]) for one in run.booked.entries if one[4] == Side.SELL.value}
    ten, dollar = 10_000_000, 1_000_000
    assert sold == {
        (ONE, "fill", "SELL"): (ten, 7 * dollar),
        (TWO, "redemption", "SELL"): (ten, 10 * dollar),
        (THREE, "redemption", "SELL"): (ten, 0),
    }
    assert judge.total.realised == (2 + 5 - 5) * dollar
    assert judge.without_mark == 0
