"""What an account makes of what is heard about an order."""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.corrections import ended_with_less, lost, settled, undoes
from trio_copy.accounts.endings import missed_by
from trio_copy.accounts.entries import fill_entry, growth_entry
from trio_copy.accounts.orders import (
    LIFE,
    OpenOrder,
    OrderState,
    Said,
    Step,
    Unsent,
    outcome_of,
    outside,
    rounded,
    said,
    shrinks,
)
from trio_copy.accounts.state import AccountState
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Settlement, Status

_BOOK, _BOOK_FIRM, _LET_GO = Step.BOOK, Step.BOOK_FIRM, Step.LET_GO
_RESTING, _MATCHED = OrderState.RESTING, OrderState.MATCHED


def answer(account: AccountState, command: c.Answer) -> Sequence[e.Event]:
    """Do what the order's life says about a report; one that leaves its order proves nothing."""
    open_order = account.orders.get(command.key)
    if open_order is None:
        return ()
    key, report, at = command.key, command.report, command.at
    if not command.by_hand:
        if open_order.breached:
            return ()
        if outside(open_order, report) is not None:
            return doubt(account, key, report, at, breached=True)
    if open_order.state is _RESTING and shrinks(open_order, report):
        if said(report) is not Said.FAILED or not undoes(open_order, report):
            events = ended_with_less(account, open_order, report, at)
            if not rounded(open_order, report) or not isinstance(events[0], e.Contradicted):
                return events
        report = _as_booked(open_order, report)
    step, state = LIFE[open_order.state, said(report)]
    if step is _LET_GO:
        report = _as_it_stood(open_order, report)
        step, state = LIFE[open_order.state, said(report)]
    if step is _BOOK_FIRM or step is _BOOK:
        if open_order.rests:
            entry = growth_entry(open_order, report, at)
            if entry is None and not account.unsettled(open_order):
                state = OrderState.ENDED  # all of it is firm already, and the chain has nothing more to say
            outcome = outcome_of(open_order.order, report, open_order.called_off)
            return (e.Learned(key, state, report, at, outcome, entry),)
        entry = fill_entry(open_order.task, open_order.order, report, at)
        return (e.Learned(key, state, report, at, outcome_of(open_order.order, report), entry),)
    match step:
        case Step.DOUBT:
            return doubt(account, key, report, at)
        case Step.REST if open_order.rests and _says_nothing_new(open_order, report):
            return ()
        case Step.REST:
            return (e.Learned(key, state, report, at, entry=growth_entry(open_order, report, at)),)
        case Step.CORRECT:
            return lost(account, open_order, report, at) or _on_chain(open_order, report, at)
        case Step.SETTLE:
            return settled(account, open_order, report, at)
        case Step.REVERSE if undoes(open_order, report):
            return (e.Reversed(key=key, report=report, at=at), *missed_by(account, open_order.task, at))
        case Step.REFUSE | Step.REVERSE:
            return (e.Contradicted(key=key, report=report, at=at),)
        case Step.VOID | Step.CLOSE if command.again and _may_go_again(open_order, report):
            task, stale = open_order.task, report.stale
            task = evolve(task, attempt=task.attempt + 1, reread=task.reread or stale)
            return (e.Learned(key=key, state=state, report=report, at=at), e.Waits(task=task, at=at))
        case Step.VOID | Step.CLOSE:
            outcome = outcome_of(open_order.order, report, open_order.called_off)
            learned = e.Learned(key=key, state=state, report=report, outcome=outcome, at=at)
            return (learned, *missed_by(account, open_order.task, at))
        case _:  # nothing new
            return ()


def _may_go_again(open_order: OpenOrder, report: ExecutionReport) -> bool:
    """Tell whether a report proves that nothing was filled, and that another order may do better.

    One that is refused because its market was stale is made anew once: refused again, it is not the market.
    """
    if open_order.rests or open_order.ended:
        return False
    return report.status is Status.KILLED or (report.stale and not open_order.task.reread)


