"""What an account tells, as facts to be stored, and back."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from trio_copy.accounts.plain import (
    Plain,
    PlainError,
    entry_of,
    first,
    outcome_of,
    plain_entry,
    plain_outcome,
    plain_reason,
    plain_report,
    plain_signal,
    plain_task,
    reason_of,
    report_of,
    signal_of,
    task_of,
    token_text,
)
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd, Told
from trio_copy.model.decisions import End, Skip
from trio_copy.model.facts import Amounts, Fact
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, IntentKey, OrderId, TaskId, TokenId, task_id
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.units import Price, Shares, Usd

Record = TaskEnd | SkipTold | LedgerEntry
_Part = TypeVar("_Part")
_FILLED = (End.FILLED, End.PARTIAL)
_NO_ORDER = OrderId("")


def fact_of(told: Told, write: Callable[[Plain], bytes]) -> Fact:
    """Write what an account told, its body with `write`; see `model.facts` for the kinds."""
    record = told.record
    if isinstance(record, TaskEnd):
        return _task_fact(record, told.amounts, write)
    if isinstance(record, SkipTold):
        return _skip_fact(record, told.amounts, write)
    return Fact(
        key=record.key,
        kind="entry",
        at=record.booked_at,
        follower=record.follower,
        leader=record.leader,
        token_id=record.token_id,
        signal_id=record.signal_id,
        task_id=record.task_id,
        amounts=told.amounts,
        body=write([1, plain_entry(record)]),
    )


def record_of(kind: str, body: Plain) -> Record:
    """Read what was told.

    Raises:
        PlainError: it is not what its kind promises.
    """
    try:
        match kind:
            case "filled" | "ended" | "attempt":
                return _task_end_of(body)
            case "skip":
                return _skip_of(body)
            case "entry":
                _, entry = first(body)
                return entry_of(entry)
    except (ValueError, TypeError, KeyError) as error:
        raise PlainError(f"expected a stored fact of kind {kind}, was {str(body)[:80]}: {error}") from error
    raise PlainError(f"expected a known kind of fact, was {kind}")


def entry_in(kind: str, body: Sequence[_Part], read: Callable[[_Part], Any]) -> LedgerEntry | None:
    """Read of what was told the booking alone, which costs a fifth of the whole; None where there is none.

    `body` has parts of which `read` makes plain values.

    Raises:
        PlainError: it is not what its kind promises.
    """
    try:
        first([read(body[0])])
        plain = read(body[1 if kind == "entry" else 4])
        return None if plain is None else entry_of(plain)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise PlainError(f"expected a stored booking in a fact of kind {kind}: {error}") from error


def _task_fact(end: TaskEnd, amounts: Amounts, write: Callable[[Plain], bytes]) -> Fact:
    task, outcome, order, entry = end.task, end.outcome, end.order, end.entry
    signal = task.signal
    if outcome is None:
        key, kind = f"{task.task_id}:{task.attempt}", "attempt"
    else:
        key, kind = task.task_id, "filled" if outcome.end in _FILLED else "ended"
    body = [
        1,
        plain_task(task),
        None if outcome is None else plain_outcome(outcome),
        None if order is None else _plain_order_end(order),
        None if entry is None else plain_entry(entry),
        end.at,
    ]
    return Fact(
        key,
        kind,
        end.at,
        task.follower,
        signal.leader,
        task.intent.token_id,
        write(body),
        amounts,
        signal.signal_id,
        task.task_id,
        _NO_ORDER if order is None else order.order_id,
    )


def _task_end_of(body: Plain) -> TaskEnd:
    _, task, outcome, order, entry, at = first(body)
    return TaskEnd(
        task=task_of(task),
        outcome=None if outcome is None else outcome_of(outcome),
        order=None if order is None else _order_end_of(order),
        entry=None if entry is None else entry_of(entry),
        at=at,
    )


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
        body=write([1, plain_signal(signal), skip.follower, plain_reason(skip.reason), told.at]),
    )


def _skip_of(body: Plain) -> SkipTold:
    _, signal, follower, reason, at = first(body)
    of = signal_of(signal)
    skip = Skip(signal_id=of.signal_id, follower=FollowerId(follower), leader=of.leader, reason=reason_of(reason))
    return SkipTold(skip=skip, signal=of, at=at)


def _plain_order_end(order: OrderEnd) -> Plain:
    return [
        order.key,
        order.order_id,
        order.executor,
        order.side._value_,
        token_text(order.token_id),
        order.shares.micro,
        order.limit_price.micro,
        order.cost.micro,
        list(order.members),
        None if order.report is None else plain_report(order.report),
        order.state,
        order.placed_at,
        order.at,
    ]


def _order_end_of(plain: Plain) -> OrderEnd:
    key, order_id, executor, side, token_id, shares, limit, cost, members, report, state, placed_at, at = plain
    return OrderEnd(
        key=IntentKey(key),
        order_id=OrderId(order_id),
        executor=executor,
        side=Side(side),
        token_id=TokenId(int(token_id)),
        shares=Shares(shares),
        limit_price=Price(limit),
        cost=Usd(cost),
        members=tuple(map(TaskId, members)),
        report=None if report is None else report_of(report),
        state=state,
        placed_at=placed_at,
        at=at,
    )
