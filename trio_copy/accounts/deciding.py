"""What an account answers to a command. Nothing changes here; what comes is applied by `Account.apply`."""

from collections.abc import Sequence

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.answers import answer, call_off, doubt, escalate, not_sent
from trio_copy.accounts.cash import fund
from trio_copy.accounts.endings import end, missed
from trio_copy.accounts.entries import redemption_entry
from trio_copy.accounts.offers import offer, refuse
from trio_copy.accounts.state import AccountState
from trio_copy.accounts.waits import suspend, take_up, tick
from trio_copy.model.control import ModeChange
from trio_copy.model.ids import task_id


def decide(account: AccountState, command: c.Command) -> Sequence[e.Event]:
    """Answer a command; a command that was carried out before is answered with nothing."""
    match command:
        case c.Offer():
            return offer(account, command)
        case c.Answer():
            return answer(account, command)
        case c.Refuse():
            return refuse(account, command)
        case c.Pass():
            return _pass(account, command)
        case c.Park(task=task, at=at):
            return () if account.knows(task) or task.task_id in account.waiting else (e.Waits(task=task, at=at),)
        case c.Try():
            return take_up(account, command)
        case c.Doubt(key=key, at=at, breached=breached):
            return doubt(account, key, None, at, breached=breached)
        case c.NotSent():
            return not_sent(account, command)
        case c.Escalate():
            return escalate(account, command)
        case c.CallOff(key=key, why=why, at=at):
            return call_off(account, key, why, at)
        case c.Retract(signal=signal, at=at):
            return suspend(account, signal, suspended=True, at=at)
        case c.Resume(signal=signal, at=at):
            return suspend(account, signal, suspended=False, at=at)
        case c.Resolve():
            return _resolve(account, command)
        case c.Tick():
            return tick(account, command)
        case c.SetMode(mode=mode, why=why, at=at):
            return (e.ModeSet(change=ModeChange(mode=mode, why=why, at=at)),)
        case c.SeeWorth(unrealised=unrealised, at=at):
            worth, peak = account.performance.realised + unrealised, account.performance.worth_peak
            return (e.PeakSeen(worth=worth, at=at),) if peak is None or worth > peak else ()
        case c.ResetPeak(at=at):
            return (e.PeakReset(at=at),)
        case c.Fund():
            return fund(account, command)
        case c.Replay(task=name, at=at):
            dead = account.dead.get(name)
            return () if dead is None else (e.Waits(task=dead.task, at=at),)
        case c.Purge(task=name, outcome=outcome, at=at):
            dead = account.dead.get(name)
            return () if dead is None else end(account, dead.task, outcome, at)


def _pass(account: AccountState, command: c.Pass) -> Sequence[e.Event]:
    signal, at = command.signal, command.at
    # What was wanted once goes on, whatever the settings say by now.
    task = task_id(signal.signal_id, account.follower)
    if account.has_met(signal.signal_id, task):
        return ()
    passed = e.Passed(skip=command.skip, signal=signal, at=at)
    return (passed, *missed(account, task, signal, signal.token_id, signal.shares, at))


def _resolve(account: AccountState, command: c.Resolve) -> Sequence[e.Event]:
    follower, leader, token = command.position
    spot = (leader, token)
    position = account.position(spot)
    # What an open order may still sell, or has matched and not settled, is not ours to redeem.
    if follower != account.follower or not position.shares or account.in_flight(spot):
        return ()
    return (e.Redeemed(entry=redemption_entry(account.follower, spot, position, command)),)
