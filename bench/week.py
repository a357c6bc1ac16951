"""Does a week with 10,000 tokens leave anything behind? Names, prices, copies, decisions, in virtual time on the market server.

    python -m bench.week [hours] [tokens]

takes an hour of a processor. What has a size of its own (logs that were seen, facts, orders of the simulated venue, names) is kept
smaller here than in a run, so that it is full after two days: from then on, no table may grow. What the process takes is shown
beside it; the chain and the market that are made up for it have a part in that.
"""

import importlib
import random
import resource
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import trio
from attrs import define, evolve, field

from tests.clob.opened import Sized
from tests.engine.test_bounded import tables
from tests.harness import World, make_test_plan, open_world, with_follow_settings
from trio_copy.clock import cpu_seconds
from trio_copy.config import PluginTable
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import PlannedMarkets
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Leaving, Sizing
from trio_copy.model.orders import Quote
from trio_copy.model.units import MICRO, NO_USD, Price, Ratio, Shares
from trio_copy.ports import MarketsPlugin
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.testing.market_server import MarketServer, open_virtual_market_server
from trio_copy.testing.virtual import run_virtually
from trio_copy_clob import PolymarketSettings, open_polymarket

HOURS, TOKENS = 7 * 24, 10_000
_SMALLER = {
    "trio_copy.engine.reader._LOGS_KEPT": 4_000,
    "trio_copy.engine.writing.FACTS_KEPT": 4_000,
    "trio_copy.engine.known_tokens._MOST": 2_000,
    "trio_copy.engine.resolved._KEPT_BLOCKS": 2_880,
    "trio_copy_dry_run.venue._ORDERS_KEPT": 4_000,
    "trio_copy.engine.contract._REMEMBERED": 4_000,
    "trio_copy.engine.market_watch._TOKENS_MOST": 2_000,
}
_FULL_AFTER_H = 48
_BLOCK_S = 30.0
_SOLD_AFTER_S, _DECIDED_AFTER_S = 3600.0, 3 * 3600.0
_MOVED = 20
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


@define(eq=False)
class Days:
    """Trades one token after the other, sells every second one again, and lets its question be decided."""

    world: World
    server: MarketServer
    waiting: deque[TokenFacts]
    every_s: float
    """Until the leader trades the next token."""
    held: deque[tuple[float, TokenFacts]] = field(factory=deque)
    undecided: deque[tuple[float, TokenFacts]] = field(factory=deque)
    luck: random.Random = field(factory=lambda: random.Random(1))
    due: float = 0.0

    def mine(self) -> None:
        """Mine a block, and let some prices move."""
        now, trades = self.world.wall(), []
        while self.waiting and self.due <= now:
            facts = self.waiting.popleft()
            trades.append(self.world.buy(token=facts.token_id))
            (self.held if len(self.waiting) % 2 else self.undecided).append((now, facts))
            self.due += self.every_s
        while self.held and self.held[0][0] + _SOLD_AFTER_S <= now:
            since, facts = self.held.popleft()
            trades.append(self.world.buy(token=facts.token_id, side=Side.SELL))
            self.undecided.append((since, facts))
        while self.undecided and self.undecided[0][0] + _DECIDED_AFTER_S <= now:
            _, facts = self.undecided.popleft()
            self.server.venue.decide(facts.condition_id, (MICRO, 0))
        self.world.chain.mine(*trades)
        open_books = [token for _, facts in self.undecided for token in (facts.token_id,)][-500:]
        for token in self.luck.sample(open_books, min(_MOVED, len(open_books))):
            bid = self.luck.randrange(40, 60) * 10_000
            self.server.venue.set_quote(token, _quote(bid))


async def _week(hours: int, count: int, tell: Callable[[str], None]) -> None:
    async with open_world() as world, open_virtual_market_server(world.wall) as server:
        facts = Sized(count // 2).facts()
        server.venue.put(facts)
        for fact in facts:
            server.venue.set_quote(fact.token_id, _quote(490_000))
        plugin = MarketsPlugin(name="polymarket", open=open_polymarket, settings=PolymarketSettings)
        settings = PolymarketSettings(**server.addresses)
        plan = with_follow_settings(
            make_test_plan(
                followers=("alice", "bob", "carol"),
                engine={"exits_every_s": 60.0},
                chain={"finality_s": 3600.0},  # a devnet's is sixteen blocks, and ours are far apart
                executor={"price_source": "book"},
                store=PluginTable(name="memory", plugin="memory", options={"facts_max": 4_000}),
            ),
            size=Sizing(ratio=Ratio.parse("0.1"), minimum_usd=NO_USD),
            leaving=Leaving(take_profit_bps=2000),
        )
        plan = evolve(plan, markets=PlannedMarkets(name="polymarket", plugin=plugin, settings=settings))
        counting = Counting()
        seams = evolve(world.seams(), observer=counting, open_socket=server.open_socket)
        days = Days(world, server, deque(facts), hours * 3600 / count, due=world.wall())
        async with open_service(plan, seams, world.endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            began, full = cpu_seconds(), Counter[str]()
            for hour in range(1, hours + 1):
                for _ in range(int(3600 / _BLOCK_S)):
                    await trio.sleep(_BLOCK_S)
                    days.mine()
                sizes = tables(service)
                if hour <= _FULL_AFTER_H:
                    full |= sizes  # what waits differs from hour to hour
                if hour % 12 == 0 or hour == hours:
                    spent, calls = cpu_seconds() - began, sum(server.http.requests.values())
                    tell(
                        f"  {hour:>3} h  {spent:6.1f} s CPU  {_resident_mb():5.1f} MB  {calls:,} calls  {_ends(counting)}"
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
    for path, size in _SMALLER.items():
        module, _, name = path.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), name), int), path
        setattr(importlib.import_module(module), name, size)
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    run_virtually(_week, *(numbers + [HOURS, TOKENS][len(numbers) :]), print, seed=1)


if __name__ == "__main__":
    main()
