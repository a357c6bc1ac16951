"""The lines of a recording, run by run: unpacked a little at a time, whatever the file claims to hold."""

import io
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from trio_copy.config.lines import too_long
from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place

_RUN_BEGINS = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
"""What zlib writes at the beginning of a gzip member."""
_CHUNK, _LINE_MOST = 1 << 16, 1 << 22


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of every run; a run that was cut off ends with its last whole line.

    Raises:
        ConfigError: the file cannot be read, or a line is longer than any that was ever recorded.
    """
    return (one for one in lines_and_ends_of(path) if isinstance(one, bytes))


def lines_and_ends_of(path: Path) -> Iterator[bytes | int]:
    """Yield the whole lines of every run and, behind those of a run that was not cut off, at which byte it ends.

    Raises:
        ConfigError: as `lines_of`.
    """
    number, position, unpacker, text = 1, 0, zlib.decompressobj(wbits=31), b""
    for begins, part in _parts(path):
        if begins:
            unpacker, text = zlib.decompressobj(wbits=31), b""
        position, ended = position + len(part), unpacker.eof
        for piece in _unpacked(unpacker, part):
            *lines, text = (text + piece).split(b"\n")
            for line in lines:
                yield line
                number += 1
            if len(text) > _LINE_MOST:
                raise too_long(path, number, _LINE_MOST)
        if unpacker.eof and not ended:
            yield position - len(unpacker.unused_data)


def begins_as_one(path: Path) -> bool:
    """Tell whether a file begins as a run does, even if that was cut off before its first line was whole."""
    begin = b"".join(part for _, part in islice(_parts(path), 1))
    return begin.startswith(_RUN_BEGINS)


def was_cut_off(path: Path) -> bool:
    """Tell whether the last run of a recording ends in the middle."""
    ended = False
    for one in lines_and_ends_of(path):
        ended = isinstance(one, int)
    return not ended


def _parts(path: Path) -> Iterator[tuple[bool, bytes]]:
    """Yield the packed bytes, and with each whether a run begins there."""
    if (trouble := trouble_of_place(path)) is not None:  # it is read more than once
        raise ConfigError([f"{path}: {trouble}"])
    try:
        with path.open("rb") as file:
            yield from _parts_of(file)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None


def _parts_of(file: io.BufferedReader) -> Iterator[tuple[bool, bytes]]:
    # Each run begins with the same ten bytes, so that one without an end does not swallow the next.
    rest, begins = b"", True
    while True:
        chunk = file.read(_CHUNK)
        rest += chunk
        start = rest.find(_RUN_BEGINS, 1)
        # The beginning of a run may be split over two chunks: its length is kept back.
        end = start if start > 0 else len(rest) if not chunk else max(0, len(rest) - len(_RUN_BEGINS) + 1)
        yield begins, rest[:end]
        rest, begins = rest[end:], start > 0
        if not begins and not chunk:
            return


def _unpacked(unpacker: Any, part: bytes) -> Iterator[bytes]:  # noqa: ANN401  zlib names no type
    """Unpack in pieces: a few bytes may stand for a thousand times as many."""
    try:
        while not unpacker.eof:  # what follows the end of a run is none of it
            piece = unpacker.decompress(part, _CHUNK)
            yield piece
            part = unpacker.unconsumed_tail
            if not part and len(piece) < _CHUNK:
                return
    except zlib.error:
        return
