"""Which executor has a wallet act: its follower's own, or the only one that can, where its own sends no transactions."""

from collections.abc import Iterator, Sequence

from trio_copy.engine.plan import Plan, PlannedExecutor
from trio_copy.model.follows import Follower


def actor_of(executors: Sequence[PlannedExecutor], follower: Follower) -> PlannedExecutor | None:
    """Return who has a follower's wallet act; None where nobody can, or several could."""
    able = [one for one in executors if one.plugin.acts]
    own = next((one for one in able if one.name == follower.executor), None)
    return own or (able[0] if len(able) == 1 else None)


def act_by(plan: Plan, planned: PlannedExecutor) -> Iterator[Follower]:
    """Yield the followers whose live wallets an executor has act, whoever trades for them."""
    for follower in plan.settings.followers().named.values():
        if follower.wallet_name and actor_of(plan.executors, follower) is planned:
            yield follower
