"""Durations as people write them."""

import re
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")


class Time(float):
    """Seconds that write themselves as people do; its name stands in the help of options."""

    def __str__(self) -> str:
        for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
            if self >= size and not self % size:
                return f"{self / size:.0f}{unit}"
        return f"{float(self):g}s" if self >= 1 else f"{1000 * self:g}ms"


def parse_duration(text: str) -> float:
    """Read 20s, 1.5m or 250ms.

    Raises:
        ValueError: anything else; a number without a unit may mean any of them.
    """
    match = _FORM.match(text)
    if match is None:
        raise ValueError(f'expected a duration such as 20s, 5m or 250ms, got "{text}"')
    return float(match[1]) * _UNITS[match[2]]


def _convert(_type: object, tokens: Sequence[Token]) -> Time:
    return Time(parse_duration(tokens[0].value))


Duration = Annotated[Time, Parameter(converter=_convert)]
