"""What an account answers when a task may be placed: an order with what it holds, an end with its reason, or a wait."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.aggregate import aggregate
from trio_copy.accounts.budgets import breach, day_of, over_budget
from trio_copy.accounts.costs import below_minimum, with_fees, worst_cost
from trio_copy.accounts.endings import end, refused
from trio_copy.accounts.exits import portion, spot_of
from trio_copy.accounts.orders import outside_intent
from trio_copy.accounts.waits import as_known, beside, called_off, waits_on
from trio_copy.model.control import Mode, ModeChange
from trio_copy.model.decisions import (
    Aggregate,
    Code,
    CopyTask,
    End,
    OrderIntent,
    Outcome,
    Reason,
    aggregated_in,
    leader_left,
)
from trio_copy.model.fills import Side
from trio_copy.model.orders import Market, Order
from trio_copy.model.units import Rounding, Usd

if TYPE_CHECKING:
    from trio_copy.accounts.account import Account

_MODES_AFTER_LOSS = {"close-only": Mode.REDUCE_ONLY, "halt": Mode.HALT_ALL}


def offer(account: "Account", command: c.Offer) -> Iterator[e.Event]:
    """Place a task, or say why not."""
    task, at = as_known(account, command.task), command.at
    waits = account.waiting.get(task.task_id)
    if account.knows(task) or (waits is not None and waits.suspended):
        return
    forbidden = account.forbids(task.intent.side)
    if forbidden is not None:
        outcome = Outcome(end=End.HALTED, reason=forbidden)
        yield from refuse(account, c.Refuse(task=task, outcome=outcome, resting=command.resting, at=at))
    elif task.intent.side is Side.SELL:
        yield from _exit(account, task, command)
    elif not task.intent.shares:
        yield from end(account, task, refused(leader_left(task.intent)), at)
    else:
        yield from _entry(account, task, command)


def refuse(account: "Account", command: c.Refuse) -> Iterator[e.Event]:
    """End a task that shall not be placed; an exit still calls off what waits of its leader's entries."""
    if account.knows(command.task):
        return
    task, changes = called_off(account, as_known(account, command.task), command.resting, command.at)
    yield from changes
    yield from end(account, task, command.outcome, command.at)


def _entry(account: "Account", task: CopyTask, command: c.Offer) -> Iterator[e.Event]:
    settings, at = command.settings, command.at
    together = Aggregate(task=task)
    members: list[CopyTask] = []
    if task.aggregates:
        company = _company(account, task, command)
        together = aggregate(task, company, settings)
        members = [other for other in company if other.task_id in together.members]
        if settings.size.minimum_policy == "accumulate" and below_minimum(together.task.intent, settings.size):
            until = at + settings.size.accumulate_s
            for one in (task, *members):
                known = account.waiting.get(one.task_id)
                if known is None or known.until is None:
                    yield waits_on(account, one, at, until=until)
            return
    verdict = _allowed(account, together.task, command)
    if isinstance(verdict, Reason):
        yield from end(account, together.task, refused(verdict), at)
        mode = _MODES_AFTER_LOSS.get(settings.caps.on_breach)
        if verdict.code is Code.LOSS_LIMIT and mode is not None:
            why = f"{verdict.control} is {verdict.limit}, lost {verdict.value}"
            yield e.ModeSet(change=ModeChange(mode=mode, why=why, at=at))
    else:
        order, cost = verdict
        yield e.Placed(order=order, task=together.task, members=together.members, cost=cost, at=at)
    for member in members:
        yield e.Ended(task=member, outcome=aggregated_in(task.task_id), at=at)


def _company(account: "Account", task: CopyTask, command: c.Offer) -> list[CopyTask]:
    """Return the entries that may go out in a task's order; with `accumulate` also those that are late by themselves."""
    accumulates = command.settings.size.minimum_policy == "accumulate"
    return [
        other
        for other in beside(account, task, command.resting)
        if other.aggregates
        and other.intent.side is Side.BUY
        and other.intent.shares
        and (accumulates or other.deadline >= command.at)
        and not ((waits := account.waiting.get(other.task_id)) is not None and waits.suspended)
    ]


def _allowed(account: "Account", task: CopyTask, command: c.Offer) -> tuple[Order, Usd] | Reason:
    """Return the order of an entry with the most that it may cost, or what forbids it."""
    settings, market = command.settings, command.market
    if settings.size.minimum_policy != "accumulate" and below_minimum(task.intent, settings.size):
        # An exit has called the rest off.
        value, limit = str(task.intent.shares.at(task.intent.price, Rounding.UP)), str(settings.size.minimum_usd)
        return Reason(code=Code.BELOW_MINIMUM, control="size.minimum_usd", value=value, limit=limit)
    lost = breach(settings.caps, account.performance, day_of(command.at))
    if lost is not None:
        return lost
    intent = with_fees(task.intent, settings, market.fee_bps)
    order = intent if isinstance(intent, Reason) else _prepared(task, intent, command)
    if isinstance(order, Reason):
        return order
    cost = worst_cost(order.shares, order.limit_price, market.fee_bps)
    return over_budget(task, cost, settings, account.exposure, account.spent(task), command.day) or (order, cost)


def _exit(account: "Account", task: CopyTask, command: c.Offer) -> Iterator[e.Event]:
    task, changes = called_off(account, task, command.resting, command.at)
    yield from changes
    spot = spot_of(task)
    intent = portion(task.intent, account.position(spot), account.free(spot))
    order = intent if isinstance(intent, Reason) else _prepared(task, intent, command)
    if isinstance(order, Reason):
        yield from end(account, task, refused(order), command.at)
    else:
        yield e.Placed(order=order, task=task, at=command.at)


def _prepared(task: CopyTask, intent: OrderIntent, command: c.Offer) -> Order | Reason:
    """Return the frozen order of an intent, or why it cannot be sent."""
    key = task.key
    order = command.prepare(key, intent)
    wrong = outside_intent(order, key, task.follower, intent)
    if wrong is not None:
        return Reason(code=Code.NOT_SENT, control="executor.prepare", value=wrong, limit="an order inside its intent")
    return order if order.shares else _under_venue_minimum(command.market)


def _under_venue_minimum(market: Market) -> Reason:
    return Reason(code=Code.BELOW_MINIMUM, control="venue.minimum", value="0", limit=str(market.minimum))
