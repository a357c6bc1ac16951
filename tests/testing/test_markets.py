"""The market source for tests keeps the promises of the port, as the real one does."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing
from attrs import define

from trio_copy.clock import WallClock
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.testing.conformance import MARKETS_CHECKS, MarketsForTest, name_of
from trio_copy.testing.market_server import book_around
from trio_copy.testing.markets import MemoryMarkets


@define
class Itself:
    """The source is the venue."""

    source: MemoryMarkets
    wall: WallClock

    def put(self, facts: Iterable[TokenFacts]) -> None:
        self.source.tell(*facts)

    def set_quote(self, token_id: TokenId, quote: Quote) -> None:
        self.source.move(book_around(token_id, quote, self.wall()))

    def decide(self, condition_id: str, payouts: tuple[int, ...]) -> None:
        self.source.decided[condition_id] = Decided(condition_id=condition_id, payouts=payouts)

    def interrupt(self) -> None:
        self.source.interrupt()

    def set_away(self, away: bool) -> None:
        self.source.go(away=away)


@asynccontextmanager
async def open_for_test(wall: WallClock) -> AsyncGenerator[MarketsForTest, None]:
    source = MemoryMarkets()
    yield MarketsForTest(source=source, venue=Itself(source, wall))


@pytest.mark.parametrize("check", MARKETS_CHECKS, ids=name_of)
async def test_memory(autojump_clock: trio.testing.MockClock, check: Callable[..., Any]) -> None:
    """The source keeps the promise in the check's docstring."""
    await check(open_for_test)
