"""The manners of a node as words: how they are declared, listed, and read from a command line or a configuration."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, get_args

import attrs

from trio_copy.errors import ConfigError

_LONGEST = 80


def manner(default: object, does: str, *, bare: object = None, least: int = 0) -> Any:  # noqa: ANN401  as attrs.field
    """Declare a manner: what it does in one line, the value that its name alone stands for, and its least number."""
    told = True if default is False else bare
    return attrs.field(default=default, metadata={"does": does, "bare": told, "least": least})


def take_faults(
    faults: attrs.AttrsInstance, where: str, words: Iterable[str], listed_by: str = "`trio-copy devnet --help`"
) -> None:
    """Set manners from words such as `lose_log` or `max_range=100`; a dash stands for an underscore.

    Raises:
        ConfigError: a name that is none, or a value that does not fit; each line begins with `where`. Nothing is set then.
    """
    known = {field.name: field for field in attrs.fields(type(faults))}
    problems: list[str] = []
    values: dict[str, object] = {}
    for word in words:
        written, equals, text = word.partition("=")
        name = written.strip().replace("-", "_")
        if name not in known:
            problems.append(f"{where}: {_unknown(written, list(known), listed_by)}")
            continue
        try:
            values[name] = _read(known[name], text.strip()) if equals else _bare(known[name])
        except ValueError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise ConfigError(problems)
    for name, value in values.items():
        setattr(faults, name, value)


def listed_faults(of: type[attrs.AttrsInstance]) -> Iterator[tuple[str, str]]:
    """Yield each manner as it is written and what it does."""
    for field in attrs.fields(of):
        value, bare = _expected(field), field.metadata["bare"]
        if bare is True:
            yield field.name, field.metadata["does"]
        else:
            yield f"{field.name}={value}" if bare is None else f"{field.name}[={value}]", field.metadata["does"]


def _unknown(written: str, names: list[str], listed_by: str) -> str:
    near = get_close_matches(written.replace("-", "_"), names, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"they are listed by: {listed_by}"
    return f'expected the name of a fault, got "{written[:_LONGEST]}"; {hint}'


def _bare(field: "attrs.Attribute[Any]") -> object:
    if field.metadata["bare"] is None:
        raise ValueError(f"{field.name}: expected {field.name}={_expected(field)}, got no value")
    return field.metadata["bare"]


def _read(field: "attrs.Attribute[Any]", text: str) -> object:
    kind = _kind(field)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is int:
            number = int(text)
            if number >= field.metadata["least"]:
                return number
        elif issubclass(kind, StrEnum):
            return kind(text.lower())
        elif text:
            return text
    except (KeyError, ValueError):
        pass
    expected = f"a whole number from {field.metadata['least']}" if kind is int else _expected(field)
    raise ValueError(f'{field.name}: expected {expected}, got "{text[:_LONGEST]}"')


def _expected(field: "attrs.Attribute[Any]") -> str:
    kind = _kind(field)
    if issubclass(kind, StrEnum):
        return "|".join(kind)
    return {bool: "true|false", int: "N", str: "TEXT"}[kind]


def _kind(field: "attrs.Attribute[Any]") -> type:
    """Return the type of a value, without the None that stands for "not at all"."""
    kinds = [kind for kind in get_args(field.type) if kind is not type(None)]
    kind: type = kinds[0] if kinds else field.type  # type: ignore[assignment]  # every field has a type
    return kind
