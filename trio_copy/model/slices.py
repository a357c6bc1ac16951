"""Many things, some at a time: who walks over them, or keeps them, lets others run in between."""

from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

_T = TypeVar("_T")
_Key = TypeVar("_Key", bound=Hashable)
_PARTS = 256


def slices(told: Iterable[_T], at_once: int) -> Iterator[list[_T]]:
    """Yield so many things at once, in order, and at the end what is left."""
    rest = iter(told)
    while some := list(islice(rest, at_once)):
        yield some


class Parted(Generic[_Key, _T]):
    """A large table in parts. A dict of a million is copied whole when it grows, which takes a tenth of a second."""

    def __init__(self) -> None:
        self._parts: list[dict[_Key, _T]] = [{} for _ in range(_PARTS)]

    def of(self, key: _Key) -> dict[_Key, _T]:
        """Return the part in which a key stands, or would stand."""
        return self._parts[hash(key) % _PARTS]

    def __len__(self) -> int:
        return sum(map(len, self._parts))


def shrink(things: list[_T], at_once: int) -> Iterator[list[_T]]:
    """Take so many things at once from the end of a list, until it is empty: a million that go at once take long."""
    while things:
        yield things[-at_once:]
        del things[-at_once:]
