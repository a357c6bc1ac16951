"""What was read of the last blocks, for shards that come later: their story goes on without being read once more.

It is told only as far back as it is whole: from when everything began to be read, and not from before leaders came to be
read who were not.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from attrs import define, field

from trio_copy.engine.gate.reader import Fact
from trio_copy.model.logs import BlockRef

_BLOCKS = 400
"""A checkpoint is behind by what its owner had under way when he died, and by his lease: some ten blocks."""
_MOST = 20_000
_SETTLES_S = 30.0
"""How far the time in a block may be from ours."""


class Read(NamedTuple):
    """What was read, or that it was taken back."""

    fact: Fact
    whole: bool = False
    """Whether all of its block was known."""
    gone: bool = False
    """Whether it was taken back later."""
    taken_back: bool = False


@define(eq=False)
class Recent:
    keeps: bool
    """Whether anything is kept at all."""
    _facts: deque[Read] = field(factory=deque)
    _whole_after: int | None = None
    """All that came after this block is there; None before the reading began."""
    _stale_until: float = 0.0
    """Unix seconds; blocks until then may have been read without some of the leaders."""
    _sealed: BlockRef | None = None
    _held: bool = False

    def start_over(self, block: BlockRef) -> None:
        """Begin with what comes after a block."""
        self._facts.clear()
        self._whole_after, self._sealed, self._held = block.number, block, False

    def change_leaders(self, now: float) -> None:
        """Take note that from now on others are read, in Unix seconds."""
        self._stale_until = now + _SETTLES_S
        if self._sealed is not None:
            self._forget(self._sealed.number)

    def add(self, fact: Fact, *, whole: bool) -> None:
        if self.keeps:
            self._facts.append(Read(fact, whole))

    def take_back(self, fact: Fact) -> None:
        """Take note that a reorg took something back: a shard may have met it before it came to be nobody's."""
        if self.keeps:
            self._facts = deque(read._replace(gone=True) if read.fact == fact else read for read in self._facts)
            self._facts.append(Read(fact, taken_back=True))

    def seal(self, block: BlockRef) -> None:
        """Forget what is too old, unless it is needed."""
        self._sealed = block
        if self._held:
            return
        self._forget(block.number if block.time <= self._stale_until else block.number - _BLOCKS)
        while len(self._facts) > _MOST:
            self._forget(self._facts[0].fact.block_number)

    def _forget(self, number: int) -> None:
        if self._whole_after is not None:
            self._whole_after = max(self._whole_after, number)
        while self._facts and self._facts[0].fact.block_number <= number:
            self._facts.popleft()

    def hold(self, number: int) -> bool:
        """Keep everything that came after a block until `let_go`; False when it is not all there."""
        whole = self._sealed is not None and self._sealed.time > self._stale_until
        self._held = self.keeps and whole and self._whole_after is not None and number >= self._whole_after
        return self._held

    def let_go(self) -> None:
        self._held = False

    def after(self, number: int) -> Sequence[Read]:
        """Return what came after a block, and what was taken back, in the order in which it came.

        Where anything was taken back, all that is kept: the block may have been taken back itself, with what it said was done.
        What is known to whoever is told changes nothing.
        """
        reorg = any(read.taken_back for read in self._facts)
        return [read for read in self._facts if reorg or read.fact.block_number > number]
