"""Watches our own clock: against block times, against sleep, and against steps of the system's clock.

Our clock counts sleep and never steps by itself, so what it says about an age is wrong only by its skew. A skew that makes
our clock late is added to every age; one beyond what a copy may be old halts entries, and nothing is armed by such a clock.
After a jump every connection has slept too: they are given up, and entries wait until a node was dialled again. A step of
the system's clock is taken over when it brings ours nearer to the block times, as when somebody has just mended NTP.
"""

from collections.abc import Callable

import trio
from attrs import define, field

from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.skew import SKEW_LIMIT_S, BlockAges, agreed_skew, arming_refusal, describe_skew
from trio_copy.clock import AnchoredClock, WallClock
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.logs import BlockRef

CALM = 0.75
"""Part of its limit under which a red figure is green again, so that one at its limit does not flicker."""
_JUMP_S = 2.0
"""More than this between our clock and Trio's is sleep, or a clock that was set."""
_STEP_S = 1.0
"""A smaller step of the system's clock changes no decision."""
_PATIENCE_S = 10.0
"""How long a fresh block is waited for before the chain counts as standing still; five blocks of Polygon."""
_FINE, _SKEWED, _UNUSABLE = range(3)


@define(eq=False, kw_only=True)
class ClockWatch:
    pool: EndpointPool
    wall: WallClock
    clock: AnchoredClock | None
    """The wall clock as something that can be set; None where time is virtual."""
    may_set: bool
    """False where leases run by our clock, which others rely on."""
    deadline_s: float
    on_trouble: Callable[[str, str], None]
    on_step: Callable[[str, str], None]
    skew_s: float | None = None
    """How far our clock is ahead of most nodes' block times; None while they cannot tell."""
    armed: bool = False
    refused: str | None = None
    """Why nothing could be armed when it was last asked."""
    _ages: dict[str, BlockAges] = field(init=False)
    _since: float | None = None
    """Trio time since which all nodes are dialled: from the start, or from the last jump."""
    _ahead: float | None = None
    """What our clock showed beyond Trio's when last looked at; None while nobody looks."""
    _connects: dict[str, int] | None = None
    """After a jump, how often each endpoint had connected before; None once one has connected again."""
    _level: int = _FINE
    _step_told: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._ages = {endpoint.name: BlockAges() for endpoint in self.pool.endpoints}

    def start(self) -> None:
        """Begin to watch, not armed."""
        if self._since is None:
            self._since = trio.current_time()
        self._ahead, self._connects, self.armed = self._now_ahead(), None, False

    def stop(self) -> None:
        """Watch no more: nobody listens to nodes."""
        self._ahead, self.armed = None, False

    @property
    def behind_s(self) -> float:
        """How far our clock is behind the block times: what has to be added to an age by our clock."""
        return max(0.0, -(self.skew_s or 0.0))

    def arming_refusal(self) -> str | None:
        """Return why nothing may be armed now, or None. A person hears of it when it is the clock's fault."""
        self.weigh()
        bounds = [self._ages[endpoint.name].at_most for endpoint in self._voters]
        at_most = agreed_skew(bounds)
        if at_most is None:
            at_most = max((bound for bound in bounds if bound is not None), key=abs, default=None)
        limit_s = self._limit_s * (CALM if self._level == _UNUSABLE else 1)
        self.refused = arming_refusal(self.skew_s, at_most, limit_s, patient=self._dialling)
        return self.refused

    def halted(self) -> Reason | None:
        """Return why the clock allows no entry now, or None."""
        self.look()
        if self._connects is not None and not self._woken():
            return halt("sleep", "the machine slept, or its clock was set", "a node that was dialled since")
        if self.skew_s is not None and self._level == _UNUSABLE:
            return halt("clock", f"{abs(self.skew_s):.1f} s {_way(self.skew_s)}", f"{self._limit_s:g} s")
        return None

    def note_head(self, endpoint: Endpoint, head: BlockRef) -> None:
        """Hear of a head right before the endpoint keeps it."""
        before = endpoint.head
        # The first head of a connection was asked for and may have any age; later ones come as they are mined.
        fresh = endpoint.heads_seen > 0 and before is not None and head.number > before.number
        if fresh or not endpoint.heads_seen:
            self._ages[endpoint.name].note(self.wall() - head.time, fresh=fresh)
            self.weigh()

    def weigh(self) -> None:
        """Work out the skew that most nodes agree on, and tell of a change for the worse or the better."""
        self.skew_s = agreed_skew([self._ages[endpoint.name].skew for endpoint in self._voters])
        if self.skew_s is None or self._ahead is None:
            return
        before, self._level = self._level, self._level_of(self.skew_s)
        if self._level > before:
            what = "" if self._level == _SKEWED else "entries are halted: " if self.armed else "not armed: "
            self.on_trouble("clock-skew", what + describe_skew(self.skew_s, len(self._voters)))
        elif self._level < before:
            how = "agrees with" if self._level == _FINE else "is nearer to"
            self.on_step("clock", f"{how} the block times again")

    def look(self) -> None:
        """Notice jumps of our clock, and steps of the system's."""
        if self._ahead is None:
            return
        before, self._ahead = self._ahead, self._now_ahead()
        jumped = self._ahead - before
        if abs(jumped) > _JUMP_S:
            self._wake(f"{jumped:+.0f} s went by at once: the machine slept, or its clock was set")
        if self.clock is not None:
            self._judge_step(self.clock, self.clock.stepped_s)

    def _wake(self, why: str) -> None:
        self._connects = {endpoint.name: endpoint.connects for endpoint in self.pool.endpoints}
        # What was measured before says nothing where the clock was set; after sleep it comes again with the first blocks.
        self._ages = {name: BlockAges() for name in self._ages}
        self._since = trio.current_time()
        self.skew_s = None
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
        skew = self.skew_s
        mends = not self.armed if skew is None else abs(skew) > SKEW_LIMIT_S and abs(skew + step) < abs(skew)
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
            for ages in self._ages.values():
                ages.shift(step)
            self.on_step("clock", f"set by {step:+.1f} s, as the system's clock was")
            self.weigh()

    def _level_of(self, skew_s: float) -> int:
        unusable = self._limit_s * (CALM if self._level == _UNUSABLE else 1)
        skewed = SKEW_LIMIT_S * (CALM if self._level != _FINE else 1)
        return _UNUSABLE if abs(skew_s) > unusable else _SKEWED if abs(skew_s) > skewed else _FINE

    @property
    def _limit_s(self) -> float:
        """Beyond this every age is wrong by more than a copy may be old; but what is less than the noise is no skew."""
        return max(self.deadline_s, SKEW_LIMIT_S)

    @property
    def _voters(self) -> list[Endpoint]:
        """The nodes of which most have to agree: at first all, later those that are there, or were a moment ago.

        Otherwise the one that connects first, or is left alone for a second, would be believed whatever it says.
        """
        if self._dialling:
            return list(self.pool.endpoints)
        then = trio.current_time() - _PATIENCE_S
        voters = [one for one in self.pool.endpoints if one.session is not None or one.head_at > then]
        return voters or list(self.pool.endpoints)

    @property
    def _dialling(self) -> bool:
        """Whether nodes have not had their time to connect and show a fresh block."""
        return self._since is not None and trio.current_time() - self._since < _PATIENCE_S

    def _now_ahead(self) -> float:
        return self.wall() - trio.current_time()


def halt(dog: str, value: str, limit: str) -> Reason:
    """Say which watchdog halts entries, by what figure."""
    return Reason(code=Code.ENTRIES_HALTED, control=f"watchdog.{dog}", value=value, limit=limit)


def _way(skew_s: float) -> str:
    return "ahead" if skew_s > 0 else "behind"
