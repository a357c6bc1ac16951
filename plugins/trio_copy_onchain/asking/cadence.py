"""How long to wait before it is asked for a new block: rarely where none can be there yet, often when one is due. Pure."""

from collections import deque

from attrs import define, field

_SOON_S = 0.1
"""Where a block is due, it is asked for so often."""
_BLOCKS = 8


@define(eq=False)
class Cadence:
    at_least_s: float
    """How often it is asked whatever comes."""
    _seen: deque[tuple[float, int]] = field(factory=lambda: deque(maxlen=_BLOCKS))
    """When blocks were seen first, and their numbers."""
    _asked_at: float = -float("inf")
    _missing_at: float = -float("inf")
    """When it was asked last before the newest block was there."""

    def note(self, number: int, now: float) -> None:
        """Take note of the newest block's number."""
        if self._seen and number < self._seen[-1][1]:
            self._seen.clear()  # the chain has become shorter: what it tells of its pace is not true any more
        if not self._seen or number > self._seen[-1][1]:
            self._seen.append((now, number))
            self._missing_at = self._asked_at
        self._asked_at = now

    def pause_s(self, now: float) -> float:
        """Return how long nobody needs to ask."""
        if len(self._seen) < 2:
            return self.at_least_s
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        between = (ended - began) / (last - first)
        # Whoever asked late has seen it late, and would again: it may have come as soon as the question before was answered.
        left = min(ended - _SOON_S, max(self._missing_at, ended - between)) + between - now
        # Overdue for as long as another one takes, it does not come soon: the chain has stopped, or slowed down.
        soon = max(left, _SOON_S) if now - ended < 2 * between else self.at_least_s
        return min(soon, self.at_least_s)
