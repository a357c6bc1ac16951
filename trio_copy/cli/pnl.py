"""`trio-copy pnl`"""

from collections.abc import Iterable
from typing import Annotated, Literal

import trio
from attrs import define
from cyclopts import Parameter

from trio_copy.cli.gas import gas_in_all
from trio_copy.cli.named_leaders import find_leaders, with_names
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.positions import EVERYTHING, HeldPosition, held_positions
from trio_copy.cli.queries import (
    FollowerOption,
    LeaderOption,
    SinceOption,
    TokenOption,
    UntilOption,
    nothing,
    read_query,
)
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.cli.tables import Column, Csv, Json, dollars, short, show, signed_dollars, text_or_none
from trio_copy.engine.books.books import sums
from trio_copy.engine.books.gas import GasPaid, gas_paid
from trio_copy.model.facts import Amounts, FactQuery
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import FORGOTTEN_TOKEN, Store

By = Literal["follower", "leader", "token", "day"]
LONG_AGO = "(long ago)"
"""What tokens came to of which the store keeps no bookings any more."""


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
        lambda row: text_or_none(row.unrealised),
        right=True,
        shown=signed_dollars,
    ),
    Column("total", lambda row: text_or_none(row.total), right=True, shown=signed_dollars),
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
    unrealised part is left out, for it belongs to the present. Bookings older than the store keeps still count, as whole
    days; which token they were about is forgotten: --by token tells them as "(long ago)".
    """
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, token, since, until, 1, names)

    async def read(store: Store) -> tuple[list[Profit], list[GasPaid]]:
        return await read_profits(store, by, query), await gas_paid(store.history)

    rows, paid = ask_store(plan, read)
    columns = with_names(COLUMNS, names, "name") if by == "leader" else COLUMNS
    show(columns, rows, json=json, csv_=csv, empty=nothing("nothing was traded", plan, follower))
    if paid and not (json or csv):
        out(f"gas, not counted above: {gas_in_all(paid)}; by wallet: {suggested('gas', conf=plan.path)}")
    return 0


async def read_profits(store: Store, by: By, query: FactQuery = EVERYTHING) -> list[Profit]:
    """Add up what was booked, and what is still held."""
    past = by == "day" or query.since is not None or query.until is not None
    unrealised: dict[str, Usd | None] = {}

    async def read_held() -> None:
        unrealised.update(_unrealised(await held_positions(store, query), by))

    async with trio.open_nursery() as nursery:
        if not past:
            nursery.start_soon(read_held)  # beside the sums, which a store adds up in a thread or in a server
        booked = await sums(store.history, query, "token_id" if by == "token" else by)
    rows = {name: Profit.of(name, amounts) for (name,), amounts in booked.items() if any(amounts)}
    for name in rows.keys() | unrealised:
        row = rows.setdefault(name, Profit(name))
        row.unrealised = None if past else unrealised.get(name, NO_USD)
    if FORGOTTEN_TOKEN in rows:
        rows[FORGOTTEN_TOKEN].name = LONG_AGO
    return [rows[name] for name in sorted(rows)]


def _unrealised(held: Iterable[HeldPosition], by: By) -> dict[str, Usd | None]:
    """Add up by name what is held; None where a part of it is not known."""
    found: dict[str, Usd | None] = {}
    for one in held:
        name = {"follower": one.key[0], "leader": one.key[1], "token": str(one.key[2])}[by]
        before, more = found.get(name, NO_USD), one.unrealised
        found[name] = None if before is None or more is None else before + more
    return found
