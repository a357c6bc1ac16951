"""What was bought and has not reached the chain cannot be sold: an exit sells the rest at once, and waits for it.

A venue says at once that a purchase is matched, and refuses to sell its shares until the chain has them. Sold are the shares
that are there; of what is missing, another task is made, which waits durably as any other and comes to an end of its own. So
each order belongs to one task still, and each task ends once.
"""

from attrs import evolve

from trio_copy.accounts.budgets import Spot
from trio_copy.accounts.exits import spot_of
from trio_copy.accounts.state import AccountState
from trio_copy.model.decisions import CopyTask, OrderIntent, Outcome, never_settled, too_late
from trio_copy.model.fills import Side
from trio_copy.model.ids import rest_id
from trio_copy.model.orders import Settlement
from trio_copy.model.units import NO_SHARES, Rounding, Shares

_BUY, _PENDING = Side.BUY, Settlement.PENDING


def unsettled(account: AccountState, spot: Spot) -> Shares:
    """Return what was bought at a spot and is not on the chain: it may be held, and cannot be sold yet."""
    return sum(
        (
            entry.shares
            for one in account.orders.values()
            if one.order.side is _BUY
            and one.spot == spot
            and one.report is not None
            and one.report.settlement is _PENDING
            for entry in account.unsettled(one)
        ),
        NO_SHARES,
    )


def sold_now(account: AccountState, spot: Spot, wanted: Shares, minimum: Shares) -> Shares:
    """Return how many of the shares that an exit wants to sell it sells at once; none where it waits for all of them.

    What is left for later is no less than the venue sells at least, or it could never be sold.
    """
    missing = unsettled(account, spot) if account.orders else NO_SHARES
    if not missing.micro:
        return wanted
    ready = account.free(spot).micro - missing.micro
    if ready >= wanted.micro:
        return wanted
    part = min(ready, wanted.micro - minimum.micro)
    return Shares(part) if part >= max(1, minimum.micro) else NO_SHARES


def in_two(task: CopyTask, intent: OrderIntent, now: Shares) -> tuple[CopyTask, CopyTask]:
    """Divide an exit that wants to sell what `intent` says: into what it sells now and what later, each with its part of
    what the leader sold.
    """
    sold = intent.leader_shares.part(now, intent.shares, Rounding.DOWN)
    rest = evolve(intent, shares=intent.shares - now, leader_shares=intent.leader_shares - sold)
    return (
        evolve(task, intent=evolve(intent, shares=now, leader_shares=sold)),
        evolve(task, task_id=rest_id(task.key), attempt=0, reread=False, unsent=0, intent=rest),
    )


def patient(task: CopyTask, settle_s: float) -> CopyTask:
    """Give an exit the time that shares need to settle, which is longer than a copy is worth making."""
    return evolve(task, deadline=max(task.deadline, task.signal.block_time + settle_s))


def late(account: AccountState, task: CopyTask, now: float) -> Outcome:
    """Say how a task ends whose deadline has passed; of an exit that waited for shares to settle, that this is why."""
    spot = spot_of(task)
    missing = unsettled(account, spot)
    if task.intent.side is _BUY or task.task_id not in account.waiting or not missing.micro:
        return too_late(task, now)
    return never_settled(task, f"{missing} of {account.position(spot).shares} shares unsettled")
