"""When a person armed each wallet last, by Trio's clock, by which stops are noted.

The two clocks part where the machine sleeps, or where ours is set. So a moment is worked out soon after it, once, and kept: worked
out anew with each order, it would move, and lift what stood later, or not what stood before.
"""

from attrs import define, field, frozen


@frozen
class _Armed:
    told: float
    """When it was, in Unix seconds."""
    at: float
    """The same by Trio's clock."""
    looked_at: float
    """When that was known last to be the last one, by Trio's clock."""


@define(eq=False)
class Armings:
    _known: dict[tuple[str, str], _Armed] = field(factory=dict)
    """By the signer's address and the wallet's name."""

    def look(self, signer: str, wallet: str, told: float, *, wall: float, now: float) -> float:
        """Take note of when a wallet was armed last, in Unix seconds; returns it by Trio's clock.

        `wall` and `now` are this moment by both.
        """
        before = self._known.get((signer, wallet))
        if before is None:
            at = min(now, now - (wall - told))
        elif before.told == told:
            at = before.at
        else:
            at = min(now, max(before.looked_at, now - (wall - told)))
        self._known[signer, wallet] = _Armed(told, at, now)
        return at
