"""`trio-copy export-books`"""

import sys

from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.redact import Redact
from trio_copy.errors import ConfigError
from trio_copy.telemetry.visible import escaped_json


def export_books(*, redactor: Redact, conf: Conf = None) -> int:
    """Write the follows and the ledger of a store that an earlier version made, as JSON lines to standard output.

    This version refuses such a store. Nothing in it is changed: give this version another file, or another prefix, and
    keep the old one.
    """
    plan = find_plan(conf, redactor)
    export_old = plan.store.plugin.export_old
    if export_old is None:
        raise ConfigError(
            [
                f"store.{plan.settings.store.name}: no earlier version can have left anything there; name the store that it used"
            ]
        )
    export_old(plan.store.settings, _write)
    return 0


def _write(line: str) -> None:
    sys.stdout.write(f"{escaped_json(line)}\n")
