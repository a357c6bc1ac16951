"""What is believed of the chain on one node's word, and what needs a second node's.

A step that time allows is believed: it comes with every block, and a lie of that size is undone like a reorg. A leap
forward, a way back and the place to start are not: whoever is wrong there, or lies, would carry the engine to where the
honest nodes look as if they had fallen behind. How far time allows to go is counted from the newest block that two nodes
have told of, by our own clock: a header's time is its node's word.
"""

import msgspec
import trio
from attrs import define

from trio_copy.chain import rpc
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, ConnectionLost, MalformedFrame
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef

_FASTEST_BLOCK_S = 0.25
"""No chain that is followed here makes blocks faster for long."""
_BURST_BLOCKS = 16
"""Blocks that may come at once, when a node catches up with its own network."""
_BURST_ALONE_BLOCKS = 1024
"""The same where no second node is configured, who could be asked."""
SECOND_NODE_S = 2.0
"""How long a start waits for a second node to connect, where one is configured."""
_SILENCE_S = 10.0
"""How long nodes that do not answer are waited for before those that do decide alone."""


@define(eq=False)
class Agreement:
    pool: EndpointPool
    wall: WallClock
    window_blocks: int
    _agreed: int = -1
    """The newest block that two nodes told of; where only one is configured, that it told of at the start."""
    _agreed_at: float = 0.0
    """Trio time at which it was agreed on."""
    _unanswered_since: float | None = None
    _leap: tuple[float, float] = (0.0, -float("inf"))
    """Trio times at which a leap was claimed first, and last."""

    @property
    def alone(self) -> bool:
        """Whether no second node is configured."""
        return len(self.pool.endpoints) < 2

    def start(self, head: BlockRef) -> None:
        """Count from a head that was agreed on."""
        self._agreed, self._agreed_at = head.number, trio.current_time()

    async def on(self, block: BlockRef) -> bool:
        """Ask whether a block is on the chain of two nodes; of the only one, where a second one is not connected.

        Who announced it need not be asked. Nodes that do not answer have no say, once that lasts.
        """
        live = self.pool.live
        agreed, silent = 0, 0
        for endpoint in live:
            if endpoint.announced(block):
                agreed += 1
        for endpoint in live:
            if agreed >= 2:
                break
            if endpoint.announced(block):
                continue
            try:
                known = await self._ask(endpoint, hex(block.number))
            except ChainError:
                silent += 1
            else:
                agreed += known is not None and known.hash == block.hash
        return agreed >= min(2, max(1, len(live) - self._without_say(silent if agreed < 2 else 0)))

    def _without_say(self, silent: int) -> int:
        """Return how many of the silent nodes are not waited for any more."""
        now = trio.current_time()
        if not silent:
            self._unanswered_since = None
            return 0
        if self._unanswered_since is None:
            self._unanswered_since = now
        return silent if now - self._unanswered_since >= _SILENCE_S else 0

    async def allows(self, tip: BlockRef, head: BlockRef) -> bool:
        """Tell whether a head may be followed from the newest block that was read."""
        now = trio.current_time()
        newest = self.pool.newest_agreed
        if newest is not None and newest > self._agreed:
            self._agreed, self._agreed_at = newest, now
        passed = (now - self._agreed_at) / _FASTEST_BLOCK_S
        burst = _BURST_ALONE_BLOCKS if self.alone else _BURST_BLOCKS
        if head.number > self._agreed + burst + passed:
            return not self.alone and len(self.pool.live) > 1 and await self.on(head)
        if head.number - tip.number <= self.window_blocks or self.alone:
            return True
        # Beyond the window there is no way back by itself: a second node is given some time to say the same.
        if len(self.pool.live) > 1 and await self.on(head):
            return True
        since, last = self._leap
        self._leap = (since if now - last < _SILENCE_S else now, now)
        return now - self._leap[0] >= _SILENCE_S

    async def at(self, number: int) -> BlockRef:
        """Return the block that two nodes have at a number, or that all have who know one.

        Raises:
            ChainError: nobody knows it, or the nodes disagree.
        """
        failure: ChainError = ChainError(f"no endpoint knows block {number}")
        found: dict[Hash32, BlockRef] = {}
        for endpoint in self.pool.live:
            try:
                block = await self._ask(endpoint, hex(number))
            except ChainError as error:
                failure = error
                continue
            if block is None:
                continue
            if block.hash in found:
                return block
            found[block.hash] = block
        if len(found) == 1:
            return next(iter(found.values()))
        raise failure if not found else ChainError(f"the nodes disagree about block {number}")

    async def head(self) -> BlockRef:
        """Return the newest head that is not one node's word alone; whoever does not answer is not waited for.

        Raises:
            ChainError: nobody answers, or no two nodes agree.
        """
        heads: list[tuple[BlockRef, Endpoint]] = []
        failure: ChainError = ConnectionLost("no endpoint is connected")
        for endpoint in self.pool.live:
            try:
                head = await self._ask(endpoint, "latest")
            except ChainError as error:
                failure = error
            else:
                if head is not None:
                    heads.append((head, endpoint))
        if not heads:
            raise failure
        if len(heads) == 1:
            return heads[0][0]
        for head, endpoint in sorted(heads, key=lambda told: -told[0].number):
            others = [other for other, of in heads if of is not endpoint]
            if await self.on(head) or await self._merely_ahead(head, endpoint, others):
                return head
        shown = ", ".join(str(head.number) for head, _ in heads)
        raise ChainError(f"no two nodes agree on a block to start from; their heads: {shown}")

    async def _merely_ahead(self, head: BlockRef, endpoint: Endpoint, others: list[BlockRef]) -> bool:
        """Tell whether another node is on the same chain, and only as far behind as the time of its head explains."""
        for other in others:
            late = max(0.0, self.wall() - other.time) / _FASTEST_BLOCK_S
            if not 0 < head.number - other.number <= _BURST_BLOCKS + late:
                continue
            try:
                below = await self._ask(endpoint, hex(other.number))
            except ChainError:
                continue
            if below is not None and below.hash == other.hash:
                return True
        return False

    async def wait_second(self) -> None:
        """Give a second node, where one is configured, a moment to connect."""
        with trio.move_on_after(SECOND_NODE_S):
            await self.pool.wait_live(min(2, len(self.pool.endpoints)))

    async def _ask(self, endpoint: Endpoint, which: str) -> BlockRef | None:
        result: msgspec.Raw = await self.pool.ask(endpoint, "eth_getBlockByNumber", which, False)
        try:
            return rpc.decode_block(result)
        except MalformedFrame as error:
            self.pool.put_aside(endpoint, "malformed-block", str(error))
            return None
