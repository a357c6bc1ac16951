"""What tokens cost, as a market source tells it: written as it changes, asked without waiting. Sync, apart from listening."""

from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet

import trio
from attrs import define, field

from trio_copy.model.books import PricesLost, SeenPrice
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Quote


@define(eq=False)
class Prices:
    """The newest prices that still hold. What is not known to hold any more is no price."""

    on_change: Callable[[SeenPrice | PricesLost], None] = lambda told: None
    """Hears what is known now and was not, and what is not known any more: for recordings."""
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
        self._lose(self._quotes.keys() - tokens)

    def lose_all(self) -> None:
        """Forget everything: nobody tells any more."""
        self._lose(frozenset(self._quotes))

    async def run(self, receive: trio.MemoryReceiveChannel[SeenPrice | PricesLost]) -> None:
        """Take down what a source tells until it tells no more; then nothing is known."""
        try:
            async with receive:
                async for told in receive:
                    self.take(told)
        finally:
            self.lose_all()

    def take(self, told: SeenPrice | PricesLost) -> None:
        """Take down what a source tells; of a token that was wanted only a moment ago, nothing."""
        match told:
            case SeenPrice(token_id=token) if token in self._wanted:
                # Not by its time: a source that begins anew tells how it is now, and its clock may have been set back.
                if self._quotes.get(token) != told.quote:
                    self._quotes[token] = told.quote
                    self.on_change(told)
            case PricesLost(tokens=tokens):
                self._lose(self._quotes.keys() & tokens)

    def _lose(self, tokens: AbstractSet[TokenId]) -> None:
        for token in tokens:
            del self._quotes[token]
        if tokens:
            self.on_change(PricesLost(frozenset(tokens)))
