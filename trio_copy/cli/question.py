"""Asks a person before something is done that many copies, or money, depend on."""

import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

from cyclopts import Parameter

from trio_copy.errors import ConfigError
from trio_copy.telemetry.visible import visible

_T = TypeVar("_T")
Yes = Annotated[bool, Parameter(name="--yes", negative=(), help="Do not ask.")]


def agreed(question: str, *, yes: bool) -> bool:
    """Ask a question that only "y" or "yes" agrees to; with `yes` nobody is asked.

    Raises:
        ConfigError: nobody sits at the other end to be asked.
    """
    if yes:
        return True
    if not somebody_answers():
        raise ConfigError(["--yes: expected it, because there is no terminal on which to ask; nothing was done"])
    return _answer(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def somebody_answers() -> bool:
    """Tell whether a person sits at a terminal."""
    return sys.stdin.isatty()


def asked(question: str, given: str | None, default: str, read: Callable[[str], _T], *, option: str, ask: bool) -> _T:
    """Read what an option gives; else what a person answers, again until it can be read; else the default.

    Raises:
        ConfigError: what was given cannot be read, or the answers end.
    """
    if given is not None or not ask:
        try:
            return read(default if given is None else given)
        except ValueError as error:
            raise ConfigError([f"{option}: {error}"]) from None
    while True:
        answer = _answer(f"{question}{f' [{default}]' if default else ''}: ")
        if not answer:
            raise ConfigError([f"{option}: expected an answer; nothing was done"])
        try:
            return read(answer.strip() or default)
        except ValueError as error:
            sys.stdout.write(f"{visible(str(error))}\n")


def _answer(question: str) -> str:
    """Ask and read a line; it is empty at the end of all input only."""
    sys.stdout.write(visible(question))
    sys.stdout.flush()
    return sys.stdin.readline()
