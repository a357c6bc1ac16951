"""A market source that knows what a test tells it; it passes the same conformance suite as a real one."""

from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from attrs import define, field

from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import Book, PastPrice, PricesLost, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import Price
from trio_copy.ports import Markets, MarketsContext, MarketsPlugin

_T = TypeVar("_T")


@define(eq=False)
class MemoryMarkets:
    """Knows tokens, books and decisions; those who listen are told of each change."""

    known: dict[TokenId, TokenFacts] = field(factory=dict)
    standing: dict[TokenId, Book] = field(factory=dict)
    decided: dict[str, Decided] = field(factory=dict)
    past: dict[TokenId, list[PastPrice]] = field(factory=dict)
    """In the order of their times."""
    best: list[Address] = field(factory=list)
    """Who earned most, the best first."""
    trades: list[PastTrade] = field(factory=list)
    away: bool = False
    """Nobody answers, and nobody tells prices."""
    asked: list[tuple[TokenId, ...]] = field(factory=list)
    """What facts were asked of, call by call."""
    interruptions: int = 0
    """How often what prices come by was cut."""
    _changed: trio.Event = field(factory=trio.Event)

    def tell(self, *facts: TokenFacts) -> None:
        """Let something be known."""
        self.known.update((one.token_id, one) for one in facts)

    def move(self, *books: Book) -> None:
        """Let books change."""
        self.standing.update((book.token_id, book) for book in books)
        for book in books:
            sides = [side[0].price.micro for side in (book.bids, book.asks) if side]
            if sides:
                middle = PastPrice(book.at, Price(sum(sides) // len(sides)))
                self.past.setdefault(book.token_id, []).append(middle)
        self._wake()

    def go(self, *, away: bool) -> None:
        """Go away, or come back."""
        self.away = away
        self._wake()

    def interrupt(self) -> None:
        """Cut what prices come by for a moment: everything is told anew."""
        self.interruptions += 1
        self._wake()

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        self.asked.append(tuple(tokens))
        return await self._answer(self.known.get(token) for token in tokens)

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        return await self._answer(self.standing.get(token) for token in tokens)

    async def resolutions(self, conditions: Collection[str]) -> Sequence[Decided]:
        return await self._answer(self.decided.get(condition) for condition in conditions)

    async def past_prices(self, token_id: TokenId, since: float, until: float) -> Sequence[PastPrice]:
        return await self._answer(one for one in self.past.get(token_id, ()) if since <= one.at < until)

    async def best_wallets(self, lasts_s: float, most: int) -> Sequence[Address]:
        return await self._answer(self.best[:most])

    async def trades_of(self, wallet: Address, since: float, until: float, most: int) -> Sequence[PastTrade]:
        found = [one for one in self.trades if one.wallet == wallet and since <= one.at < until]
        return await self._answer(sorted(found, key=lambda one: one.at)[-most:])

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        wanted: frozenset[TokenId] = frozenset()
        told: dict[TokenId, Book] = {}
        seen = self.interruptions

        async def listen() -> None:
            nonlocal wanted
            async for all_wanted in tokens:
                wanted = all_wanted
                self._wake()
            nursery.cancel_scope.cancel()

        async with tokens, send, trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            while True:
                changed = self._changed
                if told and (self.away or self.interruptions != seen):
                    await send.send(PricesLost(frozenset(told)))
                    told.clear()
                seen = self.interruptions
                told = {token: book for token, book in told.items() if token in wanted}
                for token in () if self.away else wanted:
                    book = self.standing.get(token)
                    if book is not None and told.get(token) is not book:
                        told[token] = book
                        await send.send(SeenPrice(token_id=token, quote=book.quote, at=book.at))
                await changed.wait()

    async def _answer(self, found: Iterable[_T | None]) -> Sequence[_T]:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise MarketsUnavailable("nobody answers")
        return [one for one in found if one is not None]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def memory_markets_plugin(source: Markets, name: str = "memory") -> MarketsPlugin:
    """Wrap one source as a plugin that hands it out each time."""

    @asynccontextmanager
    async def open_source(context: MarketsContext) -> AsyncGenerator[Markets, None]:
        yield source

    return MarketsPlugin(name=name, open=open_source)
