"""Who waits for the same millisecond waits together: a timer for each of a signal's copies was a tenth of what a copy costs."""

from math import ceil

import trio
from attrs import define, field

_PER_S = 1000


@define(eq=False)
class Moments:
    _ahead: dict[float, trio.Event] = field(factory=dict)
    """Of each moment of Trio's clock that somebody waits for; set once it has come, or whoever has its timer was cancelled."""

    async def wait(self, seconds: float) -> None:
        """Wait so long, and then until the next whole millisecond of Trio's clock; nothing at all is not waited for."""
        if not seconds:
            await trio.lowlevel.checkpoint()
            return
        moment = ceil((trio.current_time() + seconds) * _PER_S) / _PER_S
        while (come := self._ahead.get(moment)) is not None:
            await come.wait()
            if trio.current_time() >= moment:
                return
        come = self._ahead[moment] = trio.Event()
        try:
            await trio.sleep_until(moment)
        finally:
            del self._ahead[moment]
            come.set()
