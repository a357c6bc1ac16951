"""Reads JSON of outside where money hangs on it: an object whose keys are named once, bounded, and without guesses."""

import json
from decimal import Decimal
from typing import Any

from trio_copy.model.units import MICRO

MOST_BYTES = 1 << 16
"""The longest answer about one order that is read; the venue's have less than a kilobyte."""
_MOST_MICRO = 1 << 62
_LONGEST_NUMBER = 40


def object_of(body: bytes, most: int = MOST_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: it is none, or too long, too deep, or names a key twice: which of two ids counts, nobody can say.
    """
    if len(body) > most:
        raise ValueError(f"an answer of more than {most >> 10} KiB")
    try:
        read = _DECODER.decode(body.decode())
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise ValueError(f"no JSON object: {type(error).__name__}") from None
    if not isinstance(read, dict):
        raise ValueError(f"no JSON object, but a {type(read).__name__}")  # noqa: TRY004  of what somebody wrote
    return read


def micro_of(value: object) -> int | None:
    """Read an amount in decimals, of a text or a number, as millionths; None where it is none, or finer than they are."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    text = str(value)
    if not text.isascii() or len(text) > _LONGEST_NUMBER:
        return None
    try:
        amount = Decimal(text)
        # An exponent of millions is a short text and a number without end.
        if not amount.is_finite() or not -30 <= amount.adjusted() <= 20:
            return None
        micro = amount * MICRO
        if micro != micro.to_integral_value() or not 0 <= micro < _MOST_MICRO:
            return None
        return int(micro)
    except ArithmeticError:
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is named twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=Decimal, parse_constant=_no_number)
