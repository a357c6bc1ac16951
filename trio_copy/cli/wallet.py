"""`trio-copy wallet show | deposit | withdraw | approve | redeem | merge | split | settle`"""

from typing import Annotated

from cyclopts import App, Parameter

from trio_copy.cli.asked import asker_of, new_name
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import FollowerOption, nobody
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, dollars, show, signed_dollars, text_or_none
from trio_copy.cli.wallet_acts import approve, merge, redeem, split
from trio_copy.cli.wallet_settle import settle
from trio_copy.engine.books.wallets import PaperWallet, WalletDay, paper_wallets, wallet_days
from trio_copy.engine.people.requests import fund
from trio_copy.errors import ConfigError
from trio_copy.model.ids import FollowerId
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import Store
from trio_copy.telemetry.redaction import Redactor

app = App(name="wallet", help="What followers have on paper, and what live wallets do on the chain besides trading.")

for _act in (approve, redeem, merge, split, settle):
    app.command(_act)

_WALLETS: tuple[Column[PaperWallet], ...] = (
    Column("follower", lambda row: row.follower),
    Column("start", lambda row: str(row.start), right=True, shown=dollars, detail=True),
    Column("put_in", lambda row: str(row.put_in), right=True, shown=signed_dollars, detail=True),
    Column("cash", lambda row: str(row.cash), right=True, shown=dollars),
    Column("reserved", lambda row: str(row.reserved), right=True, shown=dollars, detail=True),
    Column("held_cost", lambda row: str(row.held_cost), right=True, shown=dollars),
    Column("held_value", lambda row: text_or_none(row.held_value), right=True, shown=dollars),
    Column("gained", lambda row: str(row.gained), right=True, shown=signed_dollars),
    Column("equity", lambda row: text_or_none(row.equity), right=True, shown=dollars),
)
_DAYS: tuple[Column[WalletDay], ...] = (
    Column("follower", lambda row: row.follower),
    Column("day", lambda row: row.day),
    Column("put_in", lambda row: str(row.put_in), right=True, shown=signed_dollars),
    Column("gained", lambda row: str(row.gained), right=True, shown=signed_dollars),
    Column("equity", lambda row: str(row.equity), right=True, shown=dollars),
)
_HOW = ": wallet = NAME in [[follower]], and a table [wallet.NAME]"
Amount = Annotated[str, Parameter(help="USD, above zero.")]
Whose = Annotated[str, Parameter(help="The id of a follower.")]
Why = Annotated[str | None, Parameter(help="The reason, for whoever looks later.")]


@app.command(name="show")
def show_(
    *,
    follower: FollowerOption = None,
    by_day: Annotated[bool, Parameter(negative=(), help="How each stood at the end of each day it changed.")] = False,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """Show what followers have on paper: cash, what is held at its cost and at its bids, and what both come to.

    By day, what was held then counts as what it cost: what it could be sold for is known for the present only.
    """
    plan = find_plan(conf, redactor)
    only = None if follower is None else FollowerId(follower)

    async def ask(store: Store) -> tuple[list[PaperWallet], list[WalletDay]]:
        wallets = await paper_wallets(store.history, plan.settings.followers(), only)
        return wallets, [day for one in wallets for day in await wallet_days(store.history, one)] if by_day else []

    wallets, days = ask_store(plan, ask)
    none = f"no follower has a paper wallet{_HOW}" if follower is None else f"{follower} has no paper wallet"
    none += "" if follower is None else nobody(plan, follower) or _HOW
    if by_day:
        show(_DAYS, days, json=json, csv_=csv, empty="nothing has changed yet" if wallets else none)
    else:
        show(_WALLETS, wallets, json=json, csv_=csv, empty=none)
    return 0


@app.command
def deposit(follower: Whose, amount: Amount, /, *, why: Why = None, redactor: Redact, conf: Conf = None) -> int:
    """Put money into a follower's paper wallet. Whoever owns the account does it; where no engine runs, this command."""
    return _fund(follower, _dollars(amount), why, redactor, conf)


@app.command
def withdraw(follower: Whose, amount: Amount, /, *, why: Why = None, redactor: Redact, conf: Conf = None) -> int:
    """Take money out of a follower's paper wallet, as far as it holds that much cash."""
    return _fund(follower, NO_USD - _dollars(amount), why, redactor, conf)


def _dollars(amount: str) -> Usd:
    try:
        dollars_ = Usd.parse(amount)
    except ValueError as error:
        raise ConfigError([f"AMOUNT: {error}"]) from None
    if dollars_ <= NO_USD:
        raise ConfigError([f"AMOUNT: expected USD above zero, got {amount}"])
    return dollars_


def _fund(name: str, amount: Usd, why: str | None, redactor: Redactor, conf: Conf) -> int:
    plan = find_plan(conf, redactor)
    follower, followers = FollowerId(name), plan.settings.followers()
    start = followers[follower].paper_usd if follower in followers else None
    if start is None:
        why = nobody(plan, name) or f", who has none{_HOW}"
        raise ConfigError([f'FOLLOWER: expected a follower with a paper wallet, got "{name}"{why}'])

    async def ask(store: Store) -> str:
        asker = asker_of(store, plan)
        words = redactor.redact(why or "by hand")
        return await asker.ask(
            plan.shard_of(follower), fund(new_name("fund"), follower, amount, start, words, asker.wall())
        )

    out(ask_store(plan, ask, make=True))
    return 0
