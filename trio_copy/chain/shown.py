"""Which source showed logs of which block: finds a subscription that has fallen asleep. Sync, pure.

A log counts as shown when the block scanner has read it and another node's subscription brought it too: what one node
tells alone, others cannot be blamed for.
"""

from collections import OrderedDict

from attrs import define, field

from trio_copy.chain.feed import GLANCE, SCAN

_BLOCKS_KEPT = 256
_MEMORY_S = 600.0
"""A quiet market proves nothing: what is older does not count against anybody."""


@define(eq=False)
class _Shown:
    at: float
    """Trio time at which its first log came."""
    sources: set[str] = field(factory=set)


@define(eq=False)
class ShownBlocks:
    _blocks: OrderedDict[int, _Shown] = field(factory=OrderedDict)

    def note(self, number: int, source: str, now: float) -> None:
        """Note a log of a block. `now` is Trio time."""
        if source == GLANCE:
            return  # no subscription brought it
        shown = self._blocks.get(number)
        if shown is None:
            shown = self._blocks[number] = _Shown(now)
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        shown.sources.add(source)

    def missed(self, source: str, above: int, *, patience_s: float, now: float) -> int:
        """Count the latest blocks in a row whose logs a subscription owes for longer than `patience_s`.

        Blocks up to `above` are older than the subscription.
        """
        missed = 0
        for number, shown in sorted(self._blocks.items(), reverse=True):
            if source in shown.sources or number <= above or shown.at < now - _MEMORY_S:
                return missed
            if shown.at < now - patience_s and SCAN in shown.sources and len(shown.sources) > 1:
                missed += 1
        return missed
