"""What tokens cost, as a market source tells it: written as it changes, asked without waiting. Sync, apart from listening."""

from collections.abc import Collection

import trio
from attrs import define, field

from trio_copy.model.books import PricesLost, SeenPrice
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Quote
from trio_copy.model.units import Price


@define(eq=False)
class Prices:
    """The newest prices that still hold. What is not known to hold any more is no price."""

    _quotes: dict[TokenId, Quote] = field(factory=dict)
    _wanted: Collection[TokenId] = frozenset()

    def quote(self, token_id: TokenId) -> Quote | None:
        """Return the best prices of a token; None where nobody knows them now."""
        return self._quotes.get(token_id)

    def __len__(self) -> int:
        return len(self._quotes)

    def wants(self, token_id: TokenId) -> bool:
        """Tell whether the prices of a token are watched."""
        return token_id in self._wanted

    def want(self, tokens: Collection[TokenId]) -> None:
        """Keep the prices of these tokens alone: nobody tells any more when another one changes."""
        self._wanted = tokens
        for token in self._quotes.keys() - tokens:
            del self._quotes[token]

    def lose_all(self) -> None:
        """Forget everything: nobody tells any more."""
        self._quotes.clear()

    async def run(self, receive: trio.MemoryReceiveChannel[SeenPrice | PricesLost]) -> None:
        """Take down what a source tells until it tells no more; then nothing is known."""
        try:
            async with receive:
                async for told in receive:
                    self.take(told)
        finally:
            self.lose_all()

    def take(self, told: SeenPrice | PricesLost) -> None:
        """Take down one thing that a source told; what is no price is none."""
        match told:
            case SeenPrice(token_id=int() as token, quote=Quote(bid=Price() | None, ask=Price() | None)) if (
                token in self._wanted
            ):
                # Not by its time: a source that begins anew tells how it is now, and its clock may have been set back.
                self._quotes[TokenId(token)] = told.quote
            case PricesLost(tokens=tokens):
                for token in tokens:
                    self._quotes.pop(token, None)
            case _:
                pass  # of one that was wanted a moment ago, or no price at all
