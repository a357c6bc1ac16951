"""Which budgets an entry draws on."""

from collections.abc import Callable

from trio_copy.model.budgets import Claim
from trio_copy.model.decisions import CopyTask
from trio_copy.model.follows import FollowerLimits
from trio_copy.model.units import Usd


def claims_of(
    task: CopyTask, cost: Usd, limits: FollowerLimits, engine_day: Usd | None, date_of: Callable[[float], str]
) -> tuple[Claim, ...]:
    """Return the claims of an order that may cost up to `cost`; none for an exit.

    The day of a budget is the UTC date of the leader's block, so that every instance draws on the same one; `date_of`
    writes Unix seconds as that date.
    """
    if not cost or (engine_day is None and limits.unlimited):
        return ()
    of, day = task.follower, date_of(task.signal.block_time)
    budgets = (
        (f"engine:day:{day}", "engine.max_day_usd", engine_day),
        (f"follower:{of}:day:{day}", "follower.limits.max_day_usd", limits.max_day_usd),
        (f"follower:{of}:token:{task.intent.token_id}", "follower.limits.max_token_usd", limits.max_token_usd),
        (
            f"follower:{of}:leader:{task.signal.leader}:day:{day}",
            "follower.limits.max_leader_day_usd",
            limits.max_leader_day_usd,
        ),
    )
    return tuple(
        Claim(counter=counter, control=control, amount=cost, limit=limit)
        for counter, control, limit in budgets
        if limit is not None
    )
