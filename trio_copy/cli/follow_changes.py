"""What is going to change about follows, in words, before it does."""

from collections.abc import Iterable, Iterator, Sequence

from trio_copy.cli.follow_files import as_typed
from trio_copy.cli.output import out
from trio_copy.errors import ConfigError
from trio_copy.model.follows import Follow
from trio_copy.model.leader_names import LeaderNames
from trio_copy.records import plain_layer

_SHOWN_MOST = 100
_NOTHING = "not set"

Change = tuple[Follow | None, Follow]
"""A follow as it is, where it is, and as it shall be."""


def changes(before: Iterable[Follow], after: Iterable[Follow]) -> Iterator[Change]:
    """Yield what is new or different about follows, with what is there now."""
    known = {follow.key: follow for follow in before}
    for follow in after:
        old = known.get(follow.key)
        if old is None or old.own != follow.own:
            yield old, follow


def tell_changes(found: Sequence[Change], names: LeaderNames) -> None:
    """Write a line for each change, and how many there are beyond those that a person reads."""
    for old, new in found[:_SHOWN_MOST]:
        out(f"{names.in_text(new.name)}  {_words(old, new)}")
    if len(found) > _SHOWN_MOST:
        out(f"... and {len(found) - _SHOWN_MOST:,} more")


def expect_same(shown: Sequence[Change], found: Sequence[Change]) -> None:
    """Refuse to do what nobody was shown. Raises `ConfigError`."""
    if [(old and old.own, new.name, new.own) for old, new in shown] != [
        (old and old.own, new.name, new.own) for old, new in found
    ]:
        raise ConfigError(["expected the follows that were shown, they have changed meanwhile; nothing was changed"])


def _words(old: Follow | None, new: Follow) -> str:
    after = plain_layer(new.own)
    if old is None:
        return "new" + "".join(f", {path} = {as_typed(value)}" for path, value in after.items())
    before = plain_layer(old.own)
    return ", ".join(
        f"{path}: {as_typed(before.get(path, _NOTHING))} -> {as_typed(after.get(path, _NOTHING))}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )
