"""The suite of the port over the source `polymarket`, in front of a venue in memory."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing
from attrs import frozen

from trio_copy.clock import WallClock
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.ports import MarketsContext
from trio_copy.testing.conformance import MARKETS_CHECKS, MarketsForTest, name_of
from trio_copy.testing.market_server import MarketServer, open_virtual_market_server
from trio_copy_clob import PolymarketSettings, open_polymarket


@frozen
class Behind:
    """The venue behind the source."""

    server: MarketServer

    def put(self, facts: Iterable[TokenFacts]) -> None:
        self.server.venue.put(facts)

    def set_quote(self, token_id: TokenId, quote: Quote) -> None:
        self.server.venue.set_quote(token_id, quote)

    def decide(self, condition_id: str, payouts: tuple[int, ...]) -> None:
        self.server.venue.decide(condition_id, payouts)

    def interrupt(self) -> None:
        self.server.channel.drop_connections()

    def set_away(self, away: bool) -> None:
        self.server.away = away
        self.server.cut()


@asynccontextmanager
async def open_for_test(wall: WallClock) -> AsyncGenerator[MarketsForTest, None]:
    async with open_virtual_market_server(wall) as server:
        context = MarketsContext(
            name="polymarket",
            settings=PolymarketSettings(**server.addresses),
            wall=wall,
            open_socket=server.open_socket,
        )
        async with open_polymarket(context) as source:
            yield MarketsForTest(source=source, venue=Behind(server))


@pytest.mark.parametrize("check", MARKETS_CHECKS, ids=name_of)
async def test_polymarket(autojump_clock: trio.testing.MockClock, check: Callable[..., Any]) -> None:
    """The source keeps the promise in the check's docstring."""
    await check(open_for_test)
