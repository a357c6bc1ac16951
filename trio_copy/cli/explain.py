"""`trio-copy explain follow | trade`"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from trio_copy.accounts import OrderState
from trio_copy.accounts.telling import OrderEnd
from trio_copy.cli.book_lines import Line, book_lines
from trio_copy.cli.follow_files import as_typed
from trio_copy.cli.follow_lookup import find_follow
from trio_copy.cli.labels import labels_of
from trio_copy.cli.named_leaders import find_leaders, with_name
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out, out_json
from trio_copy.cli.queries import utc
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import pasteable, suggested
from trio_copy.cli.tables import Column, Csv, Json, Styled, short, show
from trio_copy.engine.books.stories import Story, stories
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Kind
from trio_copy.model.ids import TokenId
from trio_copy.model.layers import DEFAULT, Effective, Layer
from trio_copy.model.orders import Status
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.signals import Signal
from trio_copy.ports import Store
from trio_copy.records import encode, plain_layer
from trio_copy.telemetry.visible import visible

if TYPE_CHECKING:
    from rich.table import Table

app = App(
    name="explain",
    help="Say why: which settings are in force and where they come from, and how one copy came about.",
)

_NAME_LEAST = 4
_OPEN = {
    OrderState.PLACED.value: ": it may have been sent",
    OrderState.UNKNOWN.value: ": nobody can say yet whether it was filled",
    OrderState.RESTING.value: " at the venue: what it fills is booked as it is learned",
    OrderState.MATCHED.value: ": the chain has the last word",
}
_SELLS = {"all": "all that is held", "proportional": "the leader's part of what is held"}
_BOOKED = {
    EntryKind.CONFIRM: "firm from here on: the chain has settled it",
    EntryKind.REVERSE: "taken back: it was matched, and never settled",
    EntryKind.MISSED: "nothing: the leader sold and this copy did not, only what is known to be left to the leader changes",
}
_BREACHED = "its executor reported what cannot be: nothing of that is booked; look at the venue, then `trio-copy orders settle --help`"
_COLUMNS: tuple[Column[Effective], ...] = (
    Column("setting", lambda row: row.path),
    Column("value", lambda row: _plain(row), shown=as_typed, elastic=True),
    Column("origin", lambda row: row.origin, shown=lambda origin: Styled(origin, "" if origin == DEFAULT else "cyan")),
    Column("rule", lambda row: row.merge.value, detail=True),
)


@app.command
def follow(
    name: Annotated[str, Parameter(help="FOLLOWER:LEADER, the leader by address or name.")],
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """Show every setting in force for a follow, and which level set it: engine, leader, follower or follow."""
    plan = find_plan(conf, redactor)
    found = ask_store(plan, lambda store: find_follow(store, name, plan))
    terms = plan.settings.terms()
    if found.follower not in terms.followers:
        raise ConfigError([f'{name}: the configuration has no [[follower]] "{found.follower}"'])
    show(_COLUMNS, terms.explain(found), json=json, csv_=csv, empty="nothing is set")
    return 0


@app.command
def trade(
    name: Annotated[str, Parameter(help="A task id, signal id or order id, or the beginning of one.")],
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
    json: Json = False,
) -> int:
    """Tell the whole story of a copy: the leader's log, the decision, the order, the venue's answer, the booking."""
    if len(name) < _NAME_LEAST:
        raise ConfigError([f'expected at least {_NAME_LEAST} letters of an id, got "{name}"'])
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)

    async def ask(store: Store) -> tuple[Sequence[Story], Mapping[TokenId, str]]:
        return await stories(store.history, name), await labels_of(store, plan)

    told, labels = ask_store(plan, ask)
    if not told:
        raise ConfigError(
            [
                f'expected the beginning of a task, signal or order id, got "{name}"; they are listed by:'
                f" {suggested('trades', conf=plan.path)}"
            ]
        )
    if json:
        for story in told:
            out_json(msgspec.Raw(encode(story).encode()))
        return 0
    for story in told:
        token = story.record.task.intent.token_id
        leader = with_name(story.record.task.signal.leader, names)
        bare = _lines(story, leader, labels.get(token, f"token {token}"))
        _tell(story, _in_time((at, step, pasteable(what, plan.path)) for at, step, what in bare))
    return 0


def _tell(story: Story, lines: Sequence[Line]) -> None:
    if sys.stdout.isatty():
        from trio_copy.cli.printer import console  # not above: it brings Rich, which a pipe needs not

        console().print(_page(story, lines))
        return
    out(visible(story.record.task.task_id))
    widest = max(len(step) for _, step, _ in lines)
    for at, step, what in lines:
        out(f"{utc(at) or '':<24}  {step:<{widest}}  {visible(what)}".rstrip())


def _page(story: Story, lines: Sequence[Line]) -> "Table":
    from rich.table import Table

    page = Table(
        box=None, show_header=False, pad_edge=False, title=visible(story.record.task.task_id), title_justify="left"
    )
    page.add_column(style="dim", no_wrap=True)
    page.add_column(no_wrap=True)
    page.add_column()
    for at, step, what in lines:
        page.add_row(utc(at) or "", step, visible(what))
    return page


def _in_time(lines: Iterator[Line]) -> list[Line]:
    """Put lines into the order of time; one without a time stays behind the one it belongs to."""
    blocks: list[list[Line]] = []
    for line in lines:
        if line[0] is None and blocks:
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return [line for block in sorted(blocks, key=lambda block: block[0][0] or 0.0) for line in block]


def _lines(story: Story, leader: str, label: str) -> Iterator[Line]:
    """Yield when, which step, and what happened, from the leader's log to the booking."""
    record = story.record
    task, intent = record.task, record.task.intent
    signal = task.signal
    yield from _own_exit(signal, leader, label) if signal.kind is Kind.EXIT else _leader_lines(signal, leader, label)
    size = f"{intent.shares} shares" if intent.shares else _SELLS.get(intent.sell, intent.sell)
    rests = f", which may rest until {utc(intent.rest_until)}" if intent.rest_until else ""
    yield (
        task.decided_at,
        "decided",
        f"{task.follower} wants {intent.side.value} {size}, limit {intent.limit_price}, {intent.order_type}{rests}",
    )
    if task.not_before > task.decided_at:
        yield task.not_before, "waited", "for its delay, or for others to gather"
    for order in story.orders:
        yield from _order_lines(order, task, rested=order.key in story.rested)
        yield from book_lines(order, story.sightings.get(order.key), story.looks.get(order.key), signal.seen_at)
        why = story.called_off.get(order.key)
        if why is not None:
            yield order.at, "called off", f"{why.text}; the venue has not said yet what came of it"
        if order.key in story.breached:
            yield order.at, "breach", _BREACHED
    for entry in story.entries:
        corrects = entry.kind is EntryKind.CORRECT
        told = _correction(entry) if corrects else _BOOKED.get(entry.kind) or _booking(entry, signal.kind)
        yield entry.booked_at, "booked", told
    if record.outcome is None:
        yield None, "now", record.state
    else:
        reason = record.outcome.reason
        yield record.ended_at, "ended", record.outcome.end.value + ("" if reason is None else f": {reason.text}")


