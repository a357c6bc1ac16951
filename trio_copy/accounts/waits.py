"""What waits durably in an account: for its time, for company, or for its signal to be mined again."""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.endings import end
from trio_copy.accounts.exits import call_off, leaves_entry, spot_of
from trio_copy.accounts.state import AccountState
from trio_copy.model.decisions import CopyTask, End, Outcome, leader_left, never_enough, retracted
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import SignalId, TaskId


def as_known(account: AccountState, task: CopyTask) -> CopyTask:
    """Return what is left of a task: an exit may have made it smaller, or an attempt of it may be over."""
    waits = account.waiting.get(task.task_id)
    return task if waits is None else waits.task


def beside(account: AccountState, task: CopyTask, resting: Sequence[CopyTask]) -> list[CopyTask]:
    """Return what else of a task's leader and token is not placed, oldest first: of `resting` what is not durable yet."""
    spot = spot_of(task)
    waiting = [waits.task for waits in account.waiting.values() if spot_of(waits.task) == spot]
    others = (one for one in resting if one.task_id not in account.waiting and not account.knows(one))
    found = {one.task_id: one for one in (*waiting, *others) if one.task_id != task.task_id and spot_of(one) == spot}
    return sorted(found.values(), key=age)


def waits_on(account: AccountState, task: CopyTask, at: float, *, until: float | None = None) -> e.Waits:
    """Let a task wait on as it did; `until` is how long for company where that was not said yet."""
    known = account.waiting.get(task.task_id)
    if known is None:
        return e.Waits(task=task, until=until, at=at)
    return e.Waits(
        task=task,
        until=until if known.until is None else known.until,
        suspended=known.suspended,
        tries=known.tries,
        unsent=known.unsent,
        at=at,
    )


def called_off(
    account: AccountState, task: CopyTask, resting: Sequence[CopyTask], at: float
) -> tuple[CopyTask, Sequence[e.Event]]:
    """Take a leader's exit from the entries that are not bought yet, in proportion; what is left of the exit."""
    if not (account.waiting or resting):
        return task, ()
    if task.intent.side is Side.BUY or task.signal.kind is Kind.EXIT or task.intent.called_off:
        return task, ()
    entries = [entry for entry in beside(account, task, resting) if leaves_entry(task, entry)]
    if not entries:
        return task, ()
    intent, rests = call_off(task.intent, account.position(spot_of(task)), [entry.intent for entry in entries])
    events: list[e.Event] = []
    for entry, rest in zip(entries, rests, strict=True):
        left = evolve(entry, intent=rest)
        if rest.shares:
            # From now on it is less than its signal says: only what is durable survives a crash as what it is.
            events.append(waits_on(account, left, at))
        else:
            outcome = Outcome(end=End.SKIPPED, reason=leader_left(rest))
            events.append(e.Ended(task=left, outcome=outcome, at=at))
    return evolve(task, intent=intent), events


def suspend(account: AccountState, signal: SignalId, *, suspended: bool, at: float) -> Sequence[e.Event]:
    """Suspend what waits of a signal, or let it go on."""
    return tuple(
        evolve(waits_on(account, waits.task, at), suspended=suspended)
        for waits in account.waiting.values()
        if waits.task.signal.signal_id == signal and waits.suspended is not suspended
    )


def take_up(account: AccountState, command: c.Try) -> Sequence[e.Event]:
    """Count a try of what waits; one too many makes it a dead letter."""
    waits = account.waiting.get(command.task)
    if waits is None:
        return ()
    if waits.tries >= command.most:
        why = f"the process ended {command.most} times while it was under way"
        # What it was made of is not kept for so long, and nothing else is signed for the key of an order that has left.
        task = waits.task if waits.unsent is None else waits.task.anew()
        return (e.Buried(task=task, why=why, at=command.at),)
    return (evolve(waits_on(account, waits.task, command.at), tries=waits.tries + 1),)


def tick(account: AccountState, command: c.Tick) -> Sequence[e.Event]:
    """End what has waited in vain, and forget what nobody can ask about any more."""
    at = command.at
    events: list[e.Event] = []
    for waits in account.waiting.values():
        if waits.suspended and at > waits.task.deadline:
            events += end(account, waits.task, retracted(waits.task), at)
        elif waits.until is not None and at > waits.until:
            events += end(account, waits.task, never_enough(waits.task), at)
    signals = tuple(
        signal
        for signal, block in account.recent.items()
        if block <= command.passed and (command.met is None or signal in command.met)
    )
    windows = tuple(
        # An order that is not proven yet may still count in it.
        name
        for name, window in account.windows.items()
        if window.until < at and not window.held
    )
    if signals or windows:
        events.append(e.Forgot(signals=signals, windows=windows))
    return tuple(events)


def age(task: CopyTask) -> tuple[float, TaskId]:
    """Return what tasks are sorted by, oldest first."""
    return (task.decided_at, task.task_id)
