"""Values of the model as lists of plain values, and back. By hand, because this is on the way of every copy.

For the same reason it says `_value_`, which is there, where `value` would be a call.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import evolve

from trio_copy.model.decisions import Code, CopyTask, End, OrderIntent, Outcome, Reason
from trio_copy.model.fills import Kind, Role, Side
from trio_copy.model.ids import (
    Address,
    ChainId,
    FollowerId,
    Hash32,
    IntentKey,
    OrderId,
    SignalId,
    TaskId,
    TokenId,
    token_text,
)
from trio_copy.model.orders import ExecutionReport, Order, Settlement, SignatureType, Status, Wallet
from trio_copy.model.positions import EntryKind, LedgerEntry, Lot, Position
from trio_copy.model.signals import Signal
from trio_copy.model.units import MICRO, NO_SHARES, NO_USD, Price, Ratio, Shares, Usd

Plain = list[Any]
AGGREGATES, REREAD, UNSENT = 1, 2, 4
_INTENT = 12
"""Parts of an intent that rests."""
_BUY = Side.BUY
_SIDES = {side.value: side for side in Side}
_ENTRY_KINDS = {kind.value: kind for kind in EntryKind}


class PlainError(ValueError):
    """What was stored is not what its kind promises."""


def number_of(value: int) -> int:
    """Expect a whole number, of any width, where no unit does: these refuse everything else themselves."""
    if type(value) is not int:
        raise PlainError(f"expected a whole number, was {value!r}")
    return value


def first(body: Plain) -> Plain:
    """Return what was stored when it is of the first version, the only one so far of most."""
    if not body or body[0] != 1:
        raise PlainError("expected a document of version 1")
    return body


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


def plain_order(order: Order) -> Plain:
    """Write an order with its whole body."""
    return [
        order.key,
        order.order_id,
        order.executor,
        order.wallet.follower,
        _plain_address(order.wallet),
        order.side._value_,
        token_text(order.token_id),
        order.shares.micro,
        order.limit_price.micro,
        order.body.hex(),
        # Most venues take a part of the notional, or nothing: it is one number then.
        [order.fee_bps, order.fee_rate.micro, order.fee_exponent] if order.fee_rate.micro else order.fee_bps,
        # Only where it is not what its shares cost at its limit.
        *([order.max_cost.micro] if order.max_cost.micro != _cost_at_limit(order) else ()),
    ]


def order_of(plain: Plain) -> Order:
    """Read an order."""
    key, order_id, executor, follower, address, side, token_id, shares, limit_price, body, fee, *cost = plain
    fee_bps, fee_rate, fee_exponent = fee if isinstance(fee, list) else (fee, 0, 1)
    order = Order(
        key=IntentKey(key),
        order_id=OrderId(order_id),
        executor=executor,
        wallet=_wallet_of(follower, address),
        side=Side(side),
        token_id=TokenId(int(token_id)),
        shares=Shares(shares),
        limit_price=Price(limit_price),
        body=bytes.fromhex(body),
        fee_bps=fee_bps,
        fee_rate=Ratio(fee_rate),
        fee_exponent=fee_exponent,
    )
    return evolve(order, max_cost=Usd(cost[0])) if cost else order


def _plain_address(wallet: Wallet) -> Plain | Address | None:
    if not wallet.name:
        return wallet.address
    # Only where there is one: most wallets have none.
    return [wallet.address, wallet.name, int(wallet.signature_type), *([wallet.fleet] if wallet.fleet else ())]


def _wallet_of(follower: str, plain: Plain | str | None) -> Wallet:
    address, name, signature_type, *fleet = (
        plain if isinstance(plain, list) else (plain, "", 0)
    )  # on paper it has no name
    return Wallet(
        follower=FollowerId(follower),
        address=None if address is None else Address(address),
        name=name,
        signature_type=SignatureType(signature_type),
        fleet=fleet[0] if fleet else "",
    )


def _cost_at_limit(order: Order) -> int:
    """Return what `greatest_cost` does, in millionths."""
    return -(-order.shares.micro * order.limit_price.micro // MICRO) if order.side is _BUY else 0


_STALE, _OFF_BOOK = 1, 2


def plain_report(report: ExecutionReport, beside: OrderId | None = None) -> Plain:
    """Write a report; without its order's id where that stands beside it."""
    return [
        None if report.order_id == beside else report.order_id,
        report.status._value_,
        report.shares.micro,
        report.notional.micro,
        report.fee.micro,
        report.settlement._value_,
        report.detail,
        # Only where it is: it hardly ever happens, and this is written with every copy.
        *([_STALE * report.stale + _OFF_BOOK * report.off_book] if report.stale or report.off_book else ()),
    ]


