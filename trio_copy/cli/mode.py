"""`trio-copy mode`"""

from typing import Annotated, Literal

from attrs import evolve
from cyclopts import Parameter

from trio_copy.cli.asked import asker_of, new_name
from trio_copy.cli.named_leaders import find_leaders
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.queries import nobody, utc, utc_short
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, show
from trio_copy.engine.books.books import follower_modes
from trio_copy.engine.people.requests import reset_peak, set_mode
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.control import ENGINE, Mode, ModeChange, follower_scope
from trio_copy.model.ids import FollowerId
from trio_copy.ports import Store
from trio_copy.telemetry.redaction import Redactor

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
    """Show the modes and pauses in force, or change a mode. A running engine obeys within a second; a mode survives restarts.

    run: everything; reduce-only and halt-new: exits only, the second is what the engine itself sets when it has to stop;
    halt-all: nothing is sent, and nothing looked up. Setting a follower to run also ends a halt after a loss and lets its
    drawdown start over. A follower's mode is asked of whoever owns its account.
    """
    plan = find_plan(conf, redactor)
    if new is None and why is not None:
        raise ConfigError(["--why: expected a mode to change to"])

    async def ask(store: Store) -> list[_Row]:
        if follower is not None and follower not in plan.settings.followers().named:
            _, follows = await store.follows.load()
            if follower not in {follow.follower for follow in follows}:
                who = nobody(plan, follower)
                raise ConfigError(
                    [f'--follower: expected a follower, got "{follower}"; nobody of that name follows anybody{who}']
                )
        if new is not None and follower is None:
            await store.control.set_mode(Mode(new), _shown(why, redactor))
        elif new is not None and follower is not None:
            await _set_mode_of(FollowerId(follower), Mode(new), _shown(why, redactor), store, plan)
        modes = await store.control.modes()
        followers = await follower_modes(store.history)
        return [
            (ENGINE, modes.of(ENGINE)),
            *((follower_scope(name), one) for name, one in sorted(followers.items())),
            *((f"pause of {scope}", one) for scope, one in modes.pauses().items()),
        ]

    names = find_leaders(plan)
    columns = [evolve(one, shown=names.in_text) if one.name == "scope" else one for one in _COLUMNS]
    show(columns, ask_store(plan, ask, make=new is not None), json=json, csv_=csv, empty="")
    return 0


async def _set_mode_of(follower: FollowerId, mode: Mode, why: str, store: Store, plan: Plan) -> None:
    asker = asker_of(store, plan)
    shard, at = plan.shard_of(follower), asker.wall()
    if mode is Mode.RUN:
        await asker.ask(shard, reset_peak(new_name("reset-peak"), follower, at))
    await asker.ask(shard, set_mode(new_name("mode"), follower, mode, why, at))


def _shown(why: str | None, redactor: Redactor) -> str:
    return redactor.redact(why or "set by hand")
