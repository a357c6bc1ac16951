"""The dead man's switch: after a first beat, orders are cancelled as soon as the next one is late."""

from collections.abc import Callable
from uuid import UUID

import trio
from attrs import define, field

from trio_copy.testing.clob_venue.agenda import Agenda
from trio_copy.testing.clob_venue.api_keys import ApiKey
from trio_copy.testing.clob_venue.refusals import Refused

_LATE_S, _LOOKS_EVERY_S = 10, 5


@define(eq=False, kw_only=True)
class Heartbeats:
    agenda: Agenda
    on_late: Callable[[ApiKey], object]
    """Hears whose beat is late."""
    _last: dict[str, tuple[str, float]] = field(factory=dict)
    """The last beat's name, and when it came in Trio's time, by API key."""
    _count: int = 0

    def beat(self, key: ApiKey, heartbeat_id: str) -> str:
        """Take a beat that names the one before it, and return its own name."""
        expected, _ = self._last.get(key.key, ("", 0.0))
        if heartbeat_id != expected:
            raise Refused(400, "Invalid Heartbeat ID", heartbeat_id=expected)
        self._count += 1
        name = str(UUID(int=self._count))
        first = key.key not in self._last
        self._last[key.key] = name, trio.current_time()
        if first:
            self.agenda.after(_LOOKS_EVERY_S, lambda: self._look(key))
        return name

    def _look(self, key: ApiKey) -> None:
        if trio.current_time() - self._last[key.key][1] > _LATE_S:
            del self._last[key.key]
            self.on_late(key)
        else:
            self.agenda.after(_LOOKS_EVERY_S, lambda: self._look(key))
