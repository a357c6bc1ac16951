"""Who copies whom, and how: one `Follow` is one follower copying one leader with its own settings."""

from functools import cached_property

from attrs import Factory, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.orders import Account
from trio_copy.model.settings import group, one_of, setting, within
from trio_copy.model.units import NO_USD, Price, Ratio, Usd

_ANY_USD = within(NO_USD, Usd.parse(1_000_000_000))
_ANY_PRICE = within(Price(0), Price.parse(1))


@frozen(kw_only=True)
class Sizing:
    """How big a copy is."""

    mode: str = setting(
        "ratio",
        unit="fixed | ratio | range",
        why="fixed: the same dollars each time; ratio: a share of the leader's size; range: ratio, clamped to dollars.",
        check=one_of("fixed", "ratio", "range"),
    )
    fixed_usd: Usd = setting(Usd.parse(10), unit="USD", why="Notional of a copy in mode fixed.", check=_ANY_USD)
    ratio: Ratio = setting(
        Ratio.parse("0.01"),
        unit="factor",
        why="Share of the leader's size in the modes ratio and range; 0.01 copies one per cent.",
        check=within(Ratio(0), Ratio.parse(1000)),
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
        unit="skip | raise",
        why="What to do below the minimum; a raised order still obeys every cap.",
        check=one_of("skip", "raise"),
    )
    max_order_usd: Usd = setting(
        Usd.parse(100),
        unit="USD",
        why="No copy may cost more, slippage included; checked after a raise to the minimum.",
        check=_ANY_USD,
    )
    slippage_bps: int = setting(
        200,
        unit="basis points",
        why="How much worse than the leader's price a copy may be; the limit price of the order.",
        check=within(0, 10_000),
    )


@frozen(kw_only=True)
class Filters:
    """Which signals are wanted at all."""

    sides: frozenset[Side] = setting(frozenset(Side), unit="list of BUY, SELL", why="Copy entries, exits, or both.")
    token_allow: frozenset[TokenId] = setting(
        frozenset(), unit="list of token ids, as strings", why="Copy only these outcome tokens; empty allows all."
    )
    token_deny: frozenset[TokenId] = setting(
        frozenset(),
        unit="list of token ids, as strings",
        why="Never copy these outcome tokens; wins over the allow list.",
    )
    price_min: Price = setting(
        Price(0), unit="USD per share", why="Skip cheaper entries; exits pass.", check=_ANY_PRICE
    )
    price_max: Price = setting(
        Price.parse(1), unit="USD per share", why="Skip dearer entries; exits pass.", check=_ANY_PRICE
    )
    leader_min_usd: Usd = setting(
        NO_USD, unit="USD", why="Skip entries for which the leader paid less: noise and dust.", check=_ANY_USD
    )
    max_age_s: float = setting(
        5.0, unit="seconds", why="Skip signals older than this at arrival, by block time.", check=within(0.1, 3600.0)
    )
    unpriced: str = setting(
        "skip",
        unit="skip | copy",
        why="A bare share transfer tells no price; copy then sizes and caps it at 1 USD per share, the most it can be worth.",
        check=one_of("skip", "copy"),
    )


@frozen(kw_only=True)
class FollowSettings:
    """Everything one follower decides about one leader. Followers with equal settings share one object."""

    size: Sizing = group(Sizing, why="How big a copy is.")
    filters: Filters = group(Filters, why="Which signals are wanted at all.")


@frozen(kw_only=True)
class FollowerLimits:
    """What one follower may spend, over all leaders. None switches a limit off; exits are never limited."""

    max_day_usd: Usd | None = setting(
        None, unit="USD per UTC day", why="Ceiling on the cost of all entries of a day.", check=_ANY_USD
    )
    max_token_usd: Usd | None = setting(
        None, unit="USD", why="Ceiling on the cost of all entries into one outcome token.", check=_ANY_USD
    )
    max_leader_day_usd: Usd | None = setting(
        None, unit="USD per UTC day", why="Ceiling on the cost of all entries copied from one leader.", check=_ANY_USD
    )

    @property
    def unlimited(self) -> bool:
        """Whether every limit is off."""
        return self.max_day_usd is None and self.max_token_usd is None and self.max_leader_day_usd is None


@frozen(kw_only=True)
class Follower:
    """An account that is traded for."""

    follower: FollowerId
    executor: str
    """Name of the configured executor that trades for it."""
    address: Address | None = None
    """The account's wallet; dry-run needs none."""
    limits: FollowerLimits = Factory(FollowerLimits)

    @cached_property
    def account(self) -> Account:
        """On whose behalf its orders are signed."""
        return Account(follower=self.follower, address=self.address)


@frozen(kw_only=True)
class Follow:
    """One follower copies one leader."""

    follower: FollowerId
    leader: Address
    settings: FollowSettings
    version: int = 0
    """Grows with each change of the follow; the store sets it."""

    @property
    def key(self) -> tuple[FollowerId, Address]:
        return (self.follower, self.leader)
