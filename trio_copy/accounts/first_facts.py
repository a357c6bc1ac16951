"""What was told in the first form, in which each part repeated what the others say: still read, written no more."""

from trio_copy.accounts.plain import (
    Plain,
    entry_of,
    outcome_of,
    reason_of,
    report_of,
    signal_of,
    task_of,
)
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd
from trio_copy.model.decisions import Skip
from trio_copy.model.facts import Fact
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, IntentKey, OrderId, TaskId, TokenId
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.units import Price, Shares, Usd


def first_record_of(fact: Fact, body: Plain) -> TaskEnd | SkipTold | LedgerEntry:
    """Read what was told. Raises whatever comes of a body that is none."""
    if fact.kind == "skip":
        return _skip_of(body)
    if fact.kind == "entry":
        return entry_of(body[1])
    return _task_end_of(body)


def _task_end_of(body: Plain) -> TaskEnd:
    _, task, outcome, order, entry, at = body
    return TaskEnd(
        task=task_of(task),
        outcome=None if outcome is None else outcome_of(outcome),
        order=None if order is None else _order_end_of(order),
        entry=None if entry is None else entry_of(entry),
        at=at,
    )


def _skip_of(body: Plain) -> SkipTold:
    _, signal, follower, reason, at = body
    of = signal_of(signal)
    skip = Skip(signal_id=of.signal_id, follower=FollowerId(follower), leader=of.leader, reason=reason_of(reason))
    return SkipTold(skip=skip, signal=of, at=at)


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
