"""The seam to the network: the only module of the engine that opens a socket."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

import trio
from attrs import define

from trio_copy.errors import ConnectionLost
from trio_copy.unreachable import why_unreachable

_QUICK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Of Linux."""
Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""Connects to the host of a URL. Raises `ConnectionLost`. On cancellation no connection stays open."""


async def dial_network(url: str) -> trio.abc.Stream:
    """Open TCP, and TLS with the system's certificates for wss://, to the host that a URL names.

    Raises:
        ConnectionLost: nobody answered, or the certificate is not good.
    """
    parts = urlsplit(url)
    port = _port(parts)
    try:
        tcp = await trio.open_tcp_stream(parts.hostname or "", port)
        return await _secured(_Acknowledged(tcp), parts.hostname) if parts.scheme == "wss" else _Acknowledged(tcp)
    except (OSError, ValueError, trio.BrokenResourceError) as error:
        # The URL may hold an API key or a password; the host alone says enough.
        raise ConnectionLost(f"cannot connect to {parts.hostname}: {why_unreachable(error)}") from error


@define(eq=False)
class _Acknowledged(trio.abc.Stream):
    """A stream whose kernel acknowledges at once what has come.

    A node that leaves Nagle's algorithm on holds an answer back until the one before it is acknowledged, and the kernel takes
    forty milliseconds for that where nothing else is sent. Linux forgets the wish, so it is said with every read.
    """

    _inner: trio.SocketStream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._inner.receive_some(max_bytes)
        if _QUICK is not None and data:
            # Closed or reset since the bytes came: whoever reads next is told so in trio's words, and these bytes still count.
            with suppress(OSError):
                self._inner.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)
        return data

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _secured(tcp: trio.abc.Stream, host: str | None) -> trio.abc.Stream:
    context = ssl.create_default_context()
    stream = trio.SSLStream(tcp, context, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(tcp)
        raise
    return stream


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or (443 if parts.scheme == "wss" else 80)
    except ValueError:
        # Its words would repeat what stands there: half a password, where one holds a slash.
        raise ConnectionLost("the port of a node's URL is no number") from None
