"""Which leaders this instance reads: those that its own accounts follow; with `warm`, also those of the others."""

from collections.abc import Callable, Iterator, Mapping

from attrs import define, field

from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.shard import Shard
from trio_copy.model.ids import Address, FollowerId


@define(eq=False, kw_only=True)
class ReadLeaders:
    book: FollowBook
    shards: Mapping[int, Shard]
    shard_of: Callable[[FollowerId], int]
    warm: bool
    _read: frozenset[Address] = field(default=frozenset())

    def count(self) -> None:
        """Work out anew who is read: follows or shards came or went."""
        self._read = frozenset(filter(self._wanted, self.book.leaders))

    def _wanted(self, leader: Address) -> bool:
        if self.warm:
            return True
        return any(self.shard_of(follower) in self.shards for follower in self.book.followers_of(leader))

    def __contains__(self, leader: object) -> bool:
        return leader in self._read

    def __iter__(self) -> Iterator[Address]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
