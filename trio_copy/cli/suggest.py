"""Writes commands that messages suggest, so that each works when it is pasted."""

import shlex
from pathlib import Path


def suggested(*words: str, conf: Path | None = None) -> str:
    """Write a command with its words quoted for a shell, and with the configuration that this one was given."""
    told = () if conf is None else ("--conf", str(conf))
    return shlex.join(("trio-copy", *words, *told))
