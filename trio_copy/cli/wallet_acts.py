"""`trio-copy wallet approve | redeem | merge | split`: what a wallet does on the chain besides trading."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated

import trio
from cyclopts import Parameter

from trio_copy.cli.acted import coins, have_done, seams_of
from trio_copy.cli.arm import expect_wallets
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.labels import catalog_of
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out, out_json
from trio_copy.cli.progress import telling
from trio_copy.cli.question import Yes, agreed
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import pasteable
from trio_copy.cli.tables import Json
from trio_copy.config import to_checksum
from trio_copy.engine.books.books import positions
from trio_copy.engine.people.acting import executor_of, open_planner
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError, NotMadeYet, OrderNotSent, Unanswered
from trio_copy.model.follows import Follower
from trio_copy.model.ids import TokenId
from trio_copy.model.units import NO_SHARES, NO_USD, Shares, Usd
from trio_copy.ports import ActReport, Deed, Done, Held, PlannedAct, Store, Wanted
from trio_copy.signing.acts import DAYS_AT_ONCE

_CONDITION = re.compile(r"0x[0-9a-f]{64}")
_PLANNED_WITHIN_S = 60.0
Name = Annotated[str, Parameter(help="A live wallet, [wallet.NAME], that a follower pays with.")]
Condition = Annotated[str, Parameter(help="The condition id of a question: 0x and 64 hex digits.")]
Amount = Annotated[str, Parameter(help="USD, above zero.")]


def approve(
    name: Name,
    /,
    *,
    usd: Annotated[
        str | None, Parameter(help="What each venue may take at most. Default: the wallet's policy.max_day_usd.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Let the venues take what the wallet pays with, up to an amount, and the shares that it sells; only what is missing.

    What is going to be allowed is shown, and you are asked. Exit code 0 only when all of it happened, for good.
    """
    plan = find_plan(conf, redactor)
    follower = _follower(plan, name)
    amount = plan.settings.wallet[name].policy.max_day_usd if usd is None else _within_policy(plan, name, usd)
    return _do(plan, follower, Deed.APPROVE, Wanted(usd=amount), yes=yes, json=json)


def redeem(
    name: Name,
    condition: Annotated[
        str | None, Parameter(help="The condition id of a question that is decided.", show_default=False)
    ] = None,
    /,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=(), help="Every question that is decided.")] = False,
    yes: Yes = False,
    json: Json = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Turn shares of decided questions into what they pay. Losers are booked at zero, without a transaction.

    What the chain says that they pay is read first, then shown, and you are asked. What is redeemed is in the books once.
    """
    plan = find_plan(conf, redactor)
    follower = _follower(plan, name)
    if (condition is None) is not all_:
        raise ConfigError([f"expected a condition id, or --all, got {'both' if all_ else 'neither'}"])
    one = "" if condition is None else _condition(condition)
    wanted = Wanted(condition_id=one, held=_held(plan, follower, one))
    return _do(plan, follower, Deed.REDEEM, wanted, yes=yes, json=json)


def split(
    name: Name,
    condition: Condition,
    /,
    *,
    usd: Amount,
    yes: Yes = False,
    json: Json = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Turn money into as many shares of every outcome of a question. The books hear nothing of it: nobody copied them.

    What it takes is shown, and you are asked.
    """
    plan = find_plan(conf, redactor)
    follower = _follower(plan, name)
    wanted = Wanted(usd=_within_policy(plan, name, usd), condition_id=_condition(condition))
    return _do(plan, follower, Deed.SPLIT, wanted, yes=yes, json=json)


