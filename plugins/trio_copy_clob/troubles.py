"""What a person hears of a venue that fails: once when it begins, and once when it is over."""

from collections.abc import Callable

from attrs import define, field

from trio_copy.ports import tell_nobody

_TOLD_AT = (1, 100, 10_000, 1_000_000)
"""A venue that writes otherwise does so always."""


@define(eq=False)
class Troubles:
    on_trouble: Callable[[str, str], None] = tell_nobody
    on_left_out: Callable[[str], None] = lambda what: None
    of: str = "markets"
    """What the kinds of trouble begin with."""
    left_out: dict[str, int] = field(factory=dict)
    """What was left out because it could not be read or believed, by kind."""
    _away: dict[str, set[object]] = field(factory=dict)
    """Who is away, and which parts of it."""
    _told: set[str] = field(factory=set)

    def away(self, who: str, why: str, part: object) -> None:
        """Tell that somebody is away, once; of many connections or kinds of questions to one server, of the first."""
        parts = self._away.setdefault(who, set())
        parts.add(part)
        if len(parts) == 1 and who not in self._told:
            self._told.add(who)
            self.on_trouble(f"{self.of}-away", f"{who}: {why}"[:300])

    def back(self, who: str, part: object) -> None:
        """Tell that somebody answers again, once the last part of it does."""
        parts = self._away.get(who)
        if parts is None:
            return
        parts.discard(part)
        if not parts:
            del self._away[who]
            self._told.discard(who)
            self.on_trouble(f"{self.of}-back", f"{who} answers again")

    def leave_out(self, what: str, why: object) -> None:
        """Count something that is not used. A person hears of the first of a kind, and now and then how many there are by now."""
        times = self.left_out[what] = self.left_out.get(what, 0) + 1
        self.on_left_out(what)
        if times in _TOLD_AT:
            more = f" ({times} times by now)" if times > 1 else ""
            self.on_trouble(f"{self.of}-unreadable", f"{what} left out{more}: {why}"[:300])
