"""How wrong our clock is, judged by block times. Sync, pure.

A block is at best as old as it took to reach us, so the youngest of a node's recent blocks says most: what is late, a
stalled reader or a burst, only makes blocks look older. Skew is positive when our clock is ahead. Block times are whole
seconds, and a producer may be a second early: about a second of what is measured is noise.
"""

from collections import deque
from collections.abc import Sequence
from statistics import median_high, median_low

from attrs import define, field

SKEW_LIMIT_S = 2.0
"""More than this is no noise, and worth a person's attention."""
_AGES_KEPT = 5


@define(eq=False)
class BlockAges:
    """How old, by our clock, one node's blocks were when it first showed them."""

    _fresh: deque[float] = field(factory=lambda: deque(maxlen=_AGES_KEPT))
    _found: float | None = None

    def note(self, age_s: float, *, fresh: bool) -> None:
        """Note a block's age. Not fresh is one that was there before we looked: it may have any age."""
        if fresh:
            self._fresh.append(age_s)
        else:
            self._found = age_s

    def shift(self, by_s: float) -> None:
        """Our clock was set ahead by so much: so were all ages."""
        self._fresh = deque((age + by_s for age in self._fresh), maxlen=_AGES_KEPT)
        self._found = None if self._found is None else self._found + by_s

    @property
    def at_most(self) -> float | None:
        """The most that our clock can be ahead of this node; None before the first block."""
        return min(self._fresh) if self._fresh else self._found

    @property
    def skew(self) -> float | None:
        """How far our clock is ahead of this node.

        None while only an old block is known: then the chain may stand still just as well.
        """
        if not self._fresh and self._found is not None and self._found > 0:
            return None
        return self.at_most


def agreed_skew(skews: Sequence[float | None]) -> float | None:
    """Return the skew that more than half of the nodes see at least; None while most of them cannot tell.

    A minority that lags or lies does not count, and of two nodes the one that says less is believed.
    """
    known = sorted(skew for skew in skews if skew is not None)
    if 2 * len(known) <= len(skews):
        return None
    low, high = median_low(known), median_high(known)
    return low if low > 0 else high if high < 0 else 0.0


def describe_skew(skew_s: float, nodes: int) -> str:
    """Say which way the clock is wrong, by how much, and what to do."""
    by = f"{abs(skew_s):.1f} s"
    judges = "1 node" if nodes == 1 else f"the median of {nodes} nodes"
    if skew_s < 0:
        return (
            f"this machine's clock is {by} behind the block times of {judges}; set it by NTP (timedatectl set-ntp true)"
        )
    return (
        f"this machine's clock is {by} ahead of the block times of {judges}; set it by NTP (timedatectl set-ntp true)."
        " If the clock is right, the nodes are that late: use others"
    )


def arming_refusal(skew_s: float | None, at_most_s: float | None, limit_s: float, *, patient: bool) -> str | None:
    """Return why nothing may be armed by this clock, or None when it may.

    `at_most_s` is the most that our clock can be ahead, or the worst that is said of it while most nodes have not been
    heard. While it is large, the wait goes on as long as `patient`: after that the chain seems to stand still, which says
    nothing about a clock.
    """
    if skew_s is None:
        if not patient or at_most_s is None or abs(at_most_s) <= limit_s:
            return None
        age = f"{abs(at_most_s):.1f} s {'old' if at_most_s > 0 else 'early'}"
        return f"the newest block is {age}; waiting for a fresh one, or for another node"
    if abs(skew_s) <= limit_s:
        return None
    return f"our clock is {abs(skew_s):.1f} s {'ahead' if skew_s > 0 else 'behind'}, at most {limit_s:g} s are allowed"
