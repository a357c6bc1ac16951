"""What time ends in a shard: tasks that are too late, what waits in vain, and the memory of what nobody asks about any more."""

from trio_copy.accounts import commands as c
from trio_copy.accounts.settling import late
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.model.decisions import retracted

_FORGET_EVERY_S = 10.0
_KEPT_S = 600.0
"""An account that has nothing open, and that nothing happened to for so long, is read again when it is needed. Not sooner:
to a store that forgot its last moments they are told anew by whoever has them at hand."""


def give_up_late(shard: Shard, queued: Queued) -> None:
    """End a task whose deadline has passed, and say what it waited for."""
    account, now = shard.accounts[queued.task.follower], shard.wall()
    shard.give_up(queued, retracted(queued.task) if queued.suspended else late(account, queued.task, now))


def tidy(shard: Shard) -> None:
    """End what has waited in vain; now and then, let accounts forget what nobody can ask about any more."""
    now = shard.wall()
    if now - shard.forgot_at >= _FORGET_EVERY_S:
        shard.forgot_at = now
        due = [one for one in shard.accounts.values() if one.waiting or one.recent or one.windows]
    else:
        due = shard.at_hand.waiting()
    for account in due:
        shard.act(account.follower, c.Tick(passed=shard.progress.known_up_to, met=shard.met, at=shard.wall()))
    if now - shard.at_hand.swept_at >= _KEPT_S and shard.is_read() and not shard.at_hand.reading:
        _sweep(shard, now)


def _sweep(shard: Shard, now: float) -> None:
    """Forget what nothing is open of: accounts, and questions that were decided."""
    queued = [queued.task for lanes in shard.lanes.values() for queued in lanes.unplaced]
    shard.at_hand.drop_idle({task.follower for task in (*queued, *shard.recovering)}, now)
    shard.put_running()
    shard.writer.tell()
    tokens = {task.intent.token_id for task in queued}
    for account in shard.accounts.values():
        tokens.update(token for _, token in account.holdings)
        tokens.update(order.order.token_id for order in account.orders.values())
        tokens.update(waits.task.intent.token_id for waits in account.waiting.values())
    questions = [shard.catalog.question_of(token) for token in tokens]
    known = {question[0] for question in questions if question is not None}
    if shard.progress.sealed is not None and None not in questions:
        # A token that the catalog does not know yet may be of any question.
        shard.resolved.forget(shard.progress.sealed.number, known)
