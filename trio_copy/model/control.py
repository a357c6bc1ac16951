"""What an operator and several instances agree on."""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from hashlib import sha256

from attrs import frozen

from trio_copy.model.follows import Follower
from trio_copy.model.watches import Watch


class Mode(Enum):
    """What the engine may do; it survives a restart and only a person raises it again."""

    RUN = "run"
    REDUCE_ONLY = "reduce-only"
    """Exits only: a person, or a loss cap, wants less."""
    HALT_NEW = "halt-new"
    """Exits only: something is wrong, and a person has to look."""
    HALT_ALL = "halt-all"
    """Nothing at all is sent, reconciling included."""

    __hash__ = object.__hash__


ENGINE = "engine"
"""The scope of a mode that holds for everybody."""


def follower_scope(follower: str) -> str:
    """Name the scope of a mode that holds for one follower."""
    return f"follower:{follower}"


def leader_scope(leader: str) -> str:
    """Name the scope of a pause of everybody who copies one leader."""
    return f"leader:{leader}"


def follow_scope(follower: str, leader: str) -> str:
    """Name the scope of a pause of one follow."""
    return f"follow:{follower}:{leader}"


@frozen(kw_only=True)
class ModeChange:
    mode: Mode
    why: str
    at: float
    """Unix seconds."""


@frozen(kw_only=True)
class Modes:
    """Every mode in force, by scope: the engine's own, and pauses.

    A mode of a follower that his account keeps, as after a loss, is not among them; a pause of his is.
    """

    version: int
    """Grows with each change."""
    by_scope: Mapping[str, ModeChange]

    def of(self, scope: str) -> ModeChange:
        """Return the mode of a scope; RUN where nobody set one."""
        return self.by_scope.get(scope, _FRESH)

    def paused(self, follower: str, leader: str) -> str | None:
        """Return the widest scope whose pause keeps a follow from entries; None where nothing does."""
        if not self.by_scope:
            return None
        scopes = (leader_scope(leader), follower_scope(follower), follow_scope(follower, leader))
        return next((scope for scope in scopes if self.of(scope).mode is not Mode.RUN), None)

    def pauses(self) -> Mapping[str, ModeChange]:
        """Return every pause in force, by its scope."""
        return {
            scope: change
            for scope, change in sorted(self.by_scope.items())
            if scope != ENGINE and change.mode is not Mode.RUN
        }


_FRESH = ModeChange(mode=Mode.RUN, why="nobody changed it", at=0.0)


@frozen(kw_only=True)
class Lease:
    """An expiring exclusive right."""

    name: str
    owner: str
    token: int
    """Fencing token: grows with every new owner, so that a paused one can be told apart."""
    until: float
    """Unix seconds."""


@frozen(kw_only=True)
class Instance:
    """One running process, as others see it."""

    instance: str
    seen_at: float = 0.0
    """Unix seconds of the last heartbeat."""
    started_at: float = 0.0
    shards: tuple[int, ...] = ()
    """The shards whose accounts it trades for."""
    standby: tuple[int, ...] = ()
    """The shards whose leaders it hears along with their owners."""
    draining: bool = False
    """Whether it takes nothing new any more."""
    ready: bool = False
    """Whether it follows the chain and nothing is red."""
    halted: str = ""
    """What halts entries for the moment; empty when nothing does."""
    watches: tuple[Watch, ...] = ()
    """What its watchdogs say."""


@frozen
class Heard:
    """What an instance hears with a heartbeat."""

    drain: bool
    """Whether somebody asked it to drain."""
    new: bool
    """Whether it was on no list before: it has just come, or the store has forgotten it."""


LEASE_BEATS = 2.5
"""Heartbeats that a lease outlives its owner, and after which an instance counts as dead."""


def account_shard(follower: Follower, count: int) -> int:
    """Return the shard of a follower's account, of so many: that of its fleet or else its wallet, or its own where it has none.

    Accounts that share a wallet or a fleet share an owner, so that what a wallet or an operator sends has one order.
    """
    if follower.fleet:
        return fleet_shard(follower.fleet, count)
    return _shard_of(follower.address or follower.follower, count)


def fleet_shard(fleet: str, count: int) -> int:
    """Return the shard, of so many, of the accounts whose wallets have a fleet, and of all that its operators send."""
    return _shard_of(f"fleet:{fleet}", count)


@lru_cache(maxsize=100_000)
def _shard_of(name: str, count: int) -> int:
    return int(sha256(name.encode()).hexdigest()[:12], 16) % count


def shard_lease(shard: int) -> str:
    """Name the lease of a shard."""
    return f"shard-{shard}"
