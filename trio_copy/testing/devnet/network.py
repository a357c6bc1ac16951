"""A devnet that can be connected to: over loopback, or over streams in memory where time is virtual."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from attrs import define

from trio_copy.chain.dial import Dial, dial_network
from trio_copy.errors import ConnectionLost
from trio_copy.model.ids import ChainId
from trio_copy.testing.devnet.chain import DevChain
from trio_copy.testing.devnet.node import DevNode

VIRTUAL_URL = "ws://devnet.invalid"


@define(eq=False)
class Devnet:
    chain: DevChain
    node: DevNode
    url: str
    dial: Dial


@asynccontextmanager
async def open_devnet(chain_id: ChainId, now: Callable[[], float], port: int = 0) -> AsyncGenerator[Devnet, None]:
    """Serve a fresh chain on a loopback port, by default a free one, while the block runs."""
    chain = DevChain(chain_id, now)
    node = DevNode(chain)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, node.handle, port, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield Devnet(chain, node, f"ws://127.0.0.1:{port}", dial_network)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_virtual_devnet(chain_id: ChainId, now: Callable[[], float]) -> AsyncGenerator[Devnet, None]:
    """Serve a fresh chain over memory streams: the same WebSocket, but no kernel, so a mock clock may drive it."""
    from trio.testing import memory_stream_pair  # not above: it brings pytest along, and `run` has a devnet as well

    chain = DevChain(chain_id, now)
    node = DevNode(chain)
    async with trio.open_nursery() as nursery:

        async def dial(url: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            if nursery.cancel_scope.cancel_called:
                raise ConnectionLost("the devnet is closed")
            ours, theirs = memory_stream_pair()
            nursery.start_soon(node.handle, theirs)
            return ours

        yield Devnet(chain, node, VIRTUAL_URL, dial)
        nursery.cancel_scope.cancel()
