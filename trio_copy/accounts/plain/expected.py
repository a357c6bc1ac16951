"""What is expected of everything that was stored."""

from typing import Any

Plain = list[Any]


class PlainError(ValueError):
    """What was stored is not what its kind promises."""


def number_of(value: int) -> int:
    """Expect a whole number, of any width, where no unit does: these refuse everything else themselves."""
    if type(value) is not int:
        raise PlainError(f"expected a whole number, was {value!r}")
    return value


def first(body: Plain) -> Plain:
    """Return what was stored when it is of the first version, the only one so far of most."""
    if not body or body[0] != 1:
        raise PlainError("expected a document of version 1")
    return body
