"""The source `polymarket` on a venue in memory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field, frozen

from tests.builders import LEADER, NOW
from trio_copy.clock import wall_clock_from
from trio_copy.model.books import PricesLost, Quote, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Shares
from trio_copy.ports import Markets, MarketsContext
from trio_copy.testing.devnet.market import ScriptedMarket, seeded_market
from trio_copy.testing.market_server import MarketServer, open_virtual_market_server
from trio_copy_clob import PolymarketSettings, open_polymarket

ALL_HOSTS = ("data", "gamma", "clob")


@define(eq=False, kw_only=True)
class Venue:
    server: MarketServer
    market: ScriptedMarket
    source: Markets
    troubles: list[tuple[str, str]]

    @property
    def tokens(self) -> list[TokenId]:
        return [fact.token_id for fact in self.market.facts]

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.troubles]

    def step(self) -> None:
        """Let prices move."""
        self.market.next_block()
        self.server.venue.follow(self.market)

    def quote(self, token: TokenId) -> Quote:
        return self.server.venue.books[token].quote

    def requests(self, host: str) -> int:
        return sum(count for path, count in self.server.http.requests.items() if path.startswith(f"/{host}/"))


@asynccontextmanager
async def open_venue(**settings: Any) -> AsyncGenerator[Venue, None]:
    """Open a source on a scripted market of four questions, on a virtual clock."""
    wall = wall_clock_from(NOW)
    market = seeded_market([LEADER], seed=1, fills_per_block=1, noise_per_block=0)
    troubles: list[tuple[str, str]] = []
    async with open_virtual_market_server(wall) as server:
        server.venue.follow(market)
        context = MarketsContext(
            name="polymarket",
            settings=PolymarketSettings(**{**server.addresses, **settings}),
            wall=wall,
            open_socket=server.open_socket,
            on_trouble=lambda kind, detail: troubles.append((kind, detail)),
        )
        async with open_polymarket(context) as source:
            yield Venue(server=server, market=market, source=source, troubles=troubles)


@define(eq=False)
class Listening:
    """Listens to prices, and knows what stands."""

    want: trio.MemorySendChannel[frozenset[TokenId]]
    heard: list[SeenPrice | PricesLost] = field(factory=list)
    quotes: dict[TokenId, Quote] = field(factory=dict)
    _changed: trio.Event = field(factory=trio.Event)

    async def run(self, prices: trio.MemoryReceiveChannel[SeenPrice | PricesLost]) -> None:
        async for item in prices:
            self.heard.append(item)
            if isinstance(item, SeenPrice):
                self.quotes[item.token_id] = item.quote
            else:
                for token in item.tokens:
                    self.quotes.pop(token, None)
            self._changed.set()
            self._changed = trio.Event()

    async def until(self, quotes: dict[TokenId, Quote]) -> None:
        """Wait until exactly these prices stand."""
        while self.quotes != quotes:
            await self._changed.wait()

    @property
    def losses(self) -> int:
        return sum(isinstance(item, PricesLost) for item in self.heard)


@asynccontextmanager
async def listen(source: Markets, tokens: list[TokenId], room: int = 0) -> AsyncGenerator[Listening, None]:
    """Want some tokens and hear their prices while the block runs; then the source has to end by itself."""
    want, wanted = trio.open_memory_channel[frozenset[TokenId]](1)
    send, prices = trio.open_memory_channel[SeenPrice | PricesLost](room)
    listening = Listening(want)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.run_prices, wanted, send)
        nursery.start_soon(listening.run, prices)  # noqa: ASYNC113  what it hears waits in the channel
        await want.send(frozenset(tokens))
        yield listening
        await want.aclose()


@frozen
class Sized:
    """Makes facts of many questions."""

    questions: int

    def facts(self) -> list[TokenFacts]:
        return [
            TokenFacts(
                token_id=TokenId(number << 130 | number << 50 | slot),
                condition_id=f"0x{number:064x}",
                outcome=("Yes", "No")[slot],
                question=f"Question {number}?",
                opposite=TokenId(number << 130 | number << 50 | 1 - slot),
                slot=slot,
            )
            for number in range(1, self.questions + 1)
            for slot in (0, 1)
        ]


def quote(bid: str | None, ask: str | None) -> Quote:
    return Quote(
        bid=None if bid is None else Price.parse(bid),
        ask=None if ask is None else Price.parse(ask),
        bid_shares=None if bid is None else Shares.parse(100),
        ask_shares=None if ask is None else Shares.parse(100),
    )