def merge(
    name: Name,
    condition: Condition,
    /,
    *,
    usd: Amount,
    yes: Yes = False,
    json: Json = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Turn as many shares of every outcome of a question into money again: those of a split, for the books hear nothing of it.

    What it takes is shown, and you are asked.
    """
    plan = find_plan(conf, redactor)
    wanted = Wanted(usd=_dollars(usd), condition_id=_condition(condition))
    return _do(plan, _follower(plan, name), Deed.MERGE, wanted, yes=yes, json=json)


def _do(plan: Plan, follower: Follower, deed: Deed, wanted: Wanted, *, yes: bool, json: bool) -> int:
    """Say what a deed takes, ask, have it done, and say what came of it; returns the exit code."""
    if json and not yes:
        raise ConfigError(["--yes: expected it beside --json, for a question is no JSON; nothing was done"])
    tune_interpreter()
    with telling("reading the chain"):
        planned = trio.run(_planned, plan, follower, deed, wanted)
    name = follower.wallet_name
    if not planned:
        if not json:
            out(f"wallet {name}: nothing to {deed.value}")
        return 0
    if not json:
        _show(plan, follower, planned)
        if not agreed(f"Have wallet {name} do this?", yes=yes):
            out("nothing was done")
            return 1

    def told(place: int, report: ActReport) -> None:
        if not json:
            out(pasteable(f"{place + 1}. {_words(report)}", plan.path))

    reports = have_done(plan, follower, follower.wallet, deed, planned, told)
    if json:
        for one, report in zip(planned, reports, strict=False):
            out_json(_row(name, deed, one, report))
    elif len(reports) < len(planned):
        out(f"not begun: {', '.join(str(place + 1) for place in range(len(reports), len(planned)))}")
    happened = [report.done is Done.LANDED for report in reports]
    return 0 if all(happened) and len(happened) == len(planned) else 1


async def _planned(plan: Plan, follower: Follower, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
    with trio.move_on_after(_PLANNED_WITHIN_S):
        async with open_planner(plan, seams_of(plan), follower) as executor:
            try:
                return await executor.plan(follower.wallet, deed, wanted)
            except OrderNotSent as error:
                why = pasteable(str(error), plan.path)
                raise ConfigError([f"wallet {follower.wallet_name}: {why}; nothing was done"]) from error
    raise Unanswered(f"{follower.executor} did not say within {_PLANNED_WITHIN_S:g} s what it takes; nothing was done")


def _show(plan: Plan, follower: Follower, planned: Sequence[PlannedAct]) -> None:
    address = follower.address
    assert address is not None  # live wallets have one
    out(f"wallet {follower.wallet_name}  {to_checksum(address)}  {follower.signature_type.name.lower()}")
    for place, one in enumerate(planned, 1):
        first, *rest = (pasteable(line, plan.path) for line in one.words or ("nothing",))
        out(f"  {place}. {first}")
        for line in rest:
            out(f"     {line}")
        if one.act is None:
            out("     no transaction: it is only booked")
        elif one.gas_wei:
            out(f"     for gas at most {coins(one.gas_wei)} of the chain's coin")


def _words(report: ActReport) -> str:
    why = f": {report.why}" if report.why else ""
    sent, gas = report.transaction, f", gas {coins(report.gas_wei)}" if report.gas_wei else ""
    match report.done:
        case Done.LANDED:
            return "booked" if sent is None else f"{sent}: it happened, for good{gas}"
        case Done.MINED:
            return f"{sent}: mined, not final yet"
        case Done.PENDING:
            return f"sent as {sent}, not final yet{why}" if sent else f"no end yet{why}"
        case Done.REFUSED:
            return f"{sent or 'not sent'}: nothing happened{why}{gas}"


def _row(name: str, deed: Deed, one: PlannedAct, report: ActReport) -> dict[str, object]:
    return {
        "wallet": name,
        "deed": deed.value,
        "words": list(one.words),
        "done": report.done.name.lower(),
        "transaction": report.transaction,
        "why": report.why or None,
        "gas_wei": str(report.gas_wei),
    }


def _follower(plan: Plan, name: str) -> Follower:
    """Return whom a live wallet pays for; raises `ConfigError` where it is none, pays for nobody, or cannot act."""
    expect_wallets(plan, (name,))
    found = [one for one in plan.settings.followers().named.values() if one.wallet_name == name]
    if not found:
        raise ConfigError(
            [f"WALLET: expected one that a follower pays with, wallet = NAME in [[follower]], got {name}"]
        )
    executor_of(plan, found[0])
    return found[0]


def _held(plan: Plan, follower: Follower, condition: str) -> tuple[Held, ...]:
    """Return what the books hold for a follower, of a question or of all."""

    async def ask(store: Store) -> tuple[Held, ...]:
        catalog, shares = await catalog_of(store, plan), defaultdict[TokenId, Shares](lambda: NO_SHARES)
        for (_, _, token_id), position in (await positions(store.history, follower.follower)).items():
            shares[token_id] += position.shares
        held = [
            Held(token_id=token_id, shares=number, facts=catalog.of(token_id)) for token_id, number in shares.items()
        ]
        return tuple(one for one in held if not condition or one.facts is None or one.facts.condition_id == condition)

    try:
        return ask_store(plan, ask)
    except NotMadeYet:
        return ()


def _condition(text: str) -> str:
    condition = text.lower()
    if not _CONDITION.fullmatch(condition):
        raise ConfigError([f'CONDITION: expected 0x and 64 hex digits, got "{text[:80]}"'])
    return condition


def _within_policy(plan: Plan, name: str, amount: str) -> Usd:
    """Read an amount that the guard of a wallet does not refuse for its size."""
    dollars, policy = _dollars(amount), plan.settings.wallet[name].policy
    most = Usd(policy.max_day_usd.micro * DAYS_AT_ONCE)
    if dollars > most:
        expected = f"at most {most}, {DAYS_AT_ONCE} times wallet.{name}.policy.max_day_usd"
        raise ConfigError([f"--usd: expected {expected}, got {amount}"])
    return dollars


def _dollars(amount: str) -> Usd:
    try:
        dollars = Usd.parse(amount)
    except ValueError as error:
        raise ConfigError([f"--usd: {error}"]) from None
    if dollars <= NO_USD:
        raise ConfigError([f"--usd: expected USD above zero, got {amount}"])
    return dollars
