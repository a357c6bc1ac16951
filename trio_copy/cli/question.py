"""Asks a person before something is done that many copies, or money, depend on."""

import sys
from typing import Annotated

from cyclopts import Parameter

from trio_copy.errors import ConfigError
from trio_copy.telemetry.visible import visible

Yes = Annotated[bool, Parameter(name="--yes", negative=(), help="Do not ask.")]


def agreed(question: str, *, yes: bool) -> bool:
    """Ask a question that only "y" or "yes" agrees to; with `yes` nobody is asked.

    Raises:
        ConfigError: nobody sits at the other end to be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(["--yes: expected it, because there is no terminal on which to ask; nothing was done"])
    sys.stdout.write(f"{visible(question)} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
