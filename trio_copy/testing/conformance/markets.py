"""What every market source promises. A check changes the venue behind a source, and looks at what the source says of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

import trio
from attrs import define, evolve, field, frozen

from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import PricesLost, Quote, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Shares
from trio_copy.ports import Markets, PastPrices
from trio_copy.testing.conformance.terms import START

_SOON_S = 60.0
_LONG_S = 600.0
_UNKNOWN = TokenId(1 << 255)


class VenueForTest(Protocol):
    """What a check does to the venue that a source asks. Where a source is the venue itself, to the source."""

    def put(self, facts: Iterable[TokenFacts]) -> None:
        """List tokens; a source may say more of them than this, and nothing else."""
        ...

    def set_quote(self, token_id: TokenId, quote: Quote) -> None:
        """Let these be the best prices of a token's book."""
        ...

    def decide(self, condition_id: str, payouts: tuple[int, ...]) -> None:
        """Decide a question for good."""
        ...

    def interrupt(self) -> None:
        """Cut what prices come by; it may come up again at once."""
        ...

    def set_away(self, away: bool) -> None:
        """Let nobody answer any more, or again."""
        ...


@frozen(kw_only=True)
class MarketsForTest:
    """A source that is open, and the venue behind it, on which nothing is listed yet."""

    source: Markets
    venue: VenueForTest


OpenMarketsForTest = Callable[[WallClock], AbstractAsyncContextManager[MarketsForTest]]
MarketsCheck = Callable[[OpenMarketsForTest], Awaitable[None]]


def _facts(questions: int = 3) -> list[TokenFacts]:
    return [
        TokenFacts(
            token_id=TokenId(number << 140 | number << 60 | slot),
            condition_id=f"0x{number:064x}",
            outcome=("Yes", "No")[slot],
            question=f"Does number {number} win?",
            opposite=TokenId(number << 140 | number << 60 | 1 - slot),
            slot=slot,
            ends_at=START + 86_400 * number,
        )
        for number in range(1, questions + 1)
        for slot in (0, 1)
    ]


def _quote(cents: int) -> Quote:
    """Make the best prices a cent apart, with sizes that tell them from others."""
    return Quote(
        bid=Price(cents * 10_000),
        ask=Price((cents + 1) * 10_000),
        bid_shares=Shares(cents * 1_000_000),
        ask_shares=Shares((cents + 7) * 1_000_000),
    )


@asynccontextmanager
async def _opened(
    open_markets: OpenMarketsForTest, facts: Sequence[TokenFacts]
) -> AsyncGenerator[MarketsForTest, None]:
    async with open_markets(wall_clock_from(START)) as opened:
        opened.venue.put(facts)
        for number, fact in enumerate(facts):
            opened.venue.set_quote(fact.token_id, _quote(10 + number % 80))
        yield opened


@define(eq=False)
class _Listener:
    """Hears prices and knows which stand."""

    want: trio.MemorySendChannel[frozenset[TokenId]]
    quotes: dict[TokenId, Quote] = field(factory=dict)
    lost: int = 0
    ended: trio.Event = field(factory=trio.Event)
    _changed: trio.Event = field(factory=trio.Event)

    async def run(self, prices: trio.MemoryReceiveChannel[SeenPrice | PricesLost]) -> None:
        async for item in prices:
            if isinstance(item, SeenPrice):
                self.quotes[item.token_id] = item.quote
            else:
                self.lost += 1
                for token in item.tokens:
                    self.quotes.pop(token, None)
            self._changed.set()
            self._changed = trio.Event()
        self.ended.set()

    async def until(self, quotes: dict[TokenId, Quote], within_s: float = _SOON_S) -> None:
        """Wait until these tokens have these prices: told sizes are right, and none need be told."""
        with trio.fail_after(within_s):
            await trio.lowlevel.checkpoint()
            while not all(token in self.quotes and _fits(self.quotes[token], right) for token, right in quotes.items()):
                await self._changed.wait()


def _fits(told: Quote, right: Quote) -> bool:
    sizes = ((told.bid_shares, right.bid_shares), (told.ask_shares, right.ask_shares))
    return (told.bid, told.ask) == (right.bid, right.ask) and all(size in (None, true) for size, true in sizes)


