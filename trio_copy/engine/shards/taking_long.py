"""What takes long of what workers have in hand, and who goes before those of whom something does. Decision 0061."""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf

from attrs import define, field

_LAST = 1e9
"""Whoever has had so many has his turn after everybody else."""


@define(eq=False)
class TakingLong:
    """Of one executor's lanes. Counted by whom lanes name first, until the worker is done; `Turns` says what and when."""

    entries: Counter[str] = field(factory=Counter)
    exits: Counter[str] = field(factory=Counter)
    _had: Counter[str] = field(factory=Counter)
    """Exits that were given out since some take long, by whose."""

    def add(self, whose: str, most: int, *, is_exit: bool) -> bool:
        """Count one more, unless there are so many of its side; returns whether it was counted."""
        counts = self.exits if is_exit else self.entries
        if counts.total() >= most:
            return False
        counts[whose] += 1
        return True

    def remove(self, whose: str, *, is_exit: bool) -> None:
        counts = self.exits if is_exit else self.entries
        counts[whose] -= 1
        if not counts[whose]:
            del counts[whose]
        if not self.exits:
            self._had.clear()

    def next_exit(self, ready: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """Return the exit that goes next, of those who have had the fewest since some take long; there has to be one.

        Those of whom none takes long go before the others, and are taken in turns: they may be stuck as well.
        """
        found, fewest = None, inf
        for lane in ready:
            had = self._had[lane[0]] if lane[0] not in self.exits else _LAST
            if had < fewest:
                found, fewest = lane, had
                if not had:
                    break
        assert found is not None
        self._had[found[0]] += 1
        return found

    def next_entry(
        self, ready: Iterable[tuple[str, ...]], out_of: Mapping[str, int], most: float, beside: float
    ) -> tuple[str, ...] | None:
        """Return the entry that goes next; None for none.

        That is one of somebody of whom none takes long, and fewer than `beside` are out; whoever has the fewest goes first, for
        he may be stuck as well, and not be known as such. Or else the first one of somebody of whom fewer than `most` are out.
        """
        found, fewest, known = None, beside, None
        for lane in ready:
            out = out_of.get(lane[0], 0)
            if lane[0] in self.entries:
                if known is None and out < most:
                    known = lane
            elif out < fewest:
                found, fewest = lane, out
                if not out:
                    break
        return found or known
