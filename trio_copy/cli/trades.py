"""`trio-copy trades`"""

from collections.abc import Mapping

from attrs import evolve, frozen

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.positions import labels_of
from trio_copy.cli.queries import (
    FollowerOption,
    LeaderOption,
    LimitOption,
    SinceOption,
    TokenOption,
    UntilOption,
    read_query,
    utc,
    utc_short,
)
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, dollars, short, show
from trio_copy.model.ids import TokenId
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.records import Query
from trio_copy.ports import Store

_EVERYTHING = 1 << 40
_FURTHER = 4
"""How much further back each next look goes."""


@frozen
class Trade:
    """A booking that moved shares, and whether it is settled."""

    entry: LedgerEntry
    settlement: str
    """firm, provisional or reversed."""
    label: str | None


COLUMNS: tuple[Column[Trade], ...] = (
    Column("booked_at", lambda row: utc(row.entry.booked_at), shown=utc_short),
    Column("follower", lambda row: row.entry.follower),
    Column("leader", lambda row: row.entry.leader, shown=short, detail=True),
    Column("side", lambda row: row.entry.side.value),
    Column("label", lambda row: row.label, detail=True, elastic=True),
    Column("shares", lambda row: str(row.entry.shares), right=True),
    Column("price", lambda row: None if row.entry.price is None else str(row.entry.price), right=True),
    Column("notional", lambda row: str(row.entry.notional), right=True, shown=dollars, detail=True),
    Column("fee", lambda row: str(row.entry.fee), right=True, shown=dollars, detail=True),
    Column("slippage_bps", lambda row: row.entry.slippage_bps, right=True),
    Column("settlement", lambda row: row.settlement, detail=True),
    Column("kind", lambda row: row.entry.kind.value, detail=True),
    Column("token_id", lambda row: str(row.entry.token_id), shown=short, detail=True),
    Column("task_id", lambda row: row.entry.task_id, shown=lambda name: str(name)[:12]),
)


def trades(
    *,
    follower: FollowerOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """List what was bought, sold and redeemed, newest first.

    Slippage compares the price with the leader's, in basis points; positive is worse. `trio-copy explain trade` tells the
    whole story of the task id in the last column.
    """
    query = read_query(follower, leader, token, since, until, limit)
    plan = find_plan(conf, redactor)
    labels = labels_of(plan)
    rows = ask_store(plan, lambda store: _newest(store, query, labels))
    show(COLUMNS, rows, json=json, csv_=csv, empty="nothing was traded")
    return 0


async def _newest(store: Store, query: Query, labels: Mapping[TokenId, str]) -> list[Trade]:
    """Read from the newest entry back until there are enough; a big ledger is not read whole for its last page."""
    # A confirmation or reversal is an entry of its own, newer than what it is about: what is met here was met with it.
    some = Query(
        follower=query.follower,
        leader=query.leader,
        token_id=query.token_id,
        since=query.since,
        limit=query.limit if query.until is None else _EVERYTHING,
    )
    while True:
        entries = await store.history.entries(some)
        about = {entry.of: entry.kind for entry in entries if entry.of}
        rows = [
            Trade(entry, _settlement(entry, about.get(entry.key)), labels.get(entry.token_id))
            for entry in entries
            if entry.shares and (query.until is None or entry.booked_at < query.until)
        ]
        if len(rows) >= query.limit or len(entries) < some.limit:
            return rows[: query.limit]
        some = evolve(some, limit=some.limit * _FURTHER)


def _settlement(entry: LedgerEntry, later: EntryKind | None) -> str:
    if later is EntryKind.REVERSE:
        return "reversed"
    return "firm" if entry.firm or later is EntryKind.CONFIRM else "provisional"
