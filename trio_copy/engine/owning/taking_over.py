"""How a shard is taken over: from an earlier owner, whose orders may be at a venue and one of whose tasks may have ended him;
and from a store that forgot."""

from collections.abc import Iterable

from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.engine.shards.shard import RUNNING, Shard
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TaskId
from trio_copy.ports import NOBODY, Heads
from trio_copy.records import read_plain

_TRIES = 3
"""How often a task is taken up by processes that end uncleanly before it becomes a dead letter."""


async def take_over(shard: Shard, heads: Heads) -> int:
    """Begin with what an earlier owner left: his orders may be at a venue, his tasks wait. Returns how many of these had not ended."""
    bodies = {
        (document.kind, document.name): read_plain(document.body)
        for document in heads.documents
        if document.follower == NOBODY
    }
    for part in (shard.met, shard.grants, shard.resolved, shard.tokens):
        part.load(bodies)
    shard.unclean, shard.taken_at = RUNNING in bodies, shard.wall()
    shard.at_hand.begin(shard.taken_at)
    shard.put_running()
    if heads.checkpoint is not None:
        shard.writer.checkpoint = heads.checkpoint
        shard.progress.floor = heads.checkpoint.number
        shard.progress.armed_at = heads.checkpoint.armed_at
    await shard.load({document.follower for document in heads.documents if document.follower != NOBODY})
    # Counted first: some end at once, because nobody is there any more who could make their orders.
    found = sum(len(open_tasks(account)) for account in shard.accounts.values())
    for account in shard.accounts.values():
        _restore(shard, account)
    return found


def open_tasks(account: Account) -> set[TaskId]:
    """Return the tasks that an account knows and that have not ended: each waits, has an order, or is a dead letter."""
    return {*account.waiting, *account.dead, *(one.task.task_id for one in account.orders.values() if not one.ended)}


def _restore(shard: Shard, account: Account) -> None:
    now = shard.wall()
    for open_order in tuple(account.orders.values()):
        # Whoever was sending it is gone, and with him what he knew.
        shard.act(account.follower, c.Doubt(key=open_order.order.key, at=now))
        shard.unproven[open_order.order.key] = account.orders[open_order.order.key]
        shard.close_lane(open_order)
    shard.grants.restore(tuple(account.orders.values()))
    for waits in tuple(account.waiting.values()):
        if waits.until is not None:
            continue
        if shard.unclean and not waits.suspended:
            shard.recovering.append(waits.task)
        else:
            shard.queue_up(waits.task, now, suspended=waits.suspended)


async def recover(shard: Shard) -> None:
    """Take up, one by one, what was under way when the process before ended uncleanly: one of it may be the cause.

    Each is counted durably before it is taken up, and becomes a dead letter when it was taken up too often; one whose time has
    not come was in nobody's hand, and is not counted. It goes on until the shard is given up: the chain may bring more of what
    the process before had not written down.
    """
    while shard.is_read():
        if not shard.recovering:
            await shard.wait_followed()
            continue
        # As in a lane: what its leader sold again meanwhile is called off before it is bought.
        task = next((task for task in shard.recovering if task.intent.side is Side.SELL), shard.recovering[0])
        shard.recovering.remove(task)
        now = shard.wall()
        if task.not_before <= now:
            if shard.act(task.follower, c.Try(task=task.task_id, most=_TRIES, at=now)):
                await shard.writer.open.wait()
            shard.at("recovery: counted")
        account = shard.accounts.get(task.follower)
        waits = None if account is None else account.waiting.get(task.task_id)
        if waits is None or not shard.is_read():
            continue
        shard.queue_up(waits.task, shard.wall(), suspended=waits.suspended)
        lanes = shard.lanes.get(task.executor)
        while lanes is not None and lanes.is_under_way(task.task_id):
            await shard.wait_followed()


def may_lack(shard: Shard, heads: Heads, followers: Iterable[FollowerId]) -> bool:
    """Tell whether a store that forgot may have lost something of one of these followers that nobody can write again."""
    running = (one.body for one in heads.documents if one.key == (NOBODY, *RUNNING))
    _, *knows = next(map(read_plain, running), [1])
    return shard.at_hand.may_lack(knows[0] if knows else None, followers)
