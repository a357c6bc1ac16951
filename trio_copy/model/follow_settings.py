"""Everything a follower may set about a copy, in five tables. Units stand in the names or beside the default.

The same tables may stand at four levels (engine, leader, follower, follow); `merge` says which value is then in force:
the nearest one, unless the setting is a cap (smallest), a floor (largest), an allow list (intersection) or a deny list
(union).
"""

from collections.abc import Iterator

from attrs import frozen

from trio_copy.model.fills import Kind, Role, Side
from trio_copy.model.ids import TokenId
from trio_copy.model.layers import Merge
from trio_copy.model.settings import group, one_of, setting, within
from trio_copy.model.units import NO_USD, Price, Ratio, Usd

_ANY_USD = within(NO_USD, Usd.parse(1_000_000_000))
_ANY_PRICE = within(Price(0), Price.parse(1))
_ANY_RATIO = within(Ratio(0), Ratio.parse(1000))
_NAME_MOST = 32
_ANY_BPS = within(0, 10_000)


@frozen(kw_only=True)
class Tier:
    """One step of `size.tiers`."""

    from_usd: Usd = setting(NO_USD, unit="USD", why="The leader's notional from which this step holds.", check=_ANY_USD)
    ratio: Ratio = setting(
        Ratio.parse("0.01"), unit="factor", why="Share of the leader's notional that is copied.", check=_ANY_RATIO
    )


@frozen(kw_only=True)
class Sizing:
    """How big a copy is."""

    mode: str = setting(
        "ratio",
        unit="fixed | ratio | shares | equity | tiers | range",
        why="fixed: the same dollars; ratio: of the leader's dollars; shares: of his shares; equity: his share of his "
        "equity, of yours; tiers: a ratio by his size; range: ratio, clamped.",
        check=one_of("fixed", "ratio", "shares", "equity", "tiers", "range"),
    )
    direction: str = setting(
        "copy",
        unit="copy | reverse",
        why="reverse buys the opposite token of the same question when the leader buys; it needs the catalog.",
        check=one_of("copy", "reverse"),
    )
    fixed_usd: Usd = setting(Usd.parse(10), unit="USD", why="Notional of a copy in mode fixed.", check=_ANY_USD)
    ratio: Ratio = setting(
        Ratio.parse("0.01"),
        unit="factor",
        why="Share of the leader's size in the modes ratio, shares, equity and range; 0.01 copies one per cent.",
        check=_ANY_RATIO,
    )
    equity_usd: Usd = setting(
        Usd.parse(1000), unit="USD", why="Mode equity: your money for copying, as you declare it.", check=_ANY_USD
    )
    equity_by: str = setting(
        "declared",
        unit="declared | mark",
        why="Mode equity: your money is equity_usd; or what your paper wallet is worth, with all that is held at what it could "
        "be sold for.",
        check=one_of("declared", "mark"),
    )
    leader_equity_usd: Usd = setting(
        Usd.parse(100_000), unit="USD", why="Mode equity: the leader's money, as you judge it.", check=_ANY_USD
    )
    tiers: tuple[Tier, ...] = setting(
        (),
        unit="list of {from_usd, ratio}",
        why="Mode tiers: the last step whose from_usd the leader's notional reaches; below the first nothing is copied.",
    )
    range_min_usd: Usd = setting(
        Usd.parse(1), unit="USD", why="Mode range lifts smaller copies to this.", check=_ANY_USD
    )
    range_max_usd: Usd = setting(
        Usd.parse(100), unit="USD", why="Mode range lowers bigger copies to this.", check=_ANY_USD
    )
    minimum_usd: Usd = setting(
        Usd.parse(1), unit="USD", why="Venues refuse orders below a minimum; Polymarket's is 1 USD.", check=_ANY_USD
    )
    minimum_policy: str = setting(
        "skip",
        unit="skip | raise | accumulate",
        why="Below the minimum: no copy; a copy of the minimum; or wait until several together reach it.",
        check=one_of("skip", "raise", "accumulate"),
    )
    accumulate_s: float = setting(
        3600.0,
        unit="seconds",
        why="Policy accumulate: how long a small entry waits for others of the same token; it survives a restart.",
        check=within(1.0, 604_800.0),
    )


