"""The scanner's end of the feed."""

import trio
from attrs import define, evolve

from trio_copy.chain.endpoints import EndpointPool
from trio_copy.chain.feed import GLANCE, SCAN, FeedItem, Sealed, SeenLog
from trio_copy.clock import WallClock
from trio_copy.model.logs import BlockRef, RawLog


@define(eq=False)
class ScanLine:
    send: trio.MemorySendChannel[FeedItem]
    pool: EndpointPool
    wall: WallClock

    async def emit(self, log: RawLog, *, removed: bool = False) -> None:
        """Pass on what a scan found, or that it is there no more."""
        await self.send.send(SeenLog(evolve(log, removed=removed), SCAN, self.wall()))

    async def glance(self, log: RawLog) -> None:
        """Pass on what was read ahead of its turn."""
        await self.send.send(SeenLog(log, GLANCE, self.wall()))

    async def seal(self, block: BlockRef) -> None:
        """Say that everything up to a block was passed on."""
        self.pool.followed = block
        await self.send.send(Sealed(block))
