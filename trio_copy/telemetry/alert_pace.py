"""One alert per kind and object, then counts: what happens again and again is said once, and how often at the end."""

import re
from collections.abc import Callable

from attrs import define, field

from trio_copy.clock import WallClock

_FIGURE = re.compile(r"(?<![\w.-])[+-]?\d[\d.,]{0,8}(?![\w-])")
"""A figure by itself: how many, how long. A number that names something is longer, or stands inside a word."""
_KNOWN_MOST = 10_000
_CHANGES = frozenset(
    {"mode", "pause", "entries-halted", "store-waiting", "store-back", "reload-refused", "restart-needed"}
)
"""Each of these says how things stand from now on: said late, it would be wrong meanwhile."""


@define
class _Told:
    detail: str
    since: float
    more: int = 0


@define(eq=False)
class AlertPace:
    """Decides which alerts are passed on; two are of one object when their words are the same, whatever their figures."""

    every_s: float
    """How long an alert speaks for those like it; 0 passes all of them on."""
    wall: WallClock
    pass_on: Callable[[str, str], None]
    _told: dict[tuple[str, str], _Told] = field(factory=dict)

    def on_alert(self, kind: str, detail: str) -> None:
        """Pass an alert on, or count it."""
        self.look()
        if kind in _CHANGES:
            self.pass_on(kind, detail)
            return
        key = (kind, _FIGURE.sub("#", detail))
        told = self._told.get(key)
        if told is not None:
            told.more += 1
            told.detail = detail
            return
        # Beyond so many different ones, repeating is better than growing.
        if self.every_s > 0 and len(self._told) < _KNOWN_MOST:
            self._told[key] = _Told(detail, self.wall())
        self.pass_on(kind, detail)

    def look(self, *, end: bool = False) -> None:
        """Pass the counts on whose time is over; all of them at the end."""
        now = self.wall()
        for key, told in tuple(self._told.items()):
            # In the order of their beginnings: behind the first that is not over, none is.
            if not end and now - told.since < self.every_s:
                break
            del self._told[key]
            if told.more:
                if not end:
                    self._told[key] = _Told(told.detail, now)
                self.pass_on(key[0], f"{told.detail} ({told.more} more within {now - told.since:.0f} s)")
