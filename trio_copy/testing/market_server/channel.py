"""The venue's market channel: a WebSocket that tells books to whoever subscribes, and their changes as they come."""

import msgspec
import trio
import trio_websocket
from attrs import define, field
from wsproto.utilities import LocalProtocolError

from trio_copy.model.books import Book
from trio_copy.model.ids import TokenId
from trio_copy.testing.market_server.faults import VenueFaults
from trio_copy.testing.market_server.venue import ServedVenue
from trio_copy.testing.market_server.wire import Row, book_row, change_row, other_token

_OUTBOX = 10_000
_TOO_SLOW = 1013


@define(eq=False)
class _Listener:
    send: trio.MemorySendChannel[str | int]
    """Frames, or the code to end the connection with."""
    scope: trio.CancelScope
    tokens: set[TokenId] = field(factory=set)

    def push(self, frame: str | int) -> None:
        try:
            self.send.send_nowait(frame)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.scope.cancel()


@define(eq=False)
class ChannelSide:
    venue: ServedVenue
    faults: VenueFaults
    handshakes: int = 0
    """Connections that were asked for, the refused ones included."""
    pings: int = 0
    _listeners: list[_Listener] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.venue.on_book.append(self._book_changed)

    @property
    def subscribed(self) -> list[frozenset[TokenId]]:
        """The tokens of each live connection."""
        return [frozenset(listener.tokens) for listener in self._listeners]

    async def wait_subscribed(self, tokens: frozenset[TokenId]) -> None:
        """Wait until exactly these tokens are subscribed to, over all connections."""
        while frozenset().union(*self.subscribed) != tokens:
            await self._changed.wait()

    def drop_connections(self) -> None:
        """Cut every connection without a goodbye."""
        for listener in list(self._listeners):
            listener.scope.cancel()

    def send_to_all(self, frame: str) -> None:
        """Tell everybody something: garbage, for instance."""
        for listener in self._listeners:
            listener.push(frame)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends."""
        try:
            await self._serve(stream)
        except* (LocalProtocolError, trio_websocket.ConnectionClosed, trio.BrokenResourceError):
            pass  # the client is gone; the library says so in several voices

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[str | int](_OUTBOX)
            listener = _Listener(send, nursery.cancel_scope)
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
                        self._hear(listener, await socket.get_message())
            except (trio_websocket.ConnectionClosed, trio.BrokenResourceError):
                pass
            finally:
                if listener in self._listeners:
                    self._listeners.remove(listener)
                self._tell_change()
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

    def _hear(self, listener: _Listener, message: str | bytes) -> None:
        if message == "PING":
            self.pings += 1
            if not self.faults.deaf:
                listener.push("PONG")
            return
        asked = msgspec.json.decode(message)
        tokens = {TokenId(int(text)) for text in asked["assets_ids"]}
        if asked.get("operation") == "unsubscribe":
            listener.tokens -= tokens
        else:
            new = sorted(tokens - listener.tokens)
            listener.tokens |= tokens
            self._tell(listener, [row for token in new if (row := self._snapshot(token)) is not None])
        self._tell_change()

    def _snapshot(self, token: TokenId) -> Row | None:
        book = self.venue.books.get(token)
        return None if book is None else {"event_type": "book", **book_row(book, self.venue.facts[token], self.faults)}

    def _book_changed(self, before: Book | None, book: Book) -> None:
        for listener in list(self._listeners):
            if book.token_id not in listener.tokens:
                continue
            if before is None:
                row = self._snapshot(book.token_id)
            else:
                row = change_row(before, book, self.venue.facts[book.token_id], self.faults)
            rows = [] if row is None else [row]
            stranger = {"event_type": "book", "asset_id": str(other_token(book.token_id)), "timestamp": "1790000000000"}
            rows += [{**stranger, "bids": [], "asks": []}] * self.faults.flood
            self._tell(listener, rows)

    def _tell(self, listener: _Listener, rows: list[Row]) -> None:
        faults = self.faults
        if faults.mute or faults.deaf or not rows:
            return
        if faults.channel_garbage:
            listener.push('{"event_type":"book","asset_id":12,"bids":[{"price":"NaN"}]}')
            listener.push("[[[[")
        if faults.lone_objects:
            for row in rows:
                listener.push(msgspec.json.encode(row).decode())
        else:
            listener.push(msgspec.json.encode(rows).decode())

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
