"""`trio-copy export trades | ledger`"""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

from attrs import evolve, frozen
from cyclopts import App, Parameter

from trio_copy.cli.labels import labels_of
from trio_copy.cli.named_leaders import find_leaders
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import (
    FollowerOption,
    LeaderOption,
    SinceOption,
    TokenOption,
    UntilOption,
    nothing,
    read_query,
    utc,
)
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, csv_rows, text_or_none
from trio_copy.engine.books.books import BOOKINGS, Trade, tell_trades, walk
from trio_copy.engine.plan import Plan
from trio_copy.engine.shards.stored import booked_by
from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place
from trio_copy.model.counts import counted
from trio_copy.model.facts import AMOUNTS, Fact, FactQuery
from trio_copy.model.ids import TokenId
from trio_copy.model.leader_names import LeaderNames
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.units import Usd
from trio_copy.ports import Store

app = App(
    name="export",
    help="Write trades or the ledger as CSV, for accountants and spreadsheets: every figure with all its digits.",
)
FileName = Annotated[
    Path, Parameter(help="Where to; - for standard output.", allow_leading_hyphen=True, show_default=False)
]
_EVERYTHING = 1 << 62
_STANDARD_OUTPUT = Path("-")
_REALISED = AMOUNTS.index("realised")


@frozen
class _Booked:
    """A booking, with what people call its leader and its token."""

    entry: LedgerEntry
    leader_name: str | None
    label: str | None
    settlement: str = ""
    realised: Usd | None = None


_BOTH: tuple[Column[_Booked], ...] = (
    Column("booked_at", lambda row: utc(row.entry.booked_at)),
    Column("follower", lambda row: row.entry.follower),
    Column("leader", lambda row: row.entry.leader),
    Column("leader_name", lambda row: row.leader_name),
    Column("side", lambda row: row.entry.side.value),
    Column("label", lambda row: row.label),
    Column("token_id", lambda row: str(row.entry.token_id)),
    Column("shares", lambda row: str(row.entry.shares)),
    Column("price_usd", lambda row: text_or_none(row.entry.price)),
    Column("notional_usd", lambda row: str(row.entry.notional)),
    Column("fee_usd", lambda row: str(row.entry.fee)),
    Column("kind", lambda row: row.entry.kind.value),
)
_IDS: tuple[Column[_Booked], ...] = (
    Column("task_id", lambda row: row.entry.task_id),
    Column("signal_id", lambda row: row.entry.signal_id),
)
TRADES = (*_BOTH, Column[_Booked]("settlement", lambda row: row.settlement), *_IDS)
LEDGER = (
    *_BOTH,
    Column[_Booked]("firm", lambda row: "yes" if row.entry.firm else "no"),
    Column[_Booked]("realised_usd", lambda row: text_or_none(row.realised)),
    Column[_Booked]("key", lambda row: row.entry.key),
    Column[_Booked]("of", lambda row: row.entry.of),
    *_IDS,
)


@app.command
def trades(
    file: FileName,
    /,
    *,
    follower: FollowerOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Write what was bought, sold and redeemed, newest first, and whether it is settled: firm, provisional or reversed."""
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, token, since, until, _EVERYTHING, names)

    async def tell(store: Store, row: Callable[[_Booked], None]) -> None:
        booked = _Naming(names, await labels_of(store, plan))

        def take(trade: Trade) -> None:
            row(booked(trade.entry, settlement=trade.settlement))

        await tell_trades(store.history, query, take)

    return _export(plan, file, TRADES, tell, follower)


@app.command
def ledger(
    file: FileName,
    /,
    *,
    follower: FollowerOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Write every booking, newest first, with what it realised; one that confirms or reverses another names it in `of`."""
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, token, since, until, _EVERYTHING, names)

    async def tell(store: Store, row: Callable[[_Booked], None]) -> None:
        booked = _Naming(names, await labels_of(store, plan))
        await _tell_bookings(
            store, query, lambda entry, fact: row(booked(entry, realised=Usd(fact.amounts[_REALISED])))
        )

    return _export(plan, file, LEDGER, tell, follower)


async def _tell_bookings(store: Store, query: FactQuery, tell: Callable[[LedgerEntry, Fact], None]) -> None:
    def take(page: Sequence[Fact]) -> bool:
        for fact in page:
            entry = booked_by(fact)
            if entry is not None:
                tell(entry, fact)
        return True

    await walk(store.history, evolve(query, kinds=BOOKINGS), take)


@frozen
class _Naming:
    """Says of bookings what people call their leaders and tokens."""

    names: LeaderNames
    labels: Mapping[TokenId, str]

    def __call__(self, entry: LedgerEntry, *, settlement: str = "", realised: Usd | None = None) -> _Booked:
        return _Booked(entry, self.names.of(entry.leader), self.labels.get(entry.token_id), settlement, realised)


def _export(
    plan: Plan,
    file: Path,
    columns: Sequence[Column[_Booked]],
    tell: Callable[[Store, Callable[[_Booked], None]], Awaitable[None]],
    follower: str | None,
) -> int:
    """Write rows as they are read: memory does not grow with how many they are."""
    count = 0
    with _opened(file) as stream:
        write = csv_rows(columns, stream)

        def row(booked: _Booked) -> None:
            nonlocal count
            count += 1
            write(booked)

        ask_store(plan, lambda store: tell(store, row))
    if file != _STANDARD_OUTPUT:
        out(nothing(f"{counted(count, 'booking')} written to {file}", plan, None if count else follower))
    return 0


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """Open a file that has its name only once it is whole: half of the books look like all of them."""
    if file == _STANDARD_OUTPUT:
        yield sys.stdout
        return
    if (trouble := trouble_of_place(file)) is not None:
        raise ConfigError([f"{file}: {trouble}; - is standard output"])
    file = file.resolve()  # what a link leads to is written, and not the link itself
    part = file.with_name(f".{file.name}.part")
    try:
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
                yield stream
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be written: {error.strerror}"]) from None
