"""`trio-copy pnl`"""

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

from attrs import define
from cyclopts import Parameter

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.positions import HeldPosition, held_positions
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
from trio_copy.clock import utc_date
from trio_copy.engine.plan import Plan
from trio_copy.model.fills import Side
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.profits import Earned, earned
from trio_copy.model.records import Query
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import Store

By = Literal["follower", "leader", "token", "day"]
_EVERYTHING = 1 << 40


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

    def add(self, one: Earned) -> None:
        """Count one trade in."""
        self.trades += 1
        if one.entry.side is Side.BUY:
            self.bought += one.entry.notional
        else:
            self.sold += one.entry.notional
        self.fees += one.entry.fee
        self.realised += one.realised
        self.provisional += one.provisional

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

    Lots are sold first in, first out. Provisional is what the venue matched and the chain has not settled. With --since
    or --until only trades of that time count and the unrealised part is left out, for it belongs to the present.
    """
    query = read_query(follower, leader, token, since, until, _EVERYTHING)
    plan = find_plan(conf, redactor)
    entries, held = ask_store(plan, lambda store: _read(store, plan, query))
    rows = profits(entries, held, by, query)
    show(COLUMNS, rows, json=json, csv_=csv, empty="nothing was traded")
    return 0


async def _read(store: Store, plan: Plan, query: Query) -> tuple[tuple[LedgerEntry, ...], list[HeldPosition]]:
    # Every entry is needed: what a sale earned depends on what was bought before the time that was asked about.
    whole = Query(follower=query.follower, leader=query.leader, token_id=query.token_id, limit=_EVERYTHING)
    return await store.history.entries(whole), await held_positions(store, plan)


def profits(entries: Iterable[LedgerEntry], held: Iterable[HeldPosition], by: By, query: Query) -> list[Profit]:
    """Add up entries, the newest first as the history gives them, and what is still held."""
    rows: dict[str, Profit] = {}
    name_of: dict[By, Callable[[LedgerEntry], str]] = {
        "follower": lambda entry: entry.follower,
        "leader": lambda entry: entry.leader,
        "token": lambda entry: str(entry.token_id),
        "day": lambda entry: utc_date(entry.booked_at),
    }
    for one in earned(sorted_by_booking(entries)):
        at = one.entry.booked_at
        if (
            (query.since is None or at >= query.since)
            and (query.until is None or at < query.until)
            and one.entry.shares
        ):
            name = name_of[by](one.entry)
            rows.setdefault(name, Profit(name)).add(one)
    past = by == "day" or query.since is not None or query.until is not None
    for row in rows.values():
        row.unrealised = None if past else NO_USD
    if not past:
        for position in held:
            name = {"follower": position.key[0], "leader": position.key[1], "token": str(position.key[2])}[by]
            profit = rows.get(name)
            if (
                profit is not None
                and profit.unrealised is not None
                and position.position.lots
                and _wanted(query, position)
            ):
                profit.unrealised = None if position.unrealised is None else profit.unrealised + position.unrealised
    return [rows[name] for name in sorted(rows)]


def sorted_by_booking(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Put entries that come newest first into the order of their booking."""
    return list(entries)[::-1]


def _wanted(query: Query, held: HeldPosition) -> bool:
    follower, leader, token = held.key
    return query.follower in (None, follower) and query.leader in (None, leader) and query.token_id in (None, token)
