"""`trio-copy arm [WALLET...]`"""

import sys
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from trio_copy.cli.durations import Duration, Time
from trio_copy.cli.live import arming_of, moment, why_not_armed
from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import utc
from trio_copy.cli.question import Yes, somebody_answers
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.cli.tables import Column, Json, dollars, show
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import to_checksum
from trio_copy.config.problems import suggestion
from trio_copy.config.wallets import WalletTable
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.signing.arming import arm as arm_wallet
from trio_copy.signing.arming import limits_of

_SHORTEST_S, _LONGEST_S = 60.0, 30 * 86_400.0


@frozen(kw_only=True)
class _Row:
    wallet: str
    table: WalletTable
    until: float | None
    why_not: str | None


_COLUMNS: tuple[Column[_Row], ...] = (
    Column("wallet", lambda row: row.wallet),
    Column("armed", lambda row: "no" if row.why_not else "yes"),
    Column("until", lambda row: utc(row.until), shown=lambda text: text[:16].replace("T", " ")),
    Column("order_usd", lambda row: str(row.table.policy.max_order_usd), right=True, shown=dollars),
    Column("hour_usd", lambda row: str(row.table.policy.max_hour_usd), right=True, shown=dollars, detail=True),
    Column("day_usd", lambda row: str(row.table.policy.max_day_usd), right=True, shown=dollars),
    Column("gas", lambda row: str(row.table.policy.max_gas), right=True, detail=True),
    Column("day_gas", lambda row: str(row.table.policy.max_day_gas), right=True, detail=True),
    Column("why_not", lambda row: row.why_not, elastic=True),
)


def arm(
    *wallets: Annotated[str, Parameter(help="Names of live wallets, [wallet.NAME]; none shows how all of them stand.")],
    for_: Annotated[Duration, Parameter(name="--for", help="How long: 30m, 24h, 7d; at most 30d.")] = Time(86_400),
    yes: Yes = False,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
) -> int:
    """Allow that wallets trade with money, on this machine, for a while, and within the limits that are shown.

    At a terminal the names are typed once more; --yes takes them as they stand here. It ends with the time, by `trio-copy
    disarm`, and when a limit of [wallet.NAME.policy] is raised. A running engine takes it up within a second.
    """
    plan = find_plan(conf, redactor)
    if not wallets:
        show(
            _COLUMNS,
            _rows(plan),
            json=json,
            csv_=False,
            empty="no wallet has a key: [wallet.NAME] with key and address",
        )
        return 0
    names = tuple(dict.fromkeys(wallets))
    expect_wallets(plan, names)
    if plan.settings.engine.mode != "live":
        raise ConfigError(
            [f'engine.mode: expected "live", got "{plan.settings.engine.mode}": on paper nothing is armed']
        )
    if not _SHORTEST_S <= for_ <= _LONGEST_S:
        raise ConfigError([f"--for: expected from {Time(_SHORTEST_S)} to {Time(_LONGEST_S)}, got {for_}"])
    until = anchored_wall_clock()() + for_
    if json and not yes:
        raise ConfigError(["--yes: expected it beside --json, for a question is no JSON; nothing was armed"])
    for name in () if json else names:
        out(_limits(plan, name))
    _expect_agreement(names, until, yes=yes)
    for name in names:
        wallet = plan.settings.wallet[name]
        assert wallet.address is not None  # the configuration was checked
        try:
            arm_wallet(
                plan.settings.signing.path,
                wallet.address,
                limits_of(wallet.policy, plan.settings.chain.chain_id),
                until,
            )
        except OSError as error:
            raise ConfigError(
                [f"signing.folder: {plan.settings.signing.path}: {error.strerror}; {name} is not armed"]
            ) from None
        if not json:
            out(f"{name} is armed until {moment(until)}; to end it: {suggested('disarm', name, conf=plan.path)}")
    if json:
        show(_COLUMNS, [row for row in _rows(plan) if row.wallet in names], json=True, csv_=False, empty="")
    return 0


def expect_wallets(plan: Plan, names: tuple[str, ...], given: str = "WALLET") -> None:
    """Refuse names of no live wallet, as they were `given` on the command line. Raises `ConfigError`."""
    known = [name for name, table in plan.settings.wallet.items() if table.live]
    problems = [
        f'{given}: expected a live wallet ({", ".join(known) or "there is none"}), got "{name}"{suggestion(name, known)}'
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)


def _expect_agreement(names: tuple[str, ...], until: float, *, yes: bool) -> None:
    if yes:
        return
    if not somebody_answers():
        raise ConfigError(["--yes: expected it, because there is no terminal on which to ask; nothing was armed"])
    kind = "the name of the wallet" if len(names) == 1 else "the names of the wallets"
    sys.stdout.write(f"to arm until {moment(until)}, type {kind} once more: ")
    sys.stdout.flush()
    if sorted(sys.stdin.readline().replace(",", " ").split()) != sorted(names):
        raise ConfigError([f"expected {' '.join(names)}; nothing was armed"])


def _limits(plan: Plan, name: str) -> str:
    table = plan.settings.wallet[name]
    policy, address = table.policy, table.address
    assert address is not None  # the configuration was checked
    return (
        f"{name}  {to_checksum(address)}  {table.signature_type.name.lower()}: at most ${policy.max_order_usd} an order,"
        f" ${policy.max_hour_usd} an hour, ${policy.max_day_usd} a day, {counted(policy.max_minute_orders, 'order')} a minute;"
        f" buys up to {policy.max_price}, sells from {policy.min_price};"
        f" {counted(len(policy.contracts), 'contract')} of chain {plan.settings.chain.chain_id};"
        f" gas up to {policy.max_gas} a transaction, {policy.max_day_gas} a day, and as much for exits"
    )


def _rows(plan: Plan) -> list[_Row]:
    now = anchored_wall_clock()()
    rows = []
    for name, table in plan.settings.wallet.items():
        if table.live:
            arming = arming_of(plan, name)
            rows.append(_Row(wallet=name, table=table, until=arming.until or None, why_not=why_not_armed(arming, now)))
    return rows
