"""`trio-copy trades`"""

from attrs import frozen

from trio_copy.cli.labels import labels_of
from trio_copy.cli.named_leaders import find_leaders, with_names
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.positions import token_name
from trio_copy.cli.queries import (
    FollowerOption,
    LeaderOption,
    LimitOption,
    SinceOption,
    TokenOption,
    UntilOption,
    nothing,
    read_query,
    utc,
    utc_short,
)
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, dollars, short, showing, text_or_none
from trio_copy.engine.books.books import Trade, tell_trades
from trio_copy.model.positions import LedgerEntry
from trio_copy.ports import Store


@frozen
class _Row:
    trade: Trade
    label: str | None

    @property
    def entry(self) -> LedgerEntry:
        return self.trade.entry


COLUMNS: tuple[Column[_Row], ...] = (
    Column("booked_at", lambda row: utc(row.entry.booked_at), shown=utc_short),
    Column("follower", lambda row: row.entry.follower),
    Column("leader", lambda row: row.entry.leader, shown=short, detail=True),
    Column("side", lambda row: row.entry.side.value),
    Column("label", lambda row: row.label, missing=lambda row: token_name(row.entry.token_id), tail=True),
    Column("shares", lambda row: str(row.entry.shares), right=True),
    Column("price", lambda row: text_or_none(row.entry.price), right=True),
    Column("notional", lambda row: str(row.entry.notional), right=True, shown=dollars, detail=True),
    Column("fee", lambda row: str(row.entry.fee), right=True, shown=dollars, detail=True),
    Column("slippage_bps", lambda row: row.entry.slippage_bps, right=True, detail=True),
    Column("settlement", lambda row: row.trade.settlement, detail=True),
    Column("kind", lambda row: row.entry.kind.value, detail=True),
    Column("token_id", lambda row: str(row.entry.token_id), shown=short, detail=True),
    Column("task_id", lambda row: row.entry.task_id, shown=lambda name: str(name)[:8]),
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
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, token, since, until, limit, names)

    with showing(
        with_names(COLUMNS, names), json=json, csv_=csv, empty=nothing("nothing was traded", plan, follower)
    ) as tell:

        async def ask(store: Store) -> None:
            labels = await labels_of(store, plan)
            await tell_trades(store.history, query, lambda trade: tell(_Row(trade, labels.get(trade.entry.token_id))))

        ask_store(plan, ask)
    return 0
