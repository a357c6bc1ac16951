"""The nursery tree: who runs inside whom, and in which order things start and end.

    housekeeping      leases, reconciler, follow book, mode; ends last
      worker groups   one per executor; end when they are drained
        pipeline      ends when the feed does
          intake      scanner and endpoints; the only part that is restarted, and the first to be cancelled

A drain therefore runs through the tree by itself: the intake is cancelled, the feed ends, the pipeline ends, the groups
finish what is queued, housekeeping is cancelled, the executors and the store close.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import trio
from attrs import define, evolve, field

from trio_copy.chain.dial import Dial
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem
from trio_copy.chain.filters import FilterBoard, build_filters
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.subscriber import follow_endpoint
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.clock import AnchoredClock, WallClock
from trio_copy.config import Settings
from trio_copy.copying.claims import OPEN, open_budgets
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.leaver import Leaver
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.pipeline import Pipeline
from trio_copy.engine.plan import Plan
from trio_copy.engine.reconciler import Reconciler
from trio_copy.engine.shards import Ownership, ShardKeeper
from trio_copy.engine.supervisor import Backoff, RestartBudget, keep_running
from trio_copy.engine.workers import WorkerGroup
from trio_copy.entropy import Entropy
from trio_copy.errors import ChainError, ConfigError, RestartBudgetExhausted, StoreError
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import Instance, Mode
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import InThread, LogFilter, Quotes, Store, nowhere, to_thread_run_sync
from trio_copy.telemetry.observer import Observer
from trio_copy.telemetry.status import EndpointStatus, Status

_LEAVE_S = 2.0
"""How long an end may take to leave the store and give its shards up; after that they run out by themselves."""
_NO_BLOCK = Hash32("0x" + "0" * 64)
_LEASE_RENEWALS = 3
"""Renewals per lease: one may fail without losing it."""


@define(eq=False, kw_only=True)
class Seams:
    """Everything a service takes from the world, so that a test can bring a world of its own."""

    dial: Dial
    wall: WallClock
    clock: AnchoredClock | None = None
    """The wall clock once more, where it is one that can be set."""
    entropy: Entropy
    observer: Observer
    quotes: Quotes | None = None
    play: Callable[[trio.MemorySendChannel[FeedItem]], Awaitable[None]] | None = None
    """Feeds the pipeline in place of nodes, until it returns: for replays."""
    on_item: Callable[[FeedItem], None] = lambda item: None
    """Hears everything that reaches the pipeline, for recordings."""
    facts: Sequence[TokenFacts] = ()
    """What is known about tokens besides the catalog's file."""
    in_thread: InThread = to_thread_run_sync
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    throwaway: bool = False
    """Whether the run is a trial, of which a store keeps nothing."""
    from_head: bool = False
    """Whether the first start forgets how far an earlier run had come, because a person says so."""
    instance: str = "instance-1"
    """Names this process among those that share a store."""


