"""Reads what a chain recorded long ago, from any archive node, and believes as little of it as it can.

A piece of history is good when its logs fit between two headers: each block has one hash, times do not go back, nothing was
taken back. A time that does not fit is asked for again, from the header of its block, which has to be the block of the log.
How wide nodes are asked, and how often, they decide themselves (`backfill`, `pacing`).
"""

import trio
from attrs import define, evolve, frozen

from trio_copy.chain import rpc
from trio_copy.chain.backfill import RangeReader
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.pacing import Growing
from trio_copy.chain.patience import Patience
from trio_copy.errors import ChainError, MalformedFrame
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef, RawLog

_FIRST_STEP = 1024
_IMPOSSIBLE_MOST = 5


class _Impossible(ChainError):
    """What was told cannot be; it may have been a moment's mistake."""


@frozen
class Piece:
    """Everything that a range of blocks recorded."""

    end: BlockRef
    """Its last block."""
    logs: tuple[RawLog, ...]
    """In order, each with its block's time."""


@define(eq=False)
class HistoryReader:
    pool: EndpointPool
    ranges: RangeReader
    patience: Patience

    async def header(self, which: int | str) -> BlockRef:
        """Return a block's header, by number or as "latest". Raises `ChainError` when no endpoint gives it for long."""

        async def of(endpoint: Endpoint) -> BlockRef:
            return await self._header_of(endpoint, which)

        return (await self.patience.ask(lambda: self.pool.first_of(of)))[0]

    async def first_at(self, unix_s: float, head: BlockRef) -> BlockRef:
        """Return the first block that is not older than a moment; `head` where all up to it are.

        Raises:
            ChainError: a header is missing, or times go back from one block to a later one.
        """
        low, high, step = 0, head, _FIRST_STEP
        if head.time < unix_s:
            return head
        while high.number - low > 1:
            # Far from the head headers cost as little as near it: double the way back until it is too old, then halve.
            number = max(low + 1, high.number - step) if not low else (low + high.number) // 2
            block = await self.header(number)
            if block.time > high.time:
                raise ChainError(f"block {number} claims to be younger than block {high.number}")
            if block.time >= unix_s:
                high, step = block, 2 * step
            else:
                low = number
        return high

    async def piece(self, after: BlockRef, last: BlockRef, stop: int) -> Piece:
        """Read on after a block, as far as goes at once and up to `stop`; nothing up to there is younger than `last`.

        Raises:
            ChainError: not even one block could be read for long, or what came cannot be, time and again.
        """
        waits = Growing(1.0, 15.0)
        while True:
            number, found = await self.patience.ask(lambda: self.ranges.piece(after.number + 1, stop))
            end = await self.header(number)
            try:
                return Piece(end, tuple(await self._checked(found, after, end, last)))
            except _Impossible as error:
                if waits.times == _IMPOSSIBLE_MOST:
                    raise ChainError(f"no usable answer about blocks {after.number + 1} to {number}: {error}") from None
            await trio.sleep(waits.next_s())  # another node may be the first to be asked by then

    async def _checked(self, found: list[RawLog], after: BlockRef, end: BlockRef, last: BlockRef) -> list[RawLog]:
        logs, hashes, time = list[RawLog](), {end.number: end.hash}, after.time
        if not after.time <= end.time <= last.time:
            raise _Impossible(f"block {end.number} claims a time that is not between its neighbours'")
        for log in found:
            if log.removed:
                raise _Impossible(f"a log of block {log.block_number} is told as taken back")
            if hashes.setdefault(log.block_number, log.block_hash) != log.block_hash:
                raise _Impossible(f"two different blocks {log.block_number} were told of")
            told = log.block_time
            if told is None or not time <= told <= end.time:
                told = await self._time_of(log.block_number, log.block_hash)
                if not time <= told <= end.time:
                    raise _Impossible(f"the time of block {log.block_number} does not fit between its neighbours")
            time = told
            logs.append(log if log.block_time == told else evolve(log, block_time=told))
        return logs

    async def _time_of(self, number: int, block_hash: Hash32) -> int:
        block = await self.header(number)
        if block.hash != block_hash:
            raise _Impossible(f"logs were told of another block {number} than its header")
        return block.time

    async def _header_of(self, endpoint: Endpoint, which: int | str) -> BlockRef:
        named = hex(which) if isinstance(which, int) else which
        result = await self.pool.ask(endpoint, "eth_getBlockByNumber", named, False)
        try:
            block = rpc.decode_block(result)
        except MalformedFrame as error:
            self.pool.put_aside(endpoint, "malformed-block", str(error))
            raise ChainError(f"{endpoint.name} gives no header of block {which} that can be read") from error
        if block is None:
            raise ChainError(f"{endpoint.name} does not know block {which}: is it an archive node?")
        if isinstance(which, int) and block.number != which:
            self.pool.put_aside(endpoint, "other-block", f"asked for block {which}, got {block.number}")
            raise ChainError(f"{endpoint.name} gives block {block.number} for block {which}")
        self.pool.could_read(endpoint, "malformed-block")
        return block