@frozen(kw_only=True)
class Caps:
    """What may be spent and lost. Unset switches a cap off; exits are never capped. Fees count."""

    max_order_usd: Usd | None = setting(
        Usd.parse(100),
        unit="USD",
        why="No copy may cost more, slippage and fees included; checked after a raise to the minimum.",
        check=_ANY_USD,
        merge=Merge.SMALLEST,
    )
    max_token_usd: Usd | None = setting(
        None, unit="USD", why="Open cost in one outcome token.", check=_ANY_USD, merge=Merge.SMALLEST
    )
    max_market_usd: Usd | None = setting(
        None,
        unit="USD",
        why="Open cost in all tokens of one question; a token that the catalog does not know is its own question.",
        check=_ANY_USD,
        merge=Merge.SMALLEST,
    )
    max_event_usd: Usd | None = setting(
        None,
        unit="USD",
        why="Open cost in all questions of one event, by the catalog.",
        check=_ANY_USD,
        merge=Merge.SMALLEST,
    )
    max_leader_usd: Usd | None = setting(
        None, unit="USD", why="Open cost copied from one leader.", check=_ANY_USD, merge=Merge.SMALLEST
    )
    max_exposure_usd: Usd | None = setting(
        None, unit="USD", why="Open cost of the follower, all together.", check=_ANY_USD, merge=Merge.SMALLEST
    )
    max_day_usd: Usd | None = setting(
        None,
        unit="USD per UTC day",
        why="Cost of all entries of a day, sold since or not.",
        check=_ANY_USD,
        merge=Merge.SMALLEST,
    )
    max_leader_day_usd: Usd | None = setting(
        None,
        unit="USD per UTC day",
        why="Cost of all entries of a day copied from one leader.",
        check=_ANY_USD,
        merge=Merge.SMALLEST,
    )
    max_positions: int | None = setting(
        None,
        unit="positions",
        why="Open positions of the follower, each a token copied from a leader.",
        check=within(0, 1_000_000),
        merge=Merge.SMALLEST,
    )
    max_orders_per_minute: int | None = setting(
        None,
        unit="orders per minute",
        why="Entries sent within one clock minute, filled or not.",
        check=within(0, 1_000_000),
        merge=Merge.SMALLEST,
    )
    max_day_loss_usd: Usd | None = setting(
        None,
        unit="USD per UTC day",
        why="Realised loss of the follower in a day: proceeds less cost and fees of what was sold or redeemed.",
        check=_ANY_USD,
        merge=Merge.SMALLEST,
    )
    max_drawdown_usd: Usd | None = setting(
        None,
        unit="USD",
        why="Fall of the follower's profit from its highest since the last reset, counted as drawdown_by says.",
        check=_ANY_USD,
        merge=Merge.SMALLEST,
    )
    drawdown_by: str = setting(
        "realised",
        unit="realised | mark",
        why="realised: open positions do not count; mark: they count at what they could be sold for, and where nobody knows "
        "that, nothing is bought.",
        check=one_of("realised", "mark"),
    )
    on_breach: str = setting(
        "stop-buying",
        unit="stop-buying | close-only | halt",
        why="After a loss cap: no entries while it is broken; no entries, or nothing at all, until a person resets it.",
        check=one_of("stop-buying", "close-only", "halt"),
    )


