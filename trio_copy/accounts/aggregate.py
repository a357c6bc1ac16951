"""Several entries of one follower, leader and token as one order."""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.model.decisions import Aggregate, CopyTask
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.units import NO_SHARES, Price, Rounding, divide


def aggregate(task: CopyTask, others: Sequence[CopyTask], settings: FollowSettings) -> Aggregate:
    """Put tasks together: the shares add up, the leader's price is their average, the limit the most careful one.

    Whole tasks with which it would be over the cap per order are left out.
    """
    cap = settings.caps.max_order_usd
    parts, shares, limit = [task], task.intent.shares, task.intent.limit_price
    for other in others:
        more, careful = shares + other.intent.shares, min(limit, other.intent.limit_price)
        if cap is None or more.at(careful, Rounding.UP) <= cap:
            parts.append(other)
            shares, limit = more, careful
    if len(parts) == 1:
        return Aggregate(task=task)
    weighted = sum(part.intent.shares.micro * part.intent.price.micro for part in parts)
    intent = evolve(
        task.intent,
        shares=shares,
        price=Price(divide(weighted, shares.micro, Rounding.NEAREST)),
        limit_price=limit,
        max_cost=shares.at(limit, Rounding.UP),
        leader_shares=sum((part.intent.leader_shares for part in parts), NO_SHARES),
    )
    return Aggregate(task=evolve(task, intent=intent), members=tuple(part.task_id for part in parts[1:]))
