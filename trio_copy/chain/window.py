"""The recent blocks and which of their logs were passed on: decides what is new and what was taken back. Sync, pure."""

from collections.abc import Iterable

from attrs import define, field

from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef, LogName, RawLog


@define(eq=False)
class _Held:
    block: BlockRef
    logs: dict[LogName, RawLog] = field(factory=dict)
    """What was passed on, in the order of passing on."""


@define(eq=False)
class BlockWindow:
    """A chain of at most `size` blocks, each the parent of the next."""

    size: int
    base: int = -1
    """The number of the block that it was started from last: nobody has read that one here."""
    _blocks: dict[int, _Held] = field(factory=dict)
    _by_hash: dict[Hash32, int] = field(factory=dict)

    @property
    def tip(self) -> BlockRef | None:
        return self._blocks[max(self._blocks)].block if self._blocks else None

    @property
    def oldest(self) -> BlockRef | None:
        return self._blocks[min(self._blocks)].block if self._blocks else None

    def __contains__(self, block_hash: Hash32) -> bool:
        return block_hash in self._by_hash

    def at(self, number: int) -> BlockRef | None:
        held = self._blocks.get(number)
        return held.block if held else None

    def append(self, block: BlockRef) -> tuple[BlockRef, set[LogName]] | None:
        """Put a block on top of the tip, or start anew from it; returns what falls out: a block and its known logs."""
        tip = self.tip
        if tip is not None and (block.number != tip.number + 1 or block.parent != tip.hash):
            raise ValueError(f"expected a child of block {tip.number}, was {block.number}")
        self._blocks[block.number] = _Held(block)
        self._by_hash[block.hash] = block.number
        if len(self._blocks) <= self.size:
            return None
        dropped = self._blocks.pop(min(self._blocks))
        del self._by_hash[dropped.block.hash]
        return dropped.block, set(dropped.logs)

    def restart(self, block: BlockRef) -> None:
        """Forget everything and start from a block, which is not read itself."""
        self._blocks.clear()
        self._by_hash.clear()
        self.append(block)
        self.base = block.number

    def cut(self, ancestor: Hash32) -> tuple[list[BlockRef], list[RawLog]]:
        """Take back every block above an ancestor, newest first, with the logs that were passed on from them."""
        keep = self._by_hash[ancestor]
        blocks: list[BlockRef] = []
        logs: list[RawLog] = []
        for number in sorted((n for n in self._blocks if n > keep), reverse=True):
            held = self._blocks.pop(number)
            del self._by_hash[held.block.hash]
            blocks.append(held.block)
            logs.extend(reversed(held.logs.values()))
        return blocks, logs

    def take_all(self) -> list[RawLog]:
        """Forget everything; returns the logs that were passed on, newest first."""
        held = [self._blocks[number] for number in sorted(self._blocks, reverse=True)]
        self._blocks.clear()
        self._by_hash.clear()
        return [log for block in held for log in reversed(block.logs.values())]

    def known(self) -> set[LogName]:
        """Name every log that was passed on."""
        return {name for held in self._blocks.values() for name in held.logs}

    def forget(self, log: RawLog) -> bool:
        """Forget that a log was passed on, so that reading its block again brings it as new. False when it was not known."""
        number = self._by_hash.get(log.block_hash)
        return number is not None and self._blocks[number].logs.pop(log.name, None) is not None

    def note(self, logs: Iterable[RawLog]) -> list[RawLog]:
        """Remember logs of blocks in the window and return those that were not known yet."""
        new = []
        for log in logs:
            number = self._by_hash.get(log.block_hash)
            if number is not None:
                known, name = self._blocks[number].logs, log.name
                if name not in known:
                    known[name] = log
                    new.append(log)
        return new
