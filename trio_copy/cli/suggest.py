"""Writes commands that messages suggest, so that each works when it is pasted."""

import re
import shlex
from pathlib import Path

_NAMED = re.compile(r"`trio-copy ([^`]+)`")
_PLACEHOLDER = re.compile(r"[A-Z_]+")


def suggested(*words: str, conf: Path | None = None) -> str:
    """Write a command with its words quoted for a shell, and with the configuration that this one was given."""
    told = () if conf is None else ("--conf", str(conf))
    return shlex.join(("trio-copy", *words, *told))


def pasteable(text: str, conf: Path | None) -> str:
    """Let each command in backticks name the configuration that this one was given: who wrote the text knew of none.

    Left as they are: those that name one, ask for help, or have a word in capitals, which stands for another.
    """

    def told(match: re.Match[str]) -> str:
        words = match[1].split()
        known = {"--conf", "--help"}.intersection(words) or any(map(_PLACEHOLDER.fullmatch, words))
        return match[0] if known or conf is None else f"`trio-copy {match[1]} {shlex.join(('--conf', str(conf)))}`"

    return _NAMED.sub(told, text)
