"""What the simulated venue is like."""

from attrs import frozen

from trio_copy.model.settings import one_of, setting, within


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
        why="How long an order takes; what a good connection to the venue takes.",
        check=within(0, 60_000),
    )
    latency_jitter_ms: int = setting(
        10, unit="milliseconds", why="Added to the latency, up to this.", check=within(0, 60_000)
    )
    price_source: str = setting(
        "book",
        unit="book | leader",
        why="book fills at the best quote known, and like leader where none is; leader at the leader's price plus slippage.",
        check=one_of("book", "leader"),
    )
    slippage_bps: int = setting(
        50, unit="basis points", why="Source leader: how far the price runs away, up to this.", check=within(0, 10_000)
    )
    partial_bps: int = setting(
        500, unit="orders in 10,000", why="How many orders are filled in part.", check=within(0, 10_000)
    )
    fee_bps: int = setting(
        0, unit="basis points of the notional", why="What the venue charges.", check=within(0, 10_000)
    )
