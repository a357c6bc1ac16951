"""Writes results to standard output, for commands that run no engine."""

import shutil
import sys
from textwrap import wrap

import msgspec

from trio_copy.cli.outlet import Outlet
from trio_copy.telemetry.visible import escaped_json, visible

_COMMAND = "trio-copy "
_INDENT = 2


def out(line: str) -> None:
    """Write a line for people to standard output; on a terminal, in as many as it takes, cut between words."""
    for part in _parts(visible(line)) if sys.stdout.isatty() else (visible(line),):
        sys.stdout.write(part + "\n")


def out_whole(line: str) -> None:
    """Write a line as it is, however wide a terminal is: what is to be pasted, or read by a program."""
    sys.stdout.write(visible(line) + "\n")


def out_json(value: object) -> None:
    """Write a value as one line of JSON to standard output."""
    sys.stdout.write(escaped_json(msgspec.json.encode(value).decode()) + "\n")


def out_bare_json(value: object) -> None:
    """Write the same with the secrets that are in it: for what consists of them, and was asked for by who handed them in."""
    write = sys.stdout.write_bare if isinstance(sys.stdout, Outlet) else sys.stdout.write
    write(escaped_json(msgspec.json.encode(value).decode()) + "\n")


def _parts(line: str) -> list[str]:
    width, indent = shutil.get_terminal_size().columns, len(line) - len(line.lstrip(" "))
    # A command that is suggested can be pasted only as long as no line break of ours is in it.
    if len(line) <= width or _COMMAND in line:
        return [line]
    return wrap(line, width, subsequent_indent=" " * (indent + _INDENT), break_long_words=False, break_on_hyphens=False)