@frozen(kw_only=True)
class Filters:
    """Which signals are wanted. Exits pass all of them but `sides` and `max_age_s`."""

    sides: frozenset[Side] = setting(
        frozenset(Side),
        unit="list of BUY, SELL",
        why="Copy entries, exits, or both.",
        merge=Merge.INTERSECTION,
    )
    roles: frozenset[Role] = setting(
        frozenset(Role),
        unit="list of MAKER, TAKER, UNKNOWN",
        why="Copy entries where the leader's order rested, crossed, or the log does not tell.",
        merge=Merge.INTERSECTION,
    )
    kinds: frozenset[Kind] = setting(
        frozenset({Kind.TRADE}),
        unit="list of trade, split, merge, redemption, transfer",
        why="What else of the leader is followed; the others need [decoder.erc1155] with moves = true.",
    )
    entry: str = setting(
        "every",
        unit="every | first",
        why="first: one entry per question and leader, until the position there is closed.",
        check=one_of("every", "first"),
    )
    leader_min_usd: Usd = setting(
        NO_USD,
        unit="USD",
        why="Skip entries for which the leader paid less: noise and dust.",
        check=_ANY_USD,
        merge=Merge.LARGEST,
    )
    leader_max_usd: Usd | None = setting(
        None, unit="USD", why="Skip entries for which the leader paid more.", check=_ANY_USD, merge=Merge.SMALLEST
    )
    price_min: Price = setting(
        Price(0), unit="USD per share", why="Skip cheaper entries; exits pass.", check=_ANY_PRICE, merge=Merge.LARGEST
    )
    price_max: Price = setting(
        Price.parse(1),
        unit="USD per share",
        why="Skip dearer entries; exits pass.",
        check=_ANY_PRICE,
        merge=Merge.SMALLEST,
    )
    token_allow: frozenset[TokenId] | None = setting(
        None, unit="list of token ids, as strings", why="Copy only these outcome tokens.", merge=Merge.INTERSECTION
    )
    token_deny: frozenset[TokenId] = setting(
        frozenset(),
        unit="list of token ids, as strings",
        why="Never copy these outcome tokens; wins over the allow list.",
        merge=Merge.UNION,
    )
    condition_allow: frozenset[str] | None = setting(
        None, unit="list of condition ids", why="Copy only these questions, by the catalog.", merge=Merge.INTERSECTION
    )
    condition_deny: frozenset[str] = setting(
        frozenset(), unit="list of condition ids", why="Never copy these questions.", merge=Merge.UNION
    )
    keyword_allow: frozenset[str] | None = setting(
        None,
        unit="list of words",
        why="Copy only questions that contain one of these, in any letter case.",
        merge=Merge.INTERSECTION,
    )
    keyword_deny: frozenset[str] = setting(
        frozenset(), unit="list of words", why="Never copy questions that contain one of these.", merge=Merge.UNION
    )
    category_allow: frozenset[str] | None = setting(
        None, unit="list of categories", why="Copy only these categories, by the catalog.", merge=Merge.INTERSECTION
    )
    category_deny: frozenset[str] = setting(
        frozenset(), unit="list of categories", why="Never copy these categories.", merge=Merge.UNION
    )
    min_hours_to_end: float | None = setting(
        None,
        unit="hours",
        why="Skip entries whose question ends sooner, by the catalog.",
        check=within(0.0, 1_000_000.0),
        merge=Merge.LARGEST,
    )
    max_days_to_end: float | None = setting(
        None,
        unit="days",
        why="Skip entries whose question ends later, by the catalog.",
        check=within(0.0, 100_000.0),
        merge=Merge.SMALLEST,
    )
    min_depth_usd: Usd | None = setting(
        None,
        unit="USD",
        why="Skip entries when the best ask offers less; looked up right before the order.",
        check=_ANY_USD,
        merge=Merge.LARGEST,
    )
    max_spread_bps: int | None = setting(
        None,
        unit="basis points of the ask",
        why="Skip entries when bid and ask are further apart; looked up right before the order.",
        check=_ANY_BPS,
        merge=Merge.SMALLEST,
    )
    max_age_s: float = setting(
        5.0,
        unit="seconds",
        why="Skip signals older than this at arrival, by block time.",
        check=within(0.1, 86_400.0),
        merge=Merge.SMALLEST,
    )
    unpriced: str = setting(
        "skip",
        unit="skip | copy",
        why="A bare share transfer tells no price; copy then sizes and caps it at 1 USD per share, the most it can be worth.",
        check=one_of("skip", "copy"),
    )


