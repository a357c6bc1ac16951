"""What the simulated venue is like."""

from attrs import frozen

from trio_copy.model.settings import one_of, setting, some_of, within

FAULTS = (
    "not-sent",
    "lose-request",
    "lose-reply",
    "late",
    "duplicated",
    "reject",
    "stale-market",
    "server-error",
    "kill",
    "settle-fail",
    "settle-part",
)


@frozen(kw_only=True)
class DryRunSettings:
    """What the simulated venue is like."""

    seed: int = setting(
        1,
        unit="number",
        why="The same orders meet the same luck, whatever their order in time.",
        check=within(0, 2**63),
    )
    latency_ms: int = setting(
        30,
        unit="milliseconds",
        why="How long an order takes, up to the next whole one; what a good connection to the venue takes.",
        check=within(0, 60_000),
    )
    latency_jitter_ms: int = setting(
        10, unit="milliseconds", why="Added to the latency, up to this.", check=within(0, 60_000)
    )
    price_source: str = setting(
        "book",
        unit="book | leader",
        why="book walks the book of the market source, fills at the best quote where that is all there is, and like leader where "
        "there is none; leader fills at the leader's price plus slippage.",
        check=one_of("book", "leader"),
    )
    slippage_bps: int = setting(
        50, unit="basis points", why="Source leader: how far the price runs away, up to this.", check=within(0, 10_000)
    )
    partial_bps: int = setting(
        500, unit="orders in 10,000", why="How many orders are filled in part.", check=within(0, 10_000)
    )
    fee_bps: int = setting(
        0,
        unit="basis points of the notional",
        why="What the venue charges for a token whose fee nobody tells; where it is known, the venue's own formula counts.",
        check=within(0, 10_000),
    )
    settle_s: float = setting(
        0.0,
        unit="seconds",
        why="How long a fill is only matched, before it is settled for good; 0 settles at once.",
        check=within(0.0, 3600.0),
    )
    faults: tuple[str, ...] = setting(
        (),
        unit=f"list of {', '.join(FAULTS)}",
        why="What may go wrong with an order when it is sent first; each order draws from its own luck.",
        check=some_of(*FAULTS),
    )
    faults_bps: int = setting(
        10_000, unit="orders in 10,000", why="How many orders meet a fault.", check=within(0, 10_000)
    )
    late_s: float = setting(
        1.0,
        unit="seconds",
        why="How much longer the faults late, lose-request and lose-reply take.",
        check=within(0.0, 3600.0),
    )
    prove_absence_s: float = setting(
        60.0,
        unit="seconds",
        why="An order that cannot be found for this long counts as never arrived.",
        check=within(0.0, 3600.0),
    )
    venue_file: str = setting(
        "",
        unit="path of a file",
        why="Where the venue keeps its orders, so that it outlives the process as a real one does; empty forgets: where "
        "books outlive it and fills settle later, the next run is told that they never were.",
    )
