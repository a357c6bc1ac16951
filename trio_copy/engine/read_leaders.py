"""Which leaders this instance reads: those that its own accounts follow; with `warm`, also those of the others."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from attrs import define, field

from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.shard import Shard
from trio_copy.model.ids import Address, FollowerId


@define(eq=False, kw_only=True)
class ReadLeaders(Collection[Address]):
    """There may be hundreds of thousands, so what changes is told by leader: `look_at` costs what these cost."""

    book: FollowBook
    shards: Mapping[int, Shard]
    shard_of: Callable[[FollowerId], int]
    warm: bool
    version: int = 0
    """Another one whenever others are read."""
    _read: set[Address] = field(factory=set)

    def count(self) -> bool:
        """Work out anew who is read: shards came or went, or all follows are others. True when somebody came."""
        return self.look_at(self._read.union(self.book.leaders))

    def look_at(self, leaders: Iterable[Address]) -> bool:
        """Work out anew which of these leaders are read: follows of theirs came or went. True when somebody came."""
        came, went = set[Address](), set[Address]()
        for leader in leaders:
            reads = self._wanted(leader)
            if reads != (leader in self._read):
                (came if reads else went).add(leader)
        self._read |= came
        self._read -= went
        self.version += bool(came or went)
        return bool(came)

    def _wanted(self, leader: Address) -> bool:
        if self.warm:
            return leader in self.book
        return any(self.shard_of(follower) in self.shards for follower in self.book.followers_of(leader))

    def __contains__(self, leader: object) -> bool:
        return leader in self._read

    def __iter__(self) -> Iterator[Address]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