@asynccontextmanager
async def _listening(source: Markets, tokens: Iterable[TokenId]) -> AsyncGenerator[_Listener, None]:
    want, wanted = trio.open_memory_channel[frozenset[TokenId]](1)
    send, prices = trio.open_memory_channel[SeenPrice | PricesLost](0)
    listener = _Listener(want)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.run_prices, wanted, send)
        nursery.start_soon(listener.run, prices)  # noqa: ASYNC113  what it hears waits in the channel
        await want.send(frozenset(tokens))
        yield listener
        nursery.cancel_scope.cancel()


async def facts_are_those_of_the_tokens(open_markets: OpenMarketsForTest) -> None:
    """What is listed of the tokens that were asked for is told, of no others, and each once."""
    facts = _facts()
    async with _opened(open_markets, facts) as opened:
        for asked in ([], facts[:1], facts[1:4], facts):
            told = {fact.token_id: fact for fact in await opened.source.facts([fact.token_id for fact in asked])}
            assert told.keys() == {fact.token_id for fact in asked}
            for fact in asked:
                known = told[fact.token_id]
                named = ("condition_id", "outcome", "question", "opposite", "slot", "ends_at")
                assert known == evolve(known, **{name: getattr(fact, name) for name in named})


async def many_tokens_are_told_at_once(open_markets: OpenMarketsForTest) -> None:
    """However many tokens are asked for: all are told, each once, within minutes."""
    facts = _facts(300)
    async with _opened(open_markets, facts) as opened:
        tokens = [fact.token_id for fact in facts]
        with trio.fail_after(_LONG_S):
            assert sorted(fact.token_id for fact in await opened.source.facts(tokens)) == sorted(tokens)
            assert sorted(book.token_id for book in await opened.source.books(tokens)) == sorted(tokens)


async def nothing_is_said_of_unknown_tokens(open_markets: OpenMarketsForTest) -> None:
    """What nobody knows is left out; it is no error, and takes nothing from the others."""
    facts = _facts()
    async with _opened(open_markets, facts) as opened:
        asked = [_UNKNOWN, facts[0].token_id]
        assert [fact.token_id for fact in await opened.source.facts(asked)] == asked[1:]
        assert [book.token_id for book in await opened.source.books(asked)] == asked[1:]
        assert list(await opened.source.resolutions(["0x" + "f" * 64])) == []


async def books_have_the_best_first(open_markets: OpenMarketsForTest) -> None:
    """Bids fall and asks rise, nobody bids what another asks, and the first levels are the best prices."""
    facts = _facts()
    async with _opened(open_markets, facts) as opened:
        books = await opened.source.books([fact.token_id for fact in facts])
        assert len(books) == len(facts)
        for book in books:
            bids, asks = ([level.price for level in side] for side in (book.bids, book.asks))
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            assert bids[0] < asks[0]
            assert book.at <= START + _LONG_S
        assert {book.token_id: book.quote for book in books} == {
            fact.token_id: _quote(10 + number) for number, fact in enumerate(facts)
        }


async def a_book_may_have_one_side(open_markets: OpenMarketsForTest) -> None:
    """A side that nobody offers is empty, not zero."""
    facts = _facts(1)
    async with _opened(open_markets, facts) as opened:
        one_sided = evolve(_quote(30), bid=None, bid_shares=None)
        opened.venue.set_quote(facts[0].token_id, one_sided)
        (book,) = await opened.source.books([facts[0].token_id])
        assert (book.bids, book.quote) == ((), one_sided)


async def decisions_are_told_once_they_are_made(open_markets: OpenMarketsForTest) -> None:
    """A question that is open is not among them; a decided one has the shares of its payouts by slot, for good."""
    facts = _facts()
    async with _opened(open_markets, facts) as opened:
        conditions = sorted({fact.condition_id for fact in facts})
        assert list(await opened.source.resolutions(conditions)) == []
        opened.venue.decide(conditions[0], (250_000, 750_000))
        opened.venue.decide(conditions[2], (0, 1_000_000))
        for _ in range(2):
            told = {decided.condition_id: decided.payouts for decided in await opened.source.resolutions(conditions)}
            assert told.keys() == {conditions[0], conditions[2]}
            assert [payout * 4 for payout in told[conditions[0]]] == [
                sum(told[conditions[0]]),
                3 * sum(told[conditions[0]]),
            ]
            assert told[conditions[2]][0] == 0
        assert list(await opened.source.resolutions(conditions[1:2])) == []


