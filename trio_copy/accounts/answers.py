"""What an account makes of what is heard about an order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.endings import missed_by
from trio_copy.accounts.entries import fill_entry
from trio_copy.accounts.orders import LIFE, OrderState, Step, outcome_of, outside, said
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Status

if TYPE_CHECKING:
    from trio_copy.accounts.account import Account

_BOOK, _BOOK_FIRM = Step.BOOK, Step.BOOK_FIRM


def answer(account: "Account", command: c.Answer) -> Sequence[e.Event]:
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
    step, state = LIFE[open_order.state, said(report)]
    if step is _BOOK_FIRM or step is _BOOK:
        entry = fill_entry(open_order.task, open_order.order, report, at)
        return (e.Learned(key, state, report, at, outcome_of(open_order.order, report), entry),)
    match step:
        case Step.DOUBT:
            return doubt(account, key, report, at)
        case Step.SETTLE if open_order.booked_as(report):
            return (e.Settled(key=key, report=report, at=at),)
        case Step.REVERSE if open_order.booked_as(report):
            return (e.Reversed(key=key, report=report, at=at), *missed_by(account, open_order.task, at))
        case Step.REFUSE | Step.SETTLE | Step.REVERSE:
            return (e.Contradicted(key=key, report=report, at=at),)
        case Step.VOID | Step.CLOSE if command.again and report.status is Status.KILLED and not open_order.ended:
            task = evolve(open_order.task, attempt=open_order.task.attempt + 1)
            return (e.Learned(key=key, state=state, report=report, at=at), e.Waits(task=task, at=at))
        case Step.VOID | Step.CLOSE:
            outcome = outcome_of(open_order.order, report)
            learned = e.Learned(key=key, state=state, report=report, outcome=outcome, at=at)
            return (learned, *missed_by(account, open_order.task, at))
        case _:  # nothing new
            return ()


def doubt(
    account: "Account", key: IntentKey, report: ExecutionReport | None, at: float, *, breached: bool = False
) -> Sequence[e.Event]:
    """Keep what an order holds: nobody can say what became of it.

    `breached` is said of one that its executor reported what cannot be about. Of what is matched it is not: there, only
    the very fill that is booked can settle or be undone, so that asking again does no harm, and nobody else could say it.
    """
    open_order = account.orders.get(key)
    if open_order is None or open_order.state is OrderState.MATCHED:
        return ()
    events: list[e.Event] = []
    if open_order.state is OrderState.PLACED:
        events.append(e.Learned(key=key, state=OrderState.UNKNOWN, report=report, at=at))
    if breached and not open_order.breached:
        events.append(e.Breached(key=key, at=at))
    return events


def not_sent(account: "Account", command: c.NotSent) -> Sequence[e.Event]:
    """End an order as if it had never been; one that is booked was sent."""
    open_order = account.orders.get(command.key)
    if open_order is None or open_order.state is OrderState.MATCHED:
        return ()
    learned = e.Learned(key=command.key, state=OrderState.ENDED, report=None, outcome=command.outcome, at=command.at)
    return (learned, *missed_by(account, open_order.task, command.at))


def escalate(account: "Account", command: c.Escalate) -> Sequence[e.Event]:
    """End the task of an order that nobody can prove; what it holds stays held."""
    open_order = account.orders.get(command.key)
    if open_order is None or open_order.ended:
        return ()
    return (e.Ended(task=open_order.task, outcome=command.outcome, key=command.key, at=command.at),)