def _leader_lines(signal: Signal, leader: str, label: str) -> Iterator[Line]:
    price = "without a price" if signal.price is None else f"at {signal.price}"
    traded = f"{signal.kind.value} {signal.side.value} {signal.shares} {price}: {label}"
    yield signal.block_time, "leader", f"{leader} {traded}"
    where = f"as {signal.role.value.lower()} on {short(signal.exchange)}"
    yield None, "", f"block {signal.block_number}, tx {signal.tx_hash}, {where}"
    late_ms = 1000 * (signal.seen_at - signal.block_time)
    yield signal.seen_at, "seen", f"{late_ms:.0f} ms after its block; signal {signal.signal_id}"


def _own_exit(signal: Signal, leader: str, label: str) -> Iterator[Line]:
    """Tell what no leader did: such a signal has neither a transaction nor an exchange, and nobody had to see it."""
    yield signal.seen_at, "own exit", f"by a rule of `leaving`, or by hand, at a bid of {signal.price}: {label}"
    yield None, "", f"{signal.shares} shares are held that were copied from {leader}; signal {signal.signal_id}"


def _order_lines(order: OrderEnd, task: CopyTask, *, rested: bool) -> Iterator[Line]:
    yield (
        order.placed_at,
        "taken up",
        f"by a worker of {order.executor}; nothing is sent after {utc(task.deadline)}",
    )
    yield (
        order.placed_at,
        "frozen",
        f"{order.side.value} {order.shares} limit {order.limit_price}; order {order.order_id}",
    )
    if order.members:
        whose = "" if task.task_id not in order.members else ", on behalf of another task"
        yield None, "", f"with {counted(len(order.members), 'more task')} in it{whose}"
    report = order.report
    if report is not None and report.status is not Status.ABSENT:
        yield order.placed_at, "sent", f"to {order.executor}"
    if rested:
        long = "" if order.state == OrderState.RESTING.value else f", for {order.at - order.placed_at:.0f} s"
        yield order.placed_at, "rested", f"on the venue's book, at {order.limit_price}{long}"
    if report is not None:
        filled = f" {report.shares} for {report.notional} USD, fee {report.fee}" if report.shares else ""
        detail = f"; {report.detail}" if report.detail else ""
        yield order.at, "outcome", f"{report.status.value}{filled}, {report.settlement.value}{detail}"
    if order.state != OrderState.ENDED.value:
        yield order.at, "open", f"it is {order.state}{_OPEN.get(order.state, '')}"


def _booking(entry: LedgerEntry, kind: Kind) -> str:
    against = "bid" if kind is Kind.EXIT else "leader"
    slipped = "" if entry.slippage_bps is None else f", {entry.slippage_bps:+d} bps against the {against}"
    filled = f"{entry.side.value} {entry.shares} for {entry.notional} USD, fee {entry.fee}"
    return f"{filled}{slipped}, {'firm' if entry.firm else 'provisional'}"


def _correction(entry: LedgerEntry) -> str:
    shares, money, fee = (
        f"{'+' if part.micro > 0 else ''}{part}" for part in (entry.shares, entry.notional, entry.fee)
    )
    return f"corrected by {shares} shares for {money} USD, fee {fee}: {entry.why}"


def _plain(row: Effective) -> Any:  # noqa: ANN401  a plain value
    own: Layer = ((row.path, row.value),)
    return plain_layer(own)[row.path]
