"""Puts a service together from a plan and the seams to the world; nothing runs yet."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from trio_copy.chain.clock_watch import ClockWatch
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.config import EndpointSettings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.calls import Whose
from trio_copy.engine.contract import Contract
from trio_copy.engine.execution import Execution
from trio_copy.engine.exit_rules import ExitRules
from trio_copy.engine.gate import Gate, alone
from trio_copy.engine.holder import Holder
from trio_copy.engine.housekeeping import Housekeeping
from trio_copy.engine.intake import Intake
from trio_copy.engine.keeper import Keeper
from trio_copy.engine.lanes import LaneKey, Lanes
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.plan import Plan, read_facts
from trio_copy.engine.read_leaders import ReadLeaders
from trio_copy.engine.reader import LogReader
from trio_copy.engine.recent import Recent
from trio_copy.engine.reconciler import Reconciler
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service, put_follows_of_file
from trio_copy.engine.sole_owner import SoleOwner
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import LEASE_BEATS, Modes
from trio_copy.model.counts import counted
from trio_copy.model.decisions import CopyTask
from trio_copy.model.follows import Follower
from trio_copy.ports import ExecutorContext, Store, StoreContext

_LEASE_S = 30.0
"""How long the lease of the only shard outlives a process that does not renew it."""


@asynccontextmanager
async def open_service(
    plan: Plan, seams: Seams, endpoints: Sequence[EndpointSettings]
) -> AsyncGenerator[Service, None]:
    """Open the store and the executors, load the follows, and wire everything; `Service.run` then starts it.

    `endpoints` are given apart from the plan because a devnet's address is known only once it listens.
    """
    settings = plan.settings
    step = seams.observer.on_step
    catalog = Catalog()
    catalog.put(seams.facts)
    catalog.put(read_facts(plan))
    if len(catalog):
        step("catalog", f"{counted(len(catalog), 'token')} known")
    async with AsyncExitStack() as stack:
        of_store = plan.registry.distribution_of(plan.store.plugin)
        whose = Whose(kind="store", name=settings.store.name, distribution=of_store)
        opening = plan.store.plugin.open(_store_context(plan, seams))
        store = await stack.enter_async_context(seams.calls.opening(whose, opening))
        step("store", f"{settings.store.name} open")
        executors = {}
        for planned in plan.executors:
            context = ExecutorContext(
                name=planned.name,
                settings=planned.settings,
                wall=seams.wall,
                quotes=seams.quotes,
                throwaway=seams.throwaway,
            )
            whose = Whose(
                kind="executor", name=planned.name, distribution=plan.registry.distribution_of(planned.plugin)
            )
            executors[planned.name] = Contract(
                inner=await stack.enter_async_context(seams.calls.opening(whose, planned.plugin.open(context))),
                whose=whose,
                settings=settings.engine,
                redactor=plan.redactor,
                calls=seams.calls,
                on_alert=seams.observer.on_alert,
            )
        book = FollowBook(settings.terms())
        known = len(book.terms.followers)
        step("accounts", f"{counted(known, 'account')} ready on {', '.join(sorted(executors)) or 'no executor'}")
        version = await _fill_book(book, store, plan, seams)
        step("follows", f"{counted(len(book), 'follow')} of {counted(len(book.leaders), 'leader')} loaded")
        modes = await store.control.modes()
        yield _wire(plan, seams, endpoints, store, executors, book, version, catalog, modes)


async def _fill_book(book: FollowBook, store: Store, plan: Plan, seams: Seams) -> int:
    """Fill a book with the follows of the store; returns their version."""
    version, follows = await put_follows_of_file(store, plan.settings)
    seams.names.learn(book.terms, follows)
    for follow in book.replace_all(follows):
        unknown = f"{follow.follower} copies {follow.leader}, but is no configured follower"
        seams.observer.on_alert("unknown-follower", unknown)
    return version


def _store_context(plan: Plan, seams: Seams) -> StoreContext:
    return StoreContext(
        settings=plan.store.settings,
        wall=seams.wall,
        in_thread=seams.in_thread,
        at=seams.at,
        on_trouble=seams.observer.on_alert,
        shards=1 if plan.shards is None else plan.shards.count,
        live=plan.settings.engine.mode == "live",
        throwaway=seams.throwaway,
    )


def _wire(
    plan: Plan,
    seams: Seams,
    endpoints: Sequence[EndpointSettings],
    store: Store,
    executors: Mapping[str, Contract],
    book: FollowBook,
    version: int,
    catalog: Catalog,
    modes: Modes,
) -> Service:
    settings, observer = plan.settings, seams.observer
    quarantine: Counter[str] = Counter()

    def put_aside(kind: str, detail: str) -> None:
        quarantine[kind] += 1
        if quarantine[kind] == 1:
            observer.on_quarantined(kind, detail)

    pool = EndpointPool(
        [Endpoint(endpoint) for endpoint in endpoints],
        put_aside,
        settings=settings.chain,
        entropy=seams.entropy,
        on_trouble=observer.on_alert,
    )
    board = FilterBoard()
    clock_watch = ClockWatch(
        pool=pool,
        wall=seams.wall,
        clock=seams.clock,
        may_set=plan.shards is None,
        deadline_s=settings.engine.deadline_s,
        on_trouble=observer.on_alert,
        on_step=observer.on_step,
    )
    watchdogs = Watchdogs(
        settings=settings.chain,
        pool=pool,
        board=board,
        clock=clock_watch,
        on_trouble=observer.on_alert,
        on_step=observer.on_step,
    )
    mode = ModeBoard(modes, watchdogs.halted)
    lanes = {name: Lanes(settings.engine.queue_capacity) for name in executors}

    def lane_of(task: CopyTask) -> LaneKey:
        followers = book.terms.followers
        follower = followers.named.get(task.follower)
        if follower is None:
            # Of one that the file does not name any more, orders may be open all the same.
            unnamed = Follower(follower=task.follower, executor="")
            follower = followers.get(task.follower, unnamed)
        return executors[task.executor].lane(task.intent, follower.wallet)

    holder = Holder(
        store=store,
        lanes=lanes,
        catalog=catalog,
        wall=seams.wall,
        observer=observer,
        lane_of=lane_of,
        dedup_ttl_s=settings.engine.dedup_ttl_s,
        max_day_usd=settings.engine.max_day_usd,
        alone=plan.shards is None,
        owner=seams.instance,
        lease_s=_LEASE_S if plan.shards is None else LEASE_BEATS * plan.shards.heartbeat_s,
        at=seams.at,
    )
    owner: Keeper | SoleOwner
    if plan.shards is None:
        owner = SoleOwner(seams=seams, store=store, holder=holder, watchdogs=watchdogs)
    else:
        owner = Keeper(
            settings=plan.shards,
            store=store,
            holder=holder,
            instance=seams.instance,
            wall=seams.wall,
            observer=observer,
            describe=watchdogs.describe,
        )
    reads = ReadLeaders(
        book=book,
        shards=holder.shards,
        shard_of=plan.shard_of if plan.shards is not None else alone,
        warm=plan.shards is not None and plan.shards.warm,
    )
    executions = {
        name: Execution(
            executor=executor,
            lanes=lanes[name],
            shards=holder.shards,
            book=book,
            mode=mode,
            settings=settings.engine,
            wall=seams.wall,
            entropy=seams.entropy,
            at=seams.at,
        )
        for name, executor in executors.items()
    }
    feed = trio.open_memory_channel[FeedItem](settings.chain.feed_capacity)
    reader = LogReader(
        decoders={topic: decoder for decoder in plan.decoders.values() for topic in decoder.topics},
        book=book,
        reads=reads.__contains__,
        quarantine=put_aside,
        on_fill=observer.on_fill,
        behind_s=lambda: clock_watch.behind_s,
    )
    scanner = Scanner(
        settings=settings.chain,
        pool=pool,
        board=board,
        send=feed[0],
        wall=seams.wall,
        on_trouble=observer.on_alert,
        arming_refusal=clock_watch.arming_refusal,
    )

    def on_item(item: FeedItem) -> None:
        watchdogs.note(item)
        seams.on_item(item)

    gate = Gate(
        reader=reader,
        book=book,
        catalog=catalog,
        settings=settings.engine,
        store=store,
        shards=holder.shards,
        shard_of=plan.shard_of if plan.shards is not None else alone,
        observer=observer,
        wall=seams.wall,
        recent=Recent(keeps=reads.warm),
        on_joined=lambda shard, block: observer.on_step("joined", f"shard {shard} reads on after block {block}"),
        on_armed=lambda block: observer.on_step("armed", f"at block {block.number}; older fills are not copied"),
        on_removed=scanner.look_again,
        on_item=on_item,
        at=seams.at,
        behind_s=lambda: clock_watch.behind_s,
        halted=watchdogs.halted,
    )
    reconciler = Reconciler(
        shards=holder.shards, executions=executions, settings=settings.engine, observer=observer, wall=seams.wall
    )
    exit_rules = ExitRules(
        store=store,
        shards=holder.shards,
        shard_of=plan.shard_of,
        book=book,
        catalog=catalog,
        executions=executions,
        settings=settings.engine,
        chain_id=settings.chain.chain_id,
        observer=observer,
        wall=seams.wall,
        sealed_number=lambda: -1 if gate.sealed is None else gate.sealed.number,
        window_blocks=settings.chain.window_blocks,
    )
    intake = Intake(
        plan=plan,
        seams=seams,
        holder=holder,
        board=board,
        pool=pool,
        scanner=scanner,
        watchdogs=watchdogs,
        gate=gate,
        reads=reads,
        send=feed[0],
    )
    housekeeping = Housekeeping(
        plan=plan,
        seams=seams,
        store=store,
        book=book,
        follows_version=version,
        holder=holder,
        mode=mode,
        intake=intake,
        reconciler=reconciler,
        exit_rules=exit_rules,
    )
    return Service(
        plan=plan,
        seams=seams,
        store=store,
        book=book,
        lanes=lanes,
        executions=executions,
        holder=holder,
        mode=mode,
        board=board,
        pool=pool,
        scanner=scanner,
        watchdogs=watchdogs,
        gate=gate,
        reconciler=reconciler,
        exit_rules=exit_rules,
        intake=intake,
        housekeeping=housekeeping,
        owner=owner,
        quarantine=quarantine,
        feed=feed,
    )
