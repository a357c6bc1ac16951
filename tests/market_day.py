"""A market day that never was: leaders trade, books move, questions are decided, an engine copies and is recorded.

    python -m tests.market_day [HOURS]

runs a whole day, plays its recording, and says in what the two differ, which is nothing, and what it took.
"""

import gzip
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve, field

from tests.builders import POLYGON
from tests.harness import World, make_test_plan, open_world, with_follow_settings
from trio_copy.cli.pnl import Profit, read_profits
from trio_copy.cli.recorded import Recorded, play, recorded
from trio_copy.engine.judge import Judge
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.engine.recorded_lines import header_line
from trio_copy.engine.recorded_markets import attach
from trio_copy.engine.recording import Recorder
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import Book, PricesLost, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.facts import Amounts
from trio_copy.model.follow_settings import Filters, Leaving
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import MICRO, Shares
from trio_copy.ports import Markets, MarketsContext, MarketsPlugin
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet.market import ScriptedMarket
from trio_copy.testing.market_server import MarketServer, ServedVenue, book_around, open_virtual_market_server
from trio_copy.testing.virtual import run_virtually
from trio_copy_clob import PolymarketSettings, open_polymarket

LEADERS = [Address(f"0x{number:040x}") for number in range(1, 21)]
FOLLOWERS = ("ann", "bob", "cat")
LEAVING = Leaving(take_profit_bps=2500, stop_loss_bps=2500)


@define(kw_only=True)
class Script:
    """What happens."""

    blocks: int
    block_s: float = 2.0
    fills: float = 3.0
    """By leaders, per block."""
    venue: bool = True
    """Whether there is a market source; without one, executors learn quotes from the market itself."""
    seed: int = 5


@define(eq=False)
class Booked(Tally):
    """Every booking as a person would see it, and when."""

    entries: list[tuple[Any, ...]] = field(factory=list)
    at: list[float] = field(factory=list)

    def on_entry(self, entry: LedgerEntry, amounts: Amounts) -> None:
        super().on_entry(entry, amounts)
        self.entries.append(
            (
                entry.kind.value,
                entry.follower,
                entry.leader,
                entry.token_id,
                entry.side.value,
                entry.shares.micro,
                entry.notional.micro,
                entry.fee.micro,
            )
        )
        self.at.append(entry.booked_at)


@define(eq=False)
class Run:
    """What came of a run."""

    profits: Sequence[Profit]
    booked: Booked

    @property
    def money(self) -> list[tuple[Any, ...]]:
        return [(one.name, one.trades, one.bought, one.sold, one.fees, one.realised) for one in self.profits]


@define(eq=False)
class Slow:
    """A market source that takes its time, and does not answer now and then."""

    source: Markets
    asked: int = 0

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        await trio.sleep(0.45)
        return await self.source.facts(tokens)

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        self.asked += 1
        await trio.sleep(0.02 * (self.asked % 5))
        if self.asked % 17 == 0:
            raise MarketsUnavailable("nobody answers")
        return await self.source.books(tokens)

    async def resolutions(self, conditions: Collection[str]) -> Sequence[Decided]:
        await trio.sleep(0.3)
        return await self.source.resolutions(conditions)

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        await self.source.run_prices(tokens, send)


def make_plan(leaving: Leaving = LEAVING) -> Plan:
    """Three followers of twenty leaders, with fees, partial fills, and rules of their own for leaving."""
    plan = make_test_plan(
        followers=FOLLOWERS,
        leaders=LEADERS,
        chain={"window_blocks": 8},
        executor={"price_source": "book", "partial_bps": 2000, "fee_bps": 30},
    )
    plan = with_follow_settings(plan, leaving=leaving)
    # One of them decides by what questions and books are like: his first copies wait for that.
    picky = Filters(keyword_deny=frozenset({"snow"}), max_spread_bps=3000)
    follow = tuple(evolve(one, filters=picky) if one.follower == "bob" else one for one in plan.settings.follow)
    return evolve(plan, settings=evolve(plan.settings, follow=follow))


