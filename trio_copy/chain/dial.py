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
    stream: trio.abc.Stream | None = None
    try:
        stream = await trio.open_tcp_stream(parts.hostname or "", _port(parts))
        if parts.scheme == "wss":
            context = ssl.create_default_context()
            stream = trio.SSLStream(stream, context, server_hostname=parts.hostname, https_compatible=True)
            await stream.do_handshake()
    except BaseException as error:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        if not isinstance(error, (OSError, ValueError, trio.BrokenResourceError)):
            raise
        # The URL may hold an API key; the host alone says enough.
        raise ConnectionLost(f"cannot connect to {parts.hostname}: {error}") from error
    return stream


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "wss" else 80)
