"""Several tasks of one follower, leader and token as one order."""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.model.decisions import Aggregate, CopyTask
from trio_copy.model.fills import Kind, Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Rounding, divide


def aggregate(task: CopyTask, others: Sequence[CopyTask], settings: FollowSettings) -> Aggregate:
    """Put entries together: the shares add up, the leader's price is their average, the limit the most careful one.

    Whole tasks with which it would be over the cap per order are left out.
    """
    cap = settings.caps.max_order_usd
    parts, shares, limit = [task], task.intent.shares, task.intent.limit_price
    for other in others:
        more, careful = shares + other.intent.shares, min(limit, other.intent.limit_price)
        if cap is None or more.at(careful, Rounding.UP) <= cap:
            parts.append(other)
            shares, limit = more, careful
    return _as_one(parts, [part.intent.shares.micro for part in parts])


def aggregate_exits(task: CopyTask, others: Sequence[CopyTask]) -> Aggregate:
    """Put exits together: what the leader sold adds up, and so does what they sell of their own size.

    Sold one after the other, each a part of what he still held, they come to the same part of what he held before. The
    limit is the lowest of theirs: his last sale tells what the market pays by now, and who keeps his first price stays in.
    """
    if not others:
        return Aggregate(task)
    parts = [task, *others]
    return _as_one(parts, [part.intent.leader_shares.micro for part in parts])


def leave_together(task: CopyTask, other: CopyTask) -> bool:
    """Tell whether two exits of one position can be one order: they say alike how much they sell, and both begin."""
    mine, its = task.intent, other.intent
    return (
        (mine.side, its.side) == (Side.SELL, Side.SELL)
        and (mine.sell, mine.order_type, task.executor) == (its.sell, its.order_type, other.executor)
        and (task.signal.kind is Kind.EXIT) == (other.signal.kind is Kind.EXIT)
        # What an attempt before has called off, or tried to sell, is its own affair.
        and not (task.attempt or other.attempt or mine.called_off.micro or its.called_off.micro)
    )


def _as_one(parts: Sequence[CopyTask], weights: Sequence[int]) -> Aggregate:
    """Make one task of several, under the name of the first; its price is their average, each with its weight."""
    task = parts[0]
    if len(parts) == 1 or not sum(weights):
        return Aggregate(task)
    weighed = list(zip(parts, weights, strict=True))
    # What the sizing assumes of a trade without a price is no price of the leader's, and has no part in the average.
    priced = [(part, weight) for part, weight in weighed if part.signal.price is not None and weight] or weighed
    total = sum(weight for _, weight in priced)
    weighted = sum(part.intent.price.micro * weight for part, weight in priced)
    shares = sum((part.intent.shares for part in parts), NO_SHARES)
    limit = min(part.intent.limit_price for part in parts)
    intent = evolve(
        task.intent,
        shares=shares,
        price=Price(divide(weighted, total, Rounding.NEAREST)),
        limit_price=limit,
        max_cost=shares.at(limit, Rounding.UP) if task.intent.side is Side.BUY else NO_USD,
        leader_shares=sum((part.intent.leader_shares for part in parts), NO_SHARES),
    )
    return Aggregate(task.wanting(intent), tuple(part.task_id for part in parts[1:]))
