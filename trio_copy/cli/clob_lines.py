"""Lines of JSON that somebody else wrote: an object each, of which every field is checked before anything is made of it.

What is wrong is told in one line, by line, field, what was expected and what was met. A field that holds a secret is never
repeated, and neither is a line that is no JSON: it may hold one.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from attrs import define

from trio_copy.config.lines import bounded_lines
from trio_copy.errors import ConfigError
from trio_copy.files import open_promptly
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, parse_address
from trio_copy.model.units import MICRO, parse_micro

_T = TypeVar("_T")
_SHOWN_MOST = 80
_DIGITS = re.compile(r"[0-9]{1,78}")
_DECIMAL = re.compile(r"[0-9]{1,24}(\.[0-9]{1,24})?")
_KEY_LIKE = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{60,70}(?![0-9a-fA-F])")
"""A key, or one with a digit too few or too many; token ids are longer."""
_HEX = re.compile(r"(0x)?[0-9a-fA-F]{64}")
UINT256 = 2**256 - 1


@define(eq=False)
class Fields:
    """The fields of a line; each is taken out once, and what is left in the end is too much."""

    where: str
    _left: dict[str, Any]

    def take(self, name: str, read: Callable[[object], _T]) -> _T:
        """Return a field, as it is read. Raises `ConfigError` where it is missing or cannot be read."""
        if name not in self._left:
            self.refuse(name, "expected a value, it is missing")
        return self._read(name, self._left.pop(name), read)

    def take_or(self, name: str, default: _T, read: Callable[[object], _T]) -> _T:
        """Return a field that may be left out, or be null."""
        given = self._left.pop(name, None)
        return default if given is None else self._read(name, given, read)

    def end(self) -> None:
        """Raise `ConfigError` where there is a field that nobody knows: a typing error would change an order in silence."""
        for name in self._left:
            self.refuse(str(name)[:_SHOWN_MOST], "expected no such field")

    def refuse(self, name: str, why: str) -> NoReturn:
        raise ConfigError([f"{self.where}: {name}: {why}"])

    def _read(self, name: str, value: object, read: Callable[[object], _T]) -> _T:
        try:
            return read(value)
        except ValueError as error:
            self.refuse(name, str(error))


def lines_of(file: Path) -> Iterator[Fields]:
    """Yield the objects of a file, or of standard input where it is called -; as they come, so that somebody may wait for each.

    Raises:
        ConfigError: the file cannot be read, or a line of it is too long or no JSON object.
    """
    with _opened(file) as (opened, name):
        for number, line in bounded_lines(opened.readline, name):
            if line.strip():
                where = f"{name}:{number}"
                yield Fields(where, _object(where, line))


@contextmanager
def _opened(file: Path) -> Iterator[tuple[IO[bytes], str]]:
    if str(file) == "-":
        yield sys.stdin.buffer, "standard input"
        return
    try:
        opened = open(file, "rb", opener=open_promptly)  # noqa: SIM115  handed on below
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror or error}"]) from None
    with opened:
        yield opened, str(file)


def _object(where: str, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(
            line.decode(), parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_without_twins
        )
    except json.JSONDecodeError as error:
        raise ConfigError(
            [f"{where}: expected a JSON object, got what is no JSON from column {error.colno} on"]
        ) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{where}: expected a JSON object, got what is no UTF-8"]) from None
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _TwiceError) else "what is too deep, or no number of JSON"
        raise ConfigError([f"{where}: expected a JSON object, got {why}"]) from None
    if not isinstance(found, dict):
        raise ConfigError([f"{where}: expected a JSON object, got {_kind(found)}"])
    return found


class _TwiceError(ValueError):
    pass


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError("one with a field twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _kind(value: object) -> str:
    kinds = {
        bool: "true or false",
        int: "a number",
        Decimal: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), "null")


def _shown(value: object) -> str:
    if isinstance(value, (list, dict)):
        return _kind(value)
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, Decimal) else str(value)
    if _KEY_LIKE.search(text):
        return "as many hex digits as a key has"
    return text if len(text) <= _SHOWN_MOST else f"{text[:_SHOWN_MOST]}..."


def _expected(what: str, value: object) -> NoReturn:
    raise ValueError(f"expected {what}, got {_shown(value)}")


def whole(least: int, most: int, what: str) -> Callable[[object], int]:
    """Read a whole number, written as a number or as its digits."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif isinstance(value, str) and _DIGITS.fullmatch(value):
            number = int(value)
        else:
            _expected(what, value)
        return number if least <= number <= most else _expected(what, value)

    return read


def micro(least: int, most: int, what: str, step: int = 1) -> Callable[[object], int]:
    """Read a decimal, written as a number or as text, in millionths."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)) or not _DECIMAL.fullmatch(str(value)):
            _expected(what, value)
        try:
            number = parse_micro(str(value))
        except ValueError:
            number = -1
        return number if least <= number <= most and not number % step else _expected(what, value)

    return read


def amount(unit: str) -> Callable[[object], int]:
    return micro(0, MICRO * 10**15, f"{unit}, with at most 6 decimals")


def one_of(*names: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        return value if isinstance(value, str) and value in names else _expected(f"one of {', '.join(names)}", value)

    return read


def side(value: object) -> Side:
    return Side(one_of("BUY", "SELL")(value))


def yes_or_no(value: object) -> bool:
    return value if isinstance(value, bool) else _expected("true or false", value)


def address(value: object) -> Address:
    try:
        return parse_address(value if isinstance(value, str) else "")
    except ValueError:
        _expected("an address, 0x and 40 hex digits", value)


def word(value: object) -> bytes:
    return bytes.fromhex(hex64(value))


def hex64(value: object) -> str:
    """Read 32 bytes in hex, and return them without 0x in small letters."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        _expected("64 hex digits", value)
    return value.lower().removeprefix("0x")


def secret(value: object) -> str:
    """Read a text that is not repeated, whatever is wrong with it."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {_kind(value)}")  # noqa: TRY004  it is the value that is wrong, and is told
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected text, got half of a character") from None
    return value
