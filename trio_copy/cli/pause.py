"""`trio-copy pause`"""

from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.chosen import Chosen, FollowName, OfFollower, OfLeader, read_choice
from trio_copy.cli.follow_lookup import all_follows
from trio_copy.cli.named_leaders import find_leaders
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import nobody
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.control import Mode, follow_scope, follower_scope, leader_scope
from trio_copy.ports import Store


def pause(
    follow: FollowName = None,
    /,
    *,
    follower: OfFollower = None,
    leader: OfLeader = None,
    why: Annotated[str | None, Parameter(help="The reason, for whoever looks later.")] = None,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Let a follow, a follower or a leader have no entries copied until `trio-copy resume`; exits go on.

    A running engine obeys within a second, and a pause survives restarts. It holds for follows of the configuration, too.
    `trio-copy mode` lists what is paused; each entry that is not copied names its pause: FOLLOW_PAUSED.
    """
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    chosen = read_choice(follow, follower, leader, names)
    scope = scope_of(chosen)

    async def ask(store: Store) -> bool:
        await _expect_somebody(store, plan, chosen)
        if (await store.control.modes()).of(scope).mode is not Mode.RUN:
            return False
        await store.control.set_mode(Mode.REDUCE_ONLY, redactor.redact(why or "paused by hand"), scope)
        return True

    changed = ask_store(plan, ask, make=True)
    ends = suggested("resume", *words_of(chosen), conf=plan.path)
    out(
        f"{names.in_text(str(chosen))} is paused{'' if changed else ' already'}: no entries are copied, exits go on; it ends by: {ends}"
    )
    return 0


def scope_of(chosen: Chosen) -> str:
    """Name the scope of a pause."""
    follower, leader = chosen.follower, chosen.leader
    if follower is None:
        assert leader is not None  # something is named
        return leader_scope(leader)
    return follower_scope(follower) if leader is None else follow_scope(follower, leader)


def words_of(chosen: Chosen) -> tuple[str, ...]:
    """Return how a command line names the same."""
    follower, leader = chosen.follower, chosen.leader
    if follower is not None and leader is not None:
        return (f"{follower}:{leader}",)
    return ("--leader", str(leader)) if follower is None else ("--follower", follower)


async def _expect_somebody(store: Store, plan: Plan, chosen: Chosen) -> None:
    """Refuse a name that nobody bears: it would look as if something were paused."""
    if chosen.leader is None and chosen.follower in plan.settings.followers().named:
        return
    if not any(chosen.has(*follow.key) for follow in await all_follows(store, plan)):
        raise ConfigError(
            [
                f"expected somebody who follows, got {chosen}{nobody(plan, chosen.follower)};"
                f" see: {suggested('follow', 'list', conf=plan.path)}"
            ]
        )
