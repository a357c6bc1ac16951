"""What nodes say was taken back, and whether they are believed. Sync; the scanner looks.

A node that says so in vain costs one look at the block; then it is not believed for a while that grows. Nothing is missed
by that: if the chain did take the log back, following the heads shows it.
"""

from collections.abc import Iterable

from attrs import define, field

from trio_copy.chain.pacing import Doubts
from trio_copy.chain.window import BlockWindow
from trio_copy.model.logs import BlockRef, LogName, RawLog


@define(eq=False)
class Removals:
    window: BlockWindow
    doubts: Doubts = field(factory=Doubts)
    forgotten: set[LogName] = field(factory=set)
    """Logs that will be read again; finding one of them is no late find."""
    _claims: dict[BlockRef, dict[LogName, str]] = field(factory=dict)
    """Blocks to look into, with the logs that are said to be gone, and who said so first."""

    def claim(self, log: RawLog, source: str, now: float) -> bool:
        """Note that a source says a log was taken back; False when it is not to be believed. `now` is Trio time."""
        if not self.doubts.believes(source, now):
            return False
        block = self.window.at(log.block_number)
        if block is not None and self.window.forget(log):
            self.forgotten.add(log.name)
            # However many logs of it are named until somebody looks: one look.
            self._claims.setdefault(block, {})[log.name] = source
        return True

    def next_block(self) -> BlockRef | None:
        """Return a block that has to be looked into; those that the chain passed by meanwhile need no look."""
        for block in list(self._claims):
            if block.hash in self.window:
                return block
            del self._claims[block]
        return None

    def looked(self, block: BlockRef, still_there: Iterable[RawLog], now: float) -> dict[str, float]:
        """Note what a look brought; returns the sources that were wrong, and for how long they are doubted."""
        claims = self._claims.pop(block, {})
        wrong = {claims[log.name] for log in still_there if log.name in claims}
        return {source: self.doubts.wrong(source, now) for source in sorted(wrong)}
