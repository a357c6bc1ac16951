"""What an account answers when a task may be placed: an order with what it holds, an end with its reason, or a wait."""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.aggregate import aggregate, aggregate_exits, leave_together
from trio_copy.accounts.answers import call_off
from trio_copy.accounts.budgets import breach, day_of, over_budget
from trio_copy.accounts.cash import without_balance
from trio_copy.accounts.costs import below_minimum, held_to, with_fees, worst_cost
from trio_copy.accounts.endings import end, refused
from trio_copy.accounts.exits import portion, spot_of
from trio_copy.accounts.orders import Unsent, outside_intent
from trio_copy.accounts.settling import in_two, patient, sold_now
from trio_copy.accounts.state import AccountState
from trio_copy.accounts.waits import age, as_known, beside, called_off, waits_on
from trio_copy.model.control import Mode, ModeChange
from trio_copy.model.decisions import (
    Code,
    CopyTask,
    End,
    OrderIntent,
    Outcome,
    Reason,
    aggregated_in,
    leader_left,
    left_by,
    rested_out,
)
from trio_copy.model.fills import Side
from trio_copy.model.ids import TaskId
from trio_copy.model.orders import Order
from trio_copy.model.units import NO_USD, Rounding, Usd

_SELL, _UP = Side.SELL, Rounding.UP
_MODES_AFTER_LOSS = {"close-only": Mode.REDUCE_ONLY, "halt": Mode.HALT_ALL}


def offer(account: AccountState, command: c.Offer) -> Sequence[e.Event]:
    """Place a task, or say why not."""
    task, at = command.task, command.at
    waits = account.waiting.get(task.task_id)
    if waits is not None:
        # An exit may have made it smaller, or an attempt of it may be over.
        task = waits.task
        if waits.suspended:
            return ()
    if account.knows(task):
        return ()
    forbidden = None if account.mode is None else account.forbids(task.intent.side)
    if forbidden is not None:
        outcome = Outcome(end=End.HALTED, reason=forbidden)
        return refuse(account, c.Refuse(task=task, outcome=outcome, resting=command.resting, at=at))
    if task.intent.side is _SELL:
        return _exit(account, task, command)
    if not task.intent.shares.micro:
        return end(account, task, refused(leader_left(task.intent)), at)
    if task.intent.rest_until and at >= task.intent.rest_until:
        return end(account, task, rested_out(task, at), at)
    if task.aggregates:
        return _entry_in_company(account, task, command)
    return _entry(account, task, (), command)


def refuse(account: AccountState, command: c.Refuse) -> Sequence[e.Event]:
    """End a task that shall not be placed; an exit still calls off what waits of its leader's entries."""
    if account.knows(command.task):
        return ()
    task, changes = called_off(account, as_known(account, command.task), command.resting, command.at)
    return (*_before_exit(account, task, command.at), *changes, *end(account, task, command.outcome, command.at))


def _before_exit(account: AccountState, task: CopyTask, at: float) -> list[e.Event]:
    """Call off what rests of an exit's token."""
    return [
        event
        for one in account.resting_before(task)
        for event in call_off(account, one.order.key, left_by(task, one.task), at)
    ]


def _entry(account: AccountState, task: CopyTask, members: tuple[TaskId, ...], command: c.Offer) -> Sequence[e.Event]:
    verdict = _allowed(account, task, command)
    if isinstance(verdict, Reason):
        return _denied(account, task, verdict, command)
    task, order, cost, intent = verdict
    return (e.Placed(order, task, command.at, cost, members, intent),)


def _denied(account: AccountState, task: CopyTask, why: Reason, command: c.Offer) -> Sequence[e.Event]:
    """End an entry; what was lost may set the follower's mode."""
    ends, caps = end(account, task, refused(why), command.at), command.settings.caps
    mode = _MODES_AFTER_LOSS.get(caps.on_breach) if why.code is Code.LOSS_LIMIT else None
    if mode is None:
        return ends
    change = ModeChange(mode=mode, why=f"{why.control} is {why.limit}, lost {why.value}", at=command.at)
    return (*ends, e.ModeSet(change=change))


def _entry_in_company(account: AccountState, task: CopyTask, command: c.Offer) -> Sequence[e.Event]:
    """Place an entry together with what else may go out with it, or let it wait until it is enough."""
    size, at = command.settings.size, command.at
    company = _company(account, task, command)
    together = aggregate(task, company, command.settings)
    members = [other for other in company if other.task_id in together.members]
    if size.minimum_policy == "accumulate" and below_minimum(together.task.intent, size):
        known = account.waiting
        # How long one waits for company is said once.
        new = [one for one in (task, *members) if one.task_id not in known or known[one.task_id].until is None]
        return tuple(waits_on(account, one, at, until=at + size.accumulate_s) for one in new)
    gathered = aggregated_in(task.task_id, "aggregate")
    return (
        *_entry(account, together.task, together.members, command),
        *(e.Ended(task=member, outcome=gathered, at=at) for member in members),
    )


def _company(account: AccountState, task: CopyTask, command: c.Offer) -> list[CopyTask]:
    """Return the entries that may go out in a task's order; with `accumulate` also those that are late by themselves."""
    accumulates = command.settings.size.minimum_policy == "accumulate"
    return [
        other
        for other in beside(account, task, command.resting)
        if other.aggregates
        and other.intent.side is not _SELL
        and other.intent.shares
        and (accumulates or other.deadline >= command.at)
        and not _suspended(account, other)
    ]


def _suspended(account: AccountState, task: CopyTask) -> bool:
    waits = account.waiting.get(task.task_id)
    return waits is not None and waits.suspended


