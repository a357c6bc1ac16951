"""`trio-copy positions`"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

from trio_copy.cli.labels import labels_of
from trio_copy.cli.named_leaders import find_leaders, with_names
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import FollowerOption, LeaderOption, TokenOption, nothing, read_query, utc, utc_short
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, dollars, short, show, signed_dollars, text_or_none
from trio_copy.cli.wrapped import how_to_settle, is_wrapped
from trio_copy.engine.books.books import earned_positions, held
from trio_copy.model.facts import FactQuery
from trio_copy.model.ids import TokenId
from trio_copy.model.positions import Mark, Position, PositionKey
from trio_copy.model.units import Rounding, Usd
from trio_copy.ports import Store

EVERYTHING = FactQuery(kinds=())
NO_LABELS: Mapping[TokenId, str] = MappingProxyType({})


@frozen
class HeldPosition:
    """A position with what it could be sold for."""

    key: PositionKey
    position: Position
    mark: Mark | None
    label: str | None

    @property
    def value(self) -> Usd | None:
        """What it would bring at the last known bid."""
        return None if self.mark is None else self.position.shares.at(self.mark.price, Rounding.DOWN)

    @property
    def unrealised(self) -> Usd | None:
        value = self.value
        return None if value is None else value - self.position.cost


def token_name(token_id: TokenId) -> str:
    """Call a token by its number, where nobody knows what it is about."""
    return f"token {short(str(token_id))}"


COLUMNS: tuple[Column[HeldPosition], ...] = (
    Column("follower", lambda row: row.key[0]),
    Column("leader", lambda row: row.key[1], shown=short, detail=True),
    Column("token_id", lambda row: str(row.key[2]), shown=short, detail=True),
    Column("label", lambda row: row.label, missing=lambda row: token_name(row.key[2]), tail=True),
    Column("shares", lambda row: str(row.position.shares), right=True),
    Column(
        "provisional_shares", lambda row: str(row.position.shares - row.position.firm_shares), right=True, detail=True
    ),
    Column("cost", lambda row: str(row.position.cost), right=True, shown=dollars),
    Column("average_cost", lambda row: text_or_none(row.position.average_cost), right=True, detail=True),
    Column("bid", lambda row: None if row.mark is None else str(row.mark.price), right=True),
    Column("value", lambda row: text_or_none(row.value), right=True, shown=dollars, detail=True),
    Column("unrealised", lambda row: text_or_none(row.unrealised), right=True, shown=signed_dollars),
    Column("realised", lambda row: str(row.position.realised), right=True, shown=signed_dollars),
    Column("provisional", lambda row: str(row.position.provisional), right=True, shown=signed_dollars, detail=True),
    Column("fees", lambda row: str(row.position.fees), right=True, shown=dollars, detail=True),
    Column("opened_at", lambda row: utc(row.position.opened_at or None), shown=utc_short, detail=True),
)


def positions(
    *,
    follower: FollowerOption = None,
    leader: LeaderOption = None,
    token: TokenOption = None,
    all_: bool = False,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """List what is held: shares, cost, and what it would bring at the last known bid.

    Provisional: matched by the venue, not settled on the chain yet; it counts until it fails.

    Parameters
    ----------
    all_: bool
        Positions that were closed, too.
    """
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, token, None, None, 1, names)

    wrapped: list[PositionKey] = []

    def noted(rows: Iterable[HeldPosition]) -> Iterator[HeldPosition]:
        for row in rows:
            if is_wrapped(row.key[2]) and not wrapped:
                wrapped.append(row.key)
            yield row

    async def ask(store: Store) -> Iterable[HeldPosition]:
        labels = await labels_of(store, plan)
        found = noted(await held_positions(store, query, labels))
        if not all_:
            return found  # each is made when it is its turn, and gone when it is written
        rows = {row.key: row for row in found}
        for key, position in (await earned_positions(store.history, query)).items():
            rows.setdefault(key, HeldPosition(key, position, None, labels.get(key[2])))
        return [rows[key] for key in sorted(rows)]

    show(
        with_names(COLUMNS, names),
        ask_store(plan, ask),
        json=json,
        csv_=csv,
        empty=nothing("nothing is held", plan, follower),
    )
    if (hint := how_to_settle(plan, wrapped)) and not (json or csv):
        out(hint)
    return 0


async def held_positions(
    store: Store, query: FactQuery, labels: Mapping[TokenId, str] = NO_LABELS
) -> Iterator[HeldPosition]:
    """Return the positions that a query is about, with their marks, sorted by their keys."""
    found = await held(store.history, query)
    return (HeldPosition(key, position, mark, labels.get(key[2])) for key, position, mark in found)
