"""Several entries of one follower, leader and token as one order."""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.model.decisions import CopyTask, Parcel
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Rounding, Usd, divide


def gathered(task: CopyTask, others: Sequence[CopyTask], settings: FollowSettings) -> Parcel:
    """Put tasks together: the shares add up, the leader's price is their average, the limit the most careful one.

    What is over the cap per order is left out, and so are whole tasks that no longer fit.
    """
    cap = settings.caps.max_order_usd
    parts = [task]
    for other in others:
        limit = min(part.intent.limit_price for part in (*parts, other))
        cost = sum((part.intent.shares.at(limit, Rounding.UP) for part in (*parts, other)), NO_USD)
        if cap is None or cost <= cap:
            parts.append(other)
    if len(parts) == 1:
        return Parcel(task=task)
    shares = sum((part.intent.shares for part in parts), NO_SHARES)
    notional = Usd(sum(part.intent.shares.micro * part.intent.price.micro for part in parts))
    price = Price(divide(notional.micro, shares.micro, Rounding.NEAREST))
    limit = min(part.intent.limit_price for part in parts)
    intent = evolve(
        task.intent,
        shares=shares,
        price=price,
        limit_price=limit,
        max_cost=shares.at(limit, Rounding.UP),
        leader_shares=sum((part.intent.leader_shares for part in parts), NO_SHARES),
    )
    return Parcel(task=evolve(task, intent=intent), members=tuple(part.task_id for part in parts[1:]))
