"""What tokens cost, as a market source tells it: written as it changes, asked without waiting. Sync, apart from listening."""

from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet

import trio
from attrs import define, field

from trio_copy.model.books import PricesLost, Quote, SeenPrice
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price


@define(eq=False)
class Prices:
    """The newest prices that still hold. What is not known to hold any more is no price."""

    on_change: Callable[[SeenPrice | PricesLost], None] = lambda told: None
    """Hears what is known now and was not, and what is not known any more: for recordings."""
    _quotes: dict[TokenId, Quote] = field(factory=dict)
    _wanted: Collection[TokenId] = frozenset()
    _lost: set[TokenId] = field(factory=set)
    """Tokens of which the source has said that it does not know their prices now."""
    _listening: bool = False

    def quote(self, token_id: TokenId) -> Quote | None:
        """Return the best prices of a token; None where nobody knows them now."""
        return self._quotes.get(token_id)

    def __len__(self) -> int:
        return len(self._quotes)

    def wants(self, token_id: TokenId) -> bool:
        """Tell whether the prices of a token are watched."""
        return token_id in self._wanted

    def may_tell(self, token_id: TokenId) -> bool:
        """Tell whether somebody may tell a price of a token in a moment: he has not said that he cannot now."""
        return self._listening and token_id not in self._lost

    def want(self, tokens: Collection[TokenId]) -> None:
        """Keep the prices of these tokens alone: nobody tells any more when another one changes."""
        self._wanted = tokens
        self._lost.intersection_update(tokens)
        self._lose(self._quotes.keys() - tokens)

    def lose_all(self) -> None:
        """Forget everything: nobody tells any more."""
        self._lose(frozenset(self._quotes))
        self._lost.clear()

    async def run(
        self,
        receive: trio.MemoryReceiveChannel[SeenPrice | PricesLost],
        on_taken: Callable[[TokenId | None], None] = lambda first: None,
    ) -> None:
        """Take down what a source tells until it tells no more; then nothing is known.

        `on_taken` hears what `take` returns.
        """
        self._listening = True
        try:
            async with receive:
                async for told in receive:
                    on_taken(self.take(told))
        except trio.Cancelled:
            # Nobody lost them: the engine ends, and a recording of it shall not end with prices that are unknown.
            self._quotes.clear()
            raise
        finally:
            self._listening = False
            self.lose_all()

    def take(self, told: SeenPrice | PricesLost) -> TokenId | None:
        """Take down what a source tells; nothing of a token that was wanted only a moment ago, and what is no price is none.

        Returns the token if it has a price now and had none.
        """
        match told:
            case SeenPrice(token_id=int() as token, quote=Quote(bid=Price() | None, ask=Price() | None)) if (
                token in self._wanted
            ):
                # Not by its time: a source that begins anew tells how it is now, and its clock may have been set back.
                before = self._quotes.get(TokenId(token))
                self._lost.discard(TokenId(token))
                if before == told.quote:
                    return None
                self._quotes[TokenId(token)] = told.quote
                self.on_change(told)
                return TokenId(token) if before is None else None
            case PricesLost(tokens=tokens):
                lost = frozenset(token for token in tokens if token in self._wanted and token not in self._lost)
                self._lost |= lost
                for token in lost:
                    self._quotes.pop(token, None)
                if lost:
                    self.on_change(PricesLost(lost))
            case _:
                pass
        return None

    def _lose(self, tokens: AbstractSet[TokenId]) -> None:
        for token in tokens:
            del self._quotes[token]
        if tokens:
            self.on_change(PricesLost(frozenset(tokens)))
