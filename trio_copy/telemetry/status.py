"""One look at a running engine."""

from collections.abc import Mapping
from enum import Enum

from attrs import field, frozen

from trio_copy.model.watches import Watch


class Phase(Enum):
    """What a run is at: only while it is following, a node can be missed."""

    PROVING = "proving"
    """Orders that an earlier run left open are asked about first; nothing is followed yet."""
    FOLLOWING = "following"
    PAUSED = "paused"
    """No account is ours; there is nothing to read."""
    DRAINING = "draining"
    """Nothing new is taken in any more, because somebody asked for the end."""


@frozen(kw_only=True)
class EndpointStatus:
    name: str
    live: bool
    head: int | None
    connects: int
    first: int
    """Logs it brought before any other source."""
    last_error: str


@frozen(kw_only=True)
class Status:
    name: str
    trading: str
    """paper or live."""
    mode: str
    shard: str
    """Which slice of the accounts this instance trades for, as 1/1."""
    block: int | None
    """Newest block of which everything is stored."""
    feed_age_s: float | None
    """Seconds since any endpoint sent a head; None before the first."""
    endpoints: tuple[EndpointStatus, ...]
    leaders: int
    follows: int
    queued: int
    """Tasks that wait here: for a worker, for their lane, for their time or for company."""
    peak: int
    """The most that ever waited here at once."""
    suspended: int
    """Tasks whose signal a reorg took back, until it is mined again or their deadline."""
    dead: int
    busy: int
    """Tasks that are being carried out."""
    unknown: int
    """Tasks whose order is unproven, until it is proven or a person is asked."""
    left: int
    """Tasks that have not ended, wherever they stand."""
    late_logs: int
    """Logs that only a re-scan found: the measure of what subscriptions and scans missed."""
    reorgs: int
    quarantined: int
    left_out: Mapping[str, int] = field(factory=dict)
    """What the market source wrote and nobody uses, because it cannot be read or believed, by what it is."""
    ready: bool = False
    """Whether the chain is followed and nothing is red."""
    halted: str = ""
    """What halts entries for the moment; empty when nothing does."""
    phase: Phase = Phase.FOLLOWING
    armed: tuple[str, ...] | None = None
    """Wallets that a person has armed, and that are so now; None on paper."""
    watches: tuple[Watch, ...] = ()
