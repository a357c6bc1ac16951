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


def out_marked(mark: str, style: str, line: str, *, width: int) -> None:
    """Write a line behind a mark of so many columns, which stands out on a terminal."""
    whole = visible(f"  {mark:<{width}} {line}")
    if not sys.stdout.isatty():
        sys.stdout.write(whole + "\n")
        return
    from rich.text import Text  # not above: a pipe needs none of it

    from trio_copy.cli.printer import console

    first, *rest = _parts(whole, hang=width + 1)
    console().print(Text.assemble((first[: 2 + width], style), first[2 + width :]), soft_wrap=True)
    for part in rest:
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


def _parts(line: str, hang: int = _INDENT) -> list[str]:
    width, indent = shutil.get_terminal_size().columns, len(line) - len(line.lstrip(" "))
    # A command that is suggested can be pasted only as long as no line break of ours is in it.
    if len(line) <= width or _COMMAND in line:
        return [line]
    return wrap(line, width, subsequent_indent=" " * (indent + hang), break_long_words=False, break_on_hyphens=False)
