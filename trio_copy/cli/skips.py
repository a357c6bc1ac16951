"""`trio-copy skips`"""

from pathlib import Path

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
from trio_copy.cli.suggest import pasteable
from trio_copy.cli.tables import Column, Csv, Json, short, showing
from trio_copy.engine.books.books import NotCopied, tell_not_copied
from trio_copy.ports import Store
from trio_copy.telemetry.visible import with_short_ids


@frozen
class _Row:
    copy: NotCopied
    label: str | None
    conf: Path | None = None


_TRADE: tuple[Column[_Row], ...] = (
    Column("at", lambda row: utc(row.copy.at), shown=utc_short),
    Column("follower", lambda row: row.copy.follower),
    Column("leader", lambda row: row.copy.leader, shown=short, detail=True),
    Column("side", lambda row: row.copy.side.value, detail=True),
    Column("leader_shares", lambda row: str(row.copy.leader_shares), right=True, detail=True),
    Column(
        "leader_price",
        lambda row: None if row.copy.leader_price is None else str(row.copy.leader_price),
        right=True,
        detail=True,
    ),
    Column("label", lambda row: row.label, missing=lambda row: token_name(row.copy.token_id), detail=True, tail=True),
    Column("code", lambda row: row.copy.reason.code.name),
)
_REASON: tuple[Column[_Row], ...] = (
    Column("control", lambda row: row.copy.reason.control),
    Column("value", lambda row: row.copy.reason.value),
    Column("limit", lambda row: row.copy.reason.limit),
)
_WHY: Column[_Row] = Column(
    "why", lambda row: pasteable(with_short_ids(row.copy.reason.because), row.conf), elastic=True
)
"""The same in one sentence, which takes as many lines as it needs: a control is looked up, and must be whole."""
_IDS: tuple[Column[_Row], ...] = (
    Column("token_id", lambda row: str(row.copy.token_id), shown=short, detail=True),
    Column("signal_id", lambda row: row.copy.signal_id, shown=lambda name: str(name)[:12], detail=True),
)
COLUMNS = (*_TRADE, *_REASON, *_IDS)
_BY_NAME = {column.name: column for column in COLUMNS}
FOR_PEOPLE = (
    # On a narrow terminal what is named last goes first.
    *(_BY_NAME[name] for name in ("at", "follower", "leader", "code")),
    _WHY,
    *(_BY_NAME[name] for name in ("side", "label", "leader_shares", "leader_price", "token_id", "signal_id")),
)


def skips(
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
    """List copies that were not made, newest first: the code, the control that said no, what it met and its limit.

    A copy is missing because a filter did not want it, a limit refused it, the venue refused it, or its time was over.
    docs/events.md says what each code means.
    """
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    query = read_query(follower, leader, token, since, until, limit, names)
    people, empty = with_names(FOR_PEOPLE, names), nothing("nothing was skipped", plan, follower)
    with showing(COLUMNS, json=json, csv_=csv, empty=empty, people=people) as tell:

        async def ask(store: Store) -> None:
            labels = await labels_of(store, plan)
            await tell_not_copied(
                store.history, query, lambda one: tell(_Row(one, labels.get(one.token_id), plan.path))
            )

        ask_store(plan, ask)
    return 0
