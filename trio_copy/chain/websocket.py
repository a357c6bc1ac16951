"""A WebSocket client over any stream that counts every byte it holds. wsproto speaks the protocol.

One message is held at a time: nothing is read ahead, so that a node that sends faster than we read fills its own buffers
and not ours. A message may be `max_bytes` long, in whatever pieces it comes; pieces so small that they only cost time
are refused. One task receives; any number may send. Everything ends in a `ConnectionLost`, never in a hang.
"""

import re
from contextlib import suppress

import trio
from attrs import define, field
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from trio_copy.chain.handshake import Handshake, moved_to, retry_after_s
from trio_copy.errors import AnswerTooLarge, ConnectionLost, HandshakeRefused

_CHUNK_BYTES = 1 << 16
_HANDSHAKE_BYTES = 1 << 16
_STATUS_BYTES = 16
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? ([3-5]\d\d)\b")
_FREE_FRAGMENTS = 1024
_BYTES_PER_FRAGMENT = 64
"""Go nodes cut answers into fragments of a kilobyte; thousands of crumbs are an attack on our processor."""
_WITHOUT_A_TURN = 32
"""So many messages that came in one piece are handed out in a row: those who wait for them go on together, and what they do next is
one write where it would be one each."""
_GOODBYE_S = 1.0
"""How long telling a node why we leave may take; it may not be reading."""


