"""How often the venue is asked: a bucket of requests per route and per host, and rests after answers that say "too often".

The venue limits what comes from one address of the internet; `limits_used` says how much of that is ours. All of it is sync
and reads no clock: times are Trio's, in seconds.
"""

from email.utils import parsedate_to_datetime

from attrs import define, field, frozen

from trio_copy.entropy import Entropy

_BURST_S = 1.0
"""A quiet route takes so many seconds' worth of requests at once."""
_FIRST_REST_S, _LONGEST_REST_S = 0.5, 60.0
LONGEST_TOLD_S = 3600.0
_DOUBLINGS = 16


@frozen
class Route:
    """A kind of question, and how often the venue lets one address ask it."""

    host: str
    """`data`, `gamma` or `clob`."""
    path: str
    per_s: float


TOKENS = Route("data", "/v2/tokens", 80)
RESOLUTIONS = Route("data", "/v2/resolutions", 80)
TRADES = Route("data", "/v2/trades", 30)
LEADERBOARD = Route("data", "/v2/leaderboard", 30)
GAMMA_MARKETS = Route("gamma", "/markets", 30)
BOOKS = Route("clob", "/books", 50)
BOOK = Route("clob", "/book", 150)
PRICES_HISTORY = Route("clob", "/prices-history", 100)
"""Its own limit is not known: as often as what is limited tightest on this host and asked by token."""
CLOB_MARKET = Route("clob", "/clob-markets", 200)
"""It has no limit of its own but the host's; ours keeps room for what else asks the host."""
HOST_PER_S = {"data": 80.0, "gamma": 400.0, "clob": 900.0}


@define
class Bucket:
    """Lets through so many requests a second, and a short burst after a rest."""

    per_s: float
    burst_s: float = _BURST_S
    _free_at: float = -float("inf")

    def take(self, now: float) -> float:
        """Take one request out; returns how long to wait before sending it."""
        self._free_at = self._next(now)
        return max(0.0, self._free_at - now)

    def ready_in(self, now: float) -> float:
        """Return how long it would have to wait, without taking it."""
        return max(0.0, self._next(now) - now)

    def _next(self, now: float) -> float:
        return max(self._free_at, now - self.burst_s) + 1 / self.per_s


@define
class Growing:
    """A pause that doubles with each failure, until something went well; spread by chance, never all together."""

    first_s: float
    most_s: float
    times: int = 0

    def next_s(self, entropy: Entropy) -> float:
        pause_s = min(self.most_s, self.first_s * 2.0 ** min(self.times, _DOUBLINGS))
        self.times += 1
        return entropy.uniform(pause_s / 2, pause_s)

    def start_over(self) -> None:
        self.times = 0


@define(eq=False)
class Pace:
    """When one host may be asked what."""

    limits_used: float
    _host: Bucket
    _routes: dict[Route, Bucket] = field(factory=dict)
    _rests: Growing = field(factory=lambda: Growing(_FIRST_REST_S, _LONGEST_REST_S))
    _rest_until: float = -float("inf")

    def take(self, route: Route, now: float) -> float:
        """Take a question out of its buckets; returns how long to wait before asking it."""
        bucket = self._routes.setdefault(route, Bucket(route.per_s * self.limits_used))
        return max(bucket.take(now), self._host.take(now))

    def rest_s(self, now: float) -> float:
        """Return for how long the host must not be asked at all; 0 when it may be."""
        return max(0.0, self._rest_until - now)

    def failed(self, now: float, told_s: float | None, entropy: Entropy) -> float:
        """Rest after a failure, as long as told or longer; returns for how long."""
        rest_s = self._rests.next_s(entropy)
        if told_s is not None:
            # Later than told, never earlier, and not all at the same moment.
            rest_s = max(rest_s, min(told_s, LONGEST_TOLD_S) + entropy.uniform(0, 0.1))
        self._rest_until = max(self._rest_until, now + rest_s)
        return self._rest_until - now

    def answered(self) -> None:
        self._rests.start_over()


def pace_of(host: str, limits_used: float) -> Pace:
    return Pace(limits_used, Bucket(HOST_PER_S[host] * limits_used))


def told_s(text: str, now: float) -> float | None:
    """Read `Retry-After`: how long to wait in seconds, of a number or of a date; None where it is neither.

    `now` is in Unix seconds.
    """
    try:
        if text.isascii() and text.isdigit():
            return float(text[:9])
        return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else None
    except (ValueError, OverflowError):
        return None
