"""Which kinds of what an endpoint sends cannot be read at present. Sync; times are Trio's."""

from attrs import define, field

_KINDS = frozenset({"malformed-frame", "malformed-head", "malformed-block", "malformed-logs", "malformed-log"})
"""The others of what is put aside can be read: nobody asked for it."""
_CALM_S = 30.0
"""What fails every other time is not over because it went well once."""


@define
class _Standing:
    times: int
    last: float


@define(eq=False)
class Unreadable:
    """True while anything cannot be read: from the first failure until the same has gone well, some time after the last."""

    _standing: dict[str, _Standing] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self._standing)

    def failed(self, kind: str, now: float) -> bool:
        """Note something of a kind that could not be read; True when that is news."""
        if kind not in _KINDS:
            return False
        standing = self._standing.setdefault(kind, _Standing(0, now))
        standing.times, standing.last = standing.times + 1, now
        return standing.times == 1

    def went_well(self, kind: str, now: float) -> int:
        """Note something that could be read; returns how often its kind could not, when that is over now, and else 0."""
        standing = self._standing.get(kind)
        if standing is None or now - standing.last < _CALM_S:
            return 0
        del self._standing[kind]
        return standing.times
