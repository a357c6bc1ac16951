"""Many things, some at a time: who walks over them lets others run in between."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def slices(told: Iterable[_T], at_once: int) -> Iterator[list[_T]]:
    """Yield so many things at once, in order, and at the end what is left."""
    rest = iter(told)
    while some := list(islice(rest, at_once)):
        yield some
