"""Puts our relayer on a network: over loopback, or over streams in memory where time is virtual."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import h11
import trio
from attrs import define, field

from trio_copy.sockets import open_socket
from trio_copy.testing.memory_streams import connect_in_memory
from trio_copy.testing.relayer.core import Relayer
from trio_copy.testing.relayer.http import RelayerHttp

_VIRTUAL_PORT = 8080


@define(eq=False)
class RelayerServer:
    relayer: Relayer
    http: RelayerHttp
    port: int = _VIRTUAL_PORT
    away: bool = False
    """Whether connections are refused."""
    _memory: trio.Nursery | None = None
    """Serves what is reached over streams in memory; None while a port is."""
    _open: set[trio.CancelScope] = field(factory=set)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Cut every connection without a goodbye."""
        for scope in list(self._open):
            scope.cancel()

    async def open_socket(self, host: str, port: int) -> trio.abc.Stream:
        """Reach it. Raises `OSError` while it is away; on cancellation no connection stays open."""
        if self._memory is None:
            return await open_socket(host, port)
        return await connect_in_memory(self._memory, self.handle, away=self.away)

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends. Takes the stream over and closes it."""
        with trio.CancelScope() as scope:
            self._open.add(scope)
            try:
                if not self.away:
                    await self.http.serve(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
                pass
            finally:
                self._open.discard(scope)
                await trio.aclose_forcefully(stream)


@asynccontextmanager
async def open_relayer(relayer: Relayer, port: int = 0) -> AsyncGenerator[RelayerServer, None]:
    """Serve a relayer on a loopback port, by default a free one, while the block runs."""
    async with trio.open_nursery() as nursery:
        server = RelayerServer(relayer, RelayerHttp(relayer, nursery))
        listeners = await nursery.start(partial(trio.serve_tcp, server.handle, port, host="127.0.0.1"))
        server.port = listeners[0].socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_virtual_relayer(relayer: Relayer) -> AsyncGenerator[RelayerServer, None]:
    """Serve a relayer over memory streams: no kernel, so a mock clock may drive it. Take its `open_socket`."""
    async with trio.open_nursery() as nursery:
        yield RelayerServer(relayer, RelayerHttp(relayer, nursery), memory=nursery)
        nursery.cancel_scope.cancel()
