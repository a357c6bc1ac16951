"""The books that orders meet: what others offer, and what the venue's own clients have resting among it."""

from collections.abc import Callable, Sequence

from attrs import define, evolve, field, frozen

from trio_copy.model.books import Book, Level
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.units import MICRO, Price, Shares
from trio_copy.testing.market_server.venue import ServedVenue


@define(eq=False)
class Resting:
    """What is left of a client's order in a book, in millionths."""

    order_id: str
    token_id: TokenId
    side: Side
    price: int
    shares: int


@frozen
class Offer:
    """What somebody would trade with whoever comes, in millionths."""

    price: int
    shares: int
    resting: Resting | None
    """The client's order that it is; None where it is of somebody outside. It may be of the question's other answer."""


@define(eq=False)
class TradedVenue(ServedVenue):
    """A venue whose books are used up by those who trade, and hold what its clients leave in them."""

    outside: dict[TokenId, Book] = field(factory=dict)
    """What others offer."""
    resting: dict[TokenId, list[Resting]] = field(factory=dict)
    """In the order of time."""
    on_moved: list[Callable[[TokenId], None]] = field(factory=list)
    """Hears of books whose outside was moved."""
    on_decided: list[Callable[[str], None]] = field(factory=list)
    """Hears of questions that were decided."""

    def set_book(self, book: Book) -> None:
        """Let others offer this from now on, and nothing else."""
        self.outside[book.token_id] = book
        for hear in self.on_moved:  # before it is shown: what crosses was traded by then
            hear(book.token_id)
        self._show(book.token_id)

    def decide(self, condition_id: str, payouts: tuple[int, ...]) -> None:
        super().decide(condition_id, payouts)
        for token in self.questions.get(condition_id, ()):
            self.outside.pop(token, None)
        for hear in self.on_decided:
            hear(condition_id)

    def offers(self, token: TokenId, side: Side) -> list[Offer]:
        """Return what a BUY or a SELL meets, the best first; at one price what is outside comes first.

        The two answers of a question share their book: who buys one of them at a price meets who buys the other one for the
        rest of a dollar, for together they make new shares; two who sell merge theirs. What is outside is shown so already.
        """
        book = self.outside.get(token)
        levels: Sequence[Level] = () if book is None else book.asks if side is Side.BUY else book.bids
        found = [Offer(level.price.micro, level.shares.micro, None) for level in levels]
        found += [Offer(one.price, one.shares, one) for one in self.resting.get(token, ()) if one.side is side.opposite]
        others = () if (other := self._other(token)) is None else self.resting.get(other, ())
        found += [Offer(MICRO - one.price, one.shares, one) for one in others if one.side is side]
        return sorted(found, key=lambda offer: offer.price if side is Side.BUY else -offer.price)

    def rest(self, resting: Resting) -> None:
        """Leave an order in its book."""
        self.resting.setdefault(resting.token_id, []).append(resting)
        self._show_both(resting.token_id)

    def take(self, token: TokenId, side: Side, taken: Sequence[tuple[Offer, int]]) -> None:
        """Take shares out of offers that a BUY or a SELL met."""
        gone = {offer.price: shares for offer, shares in taken if offer.resting is None}
        for offer, shares in taken:
            if offer.resting is not None:
                offer.resting.shares -= shares
                of = offer.resting.token_id
                self.resting[of] = [one for one in self.resting.get(of, ()) if one.shares]
        book = self.outside.get(token)
        if book is not None:
            levels = book.asks if side is Side.BUY else book.bids
            left = [(level.price, level.shares.micro - gone.get(level.price.micro, 0)) for level in levels]
            kept = tuple(Level(price, Shares(shares)) for price, shares in left if shares)
            self.outside[token] = evolve(book, asks=kept) if side is Side.BUY else evolve(book, bids=kept)
        self._show_both(token)

    def withdraw(self, token: TokenId, order_id: str) -> None:
        """Take a client's order out of its book, if it is there."""
        self.resting[token] = [one for one in self.resting.get(token, ()) if one.order_id != order_id]
        self._show_both(token)

    def _other(self, token: TokenId) -> TokenId | None:
        """Return the other answer of a token's question."""
        fact = self.facts.get(token)
        return None if fact is None else fact.opposite

    def _show_both(self, token: TokenId) -> None:
        """Show the books of both answers as they are now."""
        for one in (token, self._other(token)):
            if one in self.facts:
                self._show(one)

    def _show(self, token: TokenId) -> None:
        bids, asks = self._levels(token, Side.SELL), self._levels(token, Side.BUY)
        if token not in self.outside and not (bids or asks):
            self.books.pop(token, None)
            return
        fact = self.facts[token]
        empty = Book(token_id=token, bids=(), asks=(), at=self.now(), tick=fact.tick, minimum=fact.minimum)
        book = self.outside.get(token, empty)
        super().set_book(evolve(book, at=self.now(), bids=bids, asks=asks))

    def _levels(self, token: TokenId, side: Side) -> tuple[Level, ...]:
        levels: dict[int, int] = {}
        for offer in self.offers(token, side):
            levels[offer.price] = levels.get(offer.price, 0) + offer.shares
        return tuple(Level(Price(price), Shares(shares)) for price, shares in levels.items())