RESTING = ("GTC", "GTD")
"""Order types that let what is not filled at once rest at the venue."""


@frozen(kw_only=True)
class Execution:
    """How an order is sent."""

    order_type: str = setting(
        "FAK",
        unit="FAK | FOK | GTC | GTD",
        why="Of entries; exits are always FAK. FAK takes what the book has at the limit and kills the rest; FOK takes all or nothing; "
        "GTC and GTD let the rest stand at the limit for rest_s: GTC until the engine calls it off, GTD until the venue ends it.",
        check=one_of("FAK", "FOK", *RESTING),
    )
    rest_s: int = setting(
        600,
        unit="seconds after the leader's block",
        why="How long an entry of GTC or GTD may rest; it is called off sooner when its leader sells. Polymarket takes no GTD order that "
        "ends within three minutes.",
        check=within(180, 604_800),
        merge=Merge.SMALLEST,
    )
    post_only: bool = setting(
        False,
        unit="true | false",
        why="Whether an entry of GTC or GTD shall only rest, and never take what is offered: one that would take is refused by the venue. "
        "Makers pay no fee at Polymarket, and wait.",
    )
    slippage_bps: int = setting(
        200,
        unit="basis points",
        why="How much worse than the leader's price a copy may be; the limit price of the order.",
        check=_ANY_BPS,
        merge=Merge.SMALLEST,
    )
    too_good_bps: int | None = setting(
        None,
        unit="basis points",
        why="Skip entries whose best ask is this much under the leader's price: something happened since.",
        check=_ANY_BPS,
        merge=Merge.SMALLEST,
    )
    deadline_s: float | None = setting(
        None,
        unit="seconds after the leader's block",
        why="Nothing is sent later; engine.deadline_s holds where it is shorter.",
        check=within(0.1, 86_400.0),
        merge=Merge.SMALLEST,
    )
    attempts: int = setting(
        1,
        unit="orders",
        why="New orders after one that provably filled nothing, within the deadline; 1 means no second one.",
        check=within(1, 5),
        merge=Merge.SMALLEST,
    )
    delay_s: float = setting(
        0.0, unit="seconds", why="Wait this long before an entry; exits never wait.", check=within(0.0, 3600.0)
    )
    aggregate_s: float = setting(
        0.0,
        unit="seconds",
        why="Gather entries of one leader into one token for this long and send them as one order; 0 is off.",
        check=within(0.0, 60.0),
    )
    aggregate_bypass_usd: Usd | None = setting(
        None, unit="USD", why="Entries of this size do not wait to be gathered.", check=_ANY_USD
    )


