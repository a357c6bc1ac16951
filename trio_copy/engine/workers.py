"""A worker group: one executor's feeder, lanes and workers, bounded by a memory channel.

The feeder leases as many tasks as there is room for, the lanes keep order per (follower, token), the workers carry out
what is free to run. One hung venue call holds one lane and one worker; other groups do not notice. On drain the feeder
takes what is still queued without waiting for more, closes the channel, and the workers end by themselves.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import trio
from attrs import define, field

from trio_copy.engine.execution import Done, Execution, Unproven, Waits
from trio_copy.engine.lanes import Lanes
from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.ids import Address, TaskId
from trio_copy.model.orders import ExecutionReport, JournalState
from trio_copy.telemetry.observer import Finished, Observer

_READY_PER_WORKER = 2
"""Leased tasks per worker that may run: one that does, one in the channel."""
_DOUBT_S = 0.1
"""How long a task rests whose lease was doubted, so that the lease can be renewed meanwhile."""
_PARKED_PER_WORKER = 200
"""Leased tasks per worker that wait in busy lanes; they expire there, so that a slow lane starves nobody for long."""


@define(eq=False, kw_only=True)
class WorkerGroup:
    execution: Execution
    workers: int
    observer: Observer
    outstanding: dict[TaskId, CopyTask] = field(factory=dict)
    """Leased and not ended, unproven outcomes included: their leases are renewed."""
    busy: int = 0
    _lanes: Lanes = field(factory=Lanes)
    _unproven: set[TaskId] = field(factory=set)
    _adopted: dict[TaskId, TaskId] = field(factory=dict)
    """Tasks that were leased to go out with another one."""
    _ready: tuple[trio.MemorySendChannel[CopyTask], trio.MemoryReceiveChannel[CopyTask]] = field(init=False)
    _room: trio.Event = field(factory=trio.Event)
    _draining: bool = False
    _waiting: trio.CancelScope = field(factory=trio.CancelScope)

    def __attrs_post_init__(self) -> None:
        self.execution.crew = self

    @property
    def name(self) -> str:
        return self.execution.name

    @property
    def owner(self) -> str:
        """The instance that leases."""
        return self.execution.owner

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until `drain` was called and nothing is left."""
        send, receive = self._ready = trio.open_memory_channel[CopyTask](self._most)
        async with trio.open_nursery() as nursery:
            with receive:
                for number in range(self.workers):
                    nursery.start_soon(self._run_worker, receive.clone(), name=f"{self.name} worker {number}")
            nursery.start_soon(self._run_feeder, send, name=f"{self.name} feeder")
            task_status.started()

    def drain(self) -> None:
        """Take no more than what is queued now, then end."""
        self._draining = True
        self._waiting.cancel()

    async def finish(self, task: CopyTask, done: Done, started_at: float) -> None:
        """Record a task's end and carry on with its lane. Called by the reconciler once an outcome is proven."""
        known = task.task_id in self._unproven
        self._unproven.discard(task.task_id)
        await self._record_all(task, done, started_at)
        if not known:
            return  # a task of an earlier run: it holds no lane here
        await self._open_lane(task)

    async def _open_lane(self, task: CopyTask) -> None:
        """Carry on with what waits behind a task that nobody works on any more."""
        following = self._lanes.finish(task.lane)
        if following is not None:
            try:
                self._ready[0].send_nowait(following)
            except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
                # No worker will take it any more, or none is free: it must not be lost for that.
                await self._run_lane(following)

    def works_on(self, task: TaskId) -> bool:
        """Tell whether a worker is carrying a task out at this moment, or it waits for one."""
        return task in self.outstanding and task not in self._unproven

    def works_in(self, shard: int, shard_of: Callable[[Address], int]) -> bool:
        """Tell whether a task of a shard is under way; what waits for a proof does not count."""
        return any(
            task.task_id not in self._unproven and shard_of(task.signal.leader) == shard
            for task in self.outstanding.values()
        )

    async def expire_parked(self) -> None:
        """End what waits in a busy lane and has become too old meanwhile."""
        now = self.execution.wall()
        for task in self._lanes.take_all(lambda task: task.deadline < now and not task.again):
            try:
                await self._record_all(task, await self.execution.expired(task), 0.0)
            except LeaseLost:
                self.let_go([task.task_id])  # somebody else's by now

    @property
    def unproven(self) -> tuple[CopyTask, ...]:
        """Tasks whose orders may have been sent, and nobody knows yet."""
        return tuple(self.outstanding[task] for task in self._unproven if task in self.outstanding)

    async def renew_leases(self) -> None:
        """Keep what is outstanding ours; what was lost is abandoned when it ends."""
        lost = await self.execution.store.inbox.renew(tuple(self.outstanding), self.owner)
        if lost:
            self.observer.on_alert("lease-lost", f"{len(lost)} tasks of {self.name} are somebody else's now")
        for task_id in lost:
            if task_id in self._unproven:
                # Whoever has it now hears what became of it; here it only keeps a lane closed.
                task = self.outstanding[task_id]
                self._unproven.discard(task_id)
                self.let_go([task_id])
                await self._open_lane(task)

    @property
    def _most(self) -> int:
        return self.workers * _READY_PER_WORKER

    @property
    def _free(self) -> int:
        """How many tasks may be leased now: what waits in a lane, or for a proof, takes no worker's place."""
        if self._lanes.parked >= self.workers * _PARKED_PER_WORKER:
            return 0
        return self._most - (len(self.outstanding) - self._lanes.parked - len(self._unproven))

    async def _run_feeder(self, send: trio.MemorySendChannel[CopyTask]) -> None:
        with send:
            while True:
                while self._free <= 0:
                    self._room = trio.Event()
                    await self._room.wait()
                tasks = await self._lease(self._free)
                if not tasks and self._draining:
                    return
                for task in tasks:
                    if task.task_id in self.outstanding:
                        continue  # its lease ran out while we stalled, and came back to us: it is under way already
                    self.outstanding[task.task_id] = task
                    if self._lanes.offer(task):
                        try:
                            send.send_nowait(task)  # without a pause: what is leased together can gather
                        except trio.WouldBlock:
                            await send.send(task)  # a store that tells leases again may tell more than was asked for

    async def _lease(self, limit: int) -> tuple[CopyTask, ...]:
        inbox = self.execution.store.inbox
        if not self._draining:
            with trio.CancelScope() as self._waiting:
                return await inbox.lease(self.name, self.owner, limit)
        return await inbox.lease_nowait(self.name, self.owner, limit)

    async def _run_worker(self, receive: trio.MemoryReceiveChannel[CopyTask]) -> None:
        with receive:
            async for task in receive:
                self.busy += 1
                try:
                    await self._run_lane(task)
                finally:
                    self.busy -= 1

    async def _run_lane(self, task: CopyTask | None) -> None:
        """Carry out a task and those that waited behind it; an unproven outcome keeps the lane closed."""
        while task is not None:
            started_at = self.execution.wall()
            try:
                done = await self.execution.run(task)
            except LeaseLost as error:
                self.observer.on_alert("lease-lost", str(error))
                done = Waits()  # somebody else's by now, and so are those that were to go out with it
                await self._give_back(
                    [task.task_id, *(other for other, leader in self._adopted.items() if leader == task.task_id)]
                )
            match done:
                case Unproven():
                    self._unproven.add(task.task_id)
                    self._room.set()
                    return
                case Waits():
                    self.let_go([task.task_id])
                case Done():
                    await self._record_all(task, done, started_at)
            task = self._lanes.finish(task.lane)

    async def _record_all(self, task: CopyTask, done: Done, started_at: float) -> None:
        """Record the end of a task and of those that went out in its order."""
        for member in done.members:
            other = self.outstanding.get(TaskId(member))
            if other is not None:
                reason = Reason(
                    code=Code.GATHERED, control="gathering", value=task.task_id, limit="an order of its own"
                )
                await self._record(other, Outcome(end=End.GATHERED, reason=reason), None, started_at)
        await self._record(task, done.outcome, done.report, started_at)
        self.execution.at("task: ended")

    async def _give_back(self, tasks: Sequence[TaskId]) -> None:
        """Give tasks back whose lease we doubt, in case they are still ours; whose they are now carries on with them."""
        await trio.sleep(_DOUBT_S)
        for task in tasks:
            with suppress(LeaseLost):
                await self.execution.store.inbox.retry(task, self.owner)
        self.let_go(tasks)

    def adopt(self, leader: CopyTask, tasks: Sequence[CopyTask]) -> None:
        """Look after tasks that were leased besides the queue, to go out with one that is being worked on."""
        self.outstanding.update({task.task_id: task for task in tasks})
        self._adopted.update({task.task_id: leader.task_id for task in tasks})

    def take_parked(self, task: CopyTask) -> Sequence[CopyTask]:
        """Hand over what waits behind a task and may go out with it."""
        intent, leader = task.intent, task.signal.leader
        return self._lanes.take(
            task.lane,
            lambda other: (
                other.gathers and not other.again and (other.signal.leader, other.intent.side) == (leader, intent.side)
            ),
        )

    def let_go(self, tasks: Sequence[TaskId]) -> None:
        """Look after tasks no longer: they have ended, or are back in the inbox."""
        for task in tasks:
            self.outstanding.pop(task, None)
            self._adopted.pop(task, None)
        self._room.set()

    async def _record(
        self, task: CopyTask, outcome: Outcome, report: ExecutionReport | None, started_at: float
    ) -> None:
        try:
            if not await self.execution.store.inbox.complete(task.task_id, self.owner, outcome):
                return  # it had its end already, and that was announced
        except LeaseLost as error:
            self.observer.on_alert("lease-lost", str(error))
            return
        finally:
            self.let_go([task.task_id])
        self.observer.on_finished(
            Finished(task=task, outcome=outcome, report=report, started_at=started_at, ended_at=self.execution.wall())
        )

    async def abandon(self) -> int:
        """End everything that was not sent when a drain is over; returns how many.

        What may have been sent stays open, with an alert: nobody can say yet how it ends.
        """
        execution = self.execution
        for task in await execution.store.inbox.lease_nowait(self.name, self.owner, 1 << 30):
            self.outstanding.setdefault(task.task_id, task)
        reason = Reason(code=Code.DRAINED, control="engine.drain_s", value="not started", limit="before the stop")
        left = []
        for task in tuple(self.outstanding.values()):
            orders = await execution.store.journal.of_task(task.follow, task.task_id)
            if all(order.state is JournalState.INTENT for order in orders):
                left.append(task)
                with suppress(LeaseLost):
                    await execution.settlements.miss(task)
                await self._record(task, Outcome(end=End.HALTED, reason=reason), None, 0.0)
        if self.outstanding:
            self.observer.on_alert(
                "unproven-at-exit", f"{len(self.outstanding)} orders of {self.name} may have been sent"
            )
        return len(left)
