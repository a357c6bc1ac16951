"""What time the venue has. Its headers are signed with a time, and an hour's error is refused like a wrong key.

Positive skew is ours being ahead, as of the chain's clock. `/time` tells whole seconds: half of one is noise.
"""

from attrs import define, field

from trio_copy.clock import WallClock

_LONGEST_TRIP_S = 10.0
"""An answer that took longer says too little: it was read somewhere in between."""
_MOST_S = 86_400.0
"""A clock that is a day off is another trouble than skew."""
_LEAST_UNIX_S = 1_000_000_000


@define(eq=False)
class VenueClock:
    wall: WallClock
    skew_s: float = 0.0
    """How far our clock is ahead of the venue's, as measured last."""
    measured_at: float | None = field(default=None)
    """When, in Unix seconds of our clock; None while nothing was measured."""

    def now(self) -> int:
        """Return the venue's time in Unix seconds, as far as it is known."""
        return int(self.wall() - self.skew_s)

    def learn(self, body: bytes, asked_at: float, answered_at: float) -> None:
        """Take the answer of `/time`, between two moments of our clock.

        Raises:
            ValueError: it says no time, or none that can be used.
        """
        text = body.strip().strip(b'"')
        if not text.isdigit() or len(text) > 11:
            raise ValueError("expected a time in Unix seconds")
        if not 0 <= answered_at - asked_at <= _LONGEST_TRIP_S:
            raise ValueError(f"an answer that took {answered_at - asked_at:.1f} s tells no time")
        skew_s = (asked_at + answered_at) / 2 - (int(text) + 0.5)
        if int(text) < _LEAST_UNIX_S or abs(skew_s) > _MOST_S:
            raise ValueError(f"the venue's clock is {abs(skew_s):.0f} s away from ours: set the clock of this machine")
        self.skew_s, self.measured_at = skew_s, answered_at
