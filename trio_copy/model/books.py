"""What stands in a market's book at one moment."""

from attrs import frozen

from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Shares


@frozen(kw_only=True)
class Quote:
    """The best prices of a book; None on an empty side."""

    bid: Price | None
    ask: Price | None
    bid_shares: Shares | None = None
    """Offered at the best bid; None where nobody tells."""
    ask_shares: Shares | None = None
    price: Price | None = None
    """What one share cost, where that is all that is known: of the past, a venue tells no sides."""


@frozen
class Level:
    """What is offered at one price."""

    price: Price
    shares: Shares


@frozen(kw_only=True)
class Book:
    """A token's book, whole."""

    token_id: TokenId
    bids: tuple[Level, ...]
    """The best, which is the highest, first."""
    asks: tuple[Level, ...]
    """The best, which is the lowest, first."""
    at: float
    """When the venue says that it was so, in Unix seconds."""
    tick: Price | None = None
    """None where the venue does not tell."""
    minimum: Shares | None = None

    @property
    def quote(self) -> Quote:
        """Return its best prices."""
        bid, ask = (side[0] if side else None for side in (self.bids, self.asks))
        return Quote(
            bid=None if bid is None else bid.price,
            ask=None if ask is None else ask.price,
            bid_shares=None if bid is None else bid.shares,
            ask_shares=None if ask is None else ask.shares,
        )


@frozen(kw_only=True)
class SeenPrice:
    """The best prices of a token at one moment."""

    token_id: TokenId
    quote: Quote
    at: float
    """When the venue says that it was so, in Unix seconds."""


@frozen
class PastPrice:
    """What one share of a token cost at one moment of the past."""

    at: float
    """Unix seconds."""
    price: Price


@frozen
class PricesLost:
    """Nobody knows any more whether the prices that were told of these tokens still hold, until they are told anew."""

    tokens: frozenset[TokenId]
