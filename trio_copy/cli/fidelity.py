"""`trio-copy fidelity`"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from attrs import evolve, frozen

from trio_copy.cli.named_leaders import find_leaders, with_names
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
)
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, Styled, dollars, short, show
from trio_copy.engine.books.books import walk
from trio_copy.engine.books.fidelity import KINDS, SIZES, STEPS, Fidelity, Group
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.model.facts import Fact, FactQuery
from trio_copy.model.leader_names import LeaderNames
from trio_copy.model.sightings import LOOKS_S
from trio_copy.model.units import Usd
from trio_copy.ports import History

TOTAL = "total"
_EVERYTHING = 1 << 62


@frozen
class Row:
    """One group of copies, and what it is a group of."""

    by: str
    """leader, size or total."""
    name: str
    group: Group


def _signed_bps(bps: int) -> Styled:
    return Styled(str(bps), "red" if bps > 0 else "green" if bps < 0 else "")


def _columns() -> Iterator[Column[Row]]:
    yield Column("name", lambda row: row.name, shown=short)
    yield Column("copies", lambda row: row.group.copies, right=True)
    yield Column("known", lambda row: row.group.known, right=True)
    yield Column("killed", lambda row: row.group.killed, right=True, detail=True)
    yield Column("traded", lambda row: str(Usd(row.group.traded)), right=True, shown=dollars, detail=True)
    for number, name in enumerate(STEPS):
        yield Column(name, _bps_of_step(number), right=True, shown=_signed_bps)
    yield Column("in_all", lambda row: row.group.whole.bps, right=True, shown=_signed_bps, detail=True)
    yield Column("shared", lambda row: row.group.shared.bps, right=True, shown=_signed_bps, detail=True)
    yield Column("in_0s", lambda row: row.group.answer.bps, right=True, shown=_signed_bps, detail=True)
    for number, after_s in enumerate(LOOKS_S):
        yield Column(f"in_{after_s:g}s", _bps_after(number), right=True, shown=_signed_bps)
    for number, after_s in enumerate(LOOKS_S):
        yield Column(f"in_{after_s:g}s_usd", _usd_after(number), right=True, shown=dollars, detail=True)


def _for_machines() -> Iterator[Column[Row]]:
    """Yield what people are told in notes, where it matters."""
    yield Column("shared_copies", lambda row: row.group.shared.copies)
    for number, after_s in enumerate(LOOKS_S):
        for count in ("looked", "short", "by_price", "would_fill"):
            yield Column(f"in_{after_s:g}s_{count}", _count_after(number, count))


def _bps_of_step(number: int) -> Callable[[Row], int | None]:
    return lambda row: row.group.steps[number].bps


def _bps_after(number: int) -> Callable[[Row], int | None]:
    return lambda row: row.group.after[number].bps


def _usd_after(number: int) -> Callable[[Row], str | None]:
    return lambda row: str(Usd(row.group.after[number].worse)) if row.group.after[number].copies else None


def _count_after(number: int, name: str) -> Callable[[Row], int]:
    return lambda row: int(getattr(row.group.after[number], name))


FOR_PEOPLE: tuple[Column[Row], ...] = tuple(_columns())
COLUMNS = (Column[Row]("by", lambda row: row.by), *FOR_PEOPLE, *_for_machines())


def fidelity(
    *,
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
    """Show how far paper was from what the book allowed, then and 1 s, 5 s and 30 s later, by leader and by size of the copy.

    Basis points of what was traded, weighed by money; above 0 is against you. Seen: from the leader's price to the best one when
    his trade was seen here; decided: from there to the order; filled: from there to the fill. In 1s and so on: what the same
    shares would have cost more, or brought less, by the book that long after the fill: so much better was paper. Known: copies of
    which any book was known. docs/money.md says how each figure is worked out.
    """
    if json and csv:
        raise ConfigError(["--json, --csv: expected one of them, got both"])
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, token, since, until, _EVERYTHING, names)
    found = ask_store(plan, lambda store: read_fidelity(store.history, query))
    rows = _rows(found)
    if json or csv:
        show(COLUMNS, rows, json=json, csv_=csv, empty="")
        return 0
    if not found.total.copies + found.total.killed:
        out(nothing("nothing was copied", plan, follower))
        return 0
    _show_people(rows, names)
    for note in _notes(found.total):
        out(f"note: {note}")
    return 0


async def read_fidelity(history: History, query: FactQuery) -> Fidelity:
    """Add up what facts tell, page by page: memory does not grow with how many they are."""
    fidelity = Fidelity()

    def take(page: Sequence[Fact]) -> bool:
        fidelity.take(page)
        return True

    await walk(history, evolve(query, kinds=KINDS), take)
    return fidelity


def _rows(found: Fidelity) -> list[Row]:
    leaders = sorted(found.leaders.items(), key=lambda one: (-one[1].traded, one[0]))
    bounds = [f"{bound:,}" for bound in SIZES]
    between = [f"{low} to {high}" for low, high in pairwise(bounds)]
    sizes = [f"{size} USD" for size in (f"under {bounds[0]}", *between, f"over {bounds[-1]}")]
    return [
        *(Row("leader", leader, group) for leader, group in leaders),
        *(
            Row("size", name, group)
            for name, group in zip(sizes, found.sizes, strict=True)
            if group.copies or group.killed
        ),
        Row(TOTAL, "all", found.total),
    ]


def _show_people(rows: Sequence[Row], names: LeaderNames) -> None:
    for by in ("leader", "size"):
        told = [row for row in rows if row.by in (by, TOTAL)]
        # The head of the first column says what the rows are.
        of = with_names(FOR_PEOPLE, names, "name") if by == "leader" else FOR_PEOPLE
        named = [evolve(column, name=by) if column.name == "name" else column for column in of]
        show(named, told, json=False, csv_=False, empty="")
        out("")


def _notes(total: Group) -> Iterator[str]:
    if not total.known:
        yield (
            "no book was ever known: no market source ran, or none was reached, while these were copied; [markets.NAME] in the"
            " configuration names one (docs/money.md)"
        )
        return
    orders = total.copies + total.killed
    if total.known < orders:
        yield f"of {counted(orders - total.known, 'order')} no book was known: left out of what needs one"
    by_price = max(after.by_price for after in total.after)
    if by_price:
        yield f"of {counted(by_price, 'order')} only the best price was known later, which is taken for all their shares"
    short = max(after.short for after in total.after)
    if short:
        yield f"for {counted(short, 'order')} the book held too little later: compared is what it held"
    if total.killed:
        found = max(after.would_fill for after in total.after)
        yield f"{counted(total.killed, 'order')} filled nothing; {found} of them could have been filled within their limit later"
