"""Puts a service together from a plan and the seams to the world; nothing runs yet."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from trio_copy.chain.clock_watch import ClockWatch
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.config import EndpointSettings
from trio_copy.config.catalog import read_catalog
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.execution import Execution
from trio_copy.engine.leaver import Leaver
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.pipeline import Pipeline
from trio_copy.engine.plan import Plan
from trio_copy.engine.reader import LogReader
from trio_copy.engine.reconciler import Reconciler
from trio_copy.engine.redacted import RedactedExecutor
from trio_copy.engine.service import Seams, Service, put_follows_of_file, wanted_filters
from trio_copy.engine.settlement import Settlements
from trio_copy.engine.shards import Everything, Ownership, ShardKeeper
from trio_copy.engine.workers import WorkerGroup
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import SignalId
from trio_copy.model.logs import BlockRef
from trio_copy.ports import ExecutorContext, StoreContext


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
        step("catalog", f"{len(catalog)} tokens known")
    async with AsyncExitStack() as stack:
        store_context = StoreContext(
            settings=plan.store.settings,
            wall=seams.wall,
            queue_capacity=settings.engine.queue_capacity,
            dedup_ttl_s=settings.engine.dedup_ttl_s,
            lease_s=settings.engine.lease_s,
            in_thread=seams.in_thread,
            at=seams.at,
            on_trouble=seams.observer.on_alert,
            shards=1 if plan.shards is None else plan.shards.count,
            fenced=plan.shards is not None,
            live=settings.engine.mode == "live",
            throwaway=seams.throwaway,
        )
        store = await stack.enter_async_context(plan.store.plugin.open(store_context))
        step("store", f"{settings.store.name} open")
        executors = {}
        for planned in plan.executors:
            context = ExecutorContext(
                name=planned.name, settings=planned.settings, wall=seams.wall, quotes=seams.quotes
            )
            opened = await stack.enter_async_context(planned.plugin.open(context))
            executors[planned.name] = RedactedExecutor(opened, plan.redactor)
        terms = settings.terms()
        step("accounts", f"{len(terms.followers)} accounts ready on {', '.join(sorted(executors)) or 'no executor'}")
        await put_follows_of_file(store, settings)
        book = FollowBook(terms)
        version, follows = await store.follows.load()
        for follow in book.replace_all(follows):
            unknown = f"{follow.follower} copies {follow.leader}, but is no configured follower"
            seams.observer.on_alert("unknown-follower", unknown)
        step("follows", f"{len(book)} follows of {len(book.leaders)} leaders loaded")
        positions = await store.ledger.positions()
        step("positions", f"{len(positions)} positions loaded")
        mode = ModeBoard(await store.control.modes(), lambda: watchdogs.halted())
        keeper = None
        if plan.shards is not None:
            keeper = ShardKeeper(
                settings=plan.shards,
                store=store,
                instance=seams.instance,
                wall=seams.wall,
                observer=seams.observer,
            )
        ownership: Ownership = Everything() if keeper is None else keeper
        groups = {
            name: WorkerGroup(
                execution=Execution(
                    name=name,
                    owner=seams.instance,
                    ownership=ownership,
                    executor=executor,
                    store=store,
                    book=book,
                    catalog=catalog,
                    settings=settings.engine,
                    mode=mode,
                    wall=seams.wall,
                    entropy=seams.entropy,
                    observer=seams.observer,
                    at=seams.at,
                ),
                workers=settings.engine.workers,
            )
            for name, executor in executors.items()
        }
        quarantine: Counter[str] = Counter()

        def put_aside(kind: str, detail: str) -> None:
            quarantine[kind] += 1
            if quarantine[kind] == 1:
                seams.observer.on_quarantined(kind, detail)

        pool = EndpointPool(
            [Endpoint(endpoint) for endpoint in endpoints],
            put_aside,
            settings=settings.chain,
            entropy=seams.entropy,
            on_trouble=seams.observer.on_alert,
        )
        board = FilterBoard()
        board.replace(wanted_filters(plan, book, ownership))
        clock_watch = ClockWatch(
            pool=pool,
            wall=seams.wall,
            clock=seams.clock,
            may_set=plan.shards is None,
            deadline_s=settings.engine.deadline_s,
            on_trouble=seams.observer.on_alert,
            on_step=step,
        )
        watchdogs = Watchdogs(
            settings=settings.chain,
            pool=pool,
            board=board,
            clock=clock_watch,
            on_trouble=seams.observer.on_alert,
            on_step=step,
        )
        feed = trio.open_memory_channel[FeedItem](settings.chain.feed_capacity)
        reader = LogReader(
            decoders={topic: decoder for decoder in plan.decoders.values() for topic in decoder.topics},
            book=book,
            reads=ownership.reads,
            quarantine=put_aside,
            on_fill=seams.observer.on_fill,
            behind_s=lambda: clock_watch.behind_s,
        )

        def on_armed(block: BlockRef) -> None:
            step("armed", f"at block {block.number}; older fills are not copied")

        scanner = Scanner(
            settings=settings.chain,
            pool=pool,
            board=board,
            send=feed[0],
            wall=seams.wall,
            on_trouble=seams.observer.on_alert,
            arming_refusal=clock_watch.arming_refusal,
        )

        def on_item(item: FeedItem) -> None:
            watchdogs.note(item)
            seams.on_item(item)

        async def suspend(signal: SignalId) -> int:
            return sum([await group.suspend(signal) for group in groups.values()])

        def restore(signal: SignalId) -> None:
            for group in groups.values():
                group.restore(signal)

        settlements = Settlements(store=store, catalog=catalog, wall=seams.wall, at=seams.at)
        pipeline = Pipeline(
            settlements=settlements,
            reader=reader,
            book=book,
            catalog=catalog,
            settings=settings.engine,
            store=store,
            observer=seams.observer,
            wall=seams.wall,
            on_armed=on_armed,
            on_removed=scanner.look_again,
            on_item=on_item,
            suspend=suspend,
            restore=restore,
            at=seams.at,
            shard_of=plan.shard_of,
            behind_s=lambda: clock_watch.behind_s,
            halted=watchdogs.halted,
        )

        service = Service(
            plan=plan,
            seams=seams,
            store=store,
            book=book,
            follows_version=version,
            groups=groups,
            mode=mode,
            board=board,
            pool=pool,
            quarantine=quarantine,
            scanner=scanner,
            watchdogs=watchdogs,
            pipeline=pipeline,
            leaver=Leaver(
                store=store,
                book=book,
                catalog=catalog,
                settlements=settlements,
                groups=groups,
                settings=settings.engine,
                chain_id=settings.chain.chain_id,
                observer=seams.observer,
                wall=seams.wall,
                sealed_number=lambda: -1 if pipeline.sealed is None else pipeline.sealed.number,
                window_blocks=settings.chain.window_blocks,
                owns=ownership.owns,
            ),
            reconciler=Reconciler(
                settlements=settlements,
                store=store,
                groups=groups,
                settings=settings.engine,
                observer=seams.observer,
                wall=seams.wall,
                shard_of=plan.shard_of,
            ),
            feed=feed,
            ownership=ownership,
            keeper=keeper,
        )
        if keeper is not None:
            keeper.engine = service
            keeper.describe = service.describe
        yield service


def read_facts(plan: Plan) -> tuple[TokenFacts, ...]:
    """Read the catalog of a plan, if it names one. Raises `ConfigError` when the file is wrong."""
    file = plan.settings.catalog.file
    return read_catalog(Path(file)) if file else ()
