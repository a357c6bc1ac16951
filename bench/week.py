"""Does a week with 10,000 tokens leave anything behind? Names, prices, copies, decisions, in virtual time on the market server.

    python -m bench.week [hours] [tokens]

takes nine minutes of a processor. A week's trades, blocks, prices and decisions are played within `hours` of virtual time, six by
default: what is kept of each of them is kept here as often as in a week. What is kept of each second is not, and a day with next
to no trades shows it: `python -m bench.week 24 2`. What has a size of its own, such as the logs that were seen, is kept smaller
here than in a run, and caches begin full, so that from the second day on nothing may grow. The chain and the market that are made
up for it forget as well.
"""

import gc
import random
import resource
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field

from tests.builders import LEADER
from tests.clob.opened import Sized
from tests.engine.test_bounded import make_smaller, tables
from tests.harness import World, make_test_plan, open_world, with_follow_settings
from trio_copy.accounts.budgets import _scope_names, windows_of
from trio_copy.accounts.names import place_of
from trio_copy.clock import cpu_seconds
from trio_copy.config import PluginTable
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import PlannedMarkets
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Leaving, Sizing
from trio_copy.model.ids import TokenId, token_text
from trio_copy.model.units import MICRO, NO_USD, Price, Ratio, Shares
from trio_copy.ports import MarketsPlugin
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.testing.market_server import MarketServer, open_virtual_market_server
from trio_copy.testing.virtual import run_virtually
from trio_copy_clob import PolymarketSettings, open_polymarket

HOURS, TOKENS = 6, 10_000
_WEEK_H = 7 * 24
_FULL_AFTER_H = 48
_COUNTED_EVERY_H, _TOLD_EVERY_H = 4, 12
_BLOCK_S = 60.0
_SOLD_AFTER_S, _DECIDED_AFTER_S = 3600.0, 3 * 3600.0
_WORLD_KEPT = 300
"""Questions whose end the venue knows, and blocks that the chain knows: a world that forgets, as what it remembers is not ours."""
_MOVED = 2
"""Prices that move with each block."""
_LARGE = Shares(1000 * MICRO)


@define(eq=False)
class Counting(Observer):
    """Counts how tasks end and what people are alerted of, and keeps nothing else."""

    ends: Counter[str] = field(factory=Counter)
    alerts: Counter[str] = field(factory=Counter)

    def on_finished(self, finished: Finished) -> None:
        self.ends[finished.outcome.end.value] += 1

    def on_alert(self, kind: str, detail: str) -> None:
        self.alerts[kind] += 1


@define(eq=False, kw_only=True)
class Days:
    """Trades one token after the other, sells every second one again, and lets its question be decided."""

    world: World
    server: MarketServer
    facts: Iterator[TokenFacts]
    every_s: float
    """Until the leader trades the next token."""
    pace: float
    """How much faster everything happens than in a week."""
    due: float
    """When he does, in Unix seconds."""
    held: deque[tuple[float, TokenFacts]] = field(factory=deque)
    undecided: deque[tuple[float, TokenFacts]] = field(factory=deque)
    luck: random.Random = field(factory=lambda: random.Random(1))

    def mine(self) -> None:
        """Mine a block, and let some prices move."""
        now, trades, venue = self.world.wall(), [], self.server.venue
        while self.due <= now and (facts := next(self.facts, None)) is not None:
            venue.set_quote(facts.token_id, _quote(490_000))
            trades.append(self.world.buy(token=facts.token_id))
            (self.undecided if facts.slot else self.held).append((now, facts))
            self.due += self.every_s
        while self.held and self.held[0][0] + _SOLD_AFTER_S / self.pace <= now:
            since, facts = self.held.popleft()
            trades.append(self.world.buy(token=facts.token_id, side=Side.SELL))
            self.undecided.append((since, facts))
        while self.undecided and self.undecided[0][0] + _DECIDED_AFTER_S / self.pace <= now:
            _, facts = self.undecided.popleft()
            venue.decide(facts.condition_id, (MICRO, 0))
            if len(venue.decided) > _WORLD_KEPT:
                oldest = next(iter(venue.decided))
                del venue.decided[oldest]
                venue.closed.discard(oldest)
        venue.past.clear()
        self.world.chain.mine(*trades)
        moved = self.luck.sample(range(len(self.undecided)), min(_MOVED, len(self.undecided)))
        for token in [self.undecided[place][1].token_id for place in moved]:
            venue.set_quote(token, _quote(self.luck.randrange(40, 60) * 10_000))


