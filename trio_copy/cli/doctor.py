"""`trio-copy doctor [CONF]`"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

import trio
from attrs import evolve
from cyclopts import Parameter

from trio_copy.chain.dial import dial_network
from trio_copy.cli.arm import expect_wallets
from trio_copy.cli.examined import Keys, examine_wallets
from trio_copy.cli.live import open_their_fleets
from trio_copy.cli.opened import ConfArgument, find_plan
from trio_copy.cli.output import out, out_json, out_marked
from trio_copy.cli.progress import telling
from trio_copy.cli.question_of_secret import who_answers
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import pasteable
from trio_copy.cli.tables import Json
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import to_checksum
from trio_copy.engine.plan import Plan
from trio_copy.native import SecretKey, require_native
from trio_copy.ports import Finding, Health
from trio_copy.signing.fleets import expect_operators
from trio_copy.signing.keys import open_key, place_of
from trio_copy.signing.process import keep_out_of_dumps

_MARKS = {Health.GOOD: ("ok", "green"), Health.BAD: ("FAILED", "red"), Health.UNKNOWN: ("unknown", "yellow")}
_BUT = ("ok, but", "yellow")
_WIDTH = len("unknown")


def doctor(
    conf: ConfArgument = None,
    *,
    wallet: Annotated[
        tuple[str, ...], Parameter(help="A live wallet, [wallet.NAME]; several if you like. Default: all of them.")
    ] = (),
    redactor: Redact,
    json: Json = False,
) -> int:
    """Look at live wallets, their keys, approvals and standing at the venue, and say what to do; changes nothing.

    A line for each look: ok; FAILED, with what to do; or unknown, where nobody could be asked. It asks the nodes of the
    configuration and the venue; no order is signed, and no API key is made. Exits with 1 when something has failed.
    """
    plan = find_plan(conf, redactor)
    expect_wallets(plan, wallet)
    live = [name for name, table in plan.settings.wallet.items() if table.live]
    names = [name for name in live if name in wallet] if wallet else live
    if not names:
        if not json:
            out("no wallet has a key: [wallet.NAME] with key and address; `trio-copy keys import NAME`")
        return 0
    require_native()
    keep_out_of_dumps()
    keys = _open(plan, names)
    with telling("looking at wallets"):
        found = trio.run(examine_wallets, plan, names, keys, dial_network, anchored_wall_clock())
    return show_findings(plan, found, json=json)


def show_findings(plan: Plan, found: Sequence[Finding], *, json: bool) -> int:
    """Write what was found, a line each; returns the exit code."""
    bad = any(one.health is Health.BAD for one in found)
    found = [evolve(one, text=pasteable(one.text, plan.path), advice=pasteable(one.advice, plan.path)) for one in found]
    if json:
        for one in found:
            out_json(
                {
                    "wallet": one.wallet or None,
                    "check": one.check,
                    "health": one.health.value,
                    "text": one.text,
                    "advice": one.advice or None,
                }
            )
        return int(bad)
    for name, findings in groupby(found, lambda one: one.wallet):
        out(_heading(plan, name) if name else "all wallets")
        for one in findings:
            mark, style = _BUT if one.advice and one.health is Health.GOOD else _MARKS[one.health]
            advice = f"; to do: {one.advice}" if one.advice else ""
            out_marked(mark, style, f"{one.check}: {one.text}{advice}", width=_WIDTH)
    counts = Counter(one.health for one in found)
    out(f"{counts[Health.GOOD]} ok, {counts[Health.BAD]} FAILED, {counts[Health.UNKNOWN]} unknown; nothing was changed")
    return int(bad)


def _heading(plan: Plan, name: str) -> str:
    table = plan.settings.wallet.get(name)
    if table is None or table.address is None:
        return f"wallet {name}"
    return f"wallet {name}  {to_checksum(table.address)}  {table.signature_type.name.lower()}"


def _open(plan: Plan, names: Sequence[str]) -> Keys:
    opened, troubles = dict[str, SecretKey](), dict[str, str]()
    fleets, of_fleets = open_their_fleets(plan, names)
    operators = dict[str, tuple[SecretKey, ...]]()
    for name in names:
        wallet = plan.settings.wallet[name]
        try:
            if wallet.fleet is None:
                opened[name] = open_key(place_of(name, wallet), who_answers(), plan.redactor.learn)
            elif wallet.fleet in fleets:
                operators[name] = expect_operators(name, wallet, fleets[wallet.fleet])
                opened[name] = operators[name][0]
            else:
                troubles[name] = of_fleets[wallet.fleet]
        except ValueError as error:
            troubles[name] = str(error)
    return Keys(opened=opened, troubles=troubles, operators=operators)
