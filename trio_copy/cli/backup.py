"""`trio-copy backup`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.progress import progress
from trio_copy.cli.redact import Redact
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.ports import CopyStore


def backup(
    file: Annotated[Path, Parameter(help="The copy; it must not exist yet.")],
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Copy the whole store to a file while an engine runs, and look through the copy.

    It holds follows, books, open orders and modes, as they are at this moment. `trio-copy restore` takes it back.
    """
    plan = find_plan(conf, redactor)
    copy_store(plan, plan.store.plugin.back_up, file, "copying")
    return 0


def copy_store(plan: Plan, copy: CopyStore | None, file: Path, what: str) -> None:
    """Let a store make, or take back, a copy of itself. Raises `ConfigError` where it has none."""
    if copy is None:
        raise ConfigError([f"store.{plan.settings.store.name}: {plan.store.plugin.back_up_instead}"])
    with progress(what, 100) as tell:
        told = copy(plan.store.settings, file, lambda part: tell(round(100 * part)))
    out(told)
