"""Requests that wait to leave over one connection: all of them go with one write.

For twenty copies that ask at once, twenty writes to the socket cost more than the questions do otherwise. What its asker gives up
before it leaves does not leave any more, from that very moment on: an order must not go out after its time.
"""

import trio
from attrs import define, field

from trio_copy.chain.websocket import WebSocket
from trio_copy.errors import ConnectionLost

_AT_ONCE_BYTES = 1 << 14
"""Less than a kernel holds for a node that does not read for a moment: the write is over at once."""


@define(eq=False)
class Outbox:
    _ws: WebSocket
    _waiting: dict[int, str] = field(factory=dict)
    """By the number of the request."""
    _leaving: dict[int, str] = field(factory=dict)
    """Those that are being written, and are still wanted."""
    _write: trio.CancelScope = field(factory=trio.CancelScope)
    _news: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    cut_off: bool = False
    """Whether the connection has ended because a half of something has left."""

    def put(self, number: int, text: str) -> None:
        """Let a request leave with the next write."""
        self._waiting[number] = text
        self._news.unpark()

    def take_back(self, number: int) -> None:
        """Let a request not leave any more; a half of it that has left ends the connection."""
        if self._waiting.pop(number, None) is None and self._leaving.pop(number, None) is not None:
            self._write.cancel()

    async def run(self) -> None:
        """Write what waits, until the connection has ended or this is cancelled.

        Raises:
            ConnectionLost: the connection has ended, or what was being written was given up.
        """
        while True:
            if not self._waiting:
                await self._news.park()
            texts = self._take()
            with trio.CancelScope() as self._write:
                await self._ws.send(*texts)
            if self._write.cancelled_caught:
                if self._ws.cut:
                    self.cut_off = True
                    raise ConnectionLost("a message to the node was cut off")
                # It waited for its turn, and nothing has left: the others go with the next write.
                self._waiting = {**self._leaving, **self._waiting}
            self._leaving.clear()

    def _take(self) -> list[str]:
        texts, size = list[str](), 0
        for number, text in self._waiting.items():
            if texts and size + len(text) > _AT_ONCE_BYTES:
                break
            size += len(text)
            texts.append(text)
            self._leaving[number] = text
        for number in self._leaving:
            del self._waiting[number]
        return texts
