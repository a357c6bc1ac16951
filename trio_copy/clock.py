"""The one place that reads the wall clock.

Deadlines inside the engine use `trio.current_time()`, which stands still while the machine sleeps. Block times, ages,
leases and records need Unix seconds: they come from a `WallClock`, which is anchored once and then advances with a clock
that counts sleep. A step of the system's clock therefore neither expires every task at once nor makes an old one look
fresh; whether a step is a correction is judged by block times (`trio_copy.chain.watchdogs`).
"""

import time
from collections.abc import Callable
from functools import partial

import trio
from attrs import define, field

WallClock = Callable[[], float]
"""Returns Unix seconds."""


@define(eq=False)
class AnchoredClock:
    """A `WallClock` of the real world: it counts sleep, and never steps by itself."""

    _steady: Callable[[], float]
    """Seconds since some moment, sleep included."""
    _system: Callable[[], float]
    """Unix seconds, as the system believes at this moment."""
    _offset: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.follow()

    def __call__(self) -> float:
        return self._offset + self._steady()

    @property
    def stepped_s(self) -> float:
        """How far the system's clock was set ahead of this one since it was anchored; negative when it was set back."""
        return self._system() - self()

    def follow(self) -> None:
        """Show from now on what the system's clock shows."""
        self._offset = self._system() - self._steady()


def anchored_wall_clock() -> AnchoredClock:
    """Anchor Unix time to the real clock that counts sleep; not for virtual time.

    Where there is none (macOS), the system's own clock is read: it counts sleep too, and its steps look like sleep.
    """
    counts_sleep = hasattr(time, "CLOCK_BOOTTIME")
    return AnchoredClock(partial(time.clock_gettime, time.CLOCK_BOOTTIME) if counts_sleep else time.time, time.time)


def trio_clock() -> Callable[[], float]:
    """Return what `trio.current_time` asks, virtual or not, for those who read it ten times a copy: without two functions between."""
    return trio.lowlevel.current_clock().current_time


def wall_clock_from(unix_s: float) -> WallClock:
    """Return a clock that shows `unix_s` now and then keeps pace with Trio's clock, virtual or not."""
    now = trio_clock()
    offset = unix_s - now()
    return lambda: offset + now()


def cpu_seconds() -> float:
    """Return the processor time this process has used, for reports of cost."""
    return time.process_time()


def utc_date(unix_s: float) -> str:
    """Return the UTC calendar day as 2026-11-22: the bucket of daily limits."""
    return time.strftime("%Y-%m-%d", time.gmtime(unix_s))


def local_time_of_day(unix_s: float) -> str:
    """Return 17:04:59 in the zone of the person who reads it."""
    return time.strftime("%H:%M:%S", time.localtime(unix_s))
