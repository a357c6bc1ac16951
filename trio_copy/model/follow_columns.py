"""Many follows in little memory: columns of numbers, beside each name and each layer once."""

from array import array
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from operator import attrgetter
from typing import Generic, TypeVar

from attrs import define, field

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import Layer

_T = TypeVar("_T")
_Name = TypeVar("_Name", bound=Hashable)
_Told = TypeVar("_Told", bound=Hashable)
Kind = tuple[str, Layer]
"""What many follows have in common: their source, and what is set for each alone."""


@define(eq=False)
class FollowColumns(Collection[Follow]):
    """Follows of which each is made when it is looked at. It takes 20 bytes; made, some 200."""

    followers: list[FollowerId] = field(factory=list)
    leaders: list[Address] = field(factory=list)
    kinds: list[Kind] = field(factory=list)
    of_follower: "array[int]" = field(factory=lambda: array("I"))
    """For each follow, where in `followers` its follower stands; and so on."""
    of_leader: "array[int]" = field(factory=lambda: array("I"))
    of_kind: "array[int]" = field(factory=lambda: array("I"))
    versions: "array[int]" = field(factory=lambda: array("q"))

    @classmethod
    def of(cls, follows: Iterable[Follow]) -> "FollowColumns":
        """Return follows by columns; those that are so already, as they are."""
        if isinstance(follows, FollowColumns):
            return follows
        told = list(follows)
        maker: ColumnsMaker[str, Kind] = ColumnsMaker(str, _as_it_is)
        maker.add(
            map(attrgetter("follower"), told),
            map(attrgetter("leader"), told),
            ((follow.source, follow.own) for follow in told),
            map(attrgetter("version"), told),
        )
        return maker.columns.latest()

    def of_source(self, source: str) -> Iterator[Follow]:
        """Return the follows that somebody answers for, without making the others."""
        wanted = {number for number, (of, _) in enumerate(self.kinds) if of == source}
        return (self.make(row) for row, kind in enumerate(self.of_kind if wanted else ()) if kind in wanted)

    def that_set(self, path: str) -> Iterator[Follow]:
        """Return the follows for which a setting is set, without making the others."""
        wanted = {number for number, (_, own) in enumerate(self.kinds) if any(name == path for name, _ in own)}
        return (self.make(row) for row, kind in enumerate(self.of_kind if wanted else ()) if kind in wanted)

    def latest(self) -> "FollowColumns":
        """Return the same with each follow once, as it was told last."""
        rows = {name: row for row, name in enumerate(zip(self.of_follower, self.of_leader, strict=True))}
        if len(rows) == len(self):
            return self
        told = (self.of_follower, self.of_leader, self.of_kind, self.versions)
        kept = (array(column.typecode, map(column.__getitem__, rows.values())) for column in told)
        return FollowColumns(self.followers, self.leaders, self.kinds, *kept)

    def __iter__(self) -> Iterator[Follow]:
        return map(self.make, range(len(self)))

    def __len__(self) -> int:
        return len(self.versions)

    def __contains__(self, follow: object) -> bool:
        return any(follow == one for one in self)

    def make(self, row: int) -> Follow:
        """Make the follow of one row."""
        source, own = self.kinds[self.of_kind[row]]
        return Follow(
            follower=self.followers[self.of_follower[row]],
            leader=self.leaders[self.of_leader[row]],
            own=own,
            source=source,
            version=self.versions[row],
        )


class ColumnsMaker(Generic[_Name, _Told]):
    """Puts together what a store tells by columns: each different name and kind is read once."""

    def __init__(self, read_name: Callable[[_Name], str], read_kind: Callable[[_Told], Kind]) -> None:
        self.columns = columns = FollowColumns()
        self._followers = _Numbers[_Name](lambda name: columns.followers.append(FollowerId(read_name(name))))
        self._leaders = _Numbers[_Name](lambda name: columns.leaders.append(Address(read_name(name))))
        self._kinds = _Numbers[_Told](lambda told: columns.kinds.append(read_kind(told)))

    def add(
        self, followers: Iterable[_Name], leaders: Iterable[_Name], kinds: Iterable[_Told], versions: Iterable[int]
    ) -> None:
        """Add some follows. Raises `ValueError` where the columns are not of one length, and what the readers raise."""
        columns = self.columns
        # No step of Python for each: there may be a million.
        columns.of_follower.extend(map(self._followers.__getitem__, followers))
        columns.of_leader.extend(map(self._leaders.__getitem__, leaders))
        columns.of_kind.extend(map(self._kinds.__getitem__, kinds))
        columns.versions.extend(versions)
        lengths = set(map(len, (columns.of_follower, columns.of_leader, columns.of_kind, columns.versions)))
        if len(lengths) > 1:
            raise ValueError(f"expected as many followers as leaders, kinds and versions, were {lengths}")


class _Numbers(dict[_T, int]):
    """Numbers what it is asked for, from 0 on, and tells of each that is new."""

    def __init__(self, on_new: Callable[[_T], None]) -> None:
        super().__init__()
        self._on_new = on_new

    def __missing__(self, thing: _T) -> int:
        self._on_new(thing)
        number = self[thing] = len(self)
        return number


def _as_it_is(kind: Kind) -> Kind:
    return kind
