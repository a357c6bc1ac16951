"""A WebSocket that tells things to whoever listens."""

from abc import ABC, abstractmethod

import trio
import trio_websocket
from attrs import define, field
from wsproto.utilities import LocalProtocolError

from trio_copy.model.ids import TokenId
from trio_copy.testing.market_server.faults import VenueFaults

_OUTBOX = 10_000


@define(eq=False)
class Listener:
    """Somebody connected to a WebSocket."""

    send: trio.MemorySendChannel[str | int]
    """Frames, or the code to end the connection with."""
    scope: trio.CancelScope
    tokens: set[TokenId] = field(factory=set)

    def push(self, frame: str | int) -> None:
        """Tell something; whoever is too slow to take it is cut off."""
        try:
            self.send.send_nowait(frame)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.scope.cancel()


@define(eq=False, kw_only=True)
class ListeningSide(ABC):
    """The server's side of such a WebSocket."""

    faults: VenueFaults
    handshakes: int = 0
    """Connections that were asked for, the refused ones included."""
    pings: int = 0
    _listeners: list[Listener] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)

    @abstractmethod
    def hear(self, listener: Listener, message: str | bytes) -> None:
        """Take what somebody said, pings apart. Raises `ValueError` or `TypeError` where nobody can read it."""

    @property
    def listeners(self) -> int:
        """How many are connected."""
        return len(self._listeners)

    def drop_connections(self) -> None:
        """Cut every connection without a goodbye."""
        for listener in list(self._listeners):
            listener.scope.cancel()

    def send_to_all(self, frame: str) -> None:
        """Tell everybody something: garbage, for instance."""
        for listener in self._listeners:
            listener.push(frame)

    def tell_change(self) -> None:
        """Wake whoever waits for another set of subscriptions."""
        self._changed.set()
        self._changed = trio.Event()

    def _take(self, listener: Listener, message: str | bytes) -> None:
        if message == "PING":
            self.pings += 1
            if not self.faults.deaf:
                listener.push("PONG")
            return
        try:
            self.hear(listener, message)
        except (ValueError, TypeError, LookupError, AttributeError):
            listener.scope.cancel()  # as the real one does; whoever wrote it finds himself hung up on
        self.tell_change()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends."""
        try:
            await self._serve(stream)
        except* (LocalProtocolError, trio_websocket.ConnectionClosed, trio.BrokenResourceError):
            pass  # the client is gone; the library says so in several voices

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[str | int](_OUTBOX)
            listener = Listener(send, nursery.cancel_scope)
            try:
                request = await trio_websocket.wrap_server_stream(
                    nursery,
                    stream,
                    receive_buffer_size=None,
                )
                self.handshakes += 1
                if self.faults.refuse_channel is not None:
                    await request.reject(self.faults.refuse_channel, body=b"not now")
                else:
                    socket = await request.accept()
                    self._listeners.append(listener)
                    nursery.start_soon(self._run_writer, socket, receive)
                    while True:
                        self._take(listener, await socket.get_message())
            except (trio_websocket.ConnectionClosed, trio.BrokenResourceError):
                pass
            finally:
                if listener in self._listeners:
                    self._listeners.remove(listener)
                self.tell_change()
                nursery.cancel_scope.cancel()

    async def _run_writer(
        self, socket: trio_websocket.WebSocketConnection, receive: trio.MemoryReceiveChannel[str | int]
    ) -> None:
        try:
            async for frame in receive:
                if isinstance(frame, int):
                    await socket.aclose(frame, "slow consumer")
                    return
                await socket.send_message(frame)
        except trio_websocket.ConnectionClosed:
            return