async def whoever_is_away_says_so(open_markets: OpenMarketsForTest) -> None:
    """Where nobody answers each question ends in `MarketsUnavailable`, within minutes; later it is answered again."""
    facts = _facts()
    async with _opened(open_markets, facts) as opened:
        tokens, conditions = [fact.token_id for fact in facts], [facts[0].condition_id]
        questions: list[Callable[[], Awaitable[object]]] = [
            lambda: opened.source.facts(tokens),
            lambda: opened.source.books(tokens),
            lambda: opened.source.resolutions(conditions),
        ]
        source = opened.source
        if isinstance(source, PastPrices):
            questions.append(partial(source.past_prices, tokens[0], START, START + _SOON_S))
        opened.venue.set_away(True)
        for question in questions:
            try:
                with trio.fail_after(_LONG_S):
                    await question()
            except MarketsUnavailable:
                continue
            raise AssertionError("expected MarketsUnavailable while nobody answers")
        opened.venue.set_away(False)
        await trio.sleep(_LONG_S)
        for question in questions:
            await question()


async def a_cancelled_question_leaves_the_source_usable(open_markets: OpenMarketsForTest) -> None:
    """Cancelled at any time, nothing is held: later questions are answered as if nothing had been."""
    facts = _facts(60)
    tokens = [fact.token_id for fact in facts]
    async with _opened(open_markets, facts) as opened:
        for number in range(30):
            with trio.move_on_after(number * 0.01):
                await opened.source.facts(tokens)
                await opened.source.books(tokens)
                await opened.source.resolutions([fact.condition_id for fact in facts])
        with trio.fail_after(_LONG_S):
            assert len(await opened.source.facts(tokens)) == len(tokens)
            assert len(await opened.source.books(tokens)) == len(tokens)


async def the_first_price_comes_soon(open_markets: OpenMarketsForTest) -> None:
    """Whoever wants a price hears where it stands, without waiting for it to change."""
    facts = _facts()
    async with (
        _opened(open_markets, facts) as opened,
        _listening(opened.source, [fact.token_id for fact in facts]) as listener,
    ):
        await listener.until({fact.token_id: _quote(10 + number) for number, fact in enumerate(facts)})


async def prices_follow_the_book(open_markets: OpenMarketsForTest) -> None:
    """Each change arrives, also to and from an empty side; what does not change stands."""
    facts = _facts()
    still, moving = facts[0].token_id, facts[3].token_id
    async with _opened(open_markets, facts) as opened, _listening(opened.source, [still, moving]) as listener:
        await listener.until({still: _quote(10), moving: _quote(13)})
        one_sided = evolve(_quote(30), ask=None, ask_shares=None)
        for quote in (_quote(20), _quote(40), one_sided, Quote(bid=None, ask=None), _quote(5)):
            opened.venue.set_quote(moving, quote)
            await listener.until({still: _quote(10), moving: quote})
            await trio.sleep(1)


async def wanted_tokens_come_and_go(open_markets: OpenMarketsForTest) -> None:
    """What is wanted anew is told soon, and what is still wanted stays true."""
    facts = _facts()
    tokens = [fact.token_id for fact in facts]
    async with _opened(open_markets, facts) as opened, _listening(opened.source, tokens[:2]) as listener:
        for number, wanted in enumerate((tokens[1:4], tokens[3:], tokens, tokens[:1], tokens)):
            await listener.want.send(frozenset(wanted))
            await trio.sleep(1)
            for token in wanted:
                opened.venue.set_quote(token, _quote(50 + number))
            await listener.until({token: _quote(50 + number) for token in wanted})


