"""`trio-copy check CONF`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.output import out
from trio_copy.cli.redact import Redact
from trio_copy.engine.plan import load_plan
from trio_copy.model.counts import counted


def check(conf: Annotated[Path, Parameter(help="The configuration, a TOML file.")], /, *, redactor: Redact) -> int:
    """Validate a configuration without starting anything, and list every problem at once.

    Exits with 0 when it is good, and with 2 when it is not.
    """
    plan = load_plan(conf, redactor)
    settings = plan.settings
    if settings.devnet is not None and settings.devnet.faults:
        from trio_copy.cli.world import check_script  # only here: it brings a node and a market along

        check_script(settings.devnet)
    leaders = {table.leader for table in settings.follow}
    where = "a devnet inside the process" if settings.devnet else counted(len(settings.endpoint), "endpoint")
    out(f"{conf}: good")
    out(f"  chain {settings.chain.chain_id} over {where}; decoders {', '.join(plan.decoders)}")
    who = f"{counted(len(leaders), 'leader')} by {counted(len(settings.follower), 'follower')}"
    out(f"  {counted(len(settings.follow), 'follow')} of {who}")
    executors = ", ".join(executor.name for executor in plan.executors) or "none"
    out(f"  store {settings.store.name}, executors {executors}, mode {settings.engine.mode}")
    return 0
