"""The nursery tree: who runs inside whom, and in which order things start and end.

    store writers     one per shard; end last, when everything that was decided is on the disk
      housekeeping    leases, reconciler, follow book, mode, exit rules
        workers       of each executor; end when the lanes are closed and empty
          gate        ends when the feed does
            intake    scanner and endpoints; the only part that is restarted, and the first to be cancelled

A drain therefore runs through the tree by itself: the intake is cancelled, the feed ends, the gate ends, the workers finish
what waits, housekeeping is cancelled, the last writes are made, the executors and the store close.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import trio
from attrs import define, field

from trio_copy.accounts import OpenOrder
from trio_copy.chain.dial import Dial
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem
from trio_copy.chain.filters import FilterBoard, build_filters
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.subscriber import follow_endpoint
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.clock import AnchoredClock, WallClock
from trio_copy.config import Settings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.calls import Calls
from trio_copy.engine.execution import Execution
from trio_copy.engine.exit_rules import ExitRules
from trio_copy.engine.gate import Gate
from trio_copy.engine.hearing import carry_out_requests
from trio_copy.engine.holder import Holder
from trio_copy.engine.keeper import Keeper
from trio_copy.engine.lanes import Lanes
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.plan import Plan
from trio_copy.engine.read_leaders import ReadLeaders
from trio_copy.engine.reconciler import Reconciler
from trio_copy.engine.supervisor import Backoff, RestartBudget, keep_running
from trio_copy.entropy import Entropy
from trio_copy.errors import ChainError, ConfigError, LeaseLost, RestartBudgetExhausted, StoreError
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import Instance, Lease, Mode, shard_lease
from trio_copy.model.decisions import Code, End, Outcome, Reason, retracted, too_late
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import InThread, LogFilter, Quotes, Store, nowhere, to_thread_run_sync
from trio_copy.telemetry.observer import Observer
from trio_copy.telemetry.status import EndpointStatus, Status

_LEAVE_S = 2.0
"""How long an end may take to leave the store and give its shards up; after that they run out by themselves."""
_LEASE_RENEWALS = 3
"""Renewals per lease: one may fail without losing it."""
_ASK_AGAIN_S = 1.0
_EXPIRE_EVERY_S = 0.25
_TICK_EVERY_S = 1.0
_REQUESTS_EVERY_S = 1.0


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
    calls: Calls = field(init=False)
    """Drives calls into plugins, and knows which are under way."""

    def __attrs_post_init__(self) -> None:
        self.calls = Calls(self.observer.on_alert)


@define(eq=False, kw_only=True)
class Service:
    """A running engine. Made by `open_service`; `run` lives until it is drained, cancelled or broken."""

    plan: Plan
    seams: Seams
    store: Store
    book: FollowBook
    follows_version: int
    lanes: Mapping[str, Lanes]
    executions: Mapping[str, Execution]
    holder: Holder
    mode: ModeBoard
    board: FilterBoard
    pool: EndpointPool
    scanner: Scanner
    watchdogs: Watchdogs
    gate: Gate
    reconciler: Reconciler
    exit_rules: ExitRules
    reads: ReadLeaders
    keeper: Keeper | None
    """Leases the shards of a store that several instances share; None where there is one instance."""
    quarantine: Counter[str]
    """Unusable things that came from outside, by kind."""
    was_paused: bool = False
    """Whether there was a time with no shard to read."""
    abandoned: int = 0
    """Tasks that a drain had no time for."""
    found_open: int = 0
    """Tasks of an earlier run that had not ended when this one began."""
    left_open: Sequence[OpenOrder] = ()
    """Orders that nobody could prove before the end."""
    _feed: tuple[trio.MemorySendChannel[FeedItem], trio.MemoryReceiveChannel[FeedItem]]
    _lease: Lease | None = None
    """Of the only shard, where there is one instance."""
    _last: Status | None = None
    _starting: trio.CancelScope = field(factory=trio.CancelScope)
    _intake: trio.CancelScope = field(factory=trio.CancelScope)
    _work: trio.CancelScope = field(factory=trio.CancelScope)
    _draining: trio.Event = field(factory=trio.Event)

    async def run(  # noqa: ASYNC128  the intake calls started()
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Copy until `drain` is called, then finish what was taken in and return.

        Cancelling it stops at once: sends in flight are completed and recorded, what waits is read again by the next run.

        Raises:
            RestartBudgetExhausted: the intake could not be kept running; entries are halted and the work is drained.
            UnresolvedOrders: an earlier run left orders open, and nobody can prove what became of them.
            WrongChain: a node serves another chain than configured.
            CheckpointAhead: the stored checkpoint is far ahead of all nodes.
            StoreUnavailable: the store failed; nothing is traded blind.
        """
        gave_up: list[RestartBudgetExhausted] = []
        async with trio.open_nursery() as writers:
            await writers.start(self.holder.run)
            try:
                await self._begin()
                with self._starting:
                    await self.reconciler.settle_earlier_run()
                if not self._starting.cancelled_caught:
                    await self._run(task_status, gave_up)
            finally:
                # Before the accounts are given up: afterwards nobody here knows of what is left.
                self._last, self.left_open = self.status(), self.reconciler.left_open()
                try:
                    with trio.move_on_after(_LEAVE_S, shield=True):
                        await self._leave_store()
                finally:
                    self.holder.stop()
        if gave_up:
            raise gave_up[0]

    async def _begin(self) -> None:
        """Become the owner of accounts, before anything else runs."""
        if self.keeper is not None:
            await self.keeper.enter()
        else:
            while (lease := await self._acquire_only_shard()) is None:
                self._step("waiting", "somebody else, a command perhaps, has the accounts for a moment")
                await trio.sleep(_ASK_AGAIN_S)
            self._lease = lease
            await self.holder.begin(0, lease)
        self.found_open = self._count_open_tasks()
        await self._load_positions()
        self.narrow()

    def _count_open_tasks(self) -> int:
        """Count the tasks that have not ended: each is in a lane, waits in an account, has an order, or is a dead letter."""
        tasks = {queued.task.task_id for lanes in self.lanes.values() for queued in lanes}
        for shard in self.holder.shards.values():
            for account in shard.accounts.values():
                tasks |= account.waiting.keys() | account.dead.keys()
                tasks |= {one.task.task_id for one in account.orders.values() if not one.ended}
        return len(tasks)

    async def _acquire_only_shard(self) -> Lease | None:
        return await self.store.control.acquire(shard_lease(0), self.seams.instance, self.holder.lease_s)

    async def _load_positions(self) -> None:
        """Have every account at hand that holds something: its exit rules are looked at from now on."""
        held = await self.store.history.documents("position")
        followers = dict.fromkeys(document.follower for document in held)
        for number, shard in tuple(self.holder.shards.items()):
            try:
                await shard.load([follower for follower in followers if self.plan.shard_of(follower) == number])
            except LeaseLost as error:
                shard.lose(error)
        self._step("positions", f"{len(held)} positions loaded")

    async def _run(  # noqa: ASYNC128  the intake calls started()
        self, task_status: trio.TaskStatus[None], gave_up: list[RestartBudgetExhausted]
    ) -> None:
        async with trio.open_nursery() as housekeeping:
            for task in (
                self._keep_lease,
                self._reconcile,
                self._tick,
                self._hear_requests,
                self._refresh_follows,
                self._refresh_mode,
                self._look_at_exit_rules,
            ):
                housekeeping.start_soon(task)
            if self.keeper is not None:
                housekeeping.start_soon(self.keeper.run)
                housekeeping.start_soon(self._follow_shards, self.keeper)
            for lanes in self.lanes.values():
                housekeeping.start_soon(self._expire, lanes)
            housekeeping.start_soon(self._limit_drain)
            with self._work:
                async with trio.open_nursery() as workers:
                    for name, execution in self.executions.items():
                        for worker in range(self.plan.settings.engine.workers):
                            workers.start_soon(execution.run_worker, name=f"{name} worker {worker}")
                    await self._run_stages(task_status, gave_up)
                    self._draining.set()
                    if self.keeper is not None:
                        self.keeper.drain()
                        if not self.keeper.alone:
                            self._step("handing over", "others go on with what waits")
                            for number in tuple(self.holder.shards):
                                self.holder.hand_over(number)
                    for lanes in self.lanes.values():
                        lanes.close()
                await self._wait_proven()
                await self.exit_rules.mark_all()
            self._abandon()
            for shard in tuple(self.holder.shards.values()):
                # A store that is away must not hold the end up.
                with trio.move_on_after(self.plan.settings.engine.drain_s), suppress(LeaseLost):
                    await shard.writer.flush()
            housekeeping.cancel_scope.cancel()

    def _abandon(self) -> None:
        """End what a drain had no time for: what was not placed was certainly not sent, and whoever starts next is too late."""
        reason = Reason(code=Code.DRAINED, control="engine.drain_s", value="not started", limit="before the stop")
        for lanes in self.lanes.values():
            for queued in lanes:
                shard = self.holder.shards.get(queued.shard)
                durable = shard is not None and queued.task.task_id in shard.accounts[queued.task.follower].waiting
                if shard is None or (durable and self.plan.store.plugin.durable):
                    continue  # it is on the disk, and waits on
                self.abandoned += 1
                lanes.placed(queued)
                shard.give_up(queued, Outcome(end=End.HALTED, reason=reason))
        unproven = self.reconciler.unknown
        if unproven:
            self.seams.observer.on_alert(
                "unproven-at-exit", f"{unproven} orders may have been sent, and nobody knows yet"
            )

    async def _leave_store(self) -> None:
        if self.keeper is not None:
            await self.keeper.leave()
            return
        # A store that fails now must not hide how the run ended: the entry is then shown as dead by its last heartbeat.
        with suppress(StoreError):
            await self.holder.end(0)
            if self._lease is not None:
                await self.store.control.release(self._lease)
            await self.store.control.leave(self.seams.instance)

    def drain(self) -> None:
        """Close the intake and finish what was admitted, for at most `engine.drain_s`."""
        self._starting.cancel()
        self._intake.cancel()
        self._draining.set()

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken in any more."""
        return self._draining.is_set()

    def status(self) -> Status:
        """Take one look at everything; after the end, what there was then."""
        if self._last is not None:
            return self._last
        ages = [trio.current_time() - endpoint.head_at for endpoint in self.pool.endpoints if endpoint.heads_seen]
        sealed, reader = self.gate.sealed, self.gate.reader
        return Status(
            name=self.plan.settings.engine.name,
            trading=self.plan.settings.engine.mode,
            mode=self.mode.engine.mode.value,
            shard="1/1" if self.keeper is None else self.keeper.label,
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
            queued=sum(lanes.waiting for lanes in self.lanes.values()),
            peak=max((lanes.peak for lanes in self.lanes.values()), default=0),
            suspended=sum(lanes.suspended for lanes in self.lanes.values()),
            dead=sum(len(account.dead) for shard in self.holder.shards.values() for account in shard.accounts.values()),
            busy=sum(execution.busy for execution in self.executions.values()),
            unknown=self.reconciler.unknown,
            left=self._count_open_tasks(),
            late_logs=self.scanner.late_logs,
            reorgs=self.scanner.reorgs,
            quarantined=self.quarantine.total(),
            ready=self.watchdogs.ready,
            halted=self.watchdogs.why_halted,
            watches=self.watchdogs.watches,
        )

    async def apply(self, settings: Settings) -> list[str]:
        """Take over the follows and followers of a reloaded configuration; returns what needs a restart instead.

        Raises:
            ConfigError: a follower wants an executor that does not run; nothing was changed.
        """
        new, old = settings.terms(), self.plan.settings
        unknown = {name for name in (f.executor for f in new.followers.values()) if name not in self.executions}
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
            stages.start_soon(self.gate.run, receive, name="gate")
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
        self, keeper: Keeper, task_status: trio.TaskStatus[None]
    ) -> None:
        """Read while there is a shard to read for, and from its checkpoint on whenever one comes."""
        if not self.holder.shards:
            self._pause()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
        while True:
            await keeper.wait_shards()
            seen = keeper.gained
            async with trio.open_nursery() as reading:
                reading.start_soon(self._run_intake, task_status)
                await keeper.wait_change(seen)
                reading.cancel_scope.cancel()
            task_status = trio.TASK_STATUS_IGNORED
            if not self.holder.shards:
                self._pause()

    def _pause(self) -> None:
        self.was_paused = True
        self._step("paused", "no account is ours; nothing is subscribed to")

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
            await self.scanner.arm(self._checkpoint(), self.holder.begin_arming())
            self._step("subscribed", f"{len(self.board.filters)} filters over {len(self.reads)} leaders")
            await intake.start(self.scanner.run)
            task_status.started()

    def _checkpoint(self) -> Checkpoint | None:
        """Return the block that is read on from: the lowest that a shard has passed."""
        sealed = self.gate.sealed
        # A devnet begins anew with each run: what an earlier one has left says nothing about this chain.
        if self.plan.settings.devnet is not None or (self.seams.from_head and sealed is None):
            return None
        stored = [shard.checkpoint for shard in self.holder.shards.values()]
        known = [checkpoint for checkpoint in stored if checkpoint is not None]
        return min(known, key=lambda checkpoint: checkpoint.number, default=None)

    def _backoff(self) -> Backoff:
        settings = self.plan.settings.engine
        return Backoff(settings.backoff_base_s, settings.backoff_max_s, self.seams.entropy)

    def _others_alive(self, endpoint: Endpoint) -> bool:
        return any(other is not endpoint and not other.unreadable for other in self.pool.live)

    def _armed(self) -> bool:
        return self.gate.sealed is not None

    def _endpoint_failed(self, endpoint: Endpoint, failure: ChainError, wait_s: float) -> None:
        endpoint.failures += 1
        endpoint.last_error = str(failure)
        self.pool.note_lost(endpoint, f"{failure}; again in {wait_s:.2f} s")

    async def _keep_lease(self) -> None:
        """Show that this instance lives, where nobody shares the store: commands see it, and ask it."""
        if self._lease is None:
            return
        me = Instance(instance=self.seams.instance, shards=(0,), started_at=self.seams.wall())
        while True:
            await self.store.control.beat(self.watchdogs.describe(me))
            try:
                self._lease = await self.store.control.renew(self._lease, self.holder.lease_s)
            except LeaseLost:
                # This process stood still for long. The store's own token says whether anybody has written meanwhile.
                self._lease = await self._acquire_only_shard() or self._lease
            with trio.move_on_after(self.holder.lease_s / _LEASE_RENEWALS):
                await self.watchdogs.wait_changed()  # so that whoever asks the store hears of it at once

    async def _follow_shards(self, keeper: Keeper) -> None:
        """Read other leaders when shards come or go, look at what they hold, and end when somebody asked for it."""
        seen = keeper.gained
        while not keeper.drain_asked.is_set():
            if keeper.gained == seen:
                await keeper.wait_news()
            self.narrow()
            if keeper.gained != seen:
                seen = keeper.gained
                await self._load_positions()
        self.drain()

    async def _reconcile(self) -> None:
        while True:
            await trio.sleep(self.plan.settings.engine.reconcile_every_s)
            await self.reconciler.look()

    async def _expire(self, lanes: Lanes) -> None:
        """End what has become too old, and let what has come to its time be placed, whatever the workers do."""
        while True:
            await lanes.wait_queued()
            now = self.seams.wall()
            lanes.push_due(now)
            for queued in lanes.take_late(now):
                shard = self.holder.shards.get(queued.shard)
                if shard is not None:
                    outcome = retracted(queued.task) if queued.suspended else too_late(queued.task, now)
                    shard.give_up(queued, outcome)
            await trio.sleep(_EXPIRE_EVERY_S)

    async def _tick(self) -> None:
        """End what waits in accounts in vain."""
        while True:
            await trio.sleep(_TICK_EVERY_S)
            for shard in self.holder.shards.values():
                shard.tick()

    async def _hear_requests(self) -> None:
        """Carry out what people ask of the owner of their accounts, where a command can reach them at all."""
        while self.plan.store.plugin.durable:
            for shard in tuple(self.holder.shards.values()):
                with suppress(LeaseLost):  # whoever has it now is asked
                    await carry_out_requests(shard)
            await trio.sleep(_REQUESTS_EVERY_S)

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
        self.reads.count()
        if self.board.replace(wanted_filters(self.plan, self.reads)):
            self._step("filters", f"{len(self.board.filters)} filters over {len(self.reads)} leaders")

    async def _look_at_exit_rules(self) -> None:
        while True:
            await trio.sleep(self.plan.settings.engine.exits_every_s)
            await self.exit_rules.look()

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


def wanted_filters(plan: Plan, reads: ReadLeaders) -> tuple[LogFilter, ...]:
    """Ask the plan's decoders what to subscribe to for the leaders that are read here."""
    return build_filters(plan.decoders.values(), sorted(reads), plan.settings.chain.leaders_per_subscription)


async def put_follows_of_file(store: Store, settings: Settings) -> None:
    """Let the store hold the follows of the file; those of an earlier file go, those of commands stay."""
    wanted = settings.follows()
    keys = {follow.key for follow in wanted}
    _, held = await store.follows.load()
    gone = [follow.key for follow in held if follow.source == "file" and follow.key not in keys]
    if gone:
        await store.follows.remove(gone)
    await store.follows.put(wanted)
