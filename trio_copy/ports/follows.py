"""The contract of the part of a store that keeps who copies whom."""

from collections.abc import Collection, Sequence
from typing import Protocol

from attrs import frozen

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId


@frozen(kw_only=True)
class FollowChange:
    version: int
    follow: Follow
    removed: bool


class Follows(Protocol):
    """The follow book's truth. Versions grow by one with each change."""

    async def load(self) -> tuple[int, Collection[Follow]]:
        """Return the current version and every follow, each once.

        A large book had better be a `FollowColumns`: a million follows take a fifth of a GB as objects of their own.
        """
        ...

    async def put(self, follows: Sequence[Follow]) -> int:
        """Insert or replace; all or none. Returns the new version; equal follows are no change."""
        ...

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        """Remove; all or none. Returns the new version; an unknown key is no change."""
        ...

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        """Wait until something changed after a version, then return all of it in order; never empty."""
        ...
