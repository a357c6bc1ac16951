"""Puts a venue on a network: over loopback, or over streams in memory where time is virtual."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import h11
import trio
from attrs import define, field

from trio_copy.sockets import open_socket
from trio_copy.testing.market_server.channel import ChannelSide
from trio_copy.testing.market_server.faults import VenueFaults
from trio_copy.testing.market_server.http import HttpSide
from trio_copy.testing.market_server.venue import ServedVenue
from trio_copy.testing.memory_streams import connect_in_memory

_VIRTUAL_PORT = 8080


@define(eq=False, kw_only=True)
class MarketServer:
    venue: ServedVenue
    faults: VenueFaults
    http: HttpSide = field(init=False)
    channel: ChannelSide = field(init=False)
    port: int = 0
    away: bool = False
    """Whether connections are refused; those that are open are cut by `cut`."""
    open_connections: int = 0
    _scopes: set[trio.CancelScope] = field(factory=set)
    _memory: trio.Nursery | None = None
    """Serves what is reached over streams in memory; None while a port is."""

    def __attrs_post_init__(self) -> None:
        self.http = HttpSide(self.venue, self.faults)
        self.channel = ChannelSide(venue=self.venue, faults=self.faults)

    @property
    def addresses(self) -> Mapping[str, Any]:
        """The addresses of the source `polymarket`, as its settings name them."""
        root = f"127.0.0.1:{self.port}"
        return {
            "data_url": f"http://{root}/data",
            "gamma_url": f"http://{root}/gamma",
            "clob_url": f"http://{root}/clob",
            "prices_url": f"ws://{root}/ws/market",
        }

    def cut(self) -> None:
        """Cut every connection of any kind without a goodbye."""
        for scope in list(self._scopes):
            scope.cancel()

    @asynccontextmanager
    async def on_loopback(self, port: int) -> AsyncGenerator[trio.Nursery, None]:
        """Be reached on a loopback port, 0 for a free one, while the block runs; the nursery ends with the block."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, self.handle, port, host="127.0.0.1"))
            self.port = listeners[0].socket.getsockname()[1]
            yield nursery
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def in_memory(self) -> AsyncGenerator[trio.Nursery, None]:
        """Be reached by `open_socket` only, over streams in memory, while the block runs."""
        self.port = _VIRTUAL_PORT
        async with trio.open_nursery() as nursery:
            self._memory = nursery
            yield nursery
            nursery.cancel_scope.cancel()

    async def open_socket(self, host: str, port: int) -> trio.abc.Stream:
        """Reach it. Raises `OSError` while it is away; on cancellation no connection stays open."""
        if self._memory is None:
            return await open_socket(host, port)
        return await connect_in_memory(self._memory, self.handle, away=self.away)

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends. Takes the stream over and closes it."""
        self.open_connections += 1
        try:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                await self._serve(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
            pass
        finally:
            self.open_connections -= 1
            self._scopes.discard(scope)
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        first = b"" if self.away else bytes(await stream.receive_some(1 << 16))
        if first.startswith(b"GET /ws/"):
            await self._serve_socket(_Replayed(stream, first), first.split(b" ", 2)[1].decode("latin-1"))
        elif first:
            await self._serve_http(stream, first)

    async def _serve_socket(self, stream: trio.abc.Stream, path: str) -> None:
        await self.channel.serve(stream)

    async def _serve_http(self, stream: trio.abc.Stream, first: bytes) -> None:
        await self.http.serve(stream, first)


@define(eq=False)
class _Replayed(trio.abc.Stream):
    """A stream of which something was read already."""

    _stream: trio.abc.Stream
    _first: bytes

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._first:
            await trio.lowlevel.checkpoint()
            first, self._first = self._first, b""
            return first
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def open_market_server(now: Callable[[], float], port: int = 0) -> AsyncGenerator[MarketServer, None]:
    """Serve a venue without markets on a loopback port, by default a free one, while the block runs."""
    server = MarketServer(venue=ServedVenue(now), faults=VenueFaults())
    async with server.on_loopback(port):
        yield server


@asynccontextmanager
async def open_virtual_market_server(now: Callable[[], float]) -> AsyncGenerator[MarketServer, None]:
    """Serve a venue without markets over memory streams: no kernel, so a mock clock may drive it. Take its `open_socket`."""
    server = MarketServer(venue=ServedVenue(now), faults=VenueFaults())
    async with server.in_memory():
        yield server
