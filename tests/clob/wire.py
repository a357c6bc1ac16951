"""The wire on which orders leave, with a point wherever an engine may die around the request of one."""

from collections.abc import Awaitable, Callable

import trio
from attrs import define

from trio_copy.ports import OpenSocket

POINTS = ("wire: nothing sent", "wire: half sent", "wire: sent", "wire: waits", "wire: answered")
_END_OF_HEAD = b"\r\n\r\n"


def watched(connect: Callable[[str, int], Awaitable[trio.abc.Stream]], at: Callable[[str], None]) -> OpenSocket:
    """Return how the network is reached; `at` is told whenever an order's request comes to a point, and may raise.

    Of every other request, and of connecting, it is told as well: "wire".
    """

    async def open_socket(host: str, port: int) -> trio.abc.Stream:
        at("wire")
        return _Wire(await connect(host, port), at)

    return open_socket


@define(eq=False)
class _Wire(trio.abc.Stream):
    _stream: trio.abc.Stream
    _on_point: Callable[[str], None]
    _posting: bool = False

    def _at(self, point: str) -> None:
        self._on_point(point if self._posting else "wire")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._posting = bytes(data[:12]) == b"POST /order "
        body = bytes(data).find(_END_OF_HEAD) + len(_END_OF_HEAD)
        half = body + (len(data) - body) // 2  # the middle of its body, where it has one
        self._at("wire: nothing sent")
        await self._stream.send_all(data[:half])
        self._at("wire: half sent")
        await self._stream.send_all(data[half:])
        self._at("wire: sent")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._at("wire: waits")
        received = await self._stream.receive_some(max_bytes)
        self._at("wire: answered")
        self._posting = False  # what is heard from here on is of no order
        return received

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
