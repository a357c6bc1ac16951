"""How often nodes are asked: a bucket of requests per endpoint, and waits that grow while something goes on failing.

All of it is sync and reads no clock: times are Trio's, in seconds, and come from the caller. Waits are spread by chance
so that many instances behind one key do not come back at the same moment.
"""

from attrs import define, field

from trio_copy.entropy import Entropy

_BURST_S = 2.0
"""A quiet endpoint takes so many seconds' worth of requests at once: a catch-up begins with a burst."""
_REST_S = 1.0
_LONGEST_REST_S = 60.0
_LONGEST_TOLD_S = 300.0
"""A node that asks for a longer pause is asked again all the same: it may have made a mistake, and it may be the only one."""
_SHORT_REST_S = 2.0
"""The longest rest for an error that may not have been about the pace at all."""
_DOUBLINGS = 32


@define
class Growing:
    """A time that doubles from `first_s` to `most_s`, until it starts over."""

    first_s: float
    most_s: float
    times: int = 0

    def next_s(self) -> float:
        """Return the time in force and double it."""
        time_s = min(self.most_s, self.first_s * 2.0 ** min(self.times, _DOUBLINGS))
        self.times += 1
        return time_s

    def start_over(self) -> None:
        self.times = 0


def spread(time_s: float, entropy: Entropy) -> float:
    """Return a time between half of it and all of it: never at once, never all together."""
    return entropy.uniform(time_s / 2, time_s)


@define(eq=False)
class Pace:
    """How often one endpoint may be asked."""

    _free_at: float = -float("inf")
    """When the bucket will be empty of debts; up to `_BURST_S` before now, it is full."""
    _rest_until: float = -float("inf")
    _rests: Growing = field(factory=lambda: Growing(_REST_S, _LONGEST_REST_S))
    _refused: set[str] = field(factory=set)

    def take(self, now: float, per_s: float) -> float:
        """Take one request out of the bucket; returns how long to wait before sending it."""
        self._free_at = max(self._free_at, now - _BURST_S) + 1 / per_s
        return max(0.0, self._free_at - now)

    def rest_s(self, now: float) -> float:
        """Return for how long the endpoint must not be asked at all; 0 when it may be."""
        return max(0.0, self._rest_until - now)

    def refused(self, method: str, now: float, entropy: Entropy, *, told_s: float | None, clear: bool) -> float:
        """Rest after an answer that said "too often"; returns for how long.

        Args:
            told_s: how long the node wants to be left alone, where it says so.
            clear: whether it certainly was about the pace.
        """
        self._refused.add(method)
        wait_s = spread(self._rests.next_s(), entropy)
        if told_s is not None:
            # Later than told, never earlier: coming back early is what got us here.
            wait_s = max(wait_s, min(told_s, _LONGEST_TOLD_S)) + entropy.uniform(0, 0.1 * wait_s)
        elif not clear:
            wait_s = min(wait_s, _SHORT_REST_S)
        self._rest_until = max(self._rest_until, now + wait_s)
        return wait_s

    def answered(self, method: str) -> None:
        """Note a good answer.

        Only a method that was refused counts: headers that are answered say nothing about logs that are not. Each good
        answer takes one refusal back, so that a node that refuses every tenth request is asked on, a little slower.
        """
        if method in self._refused:
            self._rests.times = max(0, self._rests.times - 1)
            if not self._rests.times:
                self._refused.clear()

    @property
    def refusing(self) -> bool:
        """Whether it refused something that it has not answered often enough since."""
        return bool(self._refused)


@define(eq=False)
class Doubts:
    """Which sources were wrong lately, and are not believed for a while that grows with each time."""

    first_s: float = 30.0
    most_s: float = 3600.0
    _until: dict[str, float] = field(factory=dict)
    _whiles: dict[str, Growing] = field(factory=dict)

    def believes(self, source: str, now: float) -> bool:
        return now >= self._until.get(source, -float("inf"))

    def wrong(self, source: str, now: float) -> float:
        """Note that a source was wrong; returns for how long it is doubted. A long time without a mistake starts over."""
        growing = self._whiles.setdefault(source, Growing(self.first_s, self.most_s))
        if now - self._until.get(source, now) > self.most_s:
            growing.start_over()
        doubted_s = growing.next_s()
        self._until[source] = now + doubted_s
        return doubted_s
