"""Asks the nodes what the chain has filled of orders: of all that are asked about meanwhile at once.

A question costs several requests of the nodes, however many orders it is about. It reaches from before the first of them to
the newest block, or so far that no order of that time can still be under way.
"""

from collections.abc import Callable, Sequence

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, ExecutorError
from trio_copy.model.ids import Address
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.model.orders import Order
from trio_copy.ports import Nodes, tell_nobody
from trio_copy_clob.sending.chain_logs import SeenFill, bought_by_taking, fills_of, of_makers, of_orders

_TOGETHER = 50
"""Orders that one question is about; nodes refuse very long filters."""
_APART_S = 600
"""Orders further apart in time are asked about one after the other: the blocks between them say nothing of either."""
_AFTER_S = 1800
"""So long after the trade that it copies an order is not under way any more, by far."""
_FRESH_S = 60
"""A newest block older than this is that of a node that is behind: what it does not show proves nothing."""
_DEEP_BLOCKS = 128
"""Where no node tells which block is final."""
_BLOCK_S = 2
"""A first guess; what the chain says of its times corrects it."""
_TRIES = 6
_REST_S = 10.0
"""Nobody is asked for so long after nobody has answered: what waits for the chain would wait for nothing each time."""
_LEAST_S = 1.0
"""Less time than this is no fair question."""


@define(eq=False)
class _Asked:
    order: Order
    since: int
    fills: tuple[SeenFill, ...] | None = None
    failure: str = ""

    @property
    def open(self) -> bool:
        return self.fills is None and not self.failure


@define(eq=False, kw_only=True)
class ChainFills:
    nodes: Nodes
    exchanges: frozenset[Address]
    wall: WallClock
    on_trouble: Callable[[str, str], None] = tell_nobody
    _asked: list[_Asked] = field(factory=list)
    _one: trio.Lock = field(factory=trio.Lock)
    _rests_until: float = -float("inf")
    _why: str = ""
    _unread: int = 0
    """Logs about our orders that could not be read or believed."""

    async def of(self, order: Order, since: int, until: float) -> tuple[SeenFill, ...]:
        """Return what was filled of an order that was made at a Unix second; nothing where the chain shows nothing of it.

        Raises:
            ExecutorError: no node answers, by Trio's time `until`, or not with what can be believed.
        """
        if not since:
            raise ExecutorError("the chain: nobody knows where to look: the order does not tell its time")
        asked = _Asked(order, since)
        self._asked.append(asked)
        try:
            async with self._one:  # whoever has it asks for all who wait for it
                if asked.open:
                    await self._ask(until)
        finally:
            self._asked.remove(asked)
        if asked.fills is None:
            raise ExecutorError(f"the chain: {asked.failure}"[:200])
        return asked.fills

    async def _ask(self, until: float) -> None:
        asked = [one for one in self._asked if one.open]
        batch = [one for one in asked if abs(one.since - asked[0].since) <= _APART_S][:_TOGETHER]
        if trio.current_time() >= self._rests_until:
            self._why = await self._try(batch, until)
        for one in batch:
            if one.open:
                one.failure = self._why

    async def _try(self, batch: Sequence[_Asked], until: float) -> str:
        """Read, and return why that failed; nothing where it did not."""
        began = trio.current_time()
        try:
            await self._read(batch, until)
        except ChainError as error:
            if until - began >= _LEAST_S:
                self._rests_until = trio.current_time() + _REST_S
            return str(error) or "no answer"
        return ""

    async def _read(self, batch: Sequence[_Asked], until: float) -> None:
        nodes = self.nodes
        head = await nodes.block("latest", until)
        if abs(age_s := self.wall() - head.time) > _FRESH_S:
            raise ChainError(f"the newest block that is shown is {age_s:.0f} s old")
        deepest = await self._deepest(head, until)
        first = await self._before(min(one.since for one in batch), head, until)
        newest = max(one.since for one in batch)
        # In blocks as many as there are seconds, which is more than enough of them.
        stop = min(head.number, first.number + newest - min(newest, first.time) + _AFTER_S)
        wanted = of_orders(self.exchanges, {one.order.order_id for one in batch})
        logs = await nodes.logs(wanted, first.number, stop, until)
        taken = bought_by_taking(logs)
        makers: Sequence[RawLog] = ()
        if taken:
            blocks = [log.block_number for log in taken]
            filled = of_makers(self.exchanges, {log.topics[2] for log in taken})
            makers = await nodes.logs(filled, min(blocks), max(blocks), until)
        for one in batch:
            try:
                one.fills = fills_of(one.order, logs, makers, self.exchanges, deepest)
            except ValueError as error:
                self._unread += 1
                one.failure = str(error)
                what = f"order {one.order.order_id}: {error} ({self._unread} of our logs by now)"
                self.on_trouble("venue-unclear", what)

    async def _deepest(self, head: BlockRef, until: float) -> int:
        try:
            return min(head.number, (await self.nodes.block("finalized", until)).number)
        except ChainError:
            return head.number - _DEEP_BLOCKS

    async def _before(self, time: int, head: BlockRef, until: float) -> BlockRef:
        """Find a block from before a time, and not long before it where blocks come as often as they usually do."""
        block_s: float = _BLOCK_S
        for _ in range(_TRIES):
            back = int(max(0, head.time - time) / block_s) + 1
            block = await self.nodes.block(hex(max(0, head.number - back)), until)
            if block.time <= time or block.number == 0:
                return block
            # Faster than was thought: somewhat further back than they seem to be, for they are not all alike.
            block_s = 0.9 * max(1, head.time - block.time) / max(1, head.number - block.number)
        raise ChainError(f"no block from before {time} is found")