@frozen(kw_only=True)
class Leaving:
    """How positions are left."""

    sell: str = setting(
        "proportional",
        unit="proportional | all | sized | never",
        why="When the leader sells: the same part of the lots copied from him; everything; sized like an entry; nothing.",
        check=one_of("proportional", "all", "sized", "never"),
    )
    take_profit_bps: int | None = setting(
        None,
        unit="basis points of the cost",
        why="Sell when the bid stands this far above the average cost.",
        check=within(1, 1_000_000),
    )
    stop_loss_bps: int | None = setting(
        None,
        unit="basis points of the cost",
        why="Sell when the bid stands this far below the average cost.",
        check=within(1, 10_000),
    )
    trailing_bps: int | None = setting(
        None,
        unit="basis points of the highest bid",
        why="Sell when the bid has fallen this far from its highest since the position was opened.",
        check=within(1, 10_000),
    )
    max_hold_s: float | None = setting(
        None, unit="seconds", why="Sell when the oldest lot is older than this.", check=within(1.0, 100_000_000.0)
    )
    exit_slippage_bps: int = setting(
        500,
        unit="basis points",
        why="How far under the bid an exit of your own may sell; wider than an entry's, because leaving matters more.",
        check=_ANY_BPS,
    )
    settle_s: float = setting(
        60.0,
        unit="seconds after the leader's block",
        why="How long an exit waits for shares that are bought and not on the chain yet: venues were seen to take 50 s.",
        check=within(0.0, 3600.0),
    )
    redeem: bool = setting(
        True, unit="true or false", why="Book winners at their payout once the question is resolved for good."
    )
    when_paused: str = setting(
        "exits",
        unit="exits | hold | close",
        why="A paused follow takes no entries. exits: the leader's exits are still copied; hold: nothing; close: sell all.",
        check=one_of("exits", "hold", "close"),
    )
    when_unfollowed: str = setting(
        "keep",
        unit="keep | exits | close",
        why="keep: forget the follow, keep what is held; exits: follow the leader out; close: sell all, then forget.",
        check=one_of("keep", "exits", "close"),
    )


def leader_name(_instance: object, _attribute: object, name: str | None) -> None:
    """Refuse a name that could be taken for something else, or breaks a line."""
    if name is None:
        return
    wrong = not name.isprintable() or name != name.strip() or ":" in name or name.lower().startswith("0x")
    if wrong or not 0 < len(name) <= _NAME_MOST:
        raise ValueError(f'expected up to {_NAME_MOST} letters without ":", not like an address, got "{name}"')


@frozen(kw_only=True)
class FollowSettings:
    """Everything one follower decides about one leader. Followers with equal settings share one object."""

    status: str = setting(
        "active",
        unit="active | paused | leaving",
        why="paused takes no entries; leaving is what `follow remove` sets while positions are still open.",
        check=one_of("active", "paused", "leaving"),
    )
    name: str | None = setting(
        None,
        unit="text",
        why="In [[leader]] and [[follow]]: what people call the leader. Shown, and taken by commands, where his address would stand.",
        check=leader_name,
    )
    size: Sizing = group(Sizing, why="How big a copy is.")
    caps: Caps = group(Caps, why="What may be spent and lost.")
    filters: Filters = group(Filters, why="Which signals are wanted at all.")
    execution: Execution = group(Execution, why="How an order is sent.")
    leaving: Leaving = group(Leaving, why="How positions are left.")


def contradictions(settings: FollowSettings) -> Iterator[tuple[str, str]]:
    """Yield (path, problem) for pairs of settings that nothing can pass."""
    size, caps, filters = settings.size, settings.caps, settings.filters
    pairs = (
        ("filters.price_max", filters.price_max, "price_min", filters.price_min),
        ("filters.leader_max_usd", filters.leader_max_usd, "leader_min_usd", filters.leader_min_usd),
        ("size.range_max_usd", size.range_max_usd, "range_min_usd", size.range_min_usd),
        ("caps.max_order_usd", caps.max_order_usd, "size.minimum_usd", size.minimum_usd),
    )
    for path, high, lower, low in pairs:
        if high is not None and high.micro < low.micro:
            yield path, f"expected at least {lower}, which is {low}, got {high}"
    execution = settings.execution
    waits = max(execution.delay_s, execution.aggregate_s)
    if execution.order_type in RESTING and execution.rest_s <= waits:
        yield (
            "execution.rest_s",
            f"expected more than {waits:g}, for which an entry waits before it is sent, got {execution.rest_s}",
        )
    if execution.post_only and execution.order_type not in RESTING:
        kind = execution.order_type
        yield (
            "execution.post_only",
            f"expected {' or '.join(RESTING)} with it, because nothing of {kind} ever rests, got {kind}",
        )
    if size.mode == "tiers" and not size.tiers:
        yield "size.tiers", "expected at least one step in mode tiers, got none"
