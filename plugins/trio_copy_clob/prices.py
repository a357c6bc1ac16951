"""Spreads the wanted tokens over lines, and brings what they tell to whoever asked."""

import ssl
from collections.abc import Callable, Iterable

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.entropy import Entropy
from trio_copy.model.books import PricesLost, SeenPrice
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price
from trio_copy.ports import OpenSocket
from trio_copy_clob.channel import Told
from trio_copy_clob.line import Line
from trio_copy_clob.mailbox import Mailbox
from trio_copy_clob.troubles import Troubles

TOKENS_PER_LINE = 200
"""Connections with more were seen to stop telling some."""
_LINES = 50


@define(eq=False, kw_only=True)
class Prices:
    url: str
    timeout_s: float
    open_socket: OpenSocket
    tls: Callable[[], ssl.SSLContext]
    wall: WallClock
    entropy: Entropy
    troubles: Troubles
    ticks: dict[TokenId, Price]
    mailbox: Mailbox = field(factory=Mailbox)
    _lines: list[Line] = field(factory=list)

    async def run(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        """Send prices until `tokens` ends, or nobody listens any more; closes both."""
        async with tokens, send, trio.open_nursery() as nursery:
            nursery.start_soon(self._tell, send, nursery.cancel_scope)
            async for wanted in tokens:
                for line in self._assign(wanted):
                    nursery.start_soon(line.run)
            nursery.cancel_scope.cancel()

    async def _tell(self, send: trio.MemorySendChannel[SeenPrice | PricesLost], scope: trio.CancelScope) -> None:
        try:
            await self.mailbox.run(send)
        except trio.BrokenResourceError:
            scope.cancel()

    def _assign(self, wanted: frozenset[TokenId]) -> Iterable[Line]:
        """Give each token to a line; one that has a line keeps it. Returns the lines that are new."""
        kept = [line.wanted & wanted for line in self._lines]
        waiting = sorted(wanted.difference(*kept))
        known = len(self._lines)
        while waiting and (len(kept) < _LINES or any(len(tokens) < TOKENS_PER_LINE for tokens in kept)):
            number = next((n for n, tokens in enumerate(kept) if len(tokens) < TOKENS_PER_LINE), len(kept))
            if number == len(kept):
                kept.append(frozenset())
                self._lines.append(self._line())
            room = TOKENS_PER_LINE - len(kept[number])
            kept[number] |= frozenset(waiting[:room])
            del waiting[:room]
        if waiting:
            self.troubles.leave_out("prices of tokens", f"more than {_LINES * TOKENS_PER_LINE} at once")
        for line, tokens in zip(self._lines, kept, strict=True):
            line.want(tokens)
        return self._lines[known:]

    def _line(self) -> Line:
        return Line(
            number=len(self._lines),
            url=self.url,
            timeout_s=self.timeout_s,
            open_socket=self.open_socket,
            tls=self.tls,
            entropy=self.entropy,
            troubles=self.troubles,
            mailbox=self.mailbox,
            told=Told(wall=self.wall, troubles=self.troubles, ticks=self.ticks),
        )
