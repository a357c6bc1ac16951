"""What is believed of the chain on one node's word, and what needs a second node's.

A step that time allows is believed: it comes with every block, and a lie of that size is undone like a reorg. A leap
forward, a way back and the place to start are not: whoever is wrong there, or lies, would carry the engine to where the
honest nodes look as if they had fallen behind.
"""

import msgspec
import trio
from attrs import define

from trio_copy.chain import rpc
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, ConnectionLost, MalformedFrame
from trio_copy.model.logs import BlockRef

_FASTEST_BLOCK_S = 0.25
"""No chain that is followed here makes blocks faster for long."""
_BURST_BLOCKS = 16
"""Blocks that may come at once, when a node catches up with its own network."""
_BURST_ALONE_BLOCKS = 1024
"""The same where nobody else could be asked."""
SECOND_NODE_S = 5.0
"""How long a start waits for a second node's word, where a second one is configured."""


@define(eq=False)
class Agreement:
    pool: EndpointPool
    wall: WallClock

    async def on(self, block: BlockRef) -> bool:
        """Ask whether a block is on the chain of two live nodes; of the only one, where there is no second."""
        live = self.pool.live
        agreed = 0
        for endpoint in live:
            try:
                known = await self._ask(endpoint, hex(block.number))
            except ChainError:
                continue
            agreed += known is not None and known.hash == block.hash
        return agreed >= min(2, max(1, len(live)))

    async def allows(self, tip: BlockRef, head: BlockRef) -> bool:
        """Tell whether a head may be followed from the newest block that was read."""
        alone = len(self.pool.live) < 2
        passed_s = max(0.0, self.wall() - tip.time)
        believed = (_BURST_ALONE_BLOCKS if alone else _BURST_BLOCKS) + passed_s / _FASTEST_BLOCK_S
        return head.number - tip.number <= believed or (not alone and await self.on(head))

    async def head(self) -> BlockRef:
        """Return the newest head that two nodes agree on; whoever does not answer is not waited for after a while.

        Raises:
            ChainError: nobody answers, or no two nodes agree.
        """
        heads: list[BlockRef] = []
        failure: ChainError = ConnectionLost("no endpoint is connected")
        for endpoint in self.pool.live:
            try:
                head = await self._ask(endpoint, "latest")
            except ChainError as error:
                failure = error
            else:
                if head is not None:
                    heads.append(head)
        if not heads:
            raise failure
        if len(heads) == 1:
            return heads[0]
        for head in sorted(heads, key=lambda head: -head.number):
            if await self.on(head):
                return head
        shown = ", ".join(str(head.number) for head in heads)
        raise ChainError(f"no two nodes agree on a block to start from; their heads: {shown}")

    async def wait_second(self) -> None:
        """Give a second node, where one is configured, a moment to connect."""
        with trio.move_on_after(SECOND_NODE_S):
            await self.pool.wait_live(min(2, len(self.pool.endpoints)))

    async def _ask(self, endpoint: Endpoint, which: str) -> BlockRef | None:
        others = [other for other in self.pool.endpoints if other is not endpoint]
        result: msgspec.Raw
        result, _ = await self.pool.request("eth_getBlockByNumber", which, False, avoid=others)
        try:
            return rpc.decode_block(result)
        except MalformedFrame as error:
            self.pool.quarantine("malformed-block", str(error))
            return None
