"""What an executor writes down before it sends: documents of a shard, durable in one order with the shard's accounts."""

from collections.abc import Mapping, Set
from typing import Protocol

from trio_copy.model.ids import FollowerId, IntentKey


class Journal(Protocol):
    """That of one executor, in one shard; its owner is the only one who writes there."""

    @property
    def shard(self) -> int: ...

    def documents(self) -> Mapping[str, bytes]:
        """Return what is written down, by name, whoever wrote it. What was put counts at once."""
        ...

    def put(self, name: str, body: bytes | None) -> None:
        """Write a document anew, as `records.write_plain` writes it, or delete it. It rides in the shard's next write.

        Nothing that rests on it may leave before `wait_durable` has returned.
        """
        ...

    async def wait_durable(self) -> None:
        """Wait until everything that was put is durable.

        Raises:
            OrderNotSent: somebody else owns the shard by now, or the store failed. Nothing may leave.
        """
        ...

    def covers(self, follower: FollowerId) -> bool:
        """Tell whether a follower's account is in this shard."""
        ...

    def open_keys(self) -> Set[IntentKey]:
        """Return the keys of all orders that accounts of this shard have open: what became of these may still be asked."""
        ...
