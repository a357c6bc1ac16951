"""Durations as people write them."""

import re
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d|)$")


def parse_duration(text: str) -> float:
    """Read 20s, 1.5m, 250ms, or a bare number of seconds.

    Raises:
        ValueError: anything else.
    """
    match = _FORM.match(text)
    if match is None:
        raise ValueError(f'expected a duration such as 20s, 5m or 250ms, got "{text}"')
    return float(match[1]) * _UNITS[match[2]]


def _convert(_type: object, tokens: Sequence[Token]) -> float:
    return parse_duration(tokens[0].value)


Duration = Annotated[float, Parameter(converter=_convert)]
