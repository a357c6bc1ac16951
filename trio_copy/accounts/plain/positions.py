"""Ledger entries, and positions with their lots."""

from collections.abc import Iterable

from trio_copy.accounts.plain.expected import Plain
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId, token_text
from trio_copy.model.positions import EntryKind, LedgerEntry, Lot, Position
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Shares, Usd

_SIDES = {side.value: side for side in Side}
_ENTRY_KINDS = {kind.value: kind for kind in EntryKind}


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
