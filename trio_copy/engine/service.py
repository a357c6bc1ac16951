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
from collections.abc import Mapping, Sequence
from contextlib import suppress

import trio
from attrs import define, field

from trio_copy.accounts import OpenOrder
from trio_copy.chain.endpoints import EndpointPool
from trio_copy.chain.feed import FeedItem
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.config import Settings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.gate import Gate
from trio_copy.engine.housekeeping import Housekeeping
from trio_copy.engine.intake import Intake
from trio_copy.engine.overview import Overview
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.owning.keeper import Keeper
from trio_copy.engine.owning.sole_owner import SoleOwner
from trio_copy.engine.plan import Plan
from trio_copy.engine.reloading import Reloading
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.sending.exit_rules import ExitRules
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.reconciler import Reconciler
from trio_copy.engine.sending.workers import run_workers
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.errors import LeaseLost, RestartBudgetExhausted
from trio_copy.model.control import Mode
from trio_copy.model.counts import counted
from trio_copy.model.decisions import Code, End, Outcome, Reason
from trio_copy.ports import Store
from trio_copy.signing.signers import OpenSigners
from trio_copy.telemetry.status import Phase, Status

_LEAVE_S = 2.0
"""How long an end may take to leave the store and give its shards up; after that they run out by themselves."""


