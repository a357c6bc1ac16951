"""Settings in layers: what each level sets, and what is in force when several set the same.

The levels, from far to near: engine, leader, follower, follow. A level holds only what somebody wrote there. Where
several levels set one path, the path's declared `Merge` decides; where none does, the default holds.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

import attrs
from attrs import frozen

Layer = tuple[tuple[str, Any], ...]
"""What one level sets: (dotted path, value) pairs, sorted by path. Values are immutable, so that a layer hashes."""

NO_LAYER: Layer = ()
DEFAULT = "default"


class Merge(Enum):
    """Which of several levels' values is in force."""

    NEAREST = "the nearest level wins"
    SMALLEST = "the smallest value wins"
    LARGEST = "the largest value wins"
    INTERSECTION = "only what every level lists"
    UNION = "what any level lists"

    __hash__ = object.__hash__


@frozen
class Effective:
    """One value in force, and where it came from."""

    path: str
    value: Any
    origin: str
    """The level that set it, several joined by " + ", or "default"."""
    merge: Merge


def layer(values: Mapping[str, Any]) -> Layer:
    """Make a layer of paths and values."""
    return tuple(sorted(values.items()))


def merged(layers: Sequence[tuple[str, Layer]], of: type) -> tuple[Effective, ...]:
    """Work out every effective value of a settings class; `layers` are (level, layer), the farthest first."""
    given = _given(layers)
    return tuple(_effective(path, field, given.get(path, [])) for path, field in leaves(of).items())


def in_force(layers: Sequence[Layer], of: type) -> Mapping[str, Any]:
    """Return the effective values that some layer sets, by path; the rest has its default. `layers`: the farthest first."""
    known = leaves(of)
    given = _given([("", values) for values in layers])
    return {path: _effective(path, known[path], given[path]).value for path in given if path in known}


def _given(layers: Sequence[tuple[str, Layer]]) -> dict[str, list[tuple[str, Any]]]:
    given: dict[str, list[tuple[str, Any]]] = {}
    for level, values in layers:
        for path, value in values:
            given.setdefault(path, []).append((level, value))
    return given


@lru_cache(maxsize=8)
def leaves(of: type) -> Mapping[str, "attrs.Attribute[Any]"]:
    """Return every setting of a class by its dotted path, groups opened."""
    found: dict[str, attrs.Attribute[Any]] = {}
    for field in attrs.fields(of):
        if field.metadata.get("unit") == "table":
            assert field.type is not None
            found.update({f"{field.name}.{path}": leaf for path, leaf in leaves(field.type).items()})
        else:
            found[field.name] = field
    return found


def assembled(values: Mapping[str, Any], of: type) -> Any:  # noqa: ANN401  an instance of the class
    """Make an instance of a settings class from dotted paths; what is missing has its default."""
    arguments: dict[str, Any] = {}
    for field in attrs.fields(of):
        if field.metadata.get("unit") == "table":
            prefix = f"{field.name}."
            inner = {path[len(prefix) :]: value for path, value in values.items() if path.startswith(prefix)}
            assert field.type is not None
            arguments[field.name] = assembled(inner, field.type)
        elif field.name in values:
            arguments[field.name] = values[field.name]
    return of(**arguments)


def _effective(path: str, field: "attrs.Attribute[Any]", given: Sequence[tuple[str, Any]]) -> Effective:
    merge: Merge = field.metadata["merge"]
    if not given:
        return Effective(path, _default(field), DEFAULT, merge)
    values = [value for _, value in given]
    match merge:
        case Merge.NEAREST:
            value = values[-1]
        case Merge.SMALLEST:
            value = min((value for value in values if value is not None), default=None)
        case Merge.LARGEST:
            value = max((value for value in values if value is not None), default=None)
        case Merge.INTERSECTION:
            value = frozenset.intersection(*values)
        case Merge.UNION:
            value = frozenset.union(*values)
    if merge in (Merge.INTERSECTION, Merge.UNION):
        origin = " + ".join(level for level, _ in given)
    else:
        origin = next(level for level, candidate in reversed(given) if candidate == value)
    return Effective(path, value, origin, merge)


def _default(field: "attrs.Attribute[Any]") -> Any:  # noqa: ANN401  any setting's value
    return field.default
