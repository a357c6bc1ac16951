"""How far our clock is ahead of the block times of the nodes, as heads come in.

A skew that makes our clock late is added to every age; one beyond what a copy may be old halts entries, and nothing is
armed by such a clock.
"""

from collections.abc import Callable, Sequence

import trio
from attrs import define, field

from trio_copy.chain.endpoints import Endpoint
from trio_copy.chain.skew import SKEW_LIMIT_S, BlockAges, agreed_skew, arming_refusal, describe_skew
from trio_copy.clock import WallClock
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.logs import BlockRef

CALM = 0.75
"""Part of its limit under which a red figure is green again, so that one at its limit does not flicker."""
_PATIENCE_S = 10.0
"""How long a fresh block is waited for before the chain counts as standing still; five blocks of Polygon."""
_FINE, _SKEWED, _UNUSABLE = range(3)


@define(eq=False, kw_only=True)
class MeasuredSkew:
    endpoints: Sequence[Endpoint]
    wall: WallClock
    deadline_s: float
    on_trouble: Callable[[str, str], None]
    on_step: Callable[[str, str], None]
    value_s: float | None = None
    """How far our clock is ahead of most nodes' block times; None while they cannot tell."""
    armed: bool = False
    refused: str | None = None
    """Why nothing could be armed when it was last asked."""
    _ages: dict[str, BlockAges] = field(init=False)
    _since: float | None = None
    """Trio time since which all nodes are dialled: from the start, or from the last jump."""
    _watched: bool = False
    _level: int = _FINE

    def __attrs_post_init__(self) -> None:
        self._forget_ages()

    def start(self) -> None:
        """Begin to tell of changes, not armed."""
        if self._since is None:
            self._since = trio.current_time()
        self._watched, self.armed = True, False

    def stop(self) -> None:
        """Tell of nothing more: nobody listens to nodes."""
        self._watched = self.armed = False

    def start_over(self) -> None:
        """Forget what was measured: our clock has jumped, and every node is dialled again.

        It says nothing any more where the clock was set; after sleep it comes again with the first blocks.
        """
        self._forget_ages()
        self._since = trio.current_time()
        self.value_s = None

    def shift(self, by_s: float) -> None:
        """Our clock was set ahead by so much."""
        for ages in self._ages.values():
            ages.shift(by_s)

    @property
    def behind_s(self) -> float:
        """How far our clock is behind the block times: what has to be added to an age by our clock."""
        return max(0.0, -(self.value_s or 0.0))

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
        self.value_s = agreed_skew([self._ages[endpoint.name].skew for endpoint in self._voters])
        if self.value_s is None or not self._watched:
            return
        before, self._level = self._level, self._level_of(self.value_s)
        if self._level > before:
            what = "" if self._level == _SKEWED else "entries are halted: " if self.armed else "not armed: "
            self.on_trouble("clock-skew", what + describe_skew(self.value_s, len(self._voters)))
        elif self._level < before:
            how = "agrees with" if self._level == _FINE else "is nearer to"
            self.on_step("clock", f"{how} the block times again")

    def arming_refusal(self) -> str | None:
        """Return why nothing may be armed now, or None. A person hears of it when it is the clock's fault."""
        self.weigh()
        bounds = [self._ages[endpoint.name].at_most for endpoint in self._voters]
        at_most = agreed_skew(bounds)
        if at_most is None:
            at_most = max((bound for bound in bounds if bound is not None), key=abs, default=None)
        limit_s = self._limit_s * (CALM if self._level == _UNUSABLE else 1)
        self.refused = arming_refusal(self.value_s, at_most, limit_s, patient=self._dialling)
        return self.refused

    def halted(self) -> Reason | None:
        """Return why no entry may be decided by such a clock, or None."""
        if self.value_s is None or self._level != _UNUSABLE:
            return None
        return halt("clock", f"{abs(self.value_s):.1f} s {_way(self.value_s)}", f"{self._limit_s:g} s")

    def _forget_ages(self) -> None:
        self._ages = {endpoint.name: BlockAges() for endpoint in self.endpoints}

    def _level_of(self, skew_s: float) -> int:
        unusable = self._limit_s * (CALM if self._level == _UNUSABLE else 1)
        skewed = SKEW_LIMIT_S * (CALM if self._level != _FINE else 1)
        return _UNUSABLE if abs(skew_s) > unusable else _SKEWED if abs(skew_s) > skewed else _FINE

    @property
    def _limit_s(self) -> float:
        """Beyond this every age is wrong by more than a copy may be old; but what is less than the noise is no skew."""
        return max(self.deadline_s, SKEW_LIMIT_S)

    @property
    def _voters(self) -> Sequence[Endpoint]:
        """The nodes of which most have to agree: at first all, later those that are there, or were a moment ago.

        Otherwise the one that connects first, or is left alone for a second, would be believed whatever it says.
        """
        if self._dialling:
            return self.endpoints
        then = trio.current_time() - _PATIENCE_S
        voters = [one for one in self.endpoints if one.session is not None or one.head_at > then]
        return voters or self.endpoints

    @property
    def _dialling(self) -> bool:
        """Whether nodes have not had their time to connect and show a fresh block."""
        return self._since is not None and trio.current_time() - self._since < _PATIENCE_S


def halt(dog: str, value: str, limit: str) -> Reason:
    """Say which watchdog halts entries, by what figure."""
    return Reason(code=Code.ENTRIES_HALTED, control=f"watchdog.{dog}", value=value, limit=limit)


def _way(skew_s: float) -> str:
    return "ahead" if skew_s > 0 else "behind"