def _says_nothing_new(open_order: OpenOrder, report: ExecutionReport) -> bool:
    """Tell whether an order that rests has filled nothing since, and nothing of it has settled further."""
    booked = open_order.report
    if booked is None or booked.shares.micro != report.shares.micro or booked.off_book != report.off_book:
        return False
    return booked.settlement is report.settlement or report.settlement is Settlement.PENDING


def _on_chain(open_order: OpenOrder, report: ExecutionReport, at: float) -> Sequence[e.Event]:
    """Note that what is booked reached the chain, or is off it again: that is whether it can be sold."""
    if open_order.report is None or open_order.report.settlement is report.settlement:
        return ()
    return (e.OnChain(key=open_order.order.key, settlement=report.settlement, at=at),)


def _as_it_stood(open_order: OpenOrder, report: ExecutionReport) -> ExecutionReport:
    """Return the last report of an order that the venue does not have any more."""
    booked = open_order.report
    if booked is None or not booked.shares.micro:
        return evolve(report, status=Status.KILLED, detail=report.detail or "the venue has it no more")
    return evolve(booked, status=Status.PARTIAL)


def _as_booked(open_order: OpenOrder, report: ExecutionReport) -> ExecutionReport:
    """Return a report with the amounts that are booked: of an order that is undone what was spent, else the same but for rounding."""
    booked = open_order.report
    if booked is None:
        return report
    return evolve(report, shares=booked.shares, notional=booked.notional, fee=booked.fee)


def call_off(account: AccountState, key: IntentKey, why: Reason, at: float) -> Sequence[e.Event]:
    """Want an order to rest no longer; once is enough, and one that is off the book does not."""
    open_order = account.orders.get(key)
    if open_order is None or not open_order.rests or open_order.off_book or open_order.called_off is not None:
        return ()
    return (e.CalledOff(key=key, why=why, at=at),)


def doubt(
    account: AccountState, key: IntentKey, report: ExecutionReport | None, at: float, *, breached: bool = False
) -> Sequence[e.Event]:
    """Keep what an order holds: nobody can say what became of it. One that rests is known to, whoever does not answer.

    `breached` is said of one that its executor reported what cannot be about. Of what is matched it is not: there, only
    the very fill that is booked can settle or be undone, so that asking again does no harm, and nobody else could say it.
    """
    open_order = account.orders.get(key)
    if open_order is None or open_order.state is _MATCHED:
        return ()
    events: list[e.Event] = []
    if open_order.state is OrderState.PLACED:
        events.append(e.Learned(key=key, state=OrderState.UNKNOWN, report=report, at=at))
    if breached and not open_order.breached:
        events.append(e.Breached(key=key, at=at))
    return events


def not_sent(account: AccountState, command: c.NotSent) -> Sequence[e.Event]:
    """End an order as if it had never been; one that is booked, or rests, was sent. Its task ends, or waits for the next owner."""
    open_order = account.orders.get(command.key)
    if open_order is None or open_order.rests or open_order.state is _MATCHED:
        return ()
    if command.waits_on and not open_order.ended:
        task, intent = open_order.task, command.intent
        unsent = None if intent is None else Unsent(order=open_order.order, intent=intent)
        return (
            e.Learned(key=command.key, state=OrderState.ENDED, report=None, at=command.at),
            e.Waits(task=task.anew() if unsent is None else task, unsent=unsent, at=command.at),
        )
    learned = e.Learned(key=command.key, state=OrderState.ENDED, report=None, outcome=command.outcome, at=command.at)
    return (learned, *missed_by(account, open_order.task, command.at))


def escalate(account: AccountState, command: c.Escalate) -> Sequence[e.Event]:
    """End the task of an order that nobody can prove; what it holds stays held. One whose task has ended is handed over alone."""
    open_order = account.orders.get(command.key)
    if open_order is None or open_order.handed_over or not (open_order.unproven or open_order.off_book):
        return ()
    if open_order.ended:
        return (e.HandedOver(key=command.key, at=command.at),)
    return (e.Ended(task=open_order.task, outcome=command.outcome, key=command.key, at=command.at),)
