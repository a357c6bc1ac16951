"""What calls like one have taken by estimate lately. Pure: times are Trio's.

An estimate is a search: a node carries the call out a dozen times. That so much gas is enough, it says by doing it once.
"""

from collections import OrderedDict
from collections.abc import Hashable

from attrs import define, field, frozen

_FOR_S = 600.0
"""Then it is estimated anew: what once took much may take little by now."""
_MOST = 1_000


@frozen
class _Known:
    gas: int
    since: float
    """When it was estimated first."""


@define(eq=False)
class KnownGas:
    """Of calls that are alike: the most that one of them was estimated to take."""

    _known: OrderedDict[Hashable, _Known] = field(factory=OrderedDict)

    def of(self, like: Hashable, now: float) -> int | None:
        """Return with how much a call is tried; None where it has to be estimated."""
        known = self._known.get(like)
        return known.gas if known is not None and now - known.since < _FOR_S else None

    def note(self, like: Hashable, gas: int, now: float) -> None:
        """Take note of an estimate."""
        before = self.of(like, now)
        since = now if before is None else self._known[like].since
        self._known[like] = _Known(max(gas, before or 0), since)
        self._known.move_to_end(like)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