def _allowed(
    account: AccountState, task: CopyTask, command: c.Offer
) -> tuple[CopyTask, Order, Usd, OrderIntent] | Reason:
    """Return an entry, whose key names its order, with the most that it may cost and what it is made of, or what forbids it."""
    settings, fee, caps = command.settings, command.market.fee, command.settings.caps
    if settings.size.minimum_policy != "accumulate" and below_minimum(task.intent, settings.size):
        # An exit has called the rest off.
        value, limit = str(task.intent.shares.at(task.intent.price, _UP)), str(settings.size.minimum_usd)
        return Reason(code=Code.BELOW_MINIMUM, control="size.minimum_usd", value=value, limit=limit)
    if caps.max_day_loss_usd is not None or caps.max_drawdown_usd is not None:
        lost = breach(caps, account.performance, day_of(command.at), command.unrealised)
        if lost is not None:
            return lost
    intent = with_fees(task.intent, settings, fee)
    if isinstance(intent, Reason):
        return intent
    intent = held_to(command.allotment, intent)
    prepared = _prepared(account, task, intent, command)
    if isinstance(prepared, Reason):
        return prepared
    task, order = prepared
    cost = worst_cost(order.max_cost, order.limit_price, fee)
    over = over_budget(task, cost, settings, account.exposure, account.windows, command.day)
    if over is None and command.paper is not None:
        over = without_balance(account, cost, command.paper)
    return over or (task, order, cost, intent)


def _exit(account: AccountState, task: CopyTask, command: c.Offer) -> Sequence[e.Event]:
    """Place an exit; where there is no room for all that wait, those of its position go out with it.

    What rests of its token is called off first, and it sells what came of that: until this is proven, it is not placed.
    What is bought and not settled is left for later.
    """
    at = command.at
    if account.resting_before(task):
        return _before_exit(account, task, at)
    company = _leaving_too(account, task, command) if command.crowded and not _unsent(account, task) else []
    together = aggregate_exits(task, company)
    # As of the last of them: what he bought between two of his sales, he has sold again by now.
    last = max((task, *company), key=age) if company else task
    called, changes = called_off(account, last.wanting(together.task.intent), command.resting, at)
    task, spot = task.wanting(called.intent), spot_of(task)
    gathered = aggregated_in(task.task_id, "engine.queue_capacity")
    members = [e.Ended(task=other, outcome=gathered, at=at) for other in company if other.task_id in together.members]
    intent = portion(task.intent, account.position(spot), account.free(spot))
    if isinstance(intent, Reason):
        return (*changes, *end(account, task, refused(intent), at), *members)
    now, settle_s = sold_now(account, spot, intent.shares, command.market.minimum), command.settings.leaving.settle_s
    if not now.micro:
        return (*changes, *_wait_for_shares(account, patient(task, settle_s), at), *members)
    part, later = task, list[e.Event]()
    if now.micro < intent.shares.micro:
        if _unsent(account, task):
            task = task.anew()  # the rest is named by its key, and one of the order before may wait already
        part, rest = in_two(task, intent, now)
        intent, later = part.intent, [e.Waits(task=patient(rest, settle_s), at=at)]
    if not together.members:  # for what goes along, nothing was allotted; and what is sold later meets another book
        intent = held_to(command.allotment, intent, command.market.minimum)
    prepared = _prepared(account, part, intent, command)
    if isinstance(prepared, Reason):
        return (*changes, *end(account, task, refused(prepared), at), *members)
    part, order = prepared
    return (*changes, e.Placed(order, part, at, NO_USD, together.members, intent), *later, *members)


def _wait_for_shares(account: AccountState, task: CopyTask, at: float) -> Sequence[e.Event]:
    """Let an exit wait until what it sells has settled; offered again too early, nothing changes.

    It was in hand and has ended no process: however many end until it settles, it is not to blame for them.
    """
    known = account.waiting.get(task.task_id)
    if known is not None and known.task == task and not known.tries:
        return ()
    return (evolve(waits_on(account, task, at), tries=0),)


def _leaving_too(account: AccountState, task: CopyTask, command: c.Offer) -> list[CopyTask]:
    """Return the exits that may go out in a task's order."""
    return [
        other
        for other in beside(account, task, command.resting)
        if leave_together(task, other)
        and other.deadline >= command.at
        and not _suspended(account, other)
        and not _unsent(account, other)
    ]


def _unsent(account: AccountState, task: CopyTask) -> Unsent | None:
    """Return the last order of a task that waits, where that may go again."""
    waits = account.waiting.get(task.task_id)
    return None if waits is None else waits.unsent


def _prepared(
    account: AccountState, task: CopyTask, intent: OrderIntent, command: c.Offer
) -> tuple[CopyTask, Order] | Reason:
    """Return the frozen order of an intent, with the task whose key names it, or why it cannot be sent.

    What waits again goes as it was frozen before, where it is decided alike: else it is another order, under another key.
    """
    unsent = _unsent(account, task)
    if unsent is not None and unsent.order.key == task.key:
        fee = command.market.fee
        if unsent.intent == intent and command.wallet in (None, unsent.order.wallet) and unsent.order.fee == fee:
            return task, unsent.order
        task = task.anew()
    key = task.key
    order = command.prepare(key, intent)
    wrong = outside_intent(order, key, task.follower, intent)
    if wrong is not None:
        return Reason(code=Code.NOT_SENT, control="executor.prepare", value=wrong, limit="an order inside its intent")
    if order.shares.micro:
        return task, order
    return order.refused or Reason(
        code=Code.BELOW_MINIMUM,
        control="venue.minimum",
        value=f"{intent.shares} shares",
        limit=f"{command.market.minimum} shares",
    )
