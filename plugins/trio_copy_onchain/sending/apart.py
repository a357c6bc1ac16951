"""Whether nodes have contradicted each other for so long that a person should hear of it. Pure."""

from collections.abc import Sequence

from attrs import define

from trio_copy.model.ids import Hash32
from trio_copy_onchain.tx import commands as c

_PATIENCE_S = 30.0
"""Nodes hear of blocks one after the other, and write receipts down late: so long nobody is told."""


@define(eq=False)
class Apart:
    _since: float | None = None
    """By Trio's clock."""
    _foremost: int = 0
    """How many nonces were used then, as the foremost node said."""

    def look(self, see: c.See, unexplained: Sequence[int], hidden: Sequence[Hash32], now: float) -> str:
        """Take note of a look; returns what a person should hear, or nothing.

        `unexplained` are nonces that something has used for good, nobody tells what; `hidden` is what has used one, and nobody
        tells what came of it.
        """
        # Who is behind by a block is so in each look, where something is sent in each block.
        behind = see.foremost > see.latest and (self._since is None or see.latest < self._foremost)
        if not (unexplained or hidden or behind):
            self._since = None
            return ""
        if self._since is None:
            self._since, self._foremost = now, see.foremost
        if now - self._since < _PATIENCE_S:
            return ""
        if not (unexplained or hidden):
            return f"{see.foremost} nonces: used as one node says, and {see.latest} as another does"
        what = f"nonce {unexplained[0]}" if unexplained else hidden[0]
        return (
            f"{what}: nodes contradict each other, or show nothing, in blocks that are final; nothing is booked until they"
            " agree"
        )
