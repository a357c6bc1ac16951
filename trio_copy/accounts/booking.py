"""How bookings change what an account holds, what it has gained, and what it tells of that."""

from collections.abc import Iterable

from trio_copy.accounts.budgets import Spot, day_of
from trio_copy.accounts.entries import about_entry
from trio_copy.accounts.holdings import NOTHING_HELD, Holding
from trio_copy.accounts.names import MONEY, bundle_name, position_name
from trio_copy.accounts.orders import OpenOrder
from trio_copy.accounts.state import AccountState
from trio_copy.accounts.telling import Told, amounts_of
from trio_copy.model.facts import Amounts
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.units import Usd


def book(account: AccountState, entry: LedgerEntry, count: int = 0, cost: int = 0) -> Amounts:
    """Fold an entry in; returns what it adds to the sums. For `count` and `cost` see `_hold_now`."""
    spot = (entry.leader, entry.token_id)
    known = account.holdings.get(spot, NOTHING_HELD)
    return amounts_of(entry, *_hold_now(account, spot, known, known.after(entry), entry.booked_at, count, cost))


def confirm(account: AccountState, entries: Iterable[LedgerEntry], at: float) -> None:
    """Make firm what an order has filled: it is on the chain for good."""
    for entry in entries:
        spot = (entry.leader, entry.token_id)
        known = account.holdings[spot]
        earned = _hold_now(account, spot, known, known.confirmed(entry.key), at)
        confirmed = about_entry(entry, EntryKind.CONFIRM, at)
        account.told.append(Told(record=confirmed, amounts=amounts_of(confirmed, *earned)))


def take_back(account: AccountState, entries: Iterable[LedgerEntry], at: float) -> None:
    """Undo what an order has filled, as far as it is not firm."""
    for entry in entries:
        spot = (entry.leader, entry.token_id)
        known = account.holdings[spot]
        earned = _hold_now(account, spot, known, known.without(entry.key), at)
        undone = about_entry(entry, EntryKind.REVERSE, at)
        account.told.append(Told(record=undone, amounts=amounts_of(entry, *earned, sign=-1)))


def correct(account: AccountState, open_order: OpenOrder, entries: Iterable[LedgerEntry], at: float) -> None:
    """Book by how much an order's bookings were wrong; what is sold of them since is gained, or lost, anew."""
    booked = {entry.key: entry for entry in account.unsettled(open_order)}
    for entry in entries:
        if entry.kind is EntryKind.REVERSE:
            take_back(account, [booked[entry.of]], at)
            continue
        spot = (entry.leader, entry.token_id)
        known = account.holdings[spot]
        earned = _hold_now(account, spot, known, known.corrected(entry), at)
        account.told.append(Told(record=entry, amounts=amounts_of(entry, *earned)))


def _hold_now(
    account: AccountState, spot: Spot, known: Holding, holding: Holding, at: float, count: int = 0, cost: int = 0
) -> tuple[int, int]:
    """Replace what is held; returns by how much the firm and the provisional profit changed, in millionths.

    `count` and `cost` are what is open besides: with what an order no longer holds, the spot is counted once.
    """
    before, after = known.now, holding.now
    if holding.gone:
        account.holdings.pop(spot, None)
    else:
        account.holdings[spot] = holding
    opened = (1 if after.lots else 0) - (1 if before.lots else 0)
    account.exposure.change(spot, opened + count, after.cost.micro - before.cost.micro + cost)
    note_position(account, spot, known)
    realised = after.realised.micro - before.realised.micro
    provisional = after.provisional.micro - before.provisional.micro
    if realised or provisional:
        account.performance = account.performance.after(Usd(realised + provisional), day_of(at))
        account.changed[MONEY] = None
    return realised, provisional


def note_position(account: AccountState, spot: Spot, before: Holding) -> None:
    """Have a position written again, with those of its bundles that it has since, or has no more."""
    account.changed["position", position_name(spot)] = None
    apart, now = before.apart, account.holdings.get(spot, NOTHING_HELD).apart
    if apart != now:
        for bundle in set(apart).symmetric_difference(now):
            account.changed["position", bundle_name(spot, bundle)] = None
