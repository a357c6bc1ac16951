"""`trio-copy pnl`"""

from collections.abc import Iterable
from typing import Annotated, Literal

from attrs import define
from cyclopts import Parameter

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.positions import EVERYTHING, HeldPosition, held_positions
from trio_copy.cli.queries import (
    FollowerOption,
    LeaderOption,
    SinceOption,
    TokenOption,
    UntilOption,
    read_query,
)
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, dollars, short, show, signed_dollars
from trio_copy.engine.books import sums
from trio_copy.engine.plan import Plan
from trio_copy.model.facts import Amounts, FactQuery, Sums
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import Store

By = Literal["follower", "leader", "token", "day"]


@define
class Profit:
    """What one group of trades came to."""

    name: str
    trades: int = 0
    bought: Usd = NO_USD
    sold: Usd = NO_USD
    fees: Usd = NO_USD
    realised: Usd = NO_USD
    provisional: Usd = NO_USD
    unrealised: Usd | None = NO_USD
    """None where a position has no known bid, or where the question is about a time."""

    @classmethod
    def of(cls, name: str, amounts: Amounts) -> "Profit":
        trades, *dollars = amounts
        return cls(name, trades, *map(Usd, dollars))

    @property
    def total(self) -> Usd | None:
        """Realised and unrealised together, provisional included; None where the unrealised part is not known."""
        return None if self.unrealised is None else self.realised + self.provisional + self.unrealised


COLUMNS: tuple[Column[Profit], ...] = (
    Column("name", lambda row: row.name, shown=short),
    Column("trades", lambda row: row.trades, right=True, detail=True),
    Column("bought", lambda row: str(row.bought), right=True, shown=dollars, detail=True),
    Column("sold", lambda row: str(row.sold), right=True, shown=dollars, detail=True),
    Column("fees", lambda row: str(row.fees), right=True, shown=dollars, detail=True),
    Column("realised", lambda row: str(row.realised), right=True, shown=signed_dollars),
    Column("provisional", lambda row: str(row.provisional), right=True, shown=signed_dollars),
    Column(
        "unrealised",
        lambda row: None if row.unrealised is None else str(row.unrealised),
        right=True,
        shown=signed_dollars,
    ),
    Column("total", lambda row: None if row.total is None else str(row.total), right=True, shown=signed_dollars),
)


def pnl(
    *,
    by: Annotated[By, Parameter(help="What to add up by.")] = "follower",
    follower: FollowerOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """Add up profit and loss: realised from sales and redemptions, fees included, and unrealised at the last known bid.

    Lots are sold first in, first out. What failed to settle is taken back when that is known. Provisional is what the
    venue matched and the chain has not settled. With --since or --until only what was booked in that time counts and the
    unrealised part is left out, for it belongs to the present.
    """
    query = read_query(follower, leader, token, since, until, 1)
    plan = find_plan(conf, redactor)
    rows = ask_store(plan, lambda store: read_profits(store, plan, by, query))
    show(COLUMNS, rows, json=json, csv_=csv, empty="nothing was traded")
    return 0


async def read_profits(store: Store, plan: Plan, by: By, query: FactQuery = EVERYTHING) -> list[Profit]:
    """Add up what was booked, and what is still held."""
    past = by == "day" or query.since is not None or query.until is not None
    booked = await sums(store.history, query, "token_id" if by == "token" else by)
    return profits(booked, None if past else await held_positions(store, plan, query), by)


def profits(booked: Sums, held: Iterable[HeldPosition] | None, by: By) -> list[Profit]:
    """Join sums by name with what is still held; None for a question about the past."""
    rows = {name: Profit.of(name, amounts) for (name,), amounts in booked.items() if any(amounts)}
    for row in rows.values():
        row.unrealised = None if held is None else NO_USD
    for position in held or ():
        name = {"follower": position.key[0], "leader": position.key[1], "token": str(position.key[2])}[by]
        row = rows.setdefault(name, Profit(name))
        if row.unrealised is not None:
            row.unrealised = None if position.unrealised is None else row.unrealised + position.unrealised
    return [rows[name] for name in sorted(rows)]
