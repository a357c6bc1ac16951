"""Watches our own clock: against sleep, and against steps of the system's clock.

Our clock counts sleep and never steps by itself, so what it says about an age is wrong only by its skew, which is measured
by block times (`MeasuredSkew`). After a jump every connection has slept too: they are given up, and entries wait until a
node was dialled again. A step of the system's clock is taken over when it brings ours nearer to the block times, as when
somebody has just mended NTP.
"""

from collections.abc import Callable
from math import inf

from attrs import define, field

from trio_copy.chain.endpoints import EndpointPool
from trio_copy.chain.measured_skew import MeasuredSkew, halt
from trio_copy.chain.skew import SKEW_LIMIT_S
from trio_copy.clock import AnchoredClock, WallClock, trio_clock
from trio_copy.model.decisions import Reason

_JUMP_S = 2.0
"""More than this between our clock and Trio's is sleep, or a clock that was set."""
_STEP_S = 1.0
"""A smaller step of the system's clock changes no decision."""
_LOOK_EVERY_S = 0.001
"""By our clock, which counts sleep: each copy asks twice, and some leave within a millisecond."""


@define(eq=False, kw_only=True)
class ClockWatch:
    pool: EndpointPool
    skew: MeasuredSkew
    wall: WallClock
    clock: AnchoredClock | None
    """The wall clock as something that can be set; None where time is virtual."""
    may_set: bool
    """False where leases run by our clock, which others rely on."""
    on_trouble: Callable[[str, str], None]
    on_step: Callable[[str, str], None]
    now: Callable[[], float] = field(factory=trio_clock)
    _ahead: float | None = None
    """What our clock showed beyond Trio's when last looked at; None while nobody looks."""
    _looked_at: float = -inf
    """By our clock."""
    _connects: dict[str, int] | None = None
    """After a jump, how often each endpoint had connected before; None once one has connected again."""
    _step_told: float = 0.0

    def start(self) -> None:
        """Begin to watch, not armed."""
        self.skew.start()
        self._ahead, self._looked_at, self._connects = self._now_ahead(), -inf, None

    def stop(self) -> None:
        """Watch no more: nobody listens to nodes."""
        self.skew.stop()
        self._ahead = None

    def halted(self) -> Reason | None:
        """Return why the clock allows no entry now, or None."""
        self.look()
        if self._connects is not None and not self._woken():
            return halt("sleep", "the machine slept, or its clock was set", "a node that was dialled since")
        return self.skew.halted()

    def look(self) -> None:
        """Notice jumps of our clock, and steps of the system's."""
        if self._ahead is None:
            return
        now = self.wall()
        if 0 <= now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        before, self._ahead = self._ahead, self._now_ahead()
        jumped = self._ahead - before
        if abs(jumped) > _JUMP_S:
            self._wake(f"{jumped:+.0f} s went by at once: the machine slept, or its clock was set")
        if self.clock is not None:
            self._judge_step(self.clock, self.clock.stepped_s)

    def _wake(self, why: str) -> None:
        self._connects = {endpoint.name: endpoint.connects for endpoint in self.pool.endpoints}
        self.skew.start_over()
        for endpoint in self.pool.endpoints:
            endpoint.give_up(why)
        self.pool.want_rescan()
        self.on_trouble("clock-jump", f"{why}; every node is dialled again, and entries wait for that")

    def _woken(self) -> bool:
        """Tell whether a node has connected and shown its head since the jump: from then on ages are checked again."""
        before = self._connects or {}
        if any(one.heads_seen and one.connects > before[one.name] for one in self.pool.live):
            self._connects = None
        return self._connects is None

    def _judge_step(self, clock: AnchoredClock, step: float) -> None:
        if abs(step - self._step_told) < _STEP_S:
            return
        self._step_told = step
        skew = self.skew.value_s
        mends = not self.skew.armed if skew is None else abs(skew) > SKEW_LIMIT_S and abs(skew + step) < abs(skew)
        if not mends:
            self.on_trouble("clock-stepped", f"the system's clock was set by {step:+.1f} s; ours goes on as it was")
        elif not self.may_set:
            self.on_trouble(
                "clock-stepped",
                f"the system's clock was set by {step:+.1f} s; ours cannot follow, because the leases on the shared store"
                " run by it: start this instance again",
            )
        else:
            clock.follow()
            self._ahead, self._step_told = self._now_ahead(), 0.0
            self.skew.shift(step)
            self.on_step("clock", f"set by {step:+.1f} s, as the system's clock was")
            self.skew.weigh()

    def _now_ahead(self) -> float:
        return self.wall() - self.now()