def report_of(plain: Plain) -> ExecutionReport:
    """Read a report."""
    order_id, status, shares, notional, fee, settlement, detail, *flags = plain
    return ExecutionReport(
        order_id=OrderId(order_id),
        status=Status(status),
        shares=Shares(shares),
        notional=Usd(notional),
        fee=Usd(fee),
        settlement=Settlement(settlement),
        detail=detail,
        stale=bool(flags and flags[0] & _STALE),
        off_book=bool(flags and flags[0] & _OFF_BOOK),
    )


def plain_entry(entry: LedgerEntry) -> Plain:
    """Write a ledger entry."""
    return [
        entry.key,
        entry.kind._value_,
        entry.of,
        entry.task_id,
        entry.signal_id,
        entry.follower,
        entry.leader,
        token_text(entry.token_id),
        entry.side._value_,
        entry.shares.micro,
        entry.notional.micro,
        entry.fee.micro,
        entry.leader_shares.micro,
        entry.reference.micro,
        int(entry.firm),
        entry.booked_at,
        # Only where there is one: few bookings are corrections.
        *([entry.why] if entry.why else ()),
    ]


def entry_of(plain: Plain) -> LedgerEntry:
    """Read a ledger entry; whoever lists many waits for this most."""
    (
        key,
        kind,
        of,
        task_id,
        signal_id,
        follower,
        leader,
        token_id,
        side,
        shares,
        notional,
        fee,
        leader_shares,
        reference,
        firm,
        booked_at,
        *why,
    ) = plain
    return LedgerEntry(
        key,
        task_id,
        signal_id,
        follower,
        leader,
        TokenId(int(token_id)),
        _SIDES[side],
        Shares(shares),
        Usd(notional),
        Usd(fee),
        booked_at,
        Shares(leader_shares),
        Price(reference),
        bool(firm),
        _ENTRY_KINDS[kind],
        of,
        *map(str, why),
    )


def plain_lot(lot: Lot) -> Plain:
    """Write one lot."""
    return [lot.key, lot.shares.micro, lot.cost.micro, lot.opened_at, int(lot.firm)]


def plain_position(position: Position, lots: Iterable[Lot]) -> Plain:
    """Write a position with some of its lots."""
    return [
        [plain_lot(lot) for lot in lots],
        position.realised.micro,
        position.provisional.micro,
        position.fees.micro,
        position.leader_shares.micro,
        position.oversold.micro,
    ]


def position_of(plain: Plain) -> Position:
    """Read a position."""
    lots, realised, provisional, fees, leader_shares, oversold = plain
    held, all_shares, all_cost = [], 0, 0
    for key, shares, cost, opened_at, firm in lots:
        held.append(Lot(key, Shares(shares), Usd(cost), opened_at, bool(firm)))
        all_shares += shares
        all_cost += cost
    only = held[0] if len(held) == 1 else None
    # Amounts are made one by one, and a start makes millions of them: most positions have one lot, and of the rest nothing.
    return Position(
        tuple(held),
        Shares(all_shares) if only is None else only.shares,
        Usd(all_cost) if only is None else only.cost,
        NO_USD if realised == 0 else Usd(realised),
        NO_USD if provisional == 0 else Usd(provisional),
        NO_USD if fees == 0 else Usd(fees),
        NO_SHARES if leader_shares == 0 else Shares(leader_shares),
        NO_SHARES if oversold == 0 else Shares(oversold),
    )


def plain_outcome(outcome: Outcome) -> Plain:
    """Write how a task ended."""
    reason = outcome.reason
    return [outcome.end._value_, None if reason is None else plain_reason(reason)]


def outcome_of(plain: Plain) -> Outcome:
    """Read how a task ended."""
    end, reason = plain
    return Outcome(end=End(end), reason=None if reason is None else reason_of(reason))


def plain_reason(reason: Reason) -> Plain:
    """Write a reason; a code's name is the stable part of it, its value a sentence."""
    return [reason.code._name_, reason.control, reason.value, reason.limit]


def reason_of(plain: Plain) -> Reason:
    """Read a reason."""
    code, control, value, limit = plain
    return Reason(code=Code[code], control=control, value=value, limit=limit)
