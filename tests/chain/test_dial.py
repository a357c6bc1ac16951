"""Real connections to a node: one that ends while its last bytes are read says so in trio's words, and ends nothing else."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from trio_copy.chain.dial import dial_network

_RESETS = bytes([1, 0, 0, 0, 0, 0, 0, 0])
"""As SO_LINGER: closing resets at once."""


@asynccontextmanager
async def dialled() -> AsyncGenerator[tuple[trio.abc.Stream, trio.SocketStream], None]:
    """Dial a listener of ours; the second stream is its end."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        ours = await dial_network(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}")
        async with ours, await listener.accept() as theirs:
            yield ours, theirs


async def test_what_came_before_a_reset_is_read() -> None:
    async with dialled() as (ours, theirs):
        await theirs.send_all(b"a block")
        theirs.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
        await theirs.aclose()
        assert await ours.receive_some() == b"a block"
        with pytest.raises(trio.BrokenResourceError):
            await ours.receive_some()


async def test_closing_while_the_bytes_are_on_their_way_to_the_reader_is_no_error_of_the_system() -> None:
    async with dialled() as (ours, theirs):
        await theirs.send_all(b"a block")
        kernel = ours._inner.socket  # type: ignore[attr-defined]
        taken = kernel.recv

        async def recv(size: int) -> bytes:
            data = bytes(await taken(size))
            kernel.close()  # as any task may, which runs before the reader does
            return data

        kernel.recv = recv
        assert await ours.receive_some() == b"a block"
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive_some()
