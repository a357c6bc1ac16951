"""By which transactions an operator's nonces were used: the block of each is found by counts at heights, and read whole.

A count at a height needs the state of that block, which many nodes keep of the newest blocks only. So the search begins at
the newest; where no node has the state, the blocks are read one after the other.
"""

from collections.abc import Collection, Mapping, Sequence

import trio
from attrs import define, field

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address, Hash32
from trio_copy_onchain.asking.counts import read_height, read_number
from trio_copy_onchain.asking.questions import Questions, result
from trio_copy_onchain.tx.receipts import read_used

_MOST_BLOCKS = 1024
"""That are read whole in one search."""


@define(eq=False, kw_only=True)
class Users:
    """One search within final blocks."""

    questions: Questions
    operator: Address
    until: float
    contested: Collection[int] = ()
    """Nonces of which a node has the receipt of one of ours, and another denies it: of who used them, one node's word is
    not enough."""
    found: dict[int, Hash32] = field(factory=dict)
    _counts: dict[int, int] = field(factory=dict)
    """By height."""
    _read: set[int] = field(factory=set)

    async def find(self, nonces: Sequence[int], since_block: int, final_block: int) -> Mapping[int, Hash32]:
        """Find who used nonces after one block, up to another. Raises nothing: what is not found is left out."""
        for nonce in sorted(nonces, reverse=True):
            if nonce not in self.found:
                await self._find(nonce, since_block, final_block)
        return {nonce: self.found[nonce] for nonce in nonces if nonce in self.found}

    async def _find(self, nonce: int, low: int, high: int) -> None:
        """Find the first block after which a nonce was used: it is not used at `low`, or before, and used at `high`."""
        try:
            if high <= low or await self._count(high) <= nonce:
                return
            step = 1
            while high - step > low:
                if await self._count(high - step) <= nonce:
                    low = high - step
                    break
                high, step = high - step, step * 2
            while high - low > 1:
                middle = (low + high) // 2
                if await self._count(middle) > nonce:
                    high = middle
                else:
                    low = middle
        except ChainError:
            await self._walk(nonce, low, high)
        else:
            await self._read_block(high)

    async def _count(self, height: int) -> int:
        count = self._counts.get(height)
        if count is None:
            params = (self.operator, hex(height))
            count = await self.questions.first("eth_getTransactionCount", params, result(read_number), self.until)
            self._counts[height] = count
        return count

    async def _walk(self, nonce: int, low: int, high: int) -> None:
        """Read blocks from the newest on, until one of them tells."""
        for height in range(high, low, -1):
            if nonce in self.found or len(self._read) >= _MOST_BLOCKS or trio.current_time() >= self.until:
                return
            await self._read_block(height)

    async def _read_block(self, height: int) -> None:
        """Learn who used which nonces in a block. Where two nodes contradict each other, one of them lies: nothing is learnt."""
        if height in self._read:
            return
        self._read.add(height)

        def read(block: bytes) -> Mapping[int, Hash32]:
            if read_height(block) != height:
                raise ValueError(f"expected block {height}")
            return read_used(block, self.operator)

        told = await self.questions.every("eth_getBlockByNumber", (hex(height), True), result(read), self.until)
        answers = [answer for answer in told.values() if not isinstance(answer, ChainError)]
        if answers and all(answer == answers[0] for answer in answers):
            alone = len(answers) == 1 < len(told)
            self.found.update(
                {nonce: user for nonce, user in answers[0].items() if not (alone and nonce in self.contested)}
            )
