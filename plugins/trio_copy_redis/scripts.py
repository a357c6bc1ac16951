"""Atomic steps in Lua, and how a server is asked to carry one out."""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from attrs import frozen
from redis.exceptions import NoScriptError

from trio_copy_redis.wire import Wire

Words = str | bytes | int | float


@frozen
class Script:
    """One atomic step, in Lua.

    It touches the keys that it is given and no other, all of one tag and so of one slot: a cluster that moves the slot then
    carries it out whole, on one side or the other, or puts it off.
    """

    text: str
    sha: str


def load_script(*names: str) -> Script:
    """Put a script together from files of this package."""
    text = "\n".join(files("trio_copy_redis").joinpath("lua", f"{name}.lua").read_text() for name in names)
    return Script(text, sha1(text.encode()).hexdigest())


async def evaluate(
    script: Script, keys: Sequence[str], words: Sequence[Words], raw: bool, wire: Wire, redirected: bool
) -> Any:  # noqa: ANN401
    """Carry out a script; with `redirected`, on a server that another one has named for this once."""
    if redirected:
        wire.ask_first()
        return await wire.call("EVAL", script.text, len(keys), *keys, *words, raw=raw)
    try:
        return await wire.call("EVALSHA", script.sha, len(keys), *keys, *words, raw=raw)
    except NoScriptError:
        return await wire.call("EVAL", script.text, len(keys), *keys, *words, raw=raw)


async def command(words: Sequence[Words], raw: bool, wire: Wire, redirected: bool) -> Any:  # noqa: ANN401
    """Carry out a command; `redirected` as for `evaluate`."""
    if redirected:
        wire.ask_first()
    return await wire.call(*words, raw=raw)
