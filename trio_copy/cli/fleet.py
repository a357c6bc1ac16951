"""`trio-copy fleet status | refuel`"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import trio
from attrs import frozen
from cyclopts import App, Parameter

from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.operators import Known, Operator, Station, look, stations_of
from trio_copy.cli.output import out
from trio_copy.cli.progress import telling
from trio_copy.cli.question import Yes, agreed
from trio_copy.cli.redact import Redact
from trio_copy.cli.refuelled import Carry, have_refuelled, wanted_by
from trio_copy.cli.tables import Column, Json, Styled, short, show
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import to_checksum
from trio_copy.config.problems import suggestion
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.coins import Coins
from trio_copy.model.ids import parse_address
from trio_copy.native import require_native
from trio_copy.signing.process import keep_out_of_dumps

app = App(name="fleet", help="Operators who send what several wallets do: how they stand, and gas money for them.")
Fleets = Annotated[str, Parameter(help="Names of fleets, [fleet.NAME]. Default: all of the configuration.")]
_SENT_WITHIN_S = 300.0
"""A refuel that has not left by then does not leave any more."""
_COINS_SHOWN = 8


@frozen
class _Row:
    operator: Operator
    state: str


def _address(address: object) -> str:
    return short(to_checksum(parse_address(str(address))))


def _amount(text: str) -> str:
    """Cut an amount for people, downwards."""
    whole, point, part = text.partition(".")
    return f"{whole}{point}{part[:_COINS_SHOWN]}"


_COLUMNS: tuple[Column[_Row], ...] = (
    Column("fleet", lambda row: row.operator.station.fleet),
    Column("operator", lambda row: row.operator.station.place),
    Column("address", lambda row: row.operator.station.address, shown=_address),
    Column("balance", lambda row: _coins(row.operator.wei), right=True, shown=_amount),
    Column("used", lambda row: row.operator.used, right=True),
    Column("pending", lambda row: row.operator.pending, right=True, detail=True),
    Column("open", lambda row: len(row.operator.open), right=True),
    Column("state", lambda row: row.state, elastic=True, shown=lambda state: Styled(state, _style(state))),
)


@app.command
def status(*fleets: Fleets, redactor: Redact, conf: Conf = None, json: Json = False) -> int:
    """Show the operators of fleets: what they have for gas, how many nonces they have used, and what is under way.

    The nodes of the configuration and the store are asked; no keystore is opened. Exits with 1 when one is low on gas money,
    has a transaction that no pool knows, or is not known.
    """
    plan = find_plan(conf, redactor)
    names = _names(plan, fleets)
    if not names:
        show(_COLUMNS, (), json=json, csv_=False, empty="there is no fleet: [fleet.NAME] with mnemonic or keys")
        return 0
    known = _look(plan, names)
    rows = [_Row(one, one.state(plan.settings.fleet[one.station.fleet])) for one in known.operators]
    show(_COLUMNS, rows, json=json, csv_=False, empty="")
    return 0 if all(row.state == "ok" for row in rows) else 1


@app.command
def refuel(*fleets: Fleets, yes: Yes = False, redactor: Redact, conf: Conf = None, json: Json = False) -> int:
    """Give operators that are low gas money from the funding account, within the limits of [fleet.NAME].

    What each would get is shown, and you are asked. An engine that runs does it, else this command. Exit code 0 only when all
    of it happened, for good, or nobody was low.
    """
    plan = find_plan(conf, redactor)
    funded = [name for name in _names(plan, fleets) if fleets or plan.settings.fleet[name].funding is not None]
    return refuel_fleets(plan, funded, have_refuelled, yes=yes, json=json)


def refuel_fleets(plan: Plan, names: Sequence[str], carry: Carry, *, yes: bool, json: bool) -> int:
    """Show what would be done, ask, have it carried out, and say what came of it; returns the exit code."""
    if json and not yes:
        raise ConfigError(["--yes: expected it beside --json, for a question is no JSON; nothing was done"])
    _expect_able(plan, names)
    known = _look(plan, names, cost=True)
    tell: Callable[[str], None] = (lambda line: None) if json else out
    now = anchored_wall_clock()()
    wanted = [wanted_by(plan, name, known, now) for name in names]
    for one in wanted:
        for line in one.words:
            tell(line)
    if not any(one.refuels for one in wanted):
        return int(any(one.unserved for one in wanted))
    if not agreed("Refuel them?", yes=yes):
        tell("nothing was done")
        return 1
    done = [one.served(carry, plan, now + _SENT_WITHIN_S, tell=tell, json=json) for one in wanted]
    return 0 if all(done) else 1


def _look(plan: Plan, names: Sequence[str], *, cost: bool = False) -> Known:
    stations = _stations(plan, names)
    with telling("looking at operators"):
        return trio.run(partial(look, plan, stations, cost=cost))


def _stations(plan: Plan, names: Sequence[str]) -> Sequence[Station]:
    require_native()
    keep_out_of_dumps()
    tune_interpreter()
    return [one for name in names for one in stations_of(name, plan.settings.fleet[name], plan.redactor.learn)]


def _names(plan: Plan, names: Sequence[str]) -> Sequence[str]:
    known = plan.settings.fleet
    unknown = [name for name in names if name not in known]
    if unknown:
        told = ", ".join(known) or "there is none"
        raise ConfigError([f'FLEET: expected a fleet ({told}), got "{one}"{suggestion(one, known)}' for one in unknown])
    return list(dict.fromkeys(names)) or list(known)


def _expect_able(plan: Plan, names: Sequence[str]) -> None:
    """Refuse fleets that nobody refuels, or that belong to nobody. Raises `ConfigError`."""
    settings = plan.settings
    owned = {one.fleet for one in settings.followers().named.values()}
    problems = [
        f"fleet.{name}.funding: required to refuel, but not set"
        for name in names
        if settings.fleet[name].funding is None
    ]
    problems += [
        f"fleet.{name}: expected a follower whose wallet has it; nobody would do it"
        for name in names
        if name not in owned
    ]
    if not names:
        problems.append("fleet: expected a table [fleet.NAME] with funding")
    if problems:
        raise ConfigError(problems)


def _coins(wei: int | None) -> str | None:
    return None if wei is None else str(Coins(wei))


def _style(state: str) -> str:
    return "green" if state == "ok" else "red"
