"""What an account tells, as facts to be stored, and back.

A fact is kept for as long as people ask, so its body holds what stands nowhere else: not what the fact itself says (whose
it is, and its ids), and not twice what its parts share. None stands for the same as there.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from trio_copy.accounts.first_facts import first_record_of
from trio_copy.accounts.plain import (
    AGGREGATES,
    REREAD,
    UNSENT,
    Plain,
    PlainError,
    entry_of,
    intent_of,
    number_of,
    outcome_of,
    plain_entry,
    plain_intent,
    plain_outcome,
    plain_reason,
    plain_report,
    plain_signal,
    plain_task,
    reason_of,
    report_of,
    signal_of,
)
from trio_copy.accounts.sighted import plain_sighting, sighting_of
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd, Told
from trio_copy.model.decisions import CopyTask, End, Skip
from trio_copy.model.facts import Amounts, Fact
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TaskId, TokenId, task_id, token_text
from trio_copy.model.orders import ExecutionReport
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.signals import Signal
from trio_copy.model.units import Price, Shares, Usd

Record = TaskEnd | SkipTold | LedgerEntry
_Part = TypeVar("_Part")
_FORM = 2
_FILLED = (End.FILLED, End.PARTIAL)
_NO_ORDER = OrderId("")
_OF_AN_ENTRY = 7
"""So many numbers of a booking stand before its moment; its reason, if any, behind it."""


def fact_of(told: Told, write: Callable[[Plain], bytes]) -> Fact:
    """Write what an account told, its body with `write`; see `model.facts` for the kinds."""
    record = told.record
    if isinstance(record, TaskEnd):
        return _task_fact(record, told.amounts, write)
    if isinstance(record, SkipTold):
        return _skip_fact(record, told.amounts, write)
    return _entry_fact(record, told.amounts, write)


def record_of(fact: Fact, body: Plain) -> Record:
    """Read what was told; `body` is that of the fact.

    Raises:
        PlainError: it is not what its kind promises.
    """
    try:
        match fact.kind, _form(body):
            case (("filled" | "ended" | "attempt" | "skip" | "entry"), 1):
                return first_record_of(fact, body)
            case (("filled" | "ended" | "attempt"), 2):
                return _task_end_of(fact, body)
            case "skip", 2:
                return _skip_of(fact, body)
            case "entry", 2:
                return _entry_of(fact, body)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise PlainError(f"expected a stored fact of kind {fact.kind}, was {str(body)[:80]}: {error}") from error
    raise PlainError(f"expected a known kind of fact, was {fact.kind}")


def entry_in(fact: Fact, body: Sequence[_Part], read: Callable[[_Part], Any]) -> LedgerEntry | None:
    """Read of what was told the booking alone, which costs a fifth of the whole; None where there is none.

    `body` has parts of which `read` makes plain values.

    Raises:
        PlainError: it is not what its kind promises.
    """
    try:
        if _form([read(body[0])]) == 1:
            plain = read(body[1 if fact.kind == "entry" else 4])
            return None if plain is None else entry_of(plain)
        if fact.kind == "entry":
            return _entry_of(fact, [read(part) for part in body])
        entry = read(body[5])
        return None if entry is None else _fill_of(fact, entry, read(body[4]))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise PlainError(f"expected a stored booking in a fact of kind {fact.kind}: {error}") from error


def _form(body: Plain) -> int:
    if not body or body[0] not in (1, _FORM):
        raise PlainError(f"expected a fact in form 1 or {_FORM}")
    return number_of(body[0])


# ------------------------------------------------------------------------------------------------------- how a task ended


def _task_fact(end: TaskEnd, amounts: Amounts, write: Callable[[Plain], bytes]) -> Fact:
    task, outcome, order, entry = end.task, end.outcome, end.order, end.entry
    signal, token_id = task.signal, task.intent.token_id
    if outcome is None:
        key, kind = f"{task.task_id}:{task.attempt}", "attempt"
    else:
        key, kind = task.task_id, "filled" if outcome.end in _FILLED else "ended"
    body = [
        _FORM,
        _plain_signal_apart(signal, token_id),
        _plain_task_apart(task),
        None if outcome is None else plain_outcome(outcome),
        None if order is None else _plain_order_end(order, end),
        None if entry is None else _plain_fill(entry),
    ]
    if end.sighting is not None:
        body.append(plain_sighting(end.sighting))
    return Fact(
        key,
        kind,
        end.at,
        task.follower,
        signal.leader,
        token_id,
        write(body),
        amounts,
        signal.signal_id,
        task.task_id,
        _NO_ORDER if order is None else order.order_id,
    )


def _task_end_of(fact: Fact, body: Plain) -> TaskEnd:
    _, signal, task, outcome, order, entry, *sighting = body
    of = _task_of(fact, task, _signal_of(fact, signal))
    ended = None if order is None else _order_end_of(fact, order, of)
    return TaskEnd(
        task=of,
        outcome=None if outcome is None else outcome_of(outcome),
        order=ended,
        entry=None if entry is None else _fill_of(fact, entry, order),
        at=fact.at,
        sighting=sighting_of(*sighting) if sighting else None,
    )


def _plain_signal_apart(signal: Signal, token_id: TokenId) -> Sequence[object]:
    _, chain_id, exchange, _, role, side, token, *rest = plain_signal(signal)
    return (chain_id, exchange, role, side, None if signal.token_id == token_id else token, *rest)


def _signal_of(fact: Fact, plain: Plain) -> Signal:
    chain_id, exchange, role, side, token, *rest = plain
    token = token_text(fact.token_id) if token is None else token
    return signal_of([fact.signal_id, chain_id, exchange, fact.leader, role, side, token, *rest])


def _plain_task_apart(task: CopyTask) -> Plain:
    _, _, _, executor, _, *rest = plain_task(task)
    side, _, *amounts = plain_intent(task.intent)
    return [executor, side, *amounts, *rest]


def _task_of(fact: Fact, plain: Plain, signal: Signal) -> CopyTask:
    executor, side, *intent, deadline, attempt, decided_at, not_before, flags = plain
    return CopyTask(
        task_id=fact.task_id,
        signal=signal,
        follower=fact.follower,
        executor=executor,
        intent=intent_of([side, token_text(fact.token_id), *intent], signal),
        deadline=deadline,
        attempt=attempt,
        decided_at=decided_at,
        not_before=not_before,
        aggregates=bool(flags & AGGREGATES),
        reread=bool(flags & REREAD),
        unsent=flags // UNSENT,
    )


def _plain_order_end(order: OrderEnd, end: TaskEnd) -> Plain:
    task = end.task
    return [
        order.key,
        None if order.executor == task.executor else order.executor,
        None if order.side is task.intent.side else order.side._value_,
        None if order.token_id == task.intent.token_id else token_text(order.token_id),
        order.shares.micro,
        order.limit_price.micro,
        order.cost.micro,
        list(order.members),
        order.state,
        order.placed_at,
        None if order.at == end.at else order.at,
        None if order.report is None else plain_report(order.report, order.order_id),
    ]


def _order_end_of(fact: Fact, plain: Plain, task: CopyTask) -> OrderEnd:
    key, executor, side, token_id, shares, limit, cost, members, state, placed_at, at, report = plain
    return OrderEnd(
        key=IntentKey(key),
        order_id=fact.order_id,
        executor=task.executor if executor is None else executor,
        side=task.intent.side if side is None else Side(side),
        token_id=fact.token_id if token_id is None else TokenId(int(token_id)),
        shares=Shares(shares),
        limit_price=Price(limit),
        cost=Usd(cost),
        members=tuple(map(TaskId, members)),
        report=None if report is None else _report_of(fact, report),
        state=state,
        placed_at=placed_at,
        at=fact.at if at is None else at,
    )


def _report_of(fact: Fact, plain: Plain) -> ExecutionReport:
    of, *rest = plain
    return report_of([fact.order_id if of is None else of, *rest])


def _plain_fill(entry: LedgerEntry) -> Plain:
    # How much it was stands in the report, whose it was in the fact: see `entries.fill_entry`.
    return [entry.side._value_, entry.leader_shares.micro, entry.reference.micro, int(entry.firm), entry.booked_at]


def _fill_of(fact: Fact, plain: Plain, order: Plain) -> LedgerEntry:
    side, leader_shares, reference, firm, booked_at = plain
    _, _, shares, notional, fee, *_ = order[-1]
    return LedgerEntry(
        order[0],
        fact.task_id,
        fact.signal_id,
        fact.follower,
        fact.leader,
        fact.token_id,
        Side(side),
        Shares(shares),
        Usd(notional),
        Usd(fee),
        booked_at,
        Shares(leader_shares),
        Price(reference),
        bool(firm),
    )


# ------------------------------------------------------------------------------------------------------- skips, bookings


def _skip_fact(told: SkipTold, amounts: Amounts, write: Callable[[Plain], bytes]) -> Fact:
    signal, skip = told.signal, told.skip
    task = task_id(signal.signal_id, skip.follower)
    return Fact(
        key=f"{task}:skip",
        kind="skip",
        at=told.at,
        follower=skip.follower,
        leader=signal.leader,
        token_id=signal.token_id,
        signal_id=signal.signal_id,
        task_id=task,
        amounts=amounts,
        body=write([_FORM, _plain_signal_apart(signal, signal.token_id), plain_reason(skip.reason)]),
    )


def _skip_of(fact: Fact, body: Plain) -> SkipTold:
    _, signal, reason = body
    skip = Skip(signal_id=fact.signal_id, follower=fact.follower, leader=fact.leader, reason=reason_of(reason))
    return SkipTold(skip=skip, signal=_signal_of(fact, signal), at=fact.at)


def _entry_fact(entry: LedgerEntry, amounts: Amounts, write: Callable[[Plain], bytes]) -> Fact:
    _, kind, of, _, _, _, _, _, *rest = plain_entry(entry)
    del rest[_OF_AN_ENTRY]  # when it was booked, which the fact says
    return Fact(
        key=entry.key,
        kind="entry",
        at=entry.booked_at,
        follower=entry.follower,
        leader=entry.leader,
        token_id=entry.token_id,
        signal_id=entry.signal_id,
        task_id=entry.task_id,
        amounts=amounts,
        body=write([_FORM, kind, of, *rest]),
    )


def _entry_of(fact: Fact, body: Plain) -> LedgerEntry:
    _, kind, of, *rest = body
    ids = (fact.task_id, fact.signal_id, fact.follower, fact.leader, token_text(fact.token_id))
    return entry_of([fact.key, kind, of, *ids, *rest[:_OF_AN_ENTRY], fact.at, *rest[_OF_AN_ENTRY:]])
