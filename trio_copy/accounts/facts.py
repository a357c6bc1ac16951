"""What an account tells, as facts to be stored, and back."""

from attrs import frozen

from trio_copy.accounts.plain import (
    Plain,
    PlainError,
    entry_of,
    first,
    number_of,
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
)
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd, Told
from trio_copy.model.decisions import End, Skip
from trio_copy.model.facts import Amounts
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, OrderId, SignalId, TaskId, TokenId, task_id
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.units import Price, Shares, Usd

Record = TaskEnd | SkipTold | LedgerEntry
_FILLED = (End.FILLED, End.PARTIAL)


@frozen(kw_only=True)
class PlainFact:
    """A fact whose body is not written yet."""

    key: str
    kind: str
    at: float
    follower: FollowerId
    leader: Address
    token_id: TokenId
    signal_id: SignalId
    task_id: TaskId
    order_id: OrderId
    amounts: Amounts
    body: Plain


def fact_of(told: Told) -> PlainFact:
    """Write what an account told; see `model.facts` for the kinds."""
    record = told.record
    if isinstance(record, TaskEnd):
        return _task_fact(record, told.amounts)
    if isinstance(record, SkipTold):
        return _skip_fact(record, told.amounts)
    return PlainFact(
        key=record.key,
        kind="entry",
        at=record.booked_at,
        follower=record.follower,
        leader=record.leader,
        token_id=record.token_id,
        signal_id=record.signal_id,
        task_id=record.task_id,
        order_id=OrderId(""),
        amounts=told.amounts,
        body=[1, plain_entry(record)],
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


def entry_in(kind: str, body: Plain) -> LedgerEntry | None:
    """Read of what was told the booking alone, which costs a third of the whole; None where there is none.

    Raises:
        PlainError: it is not what its kind promises.
    """
    try:
        plain = first(body)[1 if kind == "entry" else 4]
        return None if plain is None else entry_of(plain)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise PlainError(
            f"expected a stored booking in a fact of kind {kind}, was {str(body)[:80]}: {error}"
        ) from error


def _task_fact(end: TaskEnd, amounts: Amounts) -> PlainFact:
    task = end.task
    attempt = end.outcome is None
    kind = "attempt" if end.outcome is None else "filled" if end.outcome.end in _FILLED else "ended"
    return PlainFact(
        key=f"{task.task_id}:{task.attempt}" if attempt else task.task_id,
        kind=kind,
        at=end.at,
        follower=task.follower,
        leader=task.signal.leader,
        token_id=task.intent.token_id,
        signal_id=task.signal.signal_id,
        task_id=task.task_id,
        order_id=OrderId("") if end.order is None else end.order.order_id,
        amounts=amounts,
        body=[
            1,
            plain_task(task),
            None if end.outcome is None else plain_outcome(end.outcome),
            None if end.order is None else _plain_order_end(end.order),
            None if end.entry is None else plain_entry(end.entry),
            end.at,
        ],
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


def _skip_fact(told: SkipTold, amounts: Amounts) -> PlainFact:
    signal, skip = told.signal, told.skip
    task = task_id(signal.signal_id, skip.follower)
    return PlainFact(
        key=f"{task}:skip",
        kind="skip",
        at=told.at,
        follower=skip.follower,
        leader=signal.leader,
        token_id=signal.token_id,
        signal_id=signal.signal_id,
        task_id=task,
        order_id=OrderId(""),
        amounts=amounts,
        body=[1, plain_signal(signal), skip.follower, plain_reason(skip.reason), told.at],
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
        order.side.value,
        str(order.token_id),
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
        shares=Shares(number_of(shares)),
        limit_price=Price(number_of(limit)),
        cost=Usd(number_of(cost)),
        members=tuple(map(TaskId, members)),
        report=None if report is None else report_of(report),
        state=state,
        placed_at=placed_at,
        at=at,
    )
