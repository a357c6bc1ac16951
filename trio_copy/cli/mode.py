"""`trio-copy mode`"""

from typing import Annotated, Literal

from cyclopts import Parameter

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.queries import utc, utc_short
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, show
from trio_copy.errors import ConfigError
from trio_copy.model.control import ENGINE, Mode, ModeChange, follower_scope
from trio_copy.model.ids import FollowerId
from trio_copy.ports import Store

_Row = tuple[str, ModeChange]
_COLUMNS: tuple[Column[_Row], ...] = (
    Column("scope", lambda row: row[0]),
    Column("mode", lambda row: row[1].mode.value),
    Column("since", lambda row: utc(row[1].at) if row[1].at else None, shown=utc_short),
    Column("why", lambda row: row[1].why, elastic=True),
)


def mode(
    new: Annotated[
        Literal["run", "reduce-only", "halt-new", "halt-all"] | None, Parameter(help="The mode to change to.")
    ] = None,
    /,
    *,
    why: Annotated[str | None, Parameter(help="The reason, for whoever looks later.")] = None,
    follower: Annotated[str | None, Parameter(help="Only this follower, instead of the whole engine.")] = None,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """Show the modes in force, or change one. A running engine obeys within a second; a mode survives restarts.

    run: everything; reduce-only: exits only; halt-new: no order at all, open ones are still looked up; halt-all: not even
    that. Setting a follower to run also ends a halt after a loss and lets its drawdown start over.
    """
    plan = find_plan(conf, redactor)
    if new is None and why is not None:
        raise ConfigError(["--why: expected a mode to change to"])

    async def ask(store: Store) -> list[_Row]:
        if follower is not None and follower not in plan.settings.followers().named:
            _, follows = await store.follows.load()
            if follower not in {follow.follower for follow in follows}:
                raise ConfigError(
                    [f'--follower: expected a follower, got "{follower}"; nobody of that name follows anybody']
                )
        if new is not None:
            scope = ENGINE if follower is None else follower_scope(follower)
            if follower is not None and Mode(new) is Mode.RUN:
                await store.ledger.reset_peak(FollowerId(follower))
            await store.control.set_mode(Mode(new), redactor.redact(why or "set by hand"), scope)
        modes = await store.control.modes()
        return [
            (ENGINE, modes.of(ENGINE)),
            *((name, one) for name, one in sorted(modes.by_scope.items()) if name != ENGINE),
        ]

    show(_COLUMNS, ask_store(plan, ask, make=new is not None), json=json, csv_=csv, empty="")
    return 0
