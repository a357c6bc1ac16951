"""The seam to the network for everything that is not a node of the chain."""

import trio


async def open_socket(host: str, port: int) -> trio.abc.Stream:
    """Connect to a host and port, or to the Unix socket at a path that begins with "/".

    Raises `OSError`. On cancellation no connection stays open.
    """
    if host.startswith("/"):
        return await trio.open_unix_socket(host)
    return await trio.open_tcp_stream(host, port)
