"""What is known about tokens, for executors that simulate: at once, or a moment later where a market source may tell it."""

from collections.abc import Callable

import trio
from attrs import define, field

from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.ids import TokenId

_PATIENCE_S = 2.0
"""Facts take some tenths of a second; a copy that is later than this meets another book."""


def nobody_tells(token_id: TokenId) -> bool:
    return False


@define(eq=False, kw_only=True)
class FactsSoon:
    catalog: Catalog
    most_s: float
    """How long an executor may take to answer at all."""
    may_tell: Callable[[TokenId], bool] = nobody_tells
    """Whether somebody may tell about a token in a moment: see `WatchedTokens.may_tell_facts`."""
    _news: trio.Event = field(factory=trio.Event)

    def of(self, token_id: TokenId) -> TokenFacts | None:
        return self.catalog.of(token_id)

    async def soon(self, token_id: TokenId) -> TokenFacts | None:
        """Return what is known, or waited for in vain; see `ports.Facts`."""
        if self._may_come(token_id):
            with trio.move_on_after(min(_PATIENCE_S, self.most_s / 2)):
                while True:
                    await self._news.wait()
                    if not self._may_come(token_id):
                        break
        return self.catalog.of(token_id)

    def _may_come(self, token_id: TokenId) -> bool:
        return self.catalog.of(token_id) is None and self.may_tell(token_id)

    def tell(self) -> None:
        """Wake whoever waits: something was told, or somebody will not tell it."""
        self._news.set()
        self._news = trio.Event()
