"""What a market server knows: tokens, their books, and what was decided. Whoever changes something is heard at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from attrs import define, evolve, field

from trio_copy.model.books import Book, Level, Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.units import MICRO, Price, Ratio, Shares

TICK = Price(10_000)
MINIMUM = Shares(5 * MICRO)
_PAST_MOST = 100_000
"""Prices of one token that are remembered."""
_SIZES = (100, 250, 400, 1000)


class Quoted(Protocol):
    """A market that knows its tokens and quotes them, such as `trio_copy.testing.devnet.market.ScriptedMarket`."""

    @property
    def facts(self) -> Sequence[TokenFacts]: ...

    @property
    def decided(self) -> Mapping[str, tuple[int, ...]]: ...

    def quote(self, token_id: TokenId) -> Quote | None: ...


@define(eq=False)
class ServedVenue:
    now: Callable[[], float]
    """Unix seconds, as this venue believes."""
    facts: dict[TokenId, TokenFacts] = field(factory=dict)
    books: dict[TokenId, Book] = field(factory=dict)
    questions: dict[str, list[TokenId]] = field(factory=dict)
    """The tokens of each question, by slot."""
    decided: dict[str, tuple[int, ...]] = field(factory=dict)
    """The payouts of questions, in millionths of a dollar by slot."""
    closed: set[str] = field(factory=set)
    """Questions that are not traded any more."""
    sizes: Sequence[int] = _SIZES
    """Shares at each price of a book that is made from its best prices, the best first."""
    past: dict[TokenId, list[tuple[float, int]]] = field(factory=dict)
    """What tokens cost, in Unix seconds and millionths of a dollar: the middle of each book that was not empty."""
    best: list[Address] = field(factory=list)
    """Who earned most, the best first."""
    trades: list[PastTrade] = field(factory=list)
    """What wallets traded, in any order."""
    on_book: list[Callable[[Book | None, Book], None]] = field(factory=list)
    """Hears of a book as it was and as it is."""

    def put(self, facts: Iterable[TokenFacts]) -> None:
        """List tokens; what a venue always knows of them is filled in."""
        for fact in facts:
            tokens = self.questions.setdefault(fact.condition_id, [])
            if fact.token_id not in tokens:
                tokens.append(fact.token_id)
            self.facts[fact.token_id] = evolve(
                fact,
                neg_risk=bool(fact.neg_risk),
                exchange=fact.exchange or 2,
                tick=fact.tick or TICK,
                minimum=fact.minimum or MINIMUM,
                fee_rate=Ratio(40_000) if fact.fee_rate is None else fact.fee_rate,
                fee_exponent=1 if fact.fee_exponent is None else fact.fee_exponent,
            )
            tokens.sort(key=lambda token: self.facts[token].slot)

    def follow(self, market: Quoted) -> None:
        """List the tokens of a market, and let the books stand where it quotes them now; again after each of its steps."""
        if any(fact.token_id not in self.facts for fact in market.facts):
            self.put(market.facts)
        for condition, payouts in market.decided.items():
            if condition not in self.decided:
                self.decide(condition, payouts)
        for fact in market.facts:
            quote = market.quote(fact.token_id)
            if quote is not None:
                self.set_quote(fact.token_id, quote)

    def set_quote(self, token_id: TokenId, quote: Quote) -> None:
        """Let a book stand around these best prices."""
        self.set_book(book_around(token_id, quote, self.now(), self.facts[token_id].tick or TICK, self.sizes))

    def set_book(self, book: Book) -> None:
        """Let a book stand as it is here, and tell those who listen, if it changed."""
        before = self.books.get(book.token_id)
        if before is not None and (before.bids, before.asks) == (book.bids, book.asks):
            return
        self.books[book.token_id] = book
        self._remember(book)
        for hear in self.on_book:
            hear(before, book)

    def _remember(self, book: Book) -> None:
        sides = [side[0].price.micro for side in (book.bids, book.asks) if side]
        if sides:
            past = self.past.setdefault(book.token_id, [])
            past.append((self.now(), sum(sides) // len(sides)))
            del past[:-_PAST_MOST]

    def decide(self, condition_id: str, payouts: tuple[int, ...]) -> None:
        """Decide a question: its tokens pay these millionths of a dollar by slot, and their books are gone."""
        self.decided[condition_id] = payouts
        self.closed.add(condition_id)
        for token in self.questions.get(condition_id, ()):
            self.books.pop(token, None)


def book_around(token_id: TokenId, quote: Quote, at: float, tick: Price = TICK, sizes: Sequence[int] = _SIZES) -> Book:
    """Make a book with these best prices: some levels on each side, a tick apart."""

    def side(best: Price | None, best_shares: Shares | None, step: int) -> tuple[Level, ...]:
        if best is None:
            return ()
        prices = [best.micro + step * number for number in range(len(sizes))]
        levels = [
            Level(Price(at), Shares(size * MICRO)) for at, size in zip(prices, sizes, strict=True) if 0 < at < MICRO
        ]
        return (Level(best, best_shares or levels[0].shares), *levels[1:])

    return Book(
        token_id=token_id,
        bids=side(quote.bid, quote.bid_shares, -tick.micro),
        asks=side(quote.ask, quote.ask_shares, tick.micro),
        at=at,
        tick=tick,
        minimum=MINIMUM,
    )
