"""Which leaders this instance reads: those that its own accounts follow; with `warm`, also those of the others."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from attrs import define, field

from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.shards.shard import Shard
from trio_copy.model.ids import Address, FollowerId


@define(eq=False, kw_only=True)
class ReadLeaders(Collection[Address]):
    """There may be hundreds of thousands, so what changes is told by leader: `look_at` costs what these cost."""

    book: FollowBook
    shards: Mapping[int, Shard]
    shard_of: Callable[[FollowerId], int]
    warm: bool
    at_once: int = 2_000
    """So many follows are looked at before others run: some milliseconds."""
    version: int = 0
    """Another one whenever others are read."""
    _judged_by: frozenset[int] | None = None
    """The shards by which everybody was judged; None while that is not the same for all."""
    _read: dict[Address, None] = field(factory=dict)
    """No set, for a copy of the keys of a dict is made in a tenth of the time."""

    def count(self) -> Iterator[bool]:
        """Work out anew who is read, in slices: shards came or went, or all follows are others. Each tells whether somebody came.

        Between two of them anything may change. Follows that do are told to `look_at`, whose word is as good before a leader's
        turn as after it; when shards come or go, it begins again, for whoever had his turn was judged by those of before.
        """
        self._judged_by = counted = None
        while counted != self.shards.keys():
            counted = frozenset(self.shards)
            for leaders in self._slices():
                yield self.look_at(leaders)
                if counted != self.shards.keys():
                    break
        self._judged_by = counted

    def _slices(self) -> Iterator[list[Address]]:
        """Yield everybody who is followed or read: so many at once as are judged while others can wait."""
        # Copies of the names alone, for what they are taken from changes meanwhile.
        leaders, follows = list[Address](), 0
        for leader in tuple(self.book.leaders):
            leaders.append(leader)
            follows += 1 + self.book.count_of(leader)
            if follows >= self.at_once:
                yield leaders
                leaders, follows = [], 0
        yield leaders
        read = tuple(self._read)
        for at in range(0, len(read), self.at_once):
            yield [leader for leader in read[at : at + self.at_once] if leader not in self.book]

    @property
    def of_these_shards(self) -> bool:
        """Whether everybody was judged by the shards that are held now. Where all are read, no shard changes anything."""
        return self._judged_by is not None and (self.warm or self._judged_by == self.shards.keys())

    def look_at(self, leaders: Iterable[Address]) -> bool:
        """Work out anew which of these leaders are read: follows of theirs came or went. True when somebody came."""
        if not self.of_these_shards:
            self._judged_by = None  # should the shards of before come back, these were judged by others in between
        came, went = set[Address](), set[Address]()
        for leader in leaders:
            reads = self._wanted(leader)
            if reads != (leader in self._read):
                (came if reads else went).add(leader)
        self._read.update(dict.fromkeys(came))
        for leader in went:
            del self._read[leader]
        self.version += bool(came or went)
        return bool(came)

    def _wanted(self, leader: Address) -> bool:
        if self.warm:
            return leader in self.book
        # A loop, for `any` makes a generator of each of hundreds of thousands of leaders.
        for follower in self.book.followers_of(leader):  # noqa: SIM110
            if self.shard_of(follower) in self.shards:
                return True
        return False

    def __contains__(self, leader: object) -> bool:
        return leader in self._read

    def __iter__(self) -> Iterator[Address]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