@define(eq=False, kw_only=True)
class Service:
    """A running engine. Made by `open_service`; `run` lives until it is drained, cancelled or broken."""

    plan: Plan
    seams: Seams
    store: Store
    book: FollowBook
    follows_version: int
    groups: Mapping[str, WorkerGroup]
    mode: ModeBoard
    board: FilterBoard
    pool: EndpointPool
    scanner: Scanner
    watchdogs: Watchdogs
    pipeline: Pipeline
    reconciler: Reconciler
    leaver: Leaver
    ownership: Ownership
    keeper: ShardKeeper | None
    """Leases the shards of a store that several instances share; None where there is one instance."""
    quarantine: Counter[str]
    """Unusable things that came from outside, by kind."""
    was_paused: bool = False
    """Whether there was a time with no shard to read."""
    abandoned: int = 0
    """Tasks that a drain had no time for."""
    found_open: int = 0
    """Tasks of an earlier run that had not ended when this one began."""
    _feed: tuple[trio.MemorySendChannel[FeedItem], trio.MemoryReceiveChannel[FeedItem]]
    _arming: set[int] | None = None
    """The shards that the intake was started for, less those that were lost since: the feed carries the same set."""
    _starting: trio.CancelScope = field(factory=trio.CancelScope)
    _intake: trio.CancelScope = field(factory=trio.CancelScope)
    _work: trio.CancelScope = field(factory=trio.CancelScope)
    _draining: trio.Event = field(factory=trio.Event)

    async def run(  # noqa: ASYNC128  the intake calls started()
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Copy until `drain` is called, then finish what was admitted and return.

        Cancelling it stops at once: sends in flight are completed and recorded, queued tasks stay queued.

        Raises:
            RestartBudgetExhausted: the intake could not be kept running; entries are halted and the work is drained.
            UnresolvedOrders: an earlier run left orders open, and nobody can prove what became of them.
            WrongChain: a node serves another chain than configured.
            CheckpointAhead: the stored checkpoint is far ahead of all nodes.
            StoreUnavailable: the store failed; nothing is traded blind.
        """
        gave_up: list[RestartBudgetExhausted] = []
        depth = await self.store.inbox.depth()
        self.found_open = depth.queued + depth.leased + depth.held
        with self._starting:
            await self.reconciler.settle_earlier_run()
        if self._starting.cancelled_caught:
            return
        if self.keeper is not None:
            await self.keeper.enter()
        if self.keeper is None or self.keeper.alone:
            positions = await self.store.ledger.positions()
            await self.store.limits.restate(OPEN, open_budgets(positions, self.leaver.catalog))
        if self.keeper is not None:
            await self.keeper.start()
        try:
            await self._run(task_status, gave_up)
        finally:
            with trio.move_on_after(_LEAVE_S, shield=True):
                await self._leave_store()
        if gave_up:
            raise gave_up[0]

    async def _run(  # noqa: ASYNC128  the intake calls started()
        self, task_status: trio.TaskStatus[None], gave_up: list[RestartBudgetExhausted]
    ) -> None:
        async with trio.open_nursery() as housekeeping:
            for task in (self._keep_leases, self._reconcile, self._refresh_follows, self._refresh_mode, self._leave):
                housekeeping.start_soon(task)
            if self.keeper is not None:
                housekeeping.start_soon(self.keeper.run)
            housekeeping.start_soon(self._limit_drain)
            with self._work:
                async with trio.open_nursery() as groups:
                    for group in self.groups.values():
                        await groups.start(group.run)
                    await self._run_stages(task_status, gave_up)
                    self._draining.set()
                    if self.keeper is not None and self.keeper.hand_over():
                        self._step("handing over", "others finish what is queued")
                    for group in self.groups.values():
                        group.drain()
                await self._wait_proven()
                await self.leaver.mark_all()
            for group in self.groups.values():
                # A store that is away must not hold the end up.
                with trio.move_on_after(self.plan.settings.engine.drain_s):
                    self.abandoned += await group.abandon()
            housekeeping.cancel_scope.cancel()

    async def _leave_store(self) -> None:
        if self.keeper is not None:
            await self.keeper.leave()
            return
        # A store that fails now must not hide how the run ended: the entry is then shown as dead by its last heartbeat.
        with suppress(StoreError):
            await self.store.control.leave(self.seams.instance)

    def works_on(self, shard: int) -> bool:
        """Tell whether a task of a shard is being carried out here."""
        return any(group.works_in(shard, self.plan.shard_of) for group in self.groups.values())

    def drain(self) -> None:
        """Close the intake and finish what was admitted, for at most `engine.drain_s`."""
        self._starting.cancel()
        self._intake.cancel()
        self._draining.set()

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken in any more."""
        return self._draining.is_set()

    async def status(self) -> Status:
        """Take one look at everything."""
        depth = await self.store.inbox.depth()
        ages = [trio.current_time() - endpoint.head_at for endpoint in self.pool.endpoints if endpoint.heads_seen]
        sealed, reader = self.pipeline.sealed, self.pipeline.reader
        return Status(
            name=self.plan.settings.engine.name,
            trading=self.plan.settings.engine.mode,
            mode=self.mode.engine.mode.value,
            shard=self.ownership.label,
            block=None if sealed is None else sealed.number,
            feed_age_s=min(ages, default=None),
            endpoints=tuple(
                EndpointStatus(
                    name=endpoint.name,
                    live=endpoint.session is not None and not endpoint.unreadable,
                    head=None if endpoint.head is None else endpoint.head.number,
                    connects=endpoint.connects,
                    first=reader.first_by[endpoint.name],
                    last_error=self.plan.redactor.redact(endpoint.last_error),
                )
                for endpoint in self.pool.endpoints
            ),
            leaders=len(self.book.leaders),
            follows=len(self.book),
            queued=depth.queued,
            leased=depth.leased,
            held=depth.held,
            dead=depth.dead,
            busy=sum(group.busy for group in self.groups.values()),
            unknown=self.reconciler.unknown,
            late_logs=self.scanner.late_logs,
            reorgs=self.scanner.reorgs,
            quarantined=self.quarantine.total(),
            ready=self.watchdogs.ready,
            halted=self.watchdogs.why_halted,
            watches=self.watchdogs.watches,
        )

    def describe(self, me: Instance) -> Instance:
        """Add to a heartbeat what the watchdogs say, so that others see it through the store."""
        dogs = self.watchdogs
        return evolve(me, ready=dogs.ready, halted=dogs.why_halted, watches=dogs.watches)

    async def apply(self, settings: Settings) -> list[str]:
        """Take over the follows and followers of a reloaded configuration; returns what needs a restart instead.

        Raises:
            ConfigError: a follower wants an executor that does not run; nothing was changed.
        """
        new, old = settings.terms(), self.plan.settings
        unknown = {name for name in (f.executor for f in new.followers.values()) if name not in self.groups}
        if unknown:
            raise ConfigError(
                [f"executor {name} is not running, and only a restart starts it" for name in sorted(unknown)]
            )
        # Tasks of followers that left the file may still be under way: their accounts stay known.
        new.followers.named = {**self.book.terms.followers.named, **new.followers.named}
        self.book.terms = new
        await put_follows_of_file(self.store, settings)
        _, follows = await self.store.follows.load()
        self.book.replace_all(follows)
        self.narrow()
        parts = ("engine", "chain", "endpoint", "plugins", "devnet", "shards", "executor", "store", "decoder")
        return [part for part in parts if getattr(old, part) != getattr(settings, part)]

    async def _run_stages(  # noqa: ASYNC128  the intake calls started()
        self, task_status: trio.TaskStatus[None], gave_up: list[RestartBudgetExhausted]
    ) -> None:
        send, receive = self._feed
        async with trio.open_nursery() as stages:
            stages.start_soon(self.pipeline.run, receive, name="pipeline")
            try:
                with send, self._intake:
                    if self.seams.play is not None:
                        task_status.started()
                        await self.seams.play(send)
                    elif self.keeper is None:
                        await self._run_intake(task_status)
                    else:
                        await self._read_shards(self.keeper, task_status)
            except BaseExceptionGroup as group:
                exhausted, rest = group.split(RestartBudgetExhausted)
                if exhausted is None or rest is not None:
                    raise
                gave_up.append(_leaf(exhausted))
                await self.store.control.set_mode(Mode.HALT_NEW, self.plan.redactor.redact(str(gave_up[0])))
                self.seams.observer.on_alert("intake-gave-up", str(gave_up[0]))

    async def _read_shards(  # noqa: ASYNC128  the intake calls started()
        self, keeper: ShardKeeper, task_status: trio.TaskStatus[None]
    ) -> None:
        """Read while there is a shard to read, and from its checkpoint on whenever one comes."""
        if not keeper.reading:
            self._pause()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
        while True:
            await keeper.wait_reading()
            seen, self._arming = keeper.gained, set(keeper.read_now)
            async with trio.open_nursery() as reading:
                reading.start_soon(self._run_intake, task_status)
                await keeper.wait_change(seen)
                reading.cancel_scope.cancel()
            task_status = trio.TASK_STATUS_IGNORED
            if not keeper.reading:
                self._pause()

    def _pause(self) -> None:
        self.was_paused = True
        self._step("paused", "no shard is ours; nothing is subscribed to")

    def lose_shard(self, shard: int) -> None:
        """Take note that a shard was lost, perhaps for a moment only."""
        if self._arming is not None:
            self._arming.discard(shard)
        self.pipeline.forget(shard)

    async def begin_shards(self, shards: Sequence[int]) -> None:
        """Look after what earlier owners of some shards may have sent, this process among them."""
        for group in self.groups.values():
            await group.execution.recall(lambda leader: self.plan.shard_of(leader) in shards)
        await self.reconciler.doubt(shards)

    async def _run_intake(self, task_status: trio.TaskStatus[None]) -> None:
        settings = self.plan.settings.engine
        budget = RestartBudget(settings.restarts, settings.restart_window_s)
        async with trio.open_nursery() as intake:
            intake.start_soon(self.watchdogs.run, name="watchdogs")
            for endpoint in self.pool.endpoints:
                intake.start_soon(
                    partial(
                        keep_running,
                        partial(
                            follow_endpoint,
                            endpoint,
                            dial=self.seams.dial,
                            settings=self.plan.settings.chain,
                            pool=self.pool,
                            board=self.board,
                            send=self._feed[0],
                            wall=self.seams.wall,
                            next_wait=self._backoff().next_wait,
                        ),
                        backoff=self._backoff(),
                        budget=budget,
                        others_alive=partial(self._others_alive, endpoint),
                        armed=self._armed,
                        on_failure=partial(self._endpoint_failed, endpoint),
                    ),
                    name=f"endpoint {endpoint.name}",
                )
            shards = None if self.keeper is None else self._arming
            await self.scanner.arm(await self._checkpoint(), shards)
            read = sum(map(self.ownership.reads, self.book.leaders))
            self._step("subscribed", f"{len(self.board.filters)} filters over {read} leaders")
            await intake.start(self.scanner.run)
            task_status.started()

    async def _checkpoint(self) -> Checkpoint | None:
        sealed = self.pipeline.sealed
        # A devnet begins anew with each run: what an earlier one has left says nothing about this chain.
        if self.plan.settings.devnet is not None or (self.seams.from_head and sealed is None):
            return None
        stored = await self.store.control.checkpoint()
        if stored is None and sealed is not None:
            # The store has forgotten it, and perhaps more: the window below is read again, and the gate decides.
            return Checkpoint(number=sealed.number, hash=_NO_BLOCK, armed_at=self.pipeline.armed_at)
        return stored

    def _backoff(self) -> Backoff:
        settings = self.plan.settings.engine
        return Backoff(settings.backoff_base_s, settings.backoff_max_s, self.seams.entropy)

    def _others_alive(self, endpoint: Endpoint) -> bool:
        return any(other is not endpoint and not other.unreadable for other in self.pool.live)

    def _armed(self) -> bool:
        return self.pipeline.sealed is not None

    def _endpoint_failed(self, endpoint: Endpoint, failure: ChainError, wait_s: float) -> None:
        endpoint.failures += 1
        endpoint.last_error = str(failure)
        self.pool.note_lost(endpoint, f"{failure}; again in {wait_s:.2f} s")

    async def _keep_leases(self) -> None:
        every = self.plan.settings.engine.lease_s / _LEASE_RENEWALS
        control = self.store.control
        me = Instance(instance=self.seams.instance, shards=(0,), started_at=self.seams.wall())
        while True:
            if self.keeper is None:
                await control.beat(self.describe(me))
            for group in self.groups.values():
                await group.renew_leases()
            with trio.move_on_after(every):
                await self.watchdogs.wait_changed()  # so that whoever asks the store hears of it at once

    async def _reconcile(self) -> None:
        while True:
            await trio.sleep(self.plan.settings.engine.reconcile_every_s)
            await self.reconciler.look()
            for group in self.groups.values():
                await group.expire_parked()
                await group.renew_leases()  # first, so that after a stall of ours nothing of ours counts as given up
            await self.reconciler.expire()

    async def _refresh_follows(self) -> None:
        version = self.follows_version
        while True:
            changes = await self.store.follows.wait_changes(version)
            for change in changes:
                version = max(version, change.version)
                if change.removed:
                    self.book.remove(change.follow)
                elif not self.book.put(change.follow):
                    unknown = f"{change.follow.follower} copies {change.follow.leader}"
                    self.seams.observer.on_alert("unknown-follower", f"{unknown}, but is no configured follower")
            self.narrow()

    def narrow(self) -> None:
        """Let the endpoints subscribe to the leaders that are read here."""
        if self.board.replace(wanted_filters(self.plan, self.book, self.ownership)):
            read = sum(map(self.ownership.reads, self.book.leaders))
            self._step("filters", f"{len(self.board.filters)} filters over {read} leaders")

    async def _leave(self) -> None:
        while True:
            await trio.sleep(self.plan.settings.engine.exits_every_s)
            await self.leaver.look()

    async def _refresh_mode(self) -> None:
        while True:
            before, self.mode.modes = self.mode.modes, await self.store.control.wait_modes(self.mode.modes.version)
            for scope, change in self.mode.modes.by_scope.items():
                if before.by_scope.get(scope) != change:
                    self.seams.observer.on_alert("mode", f"{scope}: {change.mode.value}: {change.why}")

    async def _wait_proven(self) -> None:
        """Give unproven outcomes what is left of the drain's time; housekeeping keeps looking them up too."""
        await self.reconciler.look()
        while self.reconciler.unknown:
            await trio.sleep(self.plan.settings.engine.reconcile_every_s)
            await self.reconciler.look()

    async def _limit_drain(self) -> None:
        await self._draining.wait()
        self._work.deadline = trio.current_time() + self.plan.settings.engine.drain_s

    def _step(self, step: str, detail: str) -> None:
        self.seams.observer.on_step(step, detail)


def _leaf(group: BaseExceptionGroup[RestartBudgetExhausted]) -> RestartBudgetExhausted:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, RestartBudgetExhausted)
    return error


def wanted_filters(plan: Plan, book: FollowBook, ownership: Ownership) -> tuple[LogFilter, ...]:
    """Ask the plan's decoders what to subscribe to for those leaders of a book that are read here."""
    leaders = [leader for leader in book.leaders if ownership.reads(leader)]
    return build_filters(plan.decoders.values(), leaders, plan.settings.chain.leaders_per_subscription)


async def put_follows_of_file(store: Store, settings: Settings) -> None:
    """Let the store hold the follows of the file; those of an earlier file go, those of commands stay."""
    wanted = settings.follows()
    keys = {follow.key for follow in wanted}
    _, held = await store.follows.load()
    gone = [follow.key for follow in held if follow.source == "file" and follow.key not in keys]
    if gone:
        await store.follows.remove(gone)
    await store.follows.put(wanted)
