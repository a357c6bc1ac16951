"""How a setting is declared: with its default, its unit and one line of why, so that no page can forget one."""

from collections.abc import Callable
from typing import Any

import attrs

from trio_copy.model.layers import Merge

Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def setting(
    default: Any,  # noqa: ANN401  as attrs.field
    *,
    unit: str,
    why: str,
    check: Check | None = None,
    merge: Merge = Merge.NEAREST,
    secret: bool = False,
) -> Any:  # noqa: ANN401  as attrs.field
    """Declare one setting of an attrs class; `attrs.NOTHING` as default makes it required.

    `merge` says what happens when several layers set it; see `trio_copy.model.layers`. A `secret` of a plugin may be named
    instead of written, env:NAME or file:PATH, and is not repeated in messages.
    """
    metadata = {"unit": unit, "why": why, "merge": merge, "secret": secret}
    return attrs.field(default=default, metadata=metadata, validator=check, repr=not secret)


def group(of: type, *, why: str) -> Any:  # noqa: ANN401  as attrs.field
    """Declare a table of settings inside another, complete by its own defaults."""
    return attrs.field(factory=of, metadata={"unit": "table", "why": why})


def within(low: Any, high: Any) -> Check:  # noqa: ANN401  any ordered type
    """Check that a value lies in a closed interval; None passes, for settings that may be off."""

    def check(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401
        if value is not None and not low <= value <= high:
            raise ValueError(f"expected a value from {low} to {high}, got {value}")

    return check


def one_of(*choices: str) -> Check:
    """Check that a value is one of a few words."""

    def check(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401
        if value not in choices:
            raise ValueError(f'expected one of {", ".join(choices)}, got "{value}"')

    return check


def some_of(*choices: str) -> Check:
    """Check that every member of a list is one of a few words."""

    def check(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:  # noqa: ANN401
        unknown = sorted(set(value) - set(choices))
        if unknown:
            raise ValueError(f'expected some of {", ".join(choices)}, got "{unknown[0]}"')

    return check


@attrs.frozen
class NoSettings:
    """For plugins that have nothing to set."""
