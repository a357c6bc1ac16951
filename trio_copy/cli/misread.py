"""Says what is wrong with the words of a command line where the library of verbs has stopped: where, expected, got."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cyclopts import CycloptsError, MissingArgumentError, UnusedCliTokensError


def misread(error: CycloptsError, words: Sequence[str]) -> str:
    """Return the line that a person is told."""
    match error:
        case UnusedCliTokensError(unused_tokens=unused):
            return f'expected nothing more, got "{" ".join(unused or ())}"'
        case MissingArgumentError():
            return _missing(error, words)
        case _:
            return str(error)


def names_no_file(values: Iterable[object], words: Sequence[str]) -> bool:
    """Tell whether a path is an empty text, as of a variable that a shell does not know: as a path it is the folder one is in."""
    return Path() in values and any(word == "" or (word[:2] == "--" and word[-1] == "=") for word in words)


def _missing(error: MissingArgumentError, words: Sequence[str]) -> str:
    assert error.argument is not None  # it is about one
    verb = " ".join(error.command_chain or ())
    name = error.argument.name
    if error.keyword is None and name not in words:
        return f"{verb}: expected {name}, got none; see: trio-copy help {verb}"
    name = error.keyword or name
    behind = words[words.index(name) + 1 :] if name in words else ()
    return (
        f"{name}: expected a value, got {f'the option {behind[0]}' if behind else 'none'}; see: trio-copy help {verb}"
    )
