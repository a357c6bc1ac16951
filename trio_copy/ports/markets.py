"""The contract of market sources: whoever knows what tokens are about, what they cost and how questions were decided.

A source is asked about what the accounts need, never obeyed: it moves no money, and an order's limits come from its executor.
One that is away leaves everything else running.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

import trio
from attrs import field, frozen

from trio_copy.clock import WallClock
from trio_copy.entropy import Entropy, system_entropy
from trio_copy.model.books import Book, PastPrice, PricesLost, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.resolutions import Decided
from trio_copy.model.settings import NoSettings
from trio_copy.ports.store import OpenSocket, tell_nobody
from trio_copy.sockets import open_socket


class Markets(Protocol):
    """One source of facts and prices, opened by the engine as an async context manager.

    Every method may be cancelled at any time and leaves nothing open behind. What is asked at once is bounded by the
    caller; how often the venue is asked is bounded by the source.
    """

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        """Return what is known about tokens, in any order; nothing about those that nobody knows.

        Raises:
            MarketsUnavailable: nobody answers, or what was answered cannot be read. Some may be known all the same: later.
        """
        ...

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        """Return the books of tokens as they are now, in any order; nothing of those that are not traded.

        Raises:
            MarketsUnavailable: as above.
        """
        ...

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        """Send the best prices of tokens as they change, until `tokens` ends; closes both channels.

        `tokens` brings all that are wanted now, each time anew. The first price of a token comes soon after it is wanted,
        and stands until another comes: a source that lost its connection, or hears nothing on it, says so by `PricesLost`
        and tells all anew later. Reconnects by itself, for as long as it takes. Waits where `send` is full, and then sends
        the newest price of a token, not those between.

        Raises:
            MarketsUnavailable: this source has no prices, and never will.
        """
        ...

    async def resolutions(self, conditions: Collection[str]) -> Sequence[Decided]:
        """Return those questions that are decided, for good; nothing of those that are not.

        Raises:
            MarketsUnavailable: as above.
        """
        ...


@runtime_checkable
class PastPrices(Protocol):
    """What a market source may do besides: it knows what tokens cost in the past. One that does not lacks the method."""

    async def past_prices(self, token_id: TokenId, since: float, until: float) -> Sequence[PastPrice]:
        """Return what a token cost from one moment up to another, both in Unix seconds, the second excluded.

        In the order of their times, as finely as the venue remembers them; nothing of a token or a time that nobody knows.
        Whoever asks does so for a day or less.

        Raises:
            MarketsUnavailable: as in `Markets`.
        """
        ...


@runtime_checkable
class Traders(Protocol):
    """What a market source may do besides: it knows who earned most, and what anybody traded."""

    async def best_wallets(self, lasts_s: float, most: int) -> Sequence[Address]:
        """Return those that earned most in about so many seconds up to now, the best first.

        Raises:
            MarketsUnavailable: as in `Markets`.
        """
        ...

    async def trades_of(self, wallet: Address, since: float, until: float, most: int) -> Sequence[PastTrade]:
        """Return what a wallet traded from one moment up to another, both in Unix seconds, the second excluded.

        In the order of their times, and so many at most: of more, the venue says which.

        Raises:
            MarketsUnavailable: as in `Markets`.
        """
        ...


@frozen(kw_only=True)
class MarketsContext:
    """All that a market source is given: its own settings and the seams."""

    name: str
    settings: Any
    """An instance of the settings class that the plugin registered."""
    wall: WallClock
    open_socket: OpenSocket = open_socket
    """The seam to the network."""
    entropy: Entropy = field(factory=system_entropy)
    """Spreads retries, so that many programs behind one address do not come back at the same moment."""
    on_trouble: Callable[[str, str], None] = tell_nobody
    """Hears the kind and detail of what a person should know, once: that the venue does not answer, and that it does again."""
    on_left_out: Callable[[str], None] = lambda what: None
    """Hears of each piece of an answer that is not used because it cannot be read or believed: what it is, such as "a book"."""


OpenMarkets = Callable[[MarketsContext], AbstractAsyncContextManager[Markets]]


@frozen(kw_only=True)
class MarketsPlugin:
    name: str
    open: OpenMarkets
    settings: type = NoSettings
    """An attrs class; the table `[markets.NAME]` is checked against it."""
