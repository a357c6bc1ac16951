"""The bookings that an account makes."""

from attrs import evolve

from trio_copy.accounts.commands import Resolve
from trio_copy.accounts.orders import OpenOrder
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, SignalId, TaskId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Settlement
from trio_copy.model.positions import EntryKind, LedgerEntry, Position
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_PRICE, NO_SHARES, NO_USD, Rounding, Shares

_FIRM = Settlement.FIRM


def fill_entry(task: CopyTask, order: Order, report: ExecutionReport, at: float) -> LedgerEntry:
    """Book what an order filled."""
    signal = task.signal
    return LedgerEntry(
        order.key,
        task.task_id,
        signal.signal_id,
        task.follower,
        signal.leader,
        order.token_id,
        order.side,
        report.shares,
        report.notional,
        report.fee,
        at,
        task.intent.leader_shares,
        NO_PRICE if signal.price is None else task.intent.price,
        report.settlement is _FIRM,
    )


def growth_entry(open_order: OpenOrder, report: ExecutionReport, at: float) -> LedgerEntry | None:
    """Book what an order that rested has filled since; None where that is nothing.

    Named by what was filled before: a growth that is learned a second time, after a crash, is the same booking. The
    leader's shares count with the first of them.
    """
    order, booked = open_order.order, open_order.report if open_order.rests else None
    if booked is None or not booked.shares.micro:
        return fill_entry(open_order.task, order, report, at) if report.shares.micro else None
    if report.shares.micro == booked.shares.micro:
        return None
    since = evolve(
        report,
        shares=report.shares - booked.shares,
        notional=report.notional - booked.notional,
        fee=report.fee - booked.fee,
    )
    entry = fill_entry(open_order.task, order, since, at)
    return evolve(entry, key=f"{order.key}:{booked.shares.micro}", leader_shares=NO_SHARES)


def is_of(key: IntentKey, entry: LedgerEntry) -> bool:
    """Tell whether an entry books what an order filled, or a part of it."""
    return entry.key == key or entry.key.startswith(f"{key}:")


def about_entry(entry: LedgerEntry, kind: EntryKind, at: float) -> LedgerEntry:
    """Confirm or reverse an earlier booking."""
    return LedgerEntry(
        key=f"{entry.key}:{kind.value}",
        kind=kind,
        of=entry.key,
        task_id=entry.task_id,
        signal_id=entry.signal_id,
        follower=entry.follower,
        leader=entry.leader,
        token_id=entry.token_id,
        side=entry.side,
        shares=NO_SHARES,
        notional=NO_USD,
        fee=NO_USD,
        booked_at=at,
    )


def missed_entry(
    follower: FollowerId, task: TaskId, signal: Signal, token: TokenId, leader_shares: Shares, at: float
) -> LedgerEntry:
    """Book that a leader sold and a follower did not."""
    return LedgerEntry(
        key=f"{task}:missed",
        kind=EntryKind.MISSED,
        task_id=task,
        signal_id=signal.signal_id,
        follower=follower,
        leader=signal.leader,
        token_id=token,
        side=Side.SELL,
        shares=NO_SHARES,
        notional=NO_USD,
        fee=NO_USD,
        leader_shares=leader_shares,
        booked_at=at,
    )


def redemption_entry(
    follower: FollowerId, spot: tuple[Address, TokenId], position: Position, resolve: Resolve
) -> LedgerEntry:
    """Book a position at what its token pays; its key makes it count once per set of lots."""
    leader, token = spot
    return LedgerEntry(
        key=f"redeem:{follower}:{resolve.condition_id}:{token}:{leader}:{position.lots[-1].key}",
        kind=EntryKind.REDEMPTION,
        task_id=TaskId(""),
        signal_id=SignalId(""),
        follower=follower,
        leader=leader,
        token_id=token,
        side=Side.SELL,
        shares=position.shares,
        notional=position.shares.at(resolve.payout, Rounding.DOWN),
        fee=NO_USD,
        leader_shares=NO_SHARES,
        booked_at=resolve.at,
    )
