"""What an account makes of a fill that settles with other amounts than it was told with.

What is provisional may be corrected, inside the order: the chain's fee is not the formula's, one of several trades was undone,
a millionth was rounded elsewhere. What is firm never is. Nothing booked is changed: the difference is booked, with its reason.
"""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.accounts import events as e
from trio_copy.accounts.entries import about_entry
from trio_copy.accounts.orders import OpenOrder, OrderState, Said, outcome_of, said, spent_by
from trio_copy.accounts.state import AccountState
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Settlement
from trio_copy.model.positions import GHOST_LEAST, EntryKind, LedgerEntry
from trio_copy.model.units import NO_USD, Shares, Usd

_OTHERWISE = "it settled with other amounts"
_LONGEST_WHY = 200


def settled(account: AccountState, open_order: OpenOrder, report: ExecutionReport, at: float) -> Sequence[e.Event]:
    """Make what is booked firm, with the amounts that the chain has."""
    key = open_order.order.key
    final = e.Settled(key=key, report=report, at=at)
    if open_order.booked_as(report):
        return (final,)
    corrected = _corrected(account, open_order, report, at)
    return (e.Contradicted(key=key, report=report, at=at),) if corrected is None else (corrected, final)


def lost(account: AccountState, open_order: OpenOrder, report: ExecutionReport, at: float) -> Sequence[e.Event]:
    """Take back what of a fill is undone, while the rest of it is still to settle.

    Only shares that are gone, and more of them than rounding leaves: whoever adds up what is pending in two ways could else
    have the books go to and fro for ever. What else differs is learned when it settles.
    """
    booked = open_order.report
    if booked is None or booked.shares.micro - report.shares.micro < GHOST_LEAST.micro:
        return ()
    corrected = _corrected(account, open_order, report, at)
    return (e.Contradicted(key=open_order.order.key, report=report, at=at),) if corrected is None else (corrected,)


def ended_with_less(
    account: AccountState, open_order: OpenOrder, report: ExecutionReport, at: float
) -> Sequence[e.Event]:
    """End an order that rested, of whose fills not all is settling: it ends as it stood, and is then corrected."""
    booked, settles = open_order.report, said(report)
    contradicted = (e.Contradicted(key=open_order.order.key, report=report, at=at),)
    if booked is None or settles not in (Said.MATCHED, Said.FIRM) or not account.unsettled(open_order):
        return contradicted
    stood = evolve(booked, status=report.status, settlement=Settlement.PENDING, detail=report.detail)
    later = (settled if settles is Said.FIRM else lost)(account, open_order, report, at)
    if any(isinstance(event, e.Contradicted) for event in later):
        return contradicted
    outcome = outcome_of(open_order.order, report, open_order.called_off)
    return (e.Learned(open_order.order.key, OrderState.MATCHED, stood, at, outcome), *later)


def undoes(open_order: OpenOrder, report: ExecutionReport) -> bool:
    """Tell whether an undone fill is all that is booked, but for rounding: of less, nobody knows what became of the rest."""
    booked = open_order.report
    return booked is not None and booked.shares.micro - report.shares.micro < GHOST_LEAST.micro


def _corrected(account: AccountState, open_order: OpenOrder, report: ExecutionReport, at: float) -> e.Corrected | None:
    booked = open_order.report
    if booked is None:
        return None
    entries = _differences(account.unsettled(open_order), booked, report, at)
    if entries is None:
        return None
    more = spent_by(report) - spent_by(booked) if open_order.order.side is Side.BUY else 0
    return e.Corrected(
        key=open_order.order.key,
        task=open_order.task,
        report=report,
        entries=entries,
        # What the chain undoes was spent as well: a day's budget is never given back.
        spent=Usd(more) if more > 0 else NO_USD,
        at=at,
    )


def _differences(
    unsettled: Sequence[LedgerEntry], booked: ExecutionReport, report: ExecutionReport, at: float
) -> tuple[LedgerEntry, ...] | None:
    """Book the difference between two reports; None where it takes back more than is provisional.

    The newest booking gives first, as what an order filled last is what may be missing of it. Named by what was booked before:
    learned a second time, after a crash, it is the same booking.
    """
    shares = report.shares.micro - booked.shares.micro
    notional = report.notional.micro - booked.notional.micro
    fee = report.fee.micro - booked.fee.micro
    entries: list[LedgerEntry] = []
    for entry in reversed(unsettled):
        if entry.shares.micro + shares > 0 <= min(entry.notional.micro + notional, entry.fee.micro + fee):
            entries.append(
                evolve(
                    about_entry(entry, EntryKind.CORRECT, at),
                    key=f"{entry.key}:{EntryKind.CORRECT.value}:{booked.shares.micro}",
                    shares=Shares(shares),
                    notional=Usd(notional),
                    fee=Usd(fee),
                    firm=False,
                    why=(report.detail or _OTHERWISE)[:_LONGEST_WHY],
                )
            )
            return tuple(entries)
        entries.append(about_entry(entry, EntryKind.REVERSE, at))
        shares, notional, fee = (
            shares + entry.shares.micro,
            notional + entry.notional.micro,
            fee + entry.fee.micro,
        )
        if not (shares or notional or fee):
            return tuple(entries)
    return None
