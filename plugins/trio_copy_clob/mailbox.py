"""What the lines have to say, until whoever listens takes it: of each token the newest price only."""

from collections.abc import Collection

import trio
from attrs import define, field

from trio_copy.model.books import PricesLost, SeenPrice
from trio_copy.model.ids import TokenId


@define(eq=False)
class Mailbox:
    """Holds at most one thing of a token, so that whoever listens slowly hears less, and never late."""

    _prices: dict[TokenId, SeenPrice] = field(factory=dict)
    _gone: set[TokenId] = field(factory=set)
    _news: trio.Event = field(factory=trio.Event)

    def put(self, price: SeenPrice) -> None:
        """Tell a price; whether the one before was lost in between does not matter any more."""
        self._gone.discard(price.token_id)
        self._prices[price.token_id] = price
        self._news.set()

    def lose(self, tokens: Collection[TokenId]) -> None:
        self.forget(tokens)
        if tokens:
            self._gone.update(tokens)
            self._news.set()

    def forget(self, tokens: Collection[TokenId]) -> None:
        """Say nothing more of tokens that nobody wants."""
        for token in tokens:
            self._prices.pop(token, None)
            self._gone.discard(token)

    async def run(self, send: trio.MemorySendChannel[SeenPrice | PricesLost]) -> None:
        """Send all that comes. Raises `trio.BrokenResourceError` once nobody listens any more."""
        while True:
            while not (self._gone or self._prices):
                self._news = trio.Event()
                await self._news.wait()
            if self._gone:
                lost, self._gone = frozenset(self._gone), set()
                await send.send(PricesLost(lost))
            else:
                await send.send(self._prices.pop(next(iter(self._prices))))