def run_live(plan: Plan, script: Script) -> tuple[Run, bytes]:
    """Run an engine on a day; returns what came of it, and its recording."""
    booked = Booked()
    profits, lines = run_virtually(_live, plan, script, booked, seed=script.seed)
    return Run(profits, booked), gzip.compress(b"".join(line + b"\n" for line in lines), 6)


def run_past(path: Path, plan: Plan) -> tuple[Run, Judge, Recorded]:
    """Play a recording."""
    booked, what = Booked(), recorded(path, plan, verb="backtest")
    judge = Judge.over(what.started_at, what.ended_at)
    played = play(what, [judge, booked], lambda done: None, on_moment=judge.note_moment)
    return Run(played.profits, booked), judge, what


async def _live(plan: Plan, script: Script, booked: Booked) -> tuple[Sequence[Profit], list[bytes]]:
    market = ScriptedMarket(LEADERS, seeded_entropy(3), script.fills, 1)
    async with open_world() as world, open_virtual_market_server(world.wall) as server:
        seams, recorder = world.seams(), Recorder(Path("-"), POLYGON, world.wall)
        seams.observer, seams.open_socket = Observers([booked]), server.open_socket
        lines = [header_line(POLYGON, world.wall())]
        if script.venue:
            plan = evolve(plan, markets=_source(server))
        else:
            seams.quotes = market
        attach(recorder, seams, plan.markets.name if plan.markets is not None else None)
        async with open_service(plan, seams, world.endpoints) as service:
            async with trio.open_nursery() as nursery:
                await nursery.start(service.run)
                await world.nodes[0].wait_log_filters(len(service.board.filters))
                await _trade(world, market, server.venue, script, lambda: lines.extend(_taken(recorder)))
                service.drain()
            profits = await read_profits(service.store, "follower")
        return profits, lines + _taken(recorder)


async def _trade(world: World, market: ScriptedMarket, venue: ServedVenue, script: Script, save: Any) -> None:
    luck, decided = seeded_entropy(script.seed), 0
    venue.follow(market)
    for number in range(script.blocks):
        world.chain.mine(*market.next_block())
        venue.follow(market)
        if number == script.blocks // 2:
            dropped = world.chain.blocks[-1]
            world.chain.reorg(1, [(), dropped.txs])
        if number in (script.blocks // 3, script.blocks * 3 // 4):
            venue.decide(market.facts[2 * decided].condition_id, (MICRO, 0))
            decided += 1
        for _ in range(2):
            await trio.sleep(script.block_s / 2)
            _shake(venue, market, luck)
        save()


def _shake(venue: ServedVenue, market: ScriptedMarket, luck: Entropy) -> None:
    """Let other people take from books and add to them between two blocks."""
    for facts in market.facts:
        quote = market.quote(facts.token_id)
        if quote is not None and facts.token_id in venue.books and luck.randrange(3) == 0:
            sizes = [Shares(luck.randint(1, 300) * MICRO) for _ in range(2)]
            shaken = evolve(quote, bid_shares=sizes[0], ask_shares=sizes[1])
            venue.set_book(book_around(facts.token_id, shaken, venue.now()))


def _source(server: MarketServer) -> PlannedMarkets:
    @asynccontextmanager
    async def open_slow(context: MarketsContext) -> AsyncGenerator[Markets, None]:
        async with open_polymarket(context) as source:
            yield Slow(source)

    plugin = MarketsPlugin(name="polymarket", open=open_slow, settings=PolymarketSettings)
    return PlannedMarkets(name="polymarket", plugin=plugin, settings=PolymarketSettings(**server.addresses))


def _taken(recorder: Recorder) -> list[bytes]:
    lines, recorder._waiting = recorder._waiting, []
    return lines
