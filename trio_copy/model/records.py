"""What a store remembers about tasks, orders and skips, and how to ask for it."""

from attrs import frozen

from trio_copy.model.decisions import CopyTask, Outcome, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, SignalId, TaskId, TokenId
from trio_copy.model.orders import ExecutionReport, JournalState, Order
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.signals import Signal
from trio_copy.model.units import Price, Shares


@frozen(kw_only=True)
class Query:
    """Which records are wanted; None wants all."""

    follower: FollowerId | None = None
    leader: Address | None = None
    token_id: TokenId | None = None
    since: float | None = None
    """Unix seconds, included."""
    until: float | None = None
    """Unix seconds, excluded."""
    limit: int = 1000
    """The newest so many."""


@frozen(kw_only=True)
class TaskRecord:
    task: CopyTask
    state: str
    """queued, waiting, leased, held, dead or ended."""
    outcome: Outcome | None
    admitted_at: float
    leased_at: float | None
    ended_at: float | None


@frozen(kw_only=True)
class SkipRecord:
    """A signal that a follow did not want, or a task that ended without an order."""

    at: float
    signal_id: SignalId
    follower: FollowerId
    leader: Address
    token_id: TokenId
    side: Side
    leader_shares: Shares
    leader_price: Price | None
    reason: Reason


@frozen(kw_only=True)
class OrderRecord:
    """How far an order got, as the journal remembers it. All times are Unix seconds."""

    order: Order
    task: CopyTask
    members: tuple[TaskId, ...] = ()
    """Other tasks that went out in this order."""
    state: JournalState
    report: ExecutionReport | None = None
    """What was learned last."""
    at: float
    """When it entered its state."""
    frozen_at: float
    sent_at: float | None = None
    """When it first may have been sent."""
    ended_at: float | None = None


@frozen(kw_only=True)
class Story:
    """All that is known about one task."""

    record: TaskRecord
    orders: tuple[OrderRecord, ...]
    entries: tuple[LedgerEntry, ...]


def skip_record(skip: Skip, signal: Signal, at: float) -> SkipRecord:
    """Write a skip down together with what was skipped."""
    return SkipRecord(
        at=at,
        signal_id=signal.signal_id,
        follower=skip.follower,
        leader=skip.leader,
        token_id=signal.token_id,
        side=signal.side,
        leader_shares=signal.shares,
        leader_price=signal.price,
        reason=skip.reason,
    )


def skip_of(record: TaskRecord) -> SkipRecord:
    """Show a task that ended without a fill as what it is to its follower: a copy that was not made."""
    task, outcome = record.task, record.outcome
    assert outcome is not None
    assert outcome.reason is not None
    return SkipRecord(
        at=record.ended_at or record.admitted_at,
        signal_id=task.signal.signal_id,
        follower=task.follower,
        leader=task.signal.leader,
        token_id=task.intent.token_id,
        side=task.intent.side,
        leader_shares=task.signal.shares,
        leader_price=task.signal.price,
        reason=outcome.reason,
    )
