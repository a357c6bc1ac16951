"""The one place that reads the wall clock.

Deadlines inside the engine use `trio.current_time()`. Block times, checkpoints and records need Unix seconds: they come
from a `WallClock`, which is anchored once and then advances with the monotonic clock, so that a step of the
system's clock neither expires every task at once nor makes an old one look fresh.
"""

import time
from collections.abc import Callable

import trio

WallClock = Callable[[], float]
"""Returns Unix seconds."""


def anchored_wall_clock() -> WallClock:
    """Anchor Unix time to the monotonic clock that Trio's real clock reads; not for virtual time."""
    offset = time.time() - time.perf_counter()
    return lambda: offset + time.perf_counter()


def wall_clock_from(unix_s: float) -> WallClock:
    """Return a clock that shows `unix_s` now and then keeps pace with Trio's clock, virtual or not."""
    offset = unix_s - trio.current_time()
    return lambda: offset + trio.current_time()


def cpu_seconds() -> float:
    """Return the processor time this process has used, for reports of cost."""
    return time.process_time()


def utc_date(unix_s: float) -> str:
    """Return the UTC calendar day as 2026-11-22: the bucket of daily limits."""
    return time.strftime("%Y-%m-%d", time.gmtime(unix_s))


def local_time_of_day(unix_s: float) -> str:
    """Return 17:04:59 in the zone of the person who reads it."""
    return time.strftime("%H:%M:%S", time.localtime(unix_s))
