"""The suite finds sources that break the contract: each breaks one promise, and the check of that promise fails."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing
from attrs import evolve, frozen

from tests.clob.test_conformance import open_for_test
from trio_copy.clock import WallClock
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import Book, PricesLost
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.ports import Markets
from trio_copy.testing.conformance import MarketsForTest
from trio_copy.testing.conformance import markets as suite


@frozen
class Wrapped:
    source: Markets

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        return await self.source.facts(tokens)

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        return await self.source.books(tokens)

    async def resolutions(self, conditions: Collection[str]) -> Any:
        return await self.source.resolutions(conditions)

    async def run_prices(self, tokens: Any, send: Any) -> None:
        await self.source.run_prices(tokens, send)


class SwapsSlots(Wrapped):
    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        return [evolve(fact, slot=1 - fact.slot) for fact in await self.source.facts(tokens)]


class InventsFacts(Wrapped):
    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        known = await self.source.facts(tokens)
        names = {fact.token_id for fact in known}
        return [*known, *(TokenFacts(token_id=token, condition_id="0x0") for token in tokens if token not in names)]


class BestLast(Wrapped):
    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        return [evolve(book, bids=book.bids[::-1]) for book in await self.source.books(tokens)]


class SaysNothingWhenAway(Wrapped):
    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        try:
            return await self.source.facts(tokens)
        except MarketsUnavailable:
            return []


class KeepsLostPrices(Wrapped):
    async def run_prices(self, tokens: Any, send: Any) -> None:
        inner, heard = trio.open_memory_channel[Any](0)
        async with trio.open_nursery() as nursery, send:
            nursery.start_soon(self.source.run_prices, tokens, inner)
            async for item in heard:
                if not isinstance(item, PricesLost):
                    await send.send(item)


class QueuesPrices(Wrapped):
    async def run_prices(self, tokens: Any, send: Any) -> None:
        inner, heard = trio.open_memory_channel[Any](1000)
        async with trio.open_nursery() as nursery, send:
            nursery.start_soon(self.source.run_prices, tokens, inner)
            async for item in heard:
                await send.send(item)


class NeverEnds(Wrapped):
    async def run_prices(self, tokens: Any, send: Any) -> None:
        await self.source.run_prices(tokens, send.clone())
        await trio.sleep_forever()


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (SwapsSlots, suite.facts_are_those_of_the_tokens),
        (InventsFacts, suite.nothing_is_said_of_unknown_tokens),
        (BestLast, suite.books_have_the_best_first),
        (SaysNothingWhenAway, suite.whoever_is_away_says_so),
        (KeepsLostPrices, suite.lost_prices_are_taken_back_and_told_anew),
        (QueuesPrices, suite.whoever_listens_slowly_hears_the_newest),
        (NeverEnds, suite.prices_end_with_what_is_wanted),
    ],
)
async def test_a_wrong_source_is_found(
    autojump_clock: trio.testing.MockClock, wrong: type[Wrapped], check: Callable[..., Awaitable[None]]
) -> None:
    """What a source gets wrong is what the check says."""

    @asynccontextmanager
    async def open_wrong(wall: WallClock) -> AsyncGenerator[MarketsForTest, None]:
        async with open_for_test(wall) as right:
            yield MarketsForTest(source=wrong(right.source), venue=right.venue)

    with pytest.RaisesGroup(
        pytest.RaisesExc((AssertionError, trio.TooSlowError)), allow_unwrapped=True, flatten_subgroups=True
    ):
        await check(open_wrong)
