"""A market day that never was: leaders trade, books move, questions are decided, an engine copies and is recorded.

    python -m tests.market_day FOLDER [HOURS]

runs a whole day, or so many hours, plays its recording with these settings and with others, and writes recording and pictures
into the folder. It says in what the run and the past differ, which is nothing, and what it took.
"""

import gzip
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve, field

from tests.builders import POLYGON
from tests.harness import World, make_test_plan, open_world, with_follow_settings
from trio_copy.cli.drawing import draw_png, draw_svg
from trio_copy.cli.figure import figure_of
from trio_copy.cli.pnl import Profit, read_profits
from trio_copy.cli.recorded import Recorded, play, recorded
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.engine.recordings.judge import Judge
from trio_copy.engine.recordings.recorded_lines import header_line
from trio_copy.engine.recordings.recorded_markets import recorded_by
from trio_copy.engine.recordings.recording import Recorder, read_recording
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import Book, PricesLost, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.facts import Amounts
from trio_copy.model.follow_settings import Filters, Leaving
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import MICRO, Shares, Usd
from trio_copy.ports import Markets, MarketsContext, MarketsPlugin
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet.market import ScriptedMarket
from trio_copy.testing.market_server import MarketServer, ServedVenue, book_around, open_virtual_market_server
from trio_copy.testing.virtual import run_virtually
from trio_copy_clob import PolymarketSettings, open_polymarket

_DAY_BLOCK_S, _DAY_FILLS = 10.0, 0.5
"""How often blocks come and what leaders trade in one, in a whole day."""
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
    """A market source that takes its time, does not answer now and then, and knows of some questions late."""

    source: Markets
    asked: int = 0
    asked_facts: int = 0

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        self.asked_facts += 1
        await trio.sleep(0.45)
        if self.asked_facts == 1:
            raise MarketsUnavailable("nobody answers")
        found = await self.source.facts(tokens)
        return [one for one in found if self.asked_facts > 4 or not one.question.startswith("Bitcoin")]

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
        chain={"window_blocks": 20, "finality_s": 600.0},
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
        recorded_seams = recorded_by(recorder, seams, plan.markets.name if plan.markets is not None else None)
        async with open_service(plan, recorded_seams, world.endpoints) as service:
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
    # Nothing comes at the very moment at which an engine looks around: which was first, no recording knows.
    await trio.sleep(0.377)
    for number in range(script.blocks):
        world.chain.mine(*market.next_block())
        venue.follow(market)
        if number == script.blocks // 2:
            dropped = world.chain.blocks[-1]
            world.chain.reorg(1, [(), dropped.txs])
        if number in (script.blocks // 3, script.blocks * 3 // 4):
            condition = market.facts[2 * decided].condition_id
            # Nobody trades it any more. What was bought of it at the very end would be redeemed when the past is played,
            # which goes on until all is settled, and not by a run that stops.
            if script.venue:
                market.close(condition, (MICRO, 0))
            venue.decide(condition, (MICRO, 0))
            decided += 1
        part = luck.uniform(0.2, 0.8)
        for share in (part, 1 - part):
            await trio.sleep(script.block_s * share)
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


def main(folder: Path, hours: float) -> int:
    """Run a day, and say what came of it; 1 when the past is not what was."""
    script = Script(blocks=round(hours * 3600 / _DAY_BLOCK_S), block_s=_DAY_BLOCK_S, fills=_DAY_FILLS)
    folder.mkdir(parents=True, exist_ok=True)
    path, plan, began = folder / "day.rec", make_plan(), time.monotonic()
    live, recording = run_live(plan, script)
    path.write_bytes(recording)
    _say(f"{script.blocks} blocks, {script.blocks * script.block_s / 3600:g} hours: run in {_since(began)}")
    _say(f"recording: {len(recording) / 1e6:.2f} MB; it holds {_kinds(path)}")
    settings = {"as it was": plan, "without own exits": make_plan(Leaving())}
    verdicts = {}
    for name, one in settings.items():
        began = time.monotonic()
        past, judge, what = run_past(path, one)
        verdicts[name] = past
        total = judge.total
        _say(
            f"{name}: {total.signals} signals, {total.copies} copies, {total.closed} closed, {total.won} won,"
            f" invested {Usd(total.invested)}, realised {Usd(total.realised)}, unrealised {Usd(total.unrealised)},"
            f" fees {Usd(total.fees)}, at risk {Usd(total.at_risk)}, drawdown {Usd(total.drawdown)};"
            f" {what.moments} moments played in {_since(began)}"
        )
        assert total.curve is not None
        figure = figure_of(f"day.rec, {name}: all leaders together", total.curve)
        for form, draw in ((".svg", draw_svg), (".png", draw_png)):
            (folder / f"{name.replace(' ', '-')}{form}").write_bytes(draw(figure))
    differences = sum(
        (Counter(live.booked.entries) - Counter(verdicts["as it was"].booked.entries)).values(),
        start=int(live.money != verdicts["as it was"].money),
    )
    kinds = Counter(kind for kind, *_ in live.booked.entries)
    _say(f"booked in the run: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}")
    _say(f"bookings of the run that the past does not have to the millionth: {differences}")
    return int(differences > 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def _kinds(path: Path) -> str:
    kinds = Counter(type(moment.seen).__name__ for moment in read_recording(path)[1])
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 24.0))
