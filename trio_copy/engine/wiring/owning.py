"""Puts together who owns which accounts, with the lanes in which their tasks wait."""

from collections.abc import Mapping

from attrs import evolve, frozen

from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.engine.gate.gate import alone
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.owning.keeper import Keeper
from trio_copy.engine.owning.sole_owner import SoleOwner
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.later_looks import LaterLooks
from trio_copy.engine.shards.queued import LaneKey
from trio_copy.engine.shards.sightings import Sightings, want_nothing
from trio_copy.engine.wiring.opened import Opened
from trio_copy.model.control import LEASE_BEATS, Instance
from trio_copy.model.decisions import CopyTask
from trio_copy.model.follows import Follower

_LEASE_S = 30.0
"""How long the lease of the only shard outlives a process that does not renew it."""


@frozen(kw_only=True)
class OwningRooms:
    """Accounts, and who owns them."""

    mode: ModeBoard
    lanes: Mapping[str, Lanes]
    """By executor."""
    holder: Holder
    owner: Keeper | SoleOwner
    later_looks: LaterLooks | None
    """None where nobody shows books, or nobody could any more."""


def wire_owning(plan: Plan, seams: Seams, opened: Opened, watchdogs: Watchdogs) -> OwningRooms:
    """Put together what keeps accounts; none is owned yet."""
    store, executors, book = opened.store, opened.executors, opened.book
    settings, observer = plan.settings, seams.observer
    mode = ModeBoard(opened.modes, watchdogs.halted)
    lanes = {name: Lanes(settings.engine.queue_capacity) for name in executors}

    def lane_of(task: CopyTask) -> LaneKey:
        followers = book.terms.followers
        follower = followers.named.get(task.follower) or followers.get(task.follower)
        if follower is None:
            # Of one that the file does not name any more, orders may be open all the same.
            follower = Follower(follower=task.follower, executor="")
        return executors[task.executor].lane(task.intent, follower.wallet)

    tokens = opened.tokens
    later = None
    if opened.quotes is not None and seams.play is None:  # what is played is over: nobody can look at its books later
        later = LaterLooks(quotes=opened.quotes, asks=opened.markets, wall=seams.wall, on_trouble=observer.on_alert)
    sightings = Sightings(opened.quotes, later, want_nothing if tokens is None else tokens.note)
    holder = Holder(
        store=store,
        watch_store=store.accounts.run_watch,
        lanes=lanes,
        catalog=seams.catalog,
        learn=seams.learn,
        wall=seams.wall,
        observer=observer,
        lane_of=lane_of,
        dedup_ttl_s=settings.engine.dedup_ttl_s,
        max_day_usd=settings.engine.max_day_usd,
        alone=plan.shards is None,
        owner=seams.instance,
        lease_s=_LEASE_S if plan.shards is None else LEASE_BEATS * plan.shards.heartbeat_s,
        at=seams.at,
        journalled={name: one.journalled for name, one in executors.items() if one.journalled is not None},
        shard_of=plan.shard_of if plan.shards is not None else alone,
        followers=lambda: book.followers,
        halt=lambda why: mode.halt(store.control, why),
        sightings=sightings,
    )

    def describe(me: Instance) -> Instance:
        """Add to a heartbeat what is watched here, so that others see it through the store."""
        me = watchdogs.describe(me)
        return me if opened.markets is None else evolve(me, watches=(*me.watches, opened.markets.left_out.watch))

    owner: Keeper | SoleOwner
    if plan.shards is None:
        owner = SoleOwner(seams=seams, store=store, holder=holder, watchdogs=watchdogs, describe=describe)
    else:
        owner = Keeper(
            settings=plan.shards,
            store=store,
            holder=holder,
            instance=seams.instance,
            wall=seams.wall,
            observer=observer,
            describe=describe,
        )
    return OwningRooms(mode=mode, lanes=lanes, holder=holder, owner=owner, later_looks=later)
