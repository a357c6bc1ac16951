"""One WebSocket to the venue, from dialling to its end, and in one error whatever ends it."""

import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import trio
import trio_websocket
from attrs import define
from trio_websocket import WebSocketConnection as WebSocket
from wsproto.utilities import ProtocolError

from trio_copy.ports import OpenSocket
from trio_copy.unreachable import why_unreachable
from trio_copy_clob.addresses import dial, origin_of

__all__ = ["PING_S", "SILENCE_S", "Lost", "WebSocket", "hold"]

PING_S = 10.0
"""The venue ends a connection on which it does not read `PING` so often, and answers `PONG`."""
SILENCE_S = 30.0
_HANDSHAKE_BYTES = 1 << 16


class Lost(Exception):
    """A connection ended, or is given up."""


_WIRE_ERRORS = (
    Lost,
    OSError,
    ValueError,  # bytes that are no UTF-8 among them
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    trio_websocket.ConnectionClosed,
    trio_websocket.HandshakeError,
    ProtocolError,
)


async def hold(
    url: str,
    talk: Callable[[WebSocket], Awaitable[None]],
    *,
    open_socket: OpenSocket,
    tls: Callable[[], ssl.SSLContext],
    timeout_s: float,
    most_bytes: int,
) -> None:
    """Connect, and hold the connection until `talk` returns; leaves nothing open, cancelled neither.

    Raises:
        Lost: it did not come up, or ended before that; always with a reason.
    """
    lost: BaseException | None = None
    origin = origin_of(url)
    try:
        with trio.fail_after(timeout_s):
            stream = await dial(origin, open_socket, tls)
    except trio.TooSlowError as error:
        raise Lost(f"cannot connect: {_words(error)}") from error
    except OSError as error:
        raise Lost(f"cannot connect: {why_unreachable(error)}") from error
    try:
        async with trio.open_nursery() as nursery:
            guarded = _Counted(stream)
            with trio.fail_after(timeout_s):
                socket = await trio_websocket.wrap_client_stream(
                    nursery,
                    guarded,  # type: ignore[arg-type]  # any stream will do
                    origin.name,
                    urlsplit(url).path or "/",
                    max_message_size=most_bytes,
                    receive_buffer_size=None,
                )
            guarded.left = None
            await talk(socket)
            nursery.cancel_scope.cancel()
    except* _WIRE_ERRORS as group:
        lost = _first(group)
    finally:
        await trio.aclose_forcefully(stream)
    if isinstance(lost, Lost):
        raise lost
    if lost is not None:
        raise Lost(_words(lost)) from lost


@define(eq=False)
class _Counted(trio.abc.Stream):
    """Ends a handshake that has no end: the library keeps the body of a refusal, whatever its length."""

    _stream: trio.abc.Stream
    left: int | None = _HANDSHAKE_BYTES

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if self.left is not None:
            self.left -= len(data)
            if self.left < 0:
                raise trio.BrokenResourceError("the answer to the handshake has no end")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _first(error: BaseException) -> BaseException:
    """Return one error of a group: ours where there is one, which says more than what it brought down."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, Lost)), leaves[0])


def _words(error: BaseException) -> str:
    match error:
        case trio_websocket.ConnectionRejected():
            blocked = ": region or datacentre is blocked" if error.status_code == 403 else ""
            return f"it refuses the connection with HTTP status {error.status_code}{blocked}"
        case trio_websocket.ConnectionClosed():
            return "the connection ended"
        case trio.TooSlowError():
            return "it does not answer"
        case _:
            return str(error)[:200] or type(error).__name__
