"""How long an order is sent again that its venue certainly does not have, and how many of them wait for that at once.

A venue that restarts takes nothing for a minute. Who goes on until its deadline keeps a worker for so long, and there may be
more of them than workers: some are always left to others, and more to exits than to entries.
"""

from attrs import define, field

from trio_copy.entropy import Entropy

_SENDS = 3
"""Sends that anybody has, within `send_timeout_s`: a venue may be away for a moment."""
_FIRST_S = 0.05
_LONGEST_S = 1.0
"""The longest pause before an order is sent once more that was not accepted so often."""


@define(eq=False, kw_only=True)
class Patience:
    """Of the workers of one executor."""

    workers: int
    """How many there are, those for exits alone included."""
    entry_workers: int
    """How many of them may have entries."""
    entropy: Entropy
    exits: int = 0
    """Those that go on until their deadlines."""
    entries: int = 0

    def begin(self, *, is_exit: bool, now: float, timeout_s: float) -> "Sends":
        """Begin with an order, at a Unix second. `Sends.end` has to follow."""
        return Sends(patience=self, is_exit=is_exit, until=now + timeout_s)

    def take(self, *, is_exit: bool) -> bool:
        """Let one more go on until its deadline; False where too many do."""
        if is_exit and self.exits < self.workers // 2:
            self.exits += 1
            return True
        # A quarter, rounded: of one worker it is none, for others' entries come as well.
        if not is_exit and self.entries < (self.entry_workers + 2) // 4:
            self.entries += 1
            return True
        return False

    def give_back(self, *, is_exit: bool) -> None:
        """Take note that one of those goes on no more."""
        if is_exit:
            self.exits -= 1
        else:
            self.entries -= 1


@define(eq=False, kw_only=True)
class Sends:
    """Of one order."""

    patience: Patience
    is_exit: bool
    until: float
    """When the time is over that anybody has, in Unix seconds."""
    made: int = 0
    """How many of them were answered."""
    _patient: bool = field(init=False, default=False)

    def pause_s(self, now: float, deadline: float, *, goes_on: bool) -> float | None:
        """Return how long to wait before the same bytes go again, at most until the deadline; None where they do not.

        `goes_on` says whether they may until then. Times are Unix seconds.
        """
        entropy = self.patience.entropy
        if not self._patient:
            pause_s = entropy.uniform(0, _FIRST_S * 2**self.made)
            if self.made < _SENDS and now + pause_s <= min(self.until, deadline):
                return pause_s
            self._patient = goes_on and self.patience.take(is_exit=self.is_exit)
        pause_s = entropy.uniform(_LONGEST_S / 2, _LONGEST_S)
        return pause_s if goes_on and self._patient and now + pause_s <= deadline else None

    def end(self) -> None:
        """Take note that nothing more is sent of it."""
        if self._patient:
            self._patient = False
            self.patience.give_back(is_exit=self.is_exit)
