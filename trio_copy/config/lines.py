"""Lines of a file that somebody else wrote: one at a time, and none longer than a limit, so that memory stays flat."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import AnyStr

from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place

LINE_MOST = 1 << 20
"""Far longer than any row or object that a person or a program has reason to write."""
_CHUNK, _SHOWN = 1 << 16, 60


def bounded_lines(
    readline: Callable[[int], AnyStr], name: object, most: int = LINE_MOST
) -> Iterator[tuple[int, AnyStr]]:
    """Yield each line with its number, from 1 on, without the mark that some programs put in front of UTF-8.

    Raises:
        ConfigError: a line is longer than `most` bytes or characters; it is not read any further.
    """
    number = 0
    while line := readline(most + 1):
        number += 1
        if len(line) > most:
            raise too_long(name, number, most)
        # A file that is read as text has lost it before.
        if number == 1 and isinstance(line, bytes):
            line = line.removeprefix(BOM_UTF8)
        yield number, line


def too_long(name: object, number: int, most: int) -> ConfigError:
    """Say which line is longer than it may be."""
    return ConfigError([f"{name}:{number}: expected a line of at most {most:,} bytes, got a longer one"])


def no_utf8(error: UnicodeDecodeError) -> str:
    """Say what stands in a file where text was expected."""
    if error.start == 0 and error.object[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
        return "expected UTF-8, got UTF-16: save it as UTF-8"
    return f"expected UTF-8, got the byte 0x{error.object[error.start]:02x}: save it as UTF-8"


def beginning_of(text: bytes) -> str:
    """Quote how a text begins that is not what was expected, whatever it is."""
    return f'"{text[:_SHOWN].decode("utf-8", "backslashreplace")}"'


def count_lines(path: Path) -> int:
    """Count the lines of a file, for a progress bar; 0 for one that cannot be read, or only once."""
    if trouble_of_place(path) is not None:
        return 0
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
    except OSError:
        return 0