@define(eq=False, kw_only=True)
class Service:
    """A running engine. Made by `open_service`; `run` lives until it is drained, cancelled or broken."""

    plan: Plan
    seams: Seams
    store: Store
    book: FollowBook
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
    intake: Intake
    housekeeping: Housekeeping
    overview: Overview
    reloading: Reloading
    owner: Keeper | SoleOwner
    """Leases the shards of a store that several instances share, or the only one."""
    quarantine: Counter[str]
    """Unusable things that came from outside, by kind."""
    signers: OpenSigners | None
    """Who signs for the wallets; None on paper."""
    abandoned: int = 0
    """Tasks that a drain had no time for."""
    left_open: Sequence[OpenOrder] = ()
    """Orders that nobody could prove before the end."""
    _feed: tuple[trio.MemorySendChannel[FeedItem], trio.MemoryReceiveChannel[FeedItem]]
    proving: bool = False
    """Whether it is still, or was to its end, asking about orders that an earlier run left open."""
    _last: Status | None = None
    _gone: int = 0
    """Shards that had gone to others when the last look was taken."""
    _starting: trio.CancelScope = field(factory=trio.CancelScope)
    _reading: trio.CancelScope = field(factory=trio.CancelScope)
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
                self.proving = True
                with self._starting:
                    await self.reconciler.settle_earlier_run()
                    self.proving = False
                if not self._starting.cancelled_caught:
                    await self._run(task_status, gave_up)
            finally:
                # Before the accounts are given up: afterwards nobody here knows of what is left.
                self._last, self.left_open = self.status(), self.reconciler.left_open()
                self._gone = self.holder.gone
                try:
                    with trio.move_on_after(_LEAVE_S, shield=True):
                        await self.owner.leave()
                finally:
                    self.holder.stop()
        if gave_up:
            raise gave_up[0]

    async def _begin(self) -> None:
        """Become the owner of accounts, before anything else runs."""
        await self.owner.enter()
        await self.housekeeping.load_positions()
        await self.intake.narrow_anew()

    async def _run(  # noqa: ASYNC128  the intake calls started()
        self, task_status: trio.TaskStatus[None], gave_up: list[RestartBudgetExhausted]
    ) -> None:
        async with trio.open_nursery() as housekeeping:
            for task in (
                self.owner.run,
                self.housekeeping.reconcile,
                self.reconciler.follow_news,
                self.housekeeping.tick,
                self.housekeeping.hear_requests,
                self.housekeeping.hearing.acts.run_acts,
                self.housekeeping.hearing.run_exits,
                self.housekeeping.redeeming.run,
                self.housekeeping.refresh_follows,
                self.housekeeping.refresh_mode,
                self.exit_rules.run,
                self.housekeeping.watch_markets,
                self.housekeeping.look_later,
                self.housekeeping.decide_late,
            ):
                housekeeping.start_soon(task)
            if self.keeper is not None:
                housekeeping.start_soon(self.housekeeping.follow_shards, self.keeper, self.drain)
            else:
                housekeeping.start_soon(self._drain_when_asked)
            for lanes in self.lanes.values():
                housekeeping.start_soon(self.housekeeping.expire, lanes)
            housekeeping.start_soon(self._limit_drain)
            with self._work:
                async with trio.open_nursery() as workers:
                    for name, execution in self.executions.items():
                        workers.start_soon(run_workers, execution, name)
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
            if self.housekeeping.later_looks is not None:
                with trio.move_on_after(_LEAVE_S):
                    await self.housekeeping.later_looks.finish()
            for shard in tuple(self.holder.shards.values()):
                # A store that is away must not hold the end up.
                with trio.move_on_after(self.plan.settings.engine.drain_s), suppress(LeaseLost):
                    await shard.writer.flush()
            housekeeping.cancel_scope.cancel()

    def _abandon(self) -> None:
        """End what a drain had no time for: what was not placed was certainly not sent, and whoever starts next is too late."""
        reason = Reason(code=Code.DRAINED, control="engine.drain_s", value="not started", limit="before the stop")
        for lanes in self.lanes.values():
            for queued in lanes.unplaced:
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
                "unproven-at-exit", f"{counted(unproven, 'order')} may have been sent, and nobody knows yet"
            )

    def drain(self) -> None:
        """Close the intake and finish what was admitted, for at most `engine.drain_s`."""
        self._starting.cancel()
        self._reading.cancel()
        self._draining.set()

    @property
    def keeper(self) -> Keeper | None:
        """Leases the shards of a store that several instances share; None where there is one instance."""
        return self.owner if isinstance(self.owner, Keeper) else None

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken in any more."""
        return self._draining.is_set()

    @property
    def phase(self) -> Phase:
        """What this run is at."""
        if self.draining:
            return Phase.DRAINING
        if self.proving:
            return Phase.PROVING
        return Phase.PAUSED if self.intake.paused else Phase.FOLLOWING

    def lost(self, admitted: int, ended: int) -> int | None:
        """Return how many tasks are neither ended nor left after the end, which is 0, or a bug.

        None where a shard went to another instance meanwhile: what was open of it ends there, and only the store knows all.
        """
        return None if self._gone else self.holder.found + admitted - ended - self.status().left

    def status(self) -> Status:
        """Take one look at everything; after the end, what there was then."""
        return self.overview.status(self.phase) if self._last is None else self._last

    async def apply(self, settings: Settings) -> list[str]:
        """Take over the follows and followers of a reloaded configuration; returns what needs a restart instead.

        Raises:
            ConfigError: a follower wants an executor that does not run; nothing was changed.
        """
        return await self.reloading.apply(settings)

    async def _run_stages(  # noqa: ASYNC128  the intake calls started()
        self, task_status: trio.TaskStatus[None], gave_up: list[RestartBudgetExhausted]
    ) -> None:
        send, receive = self._feed
        async with trio.open_nursery() as stages:
            stages.start_soon(self.gate.run, receive, name="gate")
            try:
                with send, self._reading:
                    if self.seams.play is not None:
                        task_status.started()
                        await self.seams.play(send)
                    elif self.keeper is None:
                        await self.intake.run(task_status)
                    else:
                        await self.intake.run_for_shards(self.keeper, task_status)
            except BaseExceptionGroup as group:
                exhausted, rest = group.split(RestartBudgetExhausted)
                if exhausted is None or rest is not None:
                    raise
                gave_up.append(_leaf(exhausted))
                await self.store.control.set_mode(Mode.HALT_NEW, self.plan.redactor.redact(str(gave_up[0])))
                # Why stands beside the mode, which is an alert as well, and is the last word of the process.
                told = "entries are halted; what was taken in is finished, then this ends"
                self.seams.observer.on_alert("intake-gave-up", told)

    async def _wait_proven(self) -> None:
        """Give unproven outcomes what is left of the drain's time; housekeeping keeps looking them up too.

        What rests is called off, unless others go on with it.
        """
        # Nobody else ever takes the shards of a fixed part.
        goes_on = self.keeper is not None and not self.keeper.alone and self.keeper.settings.index is None
        self.reconciler.rules.draining = not goes_on
        await self.reconciler.look()
        while self.reconciler.unknown:
            await trio.sleep(self.plan.settings.engine.reconcile_every_s)
            await self.reconciler.look()

    async def _drain_when_asked(self) -> None:
        await self.owner.drain_asked.wait()
        self.drain()

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
