"""Who copies whom: one `Follow` is one follower copying one leader, with what was set for just these two."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import define, evolve, field, frozen

from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import NO_LAYER, Effective, Layer, assembled, in_force, merged
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Usd

EVERYBODY = FollowerId("*")
"""The id of the follower that stands for everybody who is not named."""
_LENT_MOST = 10_000
"""Followers that are not named and that are kept as they are."""


@frozen(kw_only=True)
class Follower:
    """An account that is traded for."""

    follower: FollowerId
    executor: str
    """Name of the configured executor that trades for it."""
    address: Address | None = None
    """The account's wallet; dry-run needs none."""
    own: Layer = NO_LAYER
    """What the follower sets for all of its follows."""
    paper_usd: Usd | None = None
    """What its paper wallet began with; None where it never runs out."""
    wallet_name: str = ""
    """Of its live wallet; empty on paper."""
    signature_type: SignatureType = SignatureType.EOA
    fleet: str = ""
    """Of its live wallet, where operators send what that does."""

    @cached_property
    def wallet(self) -> Wallet:
        """What its orders are signed and paid with."""
        return Wallet(
            follower=self.follower,
            address=self.address,
            name=self.wallet_name,
            signature_type=self.signature_type,
            fleet=self.fleet,
        )


@define(eq=False)
class Followers(Mapping[FollowerId, Follower]):
    """The accounts by id. A follower `*` lends its executor and settings to everybody who is not named."""

    named: dict[FollowerId, Follower] = field(factory=dict)
    _lent: dict[FollowerId, Follower] = field(factory=dict)
    """Some of those who are not named, as each copy asks for them three times."""
    _lender: Follower | None = None
    """By whom."""

    def __getitem__(self, follower: FollowerId) -> Follower:
        return self.named.get(follower) or self._lend(follower)

    def _lend(self, follower: FollowerId) -> Follower:
        pattern = self.named[EVERYBODY]
        if self._lender is not pattern or len(self._lent) > _LENT_MOST:
            self._lender = pattern
            self._lent.clear()
        found = self._lent.get(follower)
        if found is None:
            found = self._lent[follower] = Follower(
                follower=follower, executor=pattern.executor, own=pattern.own, paper_usd=pattern.paper_usd
            )
        return found

    def __iter__(self) -> Iterator[FollowerId]:
        return iter(self.named)

    def __len__(self) -> int:
        return len(self.named)

    def __contains__(self, follower: object) -> bool:
        return follower in self.named or EVERYBODY in self.named


@frozen(kw_only=True)
class Follow:
    """One follower copies one leader, as the store keeps it."""

    follower: FollowerId
    leader: Address
    own: Layer = NO_LAYER
    """What is set for this follow alone; the rest comes from the other levels."""
    source: str = "command"
    """Who answers for it: "file" for those of the configuration, "command" for those a person added."""
    version: int = 0
    """Grows with each change of the follow; the store sets it."""

    @property
    def key(self) -> tuple[FollowerId, Address]:
        return (self.follower, self.leader)

    @property
    def name(self) -> str:
        """How a person names it on the command line."""
        return f"{self.follower}:{self.leader}"


@frozen
class Terms:
    """On which terms one follower copies a leader: the settings in force."""

    follower: FollowerId
    settings: FollowSettings


@define(eq=False)
class TermsOfFollows:
    """Works out the settings in force from the four levels. Equal layers share one result, however many follow."""

    engine: Layer = NO_LAYER
    leaders: Mapping[Address, Layer] = field(factory=dict)
    followers: Followers = field(factory=Followers)
    _shared: dict[tuple[Layer, ...], FollowSettings] = field(factory=dict)
    _parts: dict[object, object] = field(factory=dict)

    def of(self, follow: Follow) -> Terms:
        """Return a follow's terms. Its follower must be known."""
        layers = self._layers(follow)
        settings = self._shared.get(layers)
        if settings is None:
            values = in_force(layers, FollowSettings)
            settings = self._shared[layers] = self._with_shared_parts(assembled(values, FollowSettings))
        return Terms(follow.follower, settings)

    def explain(self, follow: Follow) -> tuple[Effective, ...]:
        """Return every effective value of a follow with its origin."""
        return merged(list(zip(_LEVELS, self._layers(follow), strict=True)), FollowSettings)

    def _with_shared_parts(self, settings: FollowSettings) -> FollowSettings:
        """Let settings that differ in one table share the others."""
        names = ("size", "caps", "filters", "execution", "leaving")
        shared: dict[str, Any] = {
            name: self._parts.setdefault(getattr(settings, name), getattr(settings, name)) for name in names
        }
        return evolve(settings, **shared)

    def _layers(self, follow: Follow) -> tuple[Layer, ...]:
        follower = self.followers[follow.follower]
        return (self.engine, self.leaders.get(follow.leader, NO_LAYER), follower.own, follow.own)


_LEVELS = ("engine", "leader", "follower", "follow")
