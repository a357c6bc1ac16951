"""One look at a running engine."""

from attrs import frozen

from trio_copy.model.watches import Watch


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
    """Which slice of the leaders this instance reads, as 1/1."""
    block: int | None
    """Newest block of which everything is stored."""
    feed_age_s: float | None
    """Seconds since any endpoint sent a head; None before the first."""
    endpoints: tuple[EndpointStatus, ...]
    leaders: int
    follows: int
    queued: int
    leased: int
    held: int
    dead: int
    busy: int
    unknown: int
    late_logs: int
    """Logs that only a re-scan found: the measure of what subscriptions and scans missed."""
    reorgs: int
    quarantined: int
    ready: bool = False
    """Whether the chain is followed and nothing is red."""
    halted: str = ""
    """What halts entries for the moment; empty when nothing does."""
    watches: tuple[Watch, ...] = ()
