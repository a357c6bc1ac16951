"""Writes what is wrong with a configuration as lines: where, what was expected, what was there."""

import difflib
import re
from collections.abc import Iterable, Sequence

import attrs
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from trio_copy.config.gone import GONE
from trio_copy.config.settings import AnvilSettings, ChainSettings, DevnetSettings, EngineSettings, ShardsSettings
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.layers import leaves

_LEVELS = ("defaults", "leader", "follower", "follow")
_TABLES = {
    "engine": EngineSettings,
    "chain": ChainSettings,
    "shards": ShardsSettings,
    "devnet": DevnetSettings,
    "anvil": AnvilSettings,
}


def lines_of(error: BaseException, path: str) -> list[str]:
    """Return one line for every mistake in a tree of validation errors."""
    match error:
        case ForbiddenExtraKeysError():
            known = [field.name for field in attrs.fields(error.cl) if field.init]
            return [
                f"{where}: {_unknown(where, key, known)}"
                for key in sorted(error.extra_fields)
                for where in [_join(path, key)]
            ]
        case ClassValidationError() | IterableValidationError():
            lines = []
            for inner in error.exceptions:
                lines.extend(lines_of(inner, _join(path, _position(inner))))
            return lines
        case KeyError():
            return [f"{_join(path, str(error.args[0]))}: required, but not set"]
        case _:
            return [f"{path}: {error}"]


def _unknown(where: str, key: str, known: Sequence[str]) -> str:
    return GONE.get(where) or (
        f"unknown key{_elsewhere(where, key) or suggestion(key, known) or '; known: ' + ', '.join(sorted(known))}"
    )


def _elsewhere(where: str, key: str) -> str:
    """Say in which table a key belongs that stands in a wrong one."""
    top = re.split(r"[.\[]", where)[0]
    if top in _LEVELS:
        tables = [path.partition(".")[0] for path in leaves(FollowSettings) if path.endswith(f".{key}")]
        return f" here; it belongs into [{top}.{tables[0]}]" if tables else ""
    tables = [name for name, of in _TABLES.items() if key in {field.name for field in attrs.fields(of)}]
    return f" here; it belongs into [{tables[0]}]" if tables else ""


def _position(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            # A missing key is a KeyError that names the key itself.
            return "" if isinstance(error, KeyError) else note.name
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def _join(path: str, step: str) -> str:
    return path + step if not path or not step or step.startswith("[") else f"{path}.{step}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a question with the nearest known word, or nothing when none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
