"""What a market source told an engine, written down and played again.

Facts, prices and decisions are told again at the moment at which the engine learned them, whoever asked. A book is asked for:
it comes when it came then, or does not come.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, evolve, field, frozen

from trio_copy.clock import WallClock
from trio_copy.engine.market_source.market_watch import MarketWatch
from trio_copy.engine.market_source.told_lines import FactsAnswered, MarketsOpened, SeenBook
from trio_copy.engine.recordings.recorded_lines import Told
from trio_copy.engine.recordings.recording import Recorder, RecordingQuotes
from trio_copy.engine.seams import Seams
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import Book, PricesLost, SeenPrice
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.ports import Markets, MarketsContext, MarketsPlugin

_PATIENCE_S = 1.9
"""How long it takes to be sure that nobody will tell of a token: less than a source may take and not count as one that hangs."""
_SOON_S = 1.0
"""An engine that ran on a machine asked so much later, at most, than one that plays without taking any time to think."""
_EARLY_S = 1e-3
"""Two clocks that began at other times differ in the last digits."""
_AHEAD_S = 10.0
"""What is read ahead: longer than anybody waits for a book."""
_STANDS_S = 60.0
"""A book that was asked for at another moment is worth something for so long."""
_KEPT = 100_000
"""Tokens of which it is remembered what was told last."""


@frozen
class RecordingMarkets:
    """Passes on what a source answers, and writes down what of it nobody could know by other ways."""

    source: Markets
    recorder: Recorder

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        failed, unknown = True, frozenset(tokens)
        try:
            found: list[Any] = list(await self.source.facts(tokens))  # nobody has judged it yet
            failed, unknown = False, unknown.difference(one.token_id for one in found if isinstance(one, TokenFacts))
        finally:
            self.recorder.note(FactsAnswered(frozenset() if failed else unknown, failed))
        return found

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        asked_at, failed, found = self.recorder.wall(), True, dict[TokenId, Book]()
        books: list[Any]  # nobody has judged it yet
        try:
            books = list(await self.source.books(tokens))
            found, failed = {book.token_id: book for book in books if isinstance(book, Book)}, False
        finally:  # also when whoever asked has lost patience: then it did not come
            for token in tokens:
                seen = SeenBook(token_id=token, asked_at=asked_at, book=found.get(token), failed=failed)
                self.recorder.note(seen)
        return books

    async def resolutions(self, conditions: Collection[str]) -> Sequence[Decided]:
        found: list[Any] = list(await self.source.resolutions(conditions))
        for one in found:
            if isinstance(one, Decided):
                self.recorder.note(one)
        return found

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        await self.source.run_prices(tokens, send)


def recorded_by(recorder: Recorder, seams: Seams, markets: str | None) -> Seams:
    """Return seams of which a recorder hears all that an engine will see; `markets` names the market source that it will have."""
    if markets is not None:
        recorder.note(MarketsOpened(markets))

    def learn(facts: Iterable[TokenFacts]) -> None:
        for one in facts:
            recorder.note(one)

    catalog = seams.catalog
    # Without what a person wrote down: that stands in a file which the configuration names.
    learn(facts for token in catalog if (facts := catalog.of(token)) is not None and not catalog.is_pinned(token))
    return evolve(
        seams,
        on_item=recorder.note,
        on_facts=learn,
        on_price=recorder.note_price,
        watch_markets=lambda source: RecordingMarkets(source, recorder),
        quotes=None if seams.quotes is None else RecordingQuotes(seams.quotes, recorder),
    )


@define(eq=False)
class _Asked:
    """A book that was asked for."""

    seen: SeenBook
    answered_at: float
    used: bool = False


@define(eq=False, kw_only=True)
class RecordedMarkets:
    """A market source that tells what another one told."""

    wall: WallClock
    catalog: Catalog
    books_read: Iterator[tuple[float, SeenBook]]
    """A reading of the recording of its own: what came of asking for books, and when."""
    _next: tuple[float, SeenBook] | None = None
    _asked: dict[TokenId, deque[_Asked]] = field(factory=dict)
    """What was asked for a while ago, now, or in a moment."""
    _order: deque[_Asked] = field(factory=deque)
    _prices: OrderedDict[TokenId, SeenPrice] = field(factory=OrderedDict)
    _away: bool = False
    """Whether the source did not answer the last time that it was asked about facts."""
    _unknown: OrderedDict[TokenId, None] = field(factory=OrderedDict)
    """Tokens of which it knew nothing when it was asked last."""
    _told: trio.Event = field(factory=trio.Event)
    """Set when facts are told, or that nobody knows them."""

    def __attrs_post_init__(self) -> None:
        self._next = next(self.books_read, None)

    @property
    def plugin(self) -> MarketsPlugin:
        @asynccontextmanager
        async def open_source(context: MarketsContext) -> AsyncGenerator[Markets, None]:
            yield self

        return MarketsPlugin(name="recording", open=open_source)

    def tell(self, told: Told, watch: MarketWatch) -> None:
        """Let an engine learn now what the other one learned at this moment."""
        match told:
            case SeenPrice():
                self._prices[told.token_id] = told
                self._prices.move_to_end(told.token_id)
                if len(self._prices) > _KEPT:
                    self._prices.popitem(last=False)
                watch.hear(told)
            case PricesLost():
                for token in told.tokens:
                    self._prices.pop(token, None)
                watch.hear(told)
            case TokenFacts() | Decided():
                watch.hear(told)
                self._wake()
            case FactsAnswered():
                watch.hear(told)
                self._away = told.failed
                self._unknown.update(dict.fromkeys(told.unknown))
                while len(self._unknown) > _KEPT:
                    self._unknown.popitem(last=False)
                self._wake()
            case _:
                pass  # quotes and books are asked for

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        """Return what is known, as soon as it is known of each token whether somebody then told what it is about."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(_PATIENCE_S):
            await self._wait_answered(tokens)
        if self._away:
            raise MarketsUnavailable("nobody answered then")
        return [facts for facts in map(self.catalog.of, tokens) if facts is not None]

    async def _wait_answered(self, tokens: Collection[TokenId]) -> None:
        while not (self._away or all(token in self._unknown or self.catalog.of(token) for token in tokens)):
            await self._told.wait()

    def _wake(self) -> None:
        self._told.set()
        self._told = trio.Event()

    async def resolutions(self, conditions: Collection[str]) -> Sequence[Decided]:
        await trio.lowlevel.checkpoint()
        return ()  # they are told

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        """Tell what was known of a token before it was wanted; what comes later is told by `tell`."""
        wanted: frozenset[TokenId] = frozenset()
        async with tokens, send:
            async for all_wanted in tokens:
                for token in sorted(all_wanted - wanted):
                    if token in self._prices:
                        await send.send(self._prices[token])
                wanted = all_wanted

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        self._read_along()
        found = [one for one in map(self._came, tokens) if one is not None]
        # At the moment at which it came then, and not after as long: who joined those that waited for it joins them again.
        await trio.sleep(max(0.0, *(one.answered_at - self.wall() for one in found)) if found else 0.0)
        if any(one.seen.failed for one in found):
            raise MarketsUnavailable("nobody answered then")
        return [one.seen.book for one in found if one.seen.book is not None]

    def _came(self, token_id: TokenId) -> _Asked | None:
        """Return what came when a book was asked for at this moment; where it was not, what came last."""
        now, coming, stood = self.wall(), None, None
        for asked in self._asked.get(token_id, ()):
            if not asked.used and now - _EARLY_S <= asked.seen.asked_at <= now + _SOON_S:
                coming = asked
                break
            # Who asks a moment after somebody else had waited for the same answer, on a machine that took time to think.
            if asked.used or asked.answered_at <= now:
                stood = asked
        if coming is not None and (stood is None or coming.seen.asked_at - now <= now - stood.seen.asked_at):
            coming.used = True  # who asks at the same moment once more, asked twice then as well
            return coming
        return None if stood is None or stood.seen.failed else _Asked(stood.seen, stood.seen.asked_at)

    def _read_along(self) -> None:
        now = self.wall()
        while self._next is not None and self._next[0] <= now + _AHEAD_S:
            asked = _Asked(self._next[1], self._next[0])
            self._asked.setdefault(asked.seen.token_id, deque()).append(asked)
            self._order.append(asked)
            self._next = next(self.books_read, None)
        while self._order and self._order[0].answered_at < now - _STANDS_S:
            token = self._order.popleft().seen.token_id
            self._asked[token].popleft()  # both are in the order of the recording
            if not self._asked[token]:
                del self._asked[token]
