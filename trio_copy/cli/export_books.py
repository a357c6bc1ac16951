"""`trio-copy export-books`"""

import sys

import msgspec

from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.errors import ConfigError, PluginError
from trio_copy.model.control import ENGINE, follower_scope
from trio_copy.telemetry.visible import escaped_json, visible

_OF_FOLLOWER = follower_scope("")


class _Mode(msgspec.Struct):
    scope: str
    mode: str
    why: str


class _Line(msgspec.Struct):
    mode: _Mode | None = None


def export_books(*, redactor: Redact, conf: Conf = None) -> int:
    """Write the follows, modes and ledger of a store that an earlier version made, as JSON lines to standard output.

    This version refuses such a store. Nothing in it is changed: give this version another file, or another prefix, and
    keep the old one. Modes do not come along by themselves: standard error has the commands that set them in the new store.
    """
    plan = find_plan(conf, redactor)
    export_old, name = plan.store.plugin.export_old, plan.settings.store.name
    if export_old is None:
        raise ConfigError(
            [f"store.{name}: no earlier version can have left anything there; name the store that it used"]
        )
    modes: list[_Mode] = []

    def write(line: str) -> None:
        sys.stdout.write(f"{escaped_json(line)}\n")
        try:
            told = msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError as error:
            raise PluginError(
                f"store.{name}: expected a follow, a mode or an entry, got {line[:100]}: {error}"
            ) from None
        if told.mode is not None:
            modes.append(told.mode)

    export_old(plan.store.settings, write)
    for one in modes:
        follower = one.scope.removeprefix(_OF_FOLLOWER)
        who, of = ("everybody", ()) if one.scope == ENGINE else (f"follower {follower}", ("--follower", follower))
        words = (one.mode, *of, "--why", one.why)
        again = suggested("mode", *words, conf=plan.path)
        sys.stderr.write(
            visible(f"the old store has {one.mode} for {who}; in the new one, before it runs, that is set by: {again}")
            + "\n"
        )
    return 0
