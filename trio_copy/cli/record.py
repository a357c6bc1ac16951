"""`trio-copy record FILE`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.durations import Duration
from trio_copy.cli.opened import Conf, find_conf
from trio_copy.cli.redact import Redact
from trio_copy.cli.run import run_plan
from trio_copy.engine.plan import load_plan


def record(
    file: Annotated[Path, Parameter(help="The recording; another run is added behind what is there.")],
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
    for_: Annotated[
        Duration | None, Parameter(name="--for", help="Stop by itself after this long: 500ms, 20s, 5m, 1h.")
    ] = None,
    json: Annotated[bool, Parameter(negative=(), help="One JSON object per line instead of the tape.")] = False,
    live: Annotated[
        bool, Parameter(negative=(), help="Needed where engine.mode is live: executors may move money.")
    ] = False,
    verbose: Annotated[bool, Parameter(negative=(), help="Log every decision to standard error.")] = False,
) -> int:
    """Do what `run` does, and write down every raw log and all that markets tell: compressed, and only ever added to.

    `trio-copy replay FILE` runs the engine on it again, with other follows or settings if you like.
    """
    conf = find_conf(conf)
    return run_plan(load_plan(conf, redactor), conf, for_, json=json, live=live, verbose=verbose, record=file)
