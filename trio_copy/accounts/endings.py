"""How tasks end that filled nothing, and what is noted when a leader sold and a follower did not."""

from collections.abc import Sequence

from trio_copy.accounts import events as e
from trio_copy.accounts.entries import missed_entry
from trio_copy.accounts.state import AccountState
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import TaskId, TokenId
from trio_copy.model.signals import Signal
from trio_copy.model.units import Shares

_ENDS = {Code.LEADER_LEFT: End.SKIPPED, Code.NOT_SENT: End.REJECTED}


def refused(reason: Reason) -> Outcome:
    """Say how a task ends for which nothing was placed."""
    return Outcome(end=_ENDS.get(reason.code, End.DENIED), reason=reason)


def end(account: AccountState, task: CopyTask, outcome: Outcome, at: float) -> Sequence[e.Event]:
    """End a task that has no order."""
    return (e.Ended(task=task, outcome=outcome, at=at), *missed_by(account, task, at))


def missed_by(account: AccountState, task: CopyTask, at: float) -> Sequence[e.Event]:
    """Note what a leader sold and a task did not."""
    return missed(account, task.task_id, task.signal, task.intent.token_id, task.intent.leader_shares, at)


def missed(
    account: AccountState, task: TaskId, signal: Signal, token: TokenId, leader_shares: Shares, at: float
) -> Sequence[e.Event]:
    """Note that a leader left and this follower did not: the next exit must know how much he still holds."""
    leaves = signal.side is Side.SELL and signal.kind is not Kind.EXIT and leader_shares
    if leaves and account.position((signal.leader, token)).lots:
        return (e.Missed(entry=missed_entry(account.follower, task, signal, token, leader_shares, at)),)
    return ()
