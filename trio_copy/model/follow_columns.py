"""Many follows in little memory: columns of numbers, beside each name and each layer once."""

from array import array
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from operator import attrgetter
from typing import Generic, TypeVar

from attrs import define, field

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import Layer
from trio_copy.model.slices import Parted, slices

_T = TypeVar("_T")
_Name = TypeVar("_Name", bound=Hashable)
_Told = TypeVar("_Told", bound=Hashable)
Kind = tuple[str, Layer]
"""What many follows have in common: their source, and what is set for each alone."""
AT_ONCE = 5_000
"""Follows that are looked at before others have their turn: some milliseconds."""


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
        """Return follows by columns, each as it was told last; those that are so already, as they are."""
        return follows if isinstance(follows, FollowColumns) else _last_of(cls.in_slices(follows)).latest()

    @classmethod
    def in_slices(cls, follows: Iterable[Follow], at_once: int = AT_ONCE) -> "Iterator[FollowColumns]":
        """Put follows of which each is told once into columns, so many at once; the last that is yielded has them all."""
        if isinstance(follows, FollowColumns):
            yield follows
            return
        maker: ColumnsMaker[str, Kind] = ColumnsMaker(str, _as_it_is)
        yield maker.columns
        for told in slices(follows, at_once):
            maker.add(
                map(attrgetter("follower"), told),
                map(attrgetter("leader"), told),
                ((follow.source, follow.own) for follow in told),
                map(attrgetter("version"), told),
            )
            yield maker.columns

    def of_source(self, source: str, at_once: int = AT_ONCE) -> Iterator[list[Follow]]:
        """Yield the follows that somebody answers for, in slices, without making the others."""
        return self._of_kinds(lambda of, own: of == source, at_once)

    def that_set(self, path: str, at_once: int = AT_ONCE) -> Iterator[list[Follow]]:
        """Yield the follows for which a setting is set, in slices, without making the others."""
        return self._of_kinds(lambda of, own: any(name == path for name, _ in own), at_once)

    def _of_kinds(self, wanted: Callable[[str, Layer], bool], at_once: int) -> Iterator[list[Follow]]:
        """Yield a list for each slice that was looked at, also where it is empty."""
        numbers = set[int]()
        for at in range(0, len(self.kinds), at_once):
            slice_of_kinds = enumerate(self.kinds[at : at + at_once], at)
            numbers.update(number for number, kind in slice_of_kinds if wanted(*kind))
            yield []
        for at in range(0, len(self) if numbers else 0, at_once):
            rows = enumerate(self.of_kind[at : at + at_once], at)
            yield [self.make(row) for row, kind in rows if kind in numbers]

    def latest(self) -> "FollowColumns":
        """Return the same with each follow once, as it was told last."""
        return _last_of(self.latest_in_slices())

    def latest_in_slices(self, at_once: int = AT_ONCE) -> "Iterator[FollowColumns]":
        """Do as `latest` does, so many at once; the last that is yielded is what it returns."""
        yield self
        rows = Parted[tuple[int, int], int]()
        for at in range(0, len(self), at_once):
            for row, key in enumerate(self._names(at, at_once), at):
                rows.of(key)[key] = row
            yield self
        if len(rows) == len(self):
            return
        kept = FollowColumns(self.followers, self.leaders, self.kinds)
        for at in range(0, len(self), at_once):
            found = [rows.of(key).pop(key, None) for key in self._names(at, at_once)]
            places = [row for row in found if row is not None]
            for column, one in zip(kept.numbers, self.numbers, strict=True):
                column.extend(map(one.__getitem__, places))
            yield kept

    def _names(self, at: int, at_once: int) -> Iterator[tuple[int, int]]:
        """Yield the numbers of follower and leader of so many follows."""
        end = at + at_once
        return zip(self.of_follower[at:end], self.of_leader[at:end], strict=True)

    @property
    def numbers(self) -> "tuple[array[int], ...]":
        """The columns, which are all of one length."""
        return (self.of_follower, self.of_leader, self.of_kind, self.versions)

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
        lengths = set(map(len, columns.numbers))
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


def _last_of(told: Iterable[_T]) -> _T:
    (last,) = deque(told, maxlen=1)
    return last
