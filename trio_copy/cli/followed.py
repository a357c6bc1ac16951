"""Those who are followed, ranked by what copying them brought: `trio-copy leaders` without a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from trio_copy.cli.named_leaders import find_leaders, with_names
from trio_copy.cli.opened import ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.tables import Column, dollars, short, show, signed_dollars
from trio_copy.cli.verdicts import percent, signed_percent
from trio_copy.engine.books.brought import Books, Brought, read_brought
from trio_copy.engine.books.fidelity import Group
from trio_copy.model.counts import counted
from trio_copy.model.follow_columns import FollowColumns
from trio_copy.model.ids import Address
from trio_copy.model.sightings import LOOKS_S
from trio_copy.model.units import Usd
from trio_copy.ports import Store
from trio_copy.telemetry.redaction import Redactor


@frozen
class Followed:
    """What one leader has brought; of one who was never copied, nothing."""

    leader: Address
    followed: bool
    """Still, and not only once."""
    brought: Brought
    group: Group


def _bps_after(number: int) -> Callable[[Followed], int | None]:
    return lambda row: row.group.after[number].bps


def _unrealised(row: Followed) -> str | None:
    return None if row.brought.without_bid else str(Usd(row.brought.unrealised))


COLUMNS: tuple[Column[Followed], ...] = (
    Column("leader", lambda row: row.leader, shown=short),
    Column("earned", lambda row: str(Usd(row.brought.earned)), right=True, shown=signed_dollars),
    Column("return", lambda row: row.brought.return_bps, right=True, shown=signed_percent),
    Column("at_risk", lambda row: str(Usd(row.brought.at_risk)), right=True, shown=dollars),
    Column("drawdown", lambda row: str(Usd(row.brought.drawdown)), right=True, shown=dollars),
    Column("copies", lambda row: row.group.copies, right=True),
    Column("won", lambda row: row.brought.win_bps, right=True, shown=percent, detail=True),
    Column("realised", lambda row: str(Usd(row.brought.realised)), right=True, shown=signed_dollars, detail=True),
    Column("unrealised", _unrealised, right=True, shown=signed_dollars, detail=True),
    Column("slip_bps", lambda row: row.group.whole.bps, right=True, detail=True),
    *(
        Column[Followed](f"in_{after_s:g}s", _bps_after(number), right=True, detail=True)
        for number, after_s in enumerate(LOOKS_S)
    ),
    Column("fees", lambda row: str(Usd(row.brought.fees)), right=True, shown=dollars, detail=True),
    Column("followed", lambda row: "yes" if row.followed else "no", detail=True),
)


def rank_followed(conf: Path | None, redactor: Redactor, *, json: bool, csv: bool) -> int:
    """Rank the leaders of a store by what copying them brought, the best first.

    Raises:
        ConfigError: there is no such store, or both forms were asked for.
    """
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)

    async def ask(store: Store) -> Sequence[Followed]:
        _, follows = await store.follows.load()
        columns = FollowColumns.of(follows)
        leaders = {columns.leaders[number] for number in set(columns.of_leader)}
        leaders.update(follow.leader for follow in plan.settings.follows())
        return _ranked(leaders, await read_brought(store.history))

    rows = ask_store(plan, ask)
    show(with_names(COLUMNS, names), rows, json=json, csv_=csv, empty="nobody is followed, and nobody was")
    without_bid = sum(row.brought.without_bid for row in rows)
    if without_bid and not (json or csv):
        out(f"note: {counted(without_bid, 'position')} held without a known bid: counted as worth what it cost")
    return 0


def _ranked(followed: set[Address], books: Books) -> Sequence[Followed]:
    groups = books.fidelity.leaders
    rows = [
        Followed(leader, leader in followed, books.leaders.get(leader) or Brought(), groups.get(leader) or Group())
        for leader in followed | books.leaders.keys()
    ]
    # Of those who were never copied nothing is known: they are no better than those who lost something.
    return sorted(rows, key=lambda row: (not row.group.copies, -row.brought.earned, row.leader))
