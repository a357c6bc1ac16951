"""What the chain tells a shard: a signal, that it is gone, that it is back, and how far all was read."""

from collections.abc import Sequence

from trio_copy.accounts import commands as c
from trio_copy.accounts.telling import SkipTold, Told
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.stored import stored_fact
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, Skip, evicted, shed
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, SignalId, TaskId, TokenId, task_id
from trio_copy.model.logs import BlockRef
from trio_copy.model.signals import Signal

_RETRACTABLE_S = 1800.0
"""How long the details of a signal are remembered that a reorg may still take back: longer than any window is deep."""


def take_in(shard: Shard, signal: Signal, tasks: Sequence[CopyTask], skips: Sequence[Skip]) -> int:
    """Let a signal's tasks wait to be placed, and write down what was not wanted; the accounts must be at hand.

    What an account knows already changes nothing. Returns how many tasks wait.
    """
    if not shard.is_read():
        return 0  # whoever has it next reads it from the chain
    now, waiting = shard.wall(), 0
    shard.progress.meet(signal.signal_id, signal.block_number)
    shard.sightings.see(signal.signal_id, signal.token_id, tasks)
    for skip in skips:
        _pass(shard, skip, signal, now)
    # By their names, which are hashes of signal and follower: who goes first is another one each time, and the same everywhere.
    for task in sorted(tasks, key=_task_id):
        met = shard.accounts[task.follower].has_met(signal.signal_id, task.task_id)
        if met or task.task_id in shard.lanes[task.executor].unplaced:
            continue
        waiting += 1
        if shard.unclean and signal.block_time <= shard.taken_at:
            shard.act(task.follower, c.Park(task=task, at=now))
            shard.recovering.append(task)
        else:
            _wait_in_lane(shard, task, signal.block_number, now)
    shard.writer.tell()
    return waiting


def _wait_in_lane(shard: Shard, task: CopyTask, block: int, now: float) -> None:
    lanes = shard.lanes[task.executor]
    shard.progress.begin(task.task_id, block)
    pushed_out = lanes.add(Queued(task, shard.number, shard.lane_of(task)), now)
    if pushed_out is not None:
        outcome = shed(lanes.capacity) if pushed_out.task is task else evicted(lanes.capacity)
        owner = shard if pushed_out.shard == shard.number else shard.shards[pushed_out.shard]
        owner.give_up(pushed_out, outcome)
    if task.not_before > now and task.task_id in lanes.unplaced:
        shard.act(task.follower, c.Park(task=task, at=now))


def _pass(shard: Shard, skip: Skip, signal: Signal, now: float) -> None:
    """Write down that a follow did not want a signal."""
    if signal.side is Side.SELL:
        if skip.reason.code is Code.TOO_OLD:
            _call_off(shard, skip.follower, signal, now)
        shard.act(skip.follower, c.Pass(skip=skip, signal=signal, at=now))
        return
    # What was wanted once goes on, or has ended: read again, it may be too old by now, and that is not its end.
    if shard.accounts[skip.follower].has_met(signal.signal_id, task_id(signal.signal_id, skip.follower)):
        return
    # An entry that nobody wanted changes no account: repeated after a crash, it is the same fact.
    told = Told(record=SkipTold(skip=skip, signal=signal, at=now))
    shard.writer.open.facts.append(stored_fact(told))
    shard.writer.open.told.append(told)


def _call_off(shard: Shard, follower: FollowerId, signal: Signal, now: float) -> None:
    """Buy nothing more of what a leader has sold: it is too late to sell with him, and not to stop buying after him."""
    account = shard.accounts[follower]
    if account.has_met(signal.signal_id, task_id(signal.signal_id, follower)):
        return
    value = f"{signal.shares} sold, heard of too late"
    why = Reason(code=Code.LEADER_LEFT, control="leader", value=value, limit="bought before he sold")
    whose = (signal.leader, signal.token_id)
    for order in [one for one in account.orders.values() if one.rests and _copies(one.task) == whose]:
        shard.act(follower, c.CallOff(key=order.order.key, why=why, at=now))
    for waits in [one for one in account.waiting.values() if _copies(one.task) == whose]:
        if waits.task.intent.side is Side.BUY:
            outcome = Outcome(end=End.SKIPPED, reason=why)
            shard.act(follower, c.Refuse(task=waits.task, outcome=outcome, at=now))


def retract(shard: Shard, first: SignalId) -> tuple[int, int]:
    """Suspend what is not placed of a signal; returns how many tasks that are, and how many are placed."""
    now, suspended, placed = shard.wall(), 0, 0
    for lanes in shard.lanes.values():
        for queued in lanes.suspend(first, shard.number):
            # Durable from now on: mined again in another transaction, it is known by what was kept of it alone.
            shard.act(queued.task.follower, c.Park(task=queued.task, at=now))
    for account in shard.accounts.values():
        placed += account.placed_of(first)
    for account in shard.at_hand.waiting():
        waiting = account.waits_of(first)
        if waiting:
            suspended += waiting
            shard.act(account.follower, c.Retract(signal=first, at=now))
    shard.writer.tell()
    return suspended, placed


def resume(shard: Shard, first: SignalId) -> int:
    """Let what was suspended of a signal go on, under its first identity and deadline; returns how many tasks do."""
    now, resumed = shard.wall(), 0
    for account in shard.at_hand.waiting():
        waiting = account.waits_of(first)
        if waiting:
            resumed += waiting
            shard.act(account.follower, c.Resume(signal=first, at=now))
    if resumed:  # what is suspended waits durably, and every new trade asks for it: a queue is long
        for lanes in shard.lanes.values():
            lanes.resume(first, shard.number, now)
        shard.writer.tell()
    return resumed


def arm(shard: Shard, block: BlockRef, armed_at: int, *, anew: bool) -> None:
    """Take note where the reading begins: before that, no checkpoint is made. `anew` forgets how far one had come."""
    shard.armed = True
    if anew:
        shard.progress.floor = -1
    shard.progress.armed_at = armed_at
    seal(shard, block)


def seal(shard: Shard, block: BlockRef) -> None:
    """Take note that everything up to a block was read; the checkpoint follows once it all has its effect."""
    shard.progress.seal(block)
    shard.met.forget(shard.wall(), settled_before=shard.wall() - _RETRACTABLE_S)
    # What becomes of that is written soon, and takes the checkpoint along.
    under_way = shard.progress.waiting or any(lanes.sending[shard.number] for lanes in shard.lanes.values())
    if not under_way:
        shard.writer.tell()


def _task_id(task: CopyTask) -> TaskId:
    return task.task_id


def _copies(task: CopyTask) -> tuple[Address, TokenId]:
    """Return whose trade of what a task copies, also where it bets against him."""
    return (task.signal.leader, task.signal.token_id)
