"""Signals, intents and tasks."""

from collections.abc import Sequence

from trio_copy.accounts.plain.expected import Plain, number_of
from trio_copy.model.decisions import CopyTask, OrderIntent
from trio_copy.model.fills import Kind, Role, Side
from trio_copy.model.ids import Address, ChainId, FollowerId, Hash32, SignalId, TaskId, TokenId, token_text
from trio_copy.model.signals import Signal
from trio_copy.model.units import Price, Shares, Usd

AGGREGATES, REREAD, UNSENT = 1, 2, 4
_INTENT = 12
"""Parts of an intent that rests."""


def plain_signal(signal: Signal) -> Sequence[object]:
    """Write a signal, once."""
    if signal.written is not None:
        return signal.written
    written = (
        signal.signal_id,
        signal.chain_id,
        signal.exchange,
        signal.leader,
        signal.role._value_,
        signal.side._value_,
        token_text(signal.token_id),
        signal.shares.micro,
        None if signal.price is None else signal.price.micro,
        None if signal.notional is None else signal.notional.micro,
        signal.order_hash,
        signal.tx_hash,
        signal.block_number,
        signal.block_hash,
        signal.block_time,
        signal.seen_at,
        signal.kind._value_,
        signal.nth,
    )
    object.__setattr__(signal, "written", written)
    return written


def signal_of(plain: Plain) -> Signal:
    """Read a signal."""
    (
        signal_id,
        chain_id,
        exchange,
        leader,
        role,
        side,
        token_id,
        shares,
        price,
        notional,
        order_hash,
        tx_hash,
        block_number,
        block_hash,
        block_time,
        seen_at,
        kind,
        nth,
    ) = plain
    return Signal(
        signal_id=SignalId(signal_id),
        chain_id=ChainId(chain_id),
        exchange=Address(exchange),
        leader=Address(leader),
        role=Role(role),
        side=Side(side),
        token_id=TokenId(int(token_id)),
        shares=Shares(shares),
        price=None if price is None else Price(price),
        notional=None if notional is None else Usd(notional),
        order_hash=None if order_hash is None else Hash32(order_hash),
        tx_hash=Hash32(tx_hash),
        block_number=block_number,
        block_hash=Hash32(block_hash),
        block_time=block_time,
        seen_at=seen_at,
        kind=Kind(kind),
        nth=nth,
    )


def plain_intent(intent: OrderIntent) -> Sequence[object]:
    """Write an intent, once."""
    if intent.written is not None:
        return intent.written
    written = (
        intent.side._value_,
        token_text(intent.token_id),
        intent.shares.micro,
        intent.price.micro,
        intent.limit_price.micro,
        intent.max_cost.micro,
        intent.order_type,
        intent.leader_shares.micro,
        intent.sell,
        intent.called_off.micro,
        # Only where there is one: few orders rest, and this is written with every copy.
        *([intent.rest_until, 1] if intent.post_only else [intent.rest_until] if intent.rest_until else ()),
    )
    object.__setattr__(intent, "written", written)
    return written


def intent_of(plain: Plain, signal: Signal) -> OrderIntent:
    """Read an intent; the leader's time is that of its signal, and stands nowhere else."""
    side, token_id, shares, price, limit_price, max_cost, order_type, leader_shares, sell, called_off, *rest = plain
    return OrderIntent(
        side=Side(side),
        token_id=TokenId(int(token_id)),
        shares=Shares(shares),
        price=Price(price),
        limit_price=Price(limit_price),
        max_cost=Usd(max_cost),
        order_type=order_type,
        leader_shares=Shares(leader_shares),
        sell=sell,
        called_off=Shares(called_off),
        rest_until=number_of(rest[0]) if rest else 0,
        post_only=len(rest) > 1 and bool(number_of(rest[1])),
        leader_time=signal.leader_time,
    )


def plain_task(task: CopyTask) -> Sequence[object]:
    """Write a task with its signal and its intent, once."""
    if task.written is not None:
        return task.written
    written = (
        task.task_id,
        plain_signal(task.signal),
        task.follower,
        task.executor,
        plain_intent(task.intent),
        task.deadline,
        task.attempt,
        task.decided_at,
        task.not_before,
        flags_of(task),
    )
    object.__setattr__(task, "written", written)
    return written


def flags_of(task: CopyTask) -> int:
    """Write what may be said of a task, in one number."""
    return AGGREGATES * task.aggregates + REREAD * task.reread + UNSENT * task.unsent


def task_of(plain: Plain) -> CopyTask:
    """Read a task."""
    task_id, signal, follower, executor, intent, deadline, attempt, decided_at, not_before, flags = plain
    of = signal_of(signal)
    return CopyTask(
        task_id=TaskId(task_id),
        signal=of,
        follower=FollowerId(follower),
        executor=executor,
        intent=intent_of(intent, of),
        deadline=deadline,
        attempt=attempt,
        decided_at=decided_at,
        not_before=not_before,
        aggregates=bool(flags & AGGREGATES),
        reread=bool(flags & REREAD),
        unsent=flags // UNSENT,
    )


def bearing(plain: Sequence[object], borne: Plain) -> Plain:
    """Write something beside a task where every version that reads tasks looks past it: behind its intent."""
    *before, intent, deadline, attempt, decided_at, not_before, flags = plain
    assert isinstance(intent, tuple)
    padded = [*intent, 0, 0][:_INTENT]
    return [*before, [*padded, borne], deadline, attempt, decided_at, not_before, flags]


def borne_by(plain: Plain) -> Plain | None:
    """Return what was written beside a task."""
    borne: list[Plain] = plain[4][_INTENT:]
    return borne[0] if borne else None
