"""The intake: scanner and endpoints. The only part that is restarted, and what it reads follows what shards there are."""

from collections.abc import Iterable
from functools import partial

import trio
from attrs import define, field

from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem, Joined
from trio_copy.chain.filters import FilterBoard, Wanted, build_filters, build_wide_filters
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.subscriber import follow_endpoint
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.engine.gate.gate import Gate
from trio_copy.engine.gate.read_leaders import ReadLeaders
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.owning.keeper import Keeper
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.supervisor import Backoff, RestartBudget, keep_running
from trio_copy.errors import ChainError
from trio_copy.model.counts import counted
from trio_copy.model.ids import Address
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import LogFilter


@define(eq=False, kw_only=True)
class Intake:
    """What brings the feed. Cancelled, it ends at once: whatever it had not brought is read again."""

    plan: Plan
    seams: Seams
    holder: Holder
    board: FilterBoard
    pool: EndpointPool
    scanner: Scanner
    watchdogs: Watchdogs
    gate: Gate
    reads: ReadLeaders
    send: trio.MemorySendChannel[FeedItem]
    paused: bool = False
    """Whether there is no shard to read."""
    was_paused: bool = False
    """Whether there was such a time."""
    _narrowing: trio.Lock = field(factory=trio.Lock)

    def narrow(self, leaders: Iterable[Address]) -> None:
        """Let the endpoints subscribe to the leaders that are read here, of whom these are followed by others than before."""
        self._note(came=self.reads.look_at(leaders))
        self._subscribe()

    async def narrow_anew(self) -> None:
        """Let the endpoints subscribe to the leaders that are read here, whoever came or went.

        Others run meanwhile. Cancelled, some leaders are read already and the filters are those of before.
        """
        async with self._narrowing:
            await self._narrow_all()

    async def narrow_to_shards(self) -> None:
        """Do as `narrow_anew` does, unless everybody was judged by the shards that are held; nobody runs between that and the return."""
        async with self._narrowing:
            while not self.reads.of_these_shards:
                await self._narrow_all()

    async def _narrow_all(self) -> None:
        for came in self.reads.count():
            self._note(came=came)
            await trio.lowlevel.checkpoint()
        self._subscribe()

    def _note(self, *, came: bool) -> None:
        if came:
            self.gate.recent.change_leaders(self.seams.wall())

    def _subscribe(self) -> None:
        if self.board.replace(*wanted_filters(self.plan, self.reads)):
            self.seams.observer.on_step("filters", self._read_here())

    async def run_for_shards(  # noqa: ASYNC128  the intake calls started()
        self, keeper: Keeper, task_status: trio.TaskStatus[None]
    ) -> None:
        """Read while there is a shard to read for, and from its checkpoint on whenever one comes.

        Who is warm reads all the time, and anew only for shards whose story he does not know.
        """
        while True:
            if not (self.holder.shards or self.reads.warm):
                self._pause()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                await keeper.wait_shards()
                self.paused = False
            async with trio.open_nursery() as reading:
                reading.start_soon(self.run, task_status)
                await self._wait_reason_to_begin_anew(keeper)
                reading.cancel_scope.cancel()
            task_status = trio.TASK_STATUS_IGNORED

    async def _wait_reason_to_begin_anew(self, keeper: Keeper) -> None:
        seen = keeper.gained
        while True:
            while keeper.gained == seen and (self.holder.shards or self.reads.warm):
                await keeper.wait_news()
            joined = frozenset(number for number, shard in self.holder.shards.items() if not shard.armed)
            if keeper.gained == seen or not self.gate.can_tell(joined):
                return
            seen = keeper.gained  # before it is sent: what comes while the feed is full is seen the next time
            await self.send.send(Joined(joined))

    def _pause(self) -> None:
        self.paused = self.was_paused = True
        self.seams.observer.on_step("paused", "no account is ours; nothing is subscribed to")

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Follow the chain from the checkpoint on, started once it is armed and subscribed; until cancelled.

        Raises:
            RestartBudgetExhausted: an endpoint could not be kept running, and no other one lives.
            WrongChain, CheckpointAhead: see `Service.run`.
        """
        settings = self.plan.settings.engine
        budget = RestartBudget(settings.restarts, settings.restart_window_s)
        # What a shard has missed is read once: those whom it follows have to be among the leaders by then. Until it is armed
        # below, no other one can come.
        await self.narrow_to_shards()
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
                            send=self.send,
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
            self.seams.observer.on_step("subscribed", self._read_here())
            await intake.start(self.scanner.run)
            task_status.started()

    def _read_here(self) -> str:
        return f"{counted(len(self.board.filters), 'filter')} over {counted(len(self.reads), 'leader')}"

    def _checkpoint(self) -> Checkpoint | None:
        """Return the block that is read on from: the lowest that a shard has passed."""
        sealed = self.gate.sealed
        # A chain of our own begins anew with each run: what an earlier one has left says nothing about it.
        if self.plan.settings.brings_chain or (self.seams.from_head and sealed is None):
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


def wanted_filters(plan: Plan, reads: ReadLeaders) -> tuple[tuple[LogFilter, ...], Wanted | None]:
    """Ask the plan's decoders what to subscribe to for the leaders that are read here.

    Each filter is a subscription, and a question for each block: of many leaders, the logs of everybody cost less.
    """
    chain, decoders = plan.settings.chain, plan.decoders.values()
    if len(reads) <= chain.leaders_named:
        return build_filters(decoders, reads, chain.leaders_per_subscription), None
    return build_wide_filters(decoders, reads, chain.leaders_per_subscription, reads.version)
