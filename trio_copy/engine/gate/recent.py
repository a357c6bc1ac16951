"""What was read of the last blocks, for shards that come later: their story goes on without being read once more.

It is told only as far back as it is whole: from when everything began to be read, and not from before leaders came to be
read who were not.
"""

from collections import deque
from collections.abc import Iterator

from attrs import define, field

from trio_copy.engine.gate.reader import Fact
from trio_copy.model.logs import BlockRef

_BLOCKS = 400
"""A checkpoint is behind by what its owner had under way when he died, and by his lease: some ten blocks."""
_MOST = 20_000
_SETTLES_S = 30.0
"""How far the time in a block may be from ours."""


@define(eq=False)
class Recent:
    keeps: bool
    """Whether anything is kept at all."""
    _facts: deque[tuple[Fact, bool]] = field(factory=deque)
    """With each whether all of its block was known."""
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
            self._facts.append((fact, whole))

    def drop(self, fact: Fact) -> None:
        """Forget what a reorg took back."""
        self._facts = deque(kept for kept in self._facts if kept[0] != fact)

    def seal(self, block: BlockRef) -> None:
        """Forget what is too old, unless it is needed."""
        self._sealed = block
        if self._held:
            return
        self._forget(block.number if block.time <= self._stale_until else block.number - _BLOCKS)
        while len(self._facts) > _MOST:
            self._forget(self._facts[0][0].block_number)

    def _forget(self, number: int) -> None:
        if self._whole_after is not None:
            self._whole_after = max(self._whole_after, number)
        while self._facts and self._facts[0][0].block_number <= number:
            self._facts.popleft()

    def hold(self, number: int) -> bool:
        """Keep everything that came after a block until `let_go`; False when it is not all there."""
        whole = self._sealed is not None and self._sealed.time > self._stale_until
        self._held = self.keeps and whole and self._whole_after is not None and number >= self._whole_after
        return self._held

    def let_go(self) -> None:
        self._held = False

    def after(self, number: int) -> Iterator[tuple[Fact, bool]]:
        """Return what came after a block, in the order in which it came."""
        return (kept for kept in tuple(self._facts) if kept[0].block_number > number)
