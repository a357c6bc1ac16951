"""Which follows a command is about: one, those of a follower or of a leader, or all of them."""

from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from trio_copy.cli.named_leaders import read_leader
from trio_copy.errors import ConfigError
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.leader_names import LeaderNames

FollowName = Annotated[
    str | None, Parameter(help="FOLLOWER:LEADER, the leader by address or name.", show_default=False)
]
OfFollower = Annotated[str | None, Parameter(name="--follower", help="Every follow of this follower.")]
OfLeader = Annotated[str | None, Parameter(name="--leader", help="Every follow of this leader.")]
All = Annotated[bool, Parameter(name="--all", negative=(), help="Every follow.")]


@frozen
class Chosen:
    """What a person named. Where a part is None, it does not matter."""

    follower: FollowerId | None
    leader: Address | None

    def has(self, follower: FollowerId, leader: Address) -> bool:
        """Tell whether a follow is among those that are meant."""
        return self.follower in (None, follower) and self.leader in (None, leader)

    def __str__(self) -> str:
        match self:
            case Chosen(None, None):
                return "everything"
            case Chosen(follower, None):
                return f"follower {follower}"
            case Chosen(None, leader):
                return f"leader {leader}"
        return f"{self.follower}:{self.leader}"


def read_choice(
    name: str | None, follower: str | None, leader: str | None, names: LeaderNames, *, all_: bool = False
) -> Chosen:
    """Read which follows are meant; `name` is FOLLOWER:LEADER.

    Raises:
        ConfigError: nothing is named, or one thing twice, or a leader is neither an address nor the name of one.
    """
    if name is not None and (follower or leader or all_):
        raise ConfigError([f'expected either one follow or --follower, --leader and --all, got "{name}" as well'])
    if all_ and (follower or leader):
        raise ConfigError(["--all: expected nothing else beside it"])
    if name is not None:
        follower, colon, leader = name.partition(":")
        if not (follower and colon and leader):
            raise ConfigError([f'expected a follow, named FOLLOWER:LEADER, got "{name}"; see --follower and --leader'])
    if not (follower or leader or all_):
        raise ConfigError(["expected a follow, named FOLLOWER:LEADER, or --follower or --leader"])
    try:
        address = None if leader is None else read_leader(leader, names)
    except ValueError as error:
        told = "--leader" if name is None else f'expected a follow, named FOLLOWER:LEADER, got "{name}"'
        raise ConfigError([f"{told}: {error}"]) from None
    return Chosen(None if follower is None else FollowerId(follower), address)
