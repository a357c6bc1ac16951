"""Who waits for the same millisecond waits together: a timer for each of a signal's copies was a tenth of what a copy costs."""

from math import ceil

import trio
from attrs import define, field

_PER_S = 1000
_HAIR = 1e-6
"""By so much of a millisecond sums of seconds are off: who begins at a whole one must not be answered one later for that."""


@define(eq=False)
class _Moment:
    told: trio.Event = field(factory=trio.Event)
    """Set once it has come, or whoever has its timer was cancelled."""
    come: bool = False


@define(eq=False)
class Moments:
    _ahead: dict[float, _Moment] = field(factory=dict)
    """Those that somebody waits for, by Trio's clock."""

    async def wait(self, seconds: float) -> None:
        """Wait so long, and then until the next whole millisecond of Trio's clock; nothing at all is not waited for."""
        if not seconds:
            await trio.lowlevel.checkpoint()
            return
        at = ceil((trio.current_time() + seconds) * _PER_S - _HAIR) / _PER_S
        while (moment := self._ahead.get(at)) is not None:
            await moment.told.wait()
            if moment.come:
                return
        moment = self._ahead[at] = _Moment()
        try:
            await trio.sleep_until(at)
            moment.come = True
        finally:
            del self._ahead[at]
            moment.told.set()
