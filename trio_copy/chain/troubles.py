"""Tells a person about a trouble that goes on: once, then with a count at growing times, and once when it is over. Sync."""

from collections.abc import Callable

from attrs import define, field

from trio_copy.chain.pacing import Growing
from trio_copy.model.counts import counted

_AGAIN_S = 30.0
_LONGEST_S = 3600.0
_CALM_S = 30.0
"""Success counts as the end of a trouble only after so long without it: what fails every other time is not over."""


@define(eq=False)
class _Standing:
    since: float
    last: float
    tell_at: float
    again: Growing
    times: int = 1


@define(eq=False)
class Troubles:
    """Told apart by kind and by whom they are about; times are Trio's."""

    tell: Callable[[str, str], None]
    """Takes the kind and detail of something worth a line."""
    _standing: dict[tuple[str, str], _Standing] = field(factory=dict)

    def note(self, kind: str, who: str, detail: str, now: float) -> None:
        """Tell it, or count it until it is time to tell again."""
        standing = self._standing.get((kind, who))
        if standing is None:
            again = Growing(_AGAIN_S, _LONGEST_S)
            self._standing[kind, who] = _Standing(now, now, now + again.next_s(), again)
            self.tell(kind, detail)
            return
        standing.last = now
        standing.times += 1
        if now >= standing.tell_at:
            standing.tell_at = now + standing.again.next_s()
            self.tell(kind, f"{detail} ({standing.times} times in {now - standing.since:.0f} s)")

    def over(self, kind: str, who: str, now: float) -> None:
        """Note that it went well; tell that the trouble is over when it has not come back for some time."""
        standing = self._standing.get((kind, who))
        if standing is None or now - standing.last < _CALM_S:
            return
        del self._standing[kind, who]
        times = counted(standing.times, "time")
        self.tell(kind, f"{who + ': ' if who else ''}over, after {times} in {standing.last - standing.since:.0f} s")
