"""Hand-written peers behind a real `Session`, over memory streams: they say what no good node says."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing
import trio_websocket
from attrs import define, field
from wsproto.utilities import generate_accept_token

from tests.builders import POLYGON
from trio_copy.chain.groups import one_chain_error
from trio_copy.chain.session import Session, open_session
from trio_copy.config import ChainSettings

URL = "ws://node.test"


async def accepted(stream: trio.abc.Stream) -> bytes:
    """Read a handshake and return the words that accept it."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += bytes(await stream.receive_some(65_536))
    key = request.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
    key = request[request.lower().index(key) :][: len(key)]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + generate_accept_token(key) + b"\r\n\r\n"
    )


@define(eq=False)
class Peer:
    """The node's side of one connection. What it answers is decided by the test, request by request."""

    ws: trio_websocket.WebSocketConnection
    answer: Callable[["Peer", dict[str, Any]], Awaitable[None]]
    requests: list[dict[str, Any]] = field(factory=list)

    async def say(self, frame: object) -> None:
        """Send a frame: text and bytes as they are, anything else as JSON."""
        await self.ws.send_message(frame if isinstance(frame, str | bytes) else msgspec.json.encode(frame).decode())

    async def reply(self, request: dict[str, Any], result: object) -> None:
        await self.say({"jsonrpc": "2.0", "id": request["id"], "result": result})

    async def notify(self, subscription: str, result: object) -> None:
        params = {"subscription": subscription, "result": result}
        await self.say({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})

    async def run(self) -> None:
        while True:
            request = msgspec.json.decode(await self.ws.get_message())
            self.requests.append(request)
            await self.answer(self, request)


@define(eq=False)
class Meeting:
    """A session and the peer behind it."""

    session: Session
    peer: Peer
    quarantined: list[str]


@asynccontextmanager
async def one_nursery() -> AsyncGenerator[trio.Nursery, None]:
    """Open a nursery out of which a `ChainError` comes as itself."""
    with one_chain_error():
        async with trio.open_nursery() as nursery:
            yield nursery


@asynccontextmanager
async def meet(
    answer: Callable[[Peer, dict[str, Any]], Awaitable[None]],
    end: Callable[[trio.abc.Stream], trio.abc.Stream] = lambda ours: ours,
    **settings: Any,
) -> AsyncGenerator[Meeting, None]:
    """Open a session to a peer, through what `end` makes of our end. The connection's end is raised as of `open_session`."""
    quarantined: list[str] = []
    chain = ChainSettings(chain_id=POLYGON, **settings)
    peers: list[Peer] = []

    async def serve(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream, max_message_size=1 << 24)
            peer = Peer(await request.accept(), answer)
            peers.append(peer)
            try:
                await peer.run()
            except trio_websocket.ConnectionClosed:
                nursery.cancel_scope.cancel()

    async with one_nursery() as nursery:

        async def dial(url: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(serve, theirs)
            return end(ours)

        try:
            async with open_session(dial, URL, chain, lambda kind, detail: quarantined.append(kind)) as session:
                await trio.testing.wait_all_tasks_blocked()
                yield Meeting(session, peers[0], quarantined)
        finally:
            nursery.cancel_scope.cancel()