async def _week(hours: int, count: int, tell: Callable[[str], None]) -> None:
    async with open_world() as world, open_virtual_market_server(world.wall) as server:
        facts, pace = Sized(count // 2).facts(), _WEEK_H / hours
        server.venue.put(facts)
        world.chain.kept = _WORLD_KEPT
        plugin = MarketsPlugin(name="polymarket", open=open_polymarket, settings=PolymarketSettings)
        settings = PolymarketSettings(**server.addresses)
        plan = with_follow_settings(
            make_test_plan(
                followers=("alice",),
                engine={"exits_every_s": 30.0, "dedup_ttl_s": 86_400.0 / pace},
                chain={"finality_s": 3600.0 / pace},  # a devnet's is sixteen blocks, and ours are far apart
                executor={"price_source": "book"},
                store=PluginTable(name="memory", plugin="memory", options={"facts_max": 1_000}),
            ),
            size=Sizing(ratio=Ratio.parse("0.1"), minimum_usd=NO_USD),
            leaving=Leaving(take_profit_bps=2000),
        )
        plan = evolve(plan, markets=PlannedMarkets(name="polymarket", plugin=plugin, settings=settings))
        counting = Counting()
        seams = evolve(world.seams(), observer=counting, open_socket=server.open_socket)
        every_s = hours * 3600 / count
        days = Days(world=world, server=server, facts=iter(facts), every_s=every_s, pace=pace, due=world.wall())
        async with open_service(plan, seams, world.endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            began, full = cpu_seconds(), Counter[str]()
            for hour in range(1, _WEEK_H + 1):
                for _ in range(int(3600 / _BLOCK_S)):
                    await trio.sleep(_BLOCK_S / pace)
                    days.mine()
                if hour % _COUNTED_EVERY_H:
                    continue
                sizes = tables(service)
                if hour <= _FULL_AFTER_H:
                    full |= sizes  # what waits differs from hour to hour
                if hour % _TOLD_EVERY_H == 0:
                    gc.collect()
                    spent, calls = cpu_seconds() - began, sum(server.http.requests.values())
                    tell(
                        f"  {hour:>3} h  {spent:6.1f} s CPU  {_resident_mb():5.1f} MB  {sys.getallocatedblocks():,} objects"
                        f"  {calls:,} calls  {_ends(counting)}"
                    )
            grown = {
                path: f"{full[path]:,} to {sizes[path]:,}" for path in sizes if sizes[path] > full[path] * 1.1 + 20
            }
            tell(f"  tables that grew by more than a tenth after {_FULL_AFTER_H} h: {grown or 'none'} of {len(sizes)}")
            service.drain()


def _quote(bid: int) -> Quote:
    return Quote(bid=Price(bid), ask=Price(bid + 10_000), bid_shares=_LARGE, ask_shares=_LARGE)


def _ends(counting: Counting) -> str:
    return ", ".join(f"{count:,} {end}" for end, count in counting.ends.most_common())


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    patch = pytest.MonkeyPatch()
    make_smaller(1_000, patch)
    patch.setattr("trio_copy.engine.shards.resolved._KEPT_BLOCKS", 720)
    for number in range(4096):  # entries of these caches
        token = TokenId(number << 130 | 1)
        token_text(token)
        place_of(f"{LEADER}/{token}")
        _scope_names(LEADER, token, f"0x{number:064x}", "")
        windows_of(LEADER, 60 * number)
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    run_virtually(_week, *(numbers + [HOURS, TOKENS][len(numbers) :]), print, seed=1)


if __name__ == "__main__":
    main()
