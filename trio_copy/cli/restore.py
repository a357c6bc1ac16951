"""`trio-copy restore`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.backup import copy_store
from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.question import Yes, agreed
from trio_copy.cli.redact import Redact
from trio_copy.errors import ConfigError


def restore(
    file: Annotated[Path, Parameter(help="What `trio-copy backup` wrote.")],
    /,
    *,
    yes: Yes = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Put a backup in the place of the store, while no engine runs on it; what was there is kept beside it.

    What was copied after the backup was made is in no book any more: compare with the venue before you start again.
    """
    plan = find_plan(conf, redactor)
    store = plan.store.plugin
    if store.restore is not None and not file.is_file():  # nobody is asked about what cannot be
        raise ConfigError([f"{file}: expected what `trio-copy backup` wrote, got no file"])
    if store.restore is not None and not agreed(f"Put {file} in the place of the store?", yes=yes):
        out("nothing was changed")
        return 1
    copy_store(plan, store.restore, file, "restoring")
    return 0
