"""The seam to the network: the only module of the engine that opens a socket."""

import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import SplitResult, urlsplit

import trio

from trio_copy.errors import ConnectionLost

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
        return await _secured(tcp, parts.hostname) if parts.scheme == "wss" else tcp
    except (OSError, ValueError, trio.BrokenResourceError) as error:
        # The URL may hold an API key or a password; the host alone says enough.
        why = (isinstance(error, OSError) and error.strerror) or error
        raise ConnectionLost(f"cannot connect to {parts.hostname}: {why}") from error


async def _secured(tcp: trio.SocketStream, host: str | None) -> trio.abc.Stream:
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