async def lost_prices_are_taken_back_and_told_anew(open_markets: OpenMarketsForTest) -> None:
    """After an interruption nothing stands but what was told since."""
    facts = _facts()
    tokens = [fact.token_id for fact in facts]
    async with _opened(open_markets, facts) as opened, _listening(opened.source, tokens) as listener:
        await listener.until({token: _quote(10 + number) for number, token in enumerate(tokens)})
        for round_ in range(3):
            opened.venue.interrupt()
            for token in tokens:
                opened.venue.set_quote(token, _quote(60 + round_))
            await listener.until({token: _quote(60 + round_) for token in tokens}, _LONG_S)
            assert listener.lost > round_


async def whoever_listens_slowly_hears_the_newest(open_markets: OpenMarketsForTest) -> None:
    """What nobody took in time is not queued: when it is taken, the newest price of each token is what stands."""
    facts = _facts(1)
    token = facts[0].token_id
    async with _opened(open_markets, facts) as opened, trio.open_nursery() as nursery:
        want, wanted = trio.open_memory_channel[frozenset[TokenId]](1)
        send, prices = trio.open_memory_channel[SeenPrice | PricesLost](0)
        nursery.start_soon(opened.source.run_prices, wanted, send)
        await want.send(frozenset([token]))
        await trio.sleep(_SOON_S)
        for cents in range(11, 61):
            opened.venue.set_quote(token, _quote(cents))
            await trio.sleep(0.1)
        heard: list[SeenPrice | PricesLost] = []
        with trio.move_on_after(_SOON_S):
            async for item in prices:
                heard.append(item)  # noqa: PERF401  what was heard before the time is over counts
        assert isinstance(heard[-1], SeenPrice)
        assert _fits(heard[-1].quote, _quote(60))
        assert len(heard) < 10
        nursery.cancel_scope.cancel()


async def prices_end_with_what_is_wanted(open_markets: OpenMarketsForTest) -> None:
    """When nobody can want anything any more the source returns and closes its end; it may be asked for prices again."""
    facts = _facts()
    tokens = [fact.token_id for fact in facts]
    async with _opened(open_markets, facts) as opened:
        for _ in range(3):
            async with _listening(opened.source, tokens) as listener:
                await listener.until({token: _quote(10 + number) for number, token in enumerate(tokens)})
                await listener.want.aclose()
                with trio.fail_after(_SOON_S):
                    await listener.ended.wait()


async def past_prices_are_those_of_their_time(open_markets: OpenMarketsForTest) -> None:
    """Where a source knows the past: each price at its time, in their order, within the bounds; nothing of the unknown."""
    facts = _facts(1)
    async with _opened(open_markets, facts) as opened:
        source, token = opened.source, facts[0].token_id
        if not isinstance(source, PastPrices):
            return
        for cents in (20, 30, 40):
            await trio.sleep(_LONG_S)
            opened.venue.set_quote(token, _quote(cents))
        await trio.sleep(_LONG_S)
        since, until = START + _LONG_S - 1, START + 3 * _LONG_S - 1
        found = await source.past_prices(token, since, until)
        assert len(found) >= 2
        assert [one.at for one in found] == sorted({one.at for one in found})
        for one in found:
            assert since <= one.at < until
            quote = _quote(20 if one.at < since + _LONG_S else 30)
            assert quote.bid is not None
            assert quote.ask is not None
            assert quote.bid <= one.price <= quote.ask
        assert not await source.past_prices(token, START - 2 * _LONG_S, START - _LONG_S)
        assert not await source.past_prices(_UNKNOWN, START, START + _LONG_S)


MARKETS_CHECKS: tuple[MarketsCheck, ...] = (
    facts_are_those_of_the_tokens,
    many_tokens_are_told_at_once,
    nothing_is_said_of_unknown_tokens,
    books_have_the_best_first,
    a_book_may_have_one_side,
    decisions_are_told_once_they_are_made,
    past_prices_are_those_of_their_time,
    whoever_is_away_says_so,
    a_cancelled_question_leaves_the_source_usable,
    the_first_price_comes_soon,
    prices_follow_the_book,
    wanted_tokens_come_and_go,
    lost_prices_are_taken_back_and_told_anew,
    whoever_listens_slowly_hears_the_newest,
    prices_end_with_what_is_wanted,
)
"""Every check of the contract. They need a clock that `trio.sleep` moves: a mock clock, or patience."""
