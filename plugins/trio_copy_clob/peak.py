"""How many there were at once, lately."""

from attrs import define

_LATELY_S = 3600.0


@define(eq=False)
class Peak:
    """The most of something that there was at once within the last hour or two: what is needed once is needed again."""

    _since: float = -float("inf")
    """When the hour began that is under way."""
    _most: int = 0
    """Within it."""
    _before: int = 0
    """Within the one before."""

    def note(self, count: int, now: float) -> None:
        """Note how many there are now."""
        self.lately(now)
        self._most = max(self._most, count)

    def lately(self, now: float) -> int:
        """Return the most that there were."""
        if now - self._since >= _LATELY_S:
            self._before = self._most if now - self._since < 2 * _LATELY_S else 0
            self._since, self._most = now, 0
        return max(self._most, self._before)
