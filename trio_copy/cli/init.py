"""`trio-copy init [FILE]`"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.first_conf import Wanted, first_conf, free_file, read_leaders, read_size, read_store, read_usd
from trio_copy.cli.opened import HERE
from trio_copy.cli.output import out
from trio_copy.cli.question import asked, somebody_answers
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.engine.plan import load_plan
from trio_copy.errors import ConfigError
from trio_copy.model.ids import Address
from trio_copy.telemetry.redaction import Redactor

_LEADERS = "Whom to copy? Addresses, with a name if you like: NAME=0x..."
_SIZE = "How big is a copy? A share of the leader's trade, such as 1%, or dollars, such as 5"
_ORDER = "No copy may cost more than, in USD"
_DAY = "All copies of a day may cost, in USD"
_STORE = "Where are the books kept? A file, or redis://..."


def init(
    file: Annotated[Path, Parameter(help="The file to write.")] = HERE,
    /,
    *,
    leader: Annotated[
        tuple[str, ...], Parameter(negative=(), help="Whom to copy, 0x... or NAME=0x...; may be repeated.")
    ] = (),
    size: Annotated[str | None, Parameter(help="A share of the leader's trade, 1%, or dollars, 5.")] = None,
    max_order_usd: Annotated[str | None, Parameter(help="No copy costs more.")] = None,
    max_day_usd: Annotated[str | None, Parameter(help="All copies of a day cost no more.")] = None,
    store: Annotated[
        str | None,
        Parameter(help="A SQLite file, or redis://...; a file in your data folder by default."),
    ] = None,
    redactor: Redact,
) -> int:
    """Write a first configuration for paper trading on mainnet, with comments; what no option says is asked.

    Books are kept in a file of their own, so that `trio-copy pnl` works the next day. An existing file is not touched.
    """
    if file.exists():
        raise ConfigError([f"{file}: expected a file that does not exist yet; remove it, or name another one"])
    ask = somebody_answers()
    # Asked only where nothing was said: without a terminal, what has a default takes it.
    leaders = _leaders(leader, ask=ask)
    wanted = Wanted(
        leaders=leaders,
        size=asked(_SIZE, size, "1%", read_size, option="--size", ask=ask),
        max_order=asked(_ORDER, max_order_usd, "20", read_usd, option="--max-order-usd", ask=ask),
        max_day=asked(_DAY, max_day_usd, "200", read_usd, option="--max-day-usd", ask=ask),
        store=asked(_STORE, store, str(free_file(file.stem)), read_store, option="--store", ask=ask),
    )
    _write(file, first_conf(wanted, file), wanted.store_file, redactor)
    out(f"{file} written; try it, on paper: {suggested('run', str(file))}")
    if wanted.store_file is not None:
        out(f"its books will be in {wanted.store_file}")
        out(f"once it has run, look into them: {suggested('pnl', conf=None if file == HERE else file)}")
    return 0


def _leaders(given: Sequence[str], *, ask: bool) -> tuple[tuple[str | None, Address], ...]:
    if not given and not ask:
        raise ConfigError(["--leader: expected at least one, 0x... or NAME=0x..., got none"])
    return asked(_LEADERS, " ".join(given) or None, "", read_leaders, option="--leader", ask=ask)


def _write(file: Path, text: str, books: Path | None, redactor: Redactor) -> None:
    """Write the file and make the folder of its books; neither stays where the file does not pass the check."""
    with ExitStack() as undone:
        try:
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as new:
                undone.callback(file.unlink)
                new.write(text)
            if books is not None and not books.parent.is_dir():
                books.parent.mkdir(mode=0o700, parents=True)
                undone.callback(books.parent.rmdir)
        except OSError as error:
            raise ConfigError([f"{error.filename or file}: cannot be written: {error.strerror}"]) from None
        load_plan(file, redactor)
        undone.pop_all()
