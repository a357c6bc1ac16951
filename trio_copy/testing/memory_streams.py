"""Reaches a server of ours over streams in memory: no kernel, so a mock clock may drive it."""

from collections.abc import Awaitable, Callable

import trio


async def connect_in_memory(
    nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]], *, away: bool
) -> trio.abc.Stream:
    """Let a server's nursery serve one more connection, and return our end of it.

    Raises `OSError` while the server is away, or is closing. On cancellation there is no connection.
    """
    from trio.testing import (
        memory_stream_pair,  # not above: it brings pytest along, and the demonstration serves as well
    )

    await trio.lowlevel.checkpoint()
    if away or nursery.cancel_scope.cancel_called:
        raise OSError("connection refused")
    ours, theirs = memory_stream_pair()
    nursery.start_soon(serve, theirs)
    return ours