@define(eq=False)
class WebSocket:
    _stream: trio.abc.Stream
    _max_bytes: int
    _protocol: WSConnection = field(factory=lambda: WSConnection(ConnectionType.CLIENT))
    _message: bytearray = field(factory=bytearray)
    _fragments: int = 0
    _greeting: bytearray = field(factory=bytearray)
    """How the answer to the handshake begins."""
    _sending: trio.StrictFIFOLock = field(factory=trio.StrictFIFOLock)
    _in_a_row: int = 0
    """What was handed out, or done, since others had their turn."""
    cut: bool = False
    """Whether the middle of a message has left, and not its end: nothing that follows could be read."""
    _pings: int = 0
    _pong: trio.Event = field(factory=trio.Event)
    _ended: trio.Event = field(factory=trio.Event)

    async def shake_hands(self, handshake: Handshake) -> None:
        """Ask the server to speak WebSocket. The body of a refusal is not waited for.

        Raises:
            HandshakeRefused: it answered with an HTTP status.
            ConnectionLost: it does not speak WebSocket, or is gone.
        """
        await self._send(
            Request(host=handshake.host, target=handshake.target, extra_headers=handshake.headers),
        )
        received = 0
        while True:
            await trio.lowlevel.checkpoint()
            event = self._next_event()
            match event:
                case AcceptConnection():
                    return
                case RejectConnection():
                    status, headers = event.status_code, list(event.headers)
                    raise HandshakeRefused(status, retry_after_s(status, headers), moved_to(status, headers))
                case None if received > _HANDSHAKE_BYTES:
                    raise ConnectionLost("the node's answer to the handshake has no end")
                case None:
                    received += await self._read()

    async def receive(self) -> bytes:
        """Return the next whole message, in UTF-8 where it was text; pings are answered on the way.

        Cancelling it loses nothing.

        Raises:
            AnswerTooLarge: the message is longer than allowed, or the node says so of one of ours.
            ConnectionLost: the connection ended.
        """
        try:
            return await self._next_message()
        except BaseException:
            self._ended.set()
            raise

    async def send(self, *texts: str) -> None:
        """Send text messages with one write. A cancellation in the middle of it ends the connection. Raises `ConnectionLost`."""
        await self._send(*(TextMessage(data=text) for text in texts))

    async def ping(self) -> None:
        """Send a ping and wait for its pong, which `receive` hears. Raises `ConnectionLost`."""
        self._pings, self._pong = self._pings + 1, trio.Event()
        await self._send(Ping(payload=b"%d" % self._pings))
        await self._pong.wait()

    async def aclose(self) -> None:
        """Say goodbye and wait until `receive` has heard the answer; the caller bounds the time and closes the stream."""
        with suppress(ConnectionLost):
            await self._send(CloseConnection(code=CloseReason.NORMAL_CLOSURE))
            await self._ended.wait()

    async def _next_message(self) -> bytes:
        while True:  # noqa: ASYNC913  it waits where nothing is left, and after so many in a row
            self._in_a_row += 1
            if self._in_a_row > _WITHOUT_A_TURN:
                # What came in one piece, thousands of pongs perhaps, would otherwise keep everybody else from running.
                await trio.lowlevel.checkpoint()
                self._in_a_row = 0
            event = self._next_event()
            match event:
                case TextMessage() | BytesMessage():
                    if await self._whole(event):
                        message, self._message, self._fragments = bytes(self._message), bytearray(), 0
                        return message
                case Ping() if self._protocol.state is ConnectionState.OPEN:
                    await self._send(event.response())
                case Pong():
                    if bytes(event.payload) == b"%d" % self._pings:
                        self._pong.set()
                case CloseConnection():
                    await self._say(event.response())
                    raise _closed(event.code, event.reason)
                case None:
                    await self._read()

    async def _whole(self, event: TextMessage | BytesMessage) -> bool:
        """Add a piece to the message; True when it is the last one."""
        self._message += event.data.encode() if isinstance(event.data, str) else event.data
        self._fragments += event.frame_finished
        if len(self._message) > self._max_bytes:
            self._message.clear()
            await self._say(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
            raise AnswerTooLarge(f"the node sent a message of more than {self._max_bytes >> 20} MiB")
        if self._fragments > _FREE_FRAGMENTS + len(self._message) // _BYTES_PER_FRAGMENT:
            raise ConnectionLost("the node sent a message in thousands of crumbs")
        return event.message_finished

    def _next_event(self) -> Event | None:
        try:
            return next(self._protocol.events(), None)
        except Exception as error:
            raise _no_websocket(error, bytes(self._greeting)) from error

    async def _read(self) -> int:
        self._in_a_row = 0
        try:
            data = await self._stream.receive_some(_CHUNK_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLost("closed: abnormally") from error
        if not data:
            raise ConnectionLost("closed: abnormally")
        if self._protocol.state is ConnectionState.CONNECTING and len(self._greeting) < _STATUS_BYTES:
            self._greeting += data[:_STATUS_BYTES]
        try:
            self._protocol.receive_data(bytes(data))
        except Exception as error:
            raise _no_websocket(error, bytes(self._greeting)) from error
        return len(data)

    async def _send(self, *events: Event) -> None:
        try:
            data = b"".join(map(self._protocol.send, events))
        except LocalProtocolError as error:
            raise ConnectionLost("closed: it is ending") from error
        async with self._sending:
            await trio.lowlevel.checkpoint_if_cancelled()  # here nothing is on its way yet
            if self.cut:
                raise ConnectionLost("a message to the node was cut off")
            whole = False
            try:
                await self._stream.send_all(data)
                whole = True
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionLost("closed: while sending") from error
            finally:
                self.cut = not whole

    async def _say(self, event: Event) -> None:
        """Tell a node something that it need not hear."""
        with trio.move_on_after(_GOODBYE_S), suppress(ConnectionLost):
            await self._send(event)


def _closed(code: int, reason: str | None) -> ConnectionLost:
    name = CloseReason(code).name if code in CloseReason._value2member_map_ else "of the node's own"
    kind = AnswerTooLarge if code == CloseReason.MESSAGE_TOO_BIG else ConnectionLost
    # What has to be done about it, such as a plan that is used up, stands in the node's words only.
    return kind(f"closed: {int(code)} {name}" + (f": {reason}" if reason else ""))


def _no_websocket(error: Exception, greeting: bytes) -> ConnectionLost:
    # Gateways refuse an API key in HTTP that is not quite HTTP: the status is plain all the same.
    if refusal := _STATUS.match(greeting):
        return HandshakeRefused(int(refusal[1]), 0.0)
    # Whatever wsproto and h11 raise over hostile bytes, UnicodeDecodeError for one, is the end of this connection only.
    # What they say may repeat the request, so the kind of the error has to do.
    return ConnectionLost(f"the node does not speak WebSocket: {type(error).__name__}")
