"""A worker group: one executor's feeder, lanes and workers, bounded by a memory channel.

The feeder leases as many tasks as there is room for, the lanes keep order per (follower, token), the workers carry out
what is free to run. One hung venue call holds one lane and one worker; other groups do not notice. On drain the feeder
takes what is still queued without waiting for more, closes the channel, and the workers end by themselves.
"""

from collections.abc import Callable
from contextlib import suppress

import trio
from attrs import define, field

from trio_copy.engine.execution import Done, Execution, GivesWay, Unproven, Waits
from trio_copy.engine.leases import Leases, Told
from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.ids import Address, SignalId, TaskId
from trio_copy.model.orders import JournalState

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
    busy: int = 0
    _unproven: set[TaskId] = field(factory=set)
    _ready: tuple[trio.MemorySendChannel[CopyTask], trio.MemoryReceiveChannel[CopyTask]] = field(init=False)
    _draining: bool = False
    _waiting: trio.CancelScope = field(factory=trio.CancelScope)

    @property
    def name(self) -> str:
        return self.execution.name

    @property
    def leases(self) -> Leases:
        return self.execution.leases

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
        following = self.execution.lanes.finish(task.lane)
        if following is not None:
            try:
                self._ready[0].send_nowait(following)
            except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
                # No worker will take it any more, or none is free: it must not be lost for that.
                await self._run_lane(following)

    def works_on(self, task: TaskId) -> bool:
        """Tell whether a worker is carrying a task out at this moment, or it waits for one."""
        return task in self.leases.outstanding and task not in self._unproven

    def works_in(self, shard: int, shard_of: Callable[[Address], int]) -> bool:
        """Tell whether a task of a shard is under way; what waits for a proof does not count."""
        return any(
            task.task_id not in self._unproven and shard_of(task.signal.leader) == shard
            for task in self.leases.outstanding.values()
        )

    async def expire_parked(self) -> None:
        """End what waits in a busy lane and has become too old meanwhile."""
        now = self.execution.wall()
        for task in self.execution.lanes.take_all(lambda task: task.deadline < now and not task.again):
            try:
                await self._record_all(task, await self.execution.expired(task), 0.0)
            except LeaseLost:
                await self.leases.give_back(self.leases.company_of(task.task_id))  # somebody else's by now, or queued

    async def suspend(self, signal: SignalId) -> int:
        """Suspend what is leased of a signal that a reorg took back and has no order; returns how many tasks that are.

        What waits in a lane is held in the store at once; who has one in hand finds out right before freezing its order.
        """
        leases = self.leases
        leases.take_back(signal)
        mine = [task for task in leases.outstanding.values() if task.signal.signal_id == signal]
        suspended = sum(task.task_id not in leases.placed and not task.again for task in mine)
        # Of what was given out before, the journal may know an order: it is looked up when its turn comes.
        for task in self.execution.lanes.take_all(lambda task: task.signal.signal_id == signal and not task.again):
            try:
                held = await leases.suspend(task.task_id)
            except LeaseLost:
                held = False
            if not held:
                await leases.give_back([task.task_id])
        return suspended

    def restore(self, signal: SignalId) -> None:
        """Go on with what is leased of a signal that is there again."""
        self.leases.restore(signal)

    @property
    def unproven(self) -> tuple[CopyTask, ...]:
        """Tasks whose orders may have been sent, and nobody knows yet."""
        outstanding = self.leases.outstanding
        return tuple(outstanding[task] for task in self._unproven if task in outstanding)

    async def renew_leases(self) -> None:
        """Keep what is outstanding ours; what was lost is abandoned when it ends."""
        for task_id in await self.leases.renew():
            if task_id in self._unproven:
                # Whoever has it now hears what became of it; here it only keeps a lane closed.
                task = self.leases.outstanding[task_id]
                self._unproven.discard(task_id)
                await self.leases.give_back([task_id])
                await self._open_lane(task)

    @property
    def _most(self) -> int:
        return self.workers * _READY_PER_WORKER

    @property
    def _active(self) -> int:
        """How many tasks take a worker's place: what waits in a lane, or for a proof, does not."""
        return len(self.leases.outstanding) - self.execution.lanes.parked - len(self._unproven)

    @property
    def _free(self) -> int:
        """How many tasks may be leased now."""
        return 0 if self.execution.lanes.parked >= self.workers * _PARKED_PER_WORKER else self._most - self._active

    async def _run_feeder(self, send: trio.MemorySendChannel[CopyTask]) -> None:
        with send:
            while True:
                while self._free <= 0:
                    await self.leases.wait_change()
                told = await self._lease(self._free)
                # Without a pause: an exit that looks for entries must find each in its lane, and what is leased together
                # can gather.
                ready = [task for task in told.fresh if self.execution.lanes.offer(task)]
                for task in ready:
                    try:
                        send.send_nowait(task)
                    except trio.WouldBlock:
                        await send.send(task)  # a store that tells leases again may tell more than was asked for
                await self.leases.give_back(told.doubtful)
                if not told.count and self._draining:
                    if self._active <= 0:
                        return
                    await self.leases.wait_change()  # what is under way may still give something back

    async def _lease(self, limit: int) -> Told:
        if not self._draining:
            with trio.CancelScope() as self._waiting:
                return await self.leases.lease(self.name, limit, wait=True)
        return await self.leases.lease(self.name, limit, wait=False)

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
                self.leases.lose(str(error))
                # In case it is still ours: so are those then that were to go out with it.
                await trio.sleep(_DOUBT_S)
                await self.leases.give_back(self.leases.company_of(task.task_id))
                done = Waits()
            match done:
                case Unproven():
                    self._unproven.add(task.task_id)
                    self.leases.tell_change()
                    return
                case GivesWay(to=other):
                    task = self.execution.lanes.give_way(task, other)
                    continue
                case Waits():
                    pass
                case Done():
                    await self._record_all(task, done, started_at)
            task = self.execution.lanes.finish(task.lane)

    async def _record_all(self, task: CopyTask, done: Done, started_at: float) -> None:
        """Record the end of a task and of those that went out in its order."""
        for member in done.members:
            other = self.leases.outstanding.get(TaskId(member))
            if other is not None:
                reason = Reason(
                    code=Code.GATHERED, control="gathering", value=task.task_id, limit="an order of its own"
                )
                await self.leases.end(other, Outcome(end=End.GATHERED, reason=reason), None, started_at)
        await self.leases.end(task, done.outcome, done.report, started_at)
        self.execution.at("task: ended")

    async def abandon(self) -> int:
        """End everything that was not sent when a drain is over; returns how many.

        What may have been sent stays open, with an alert: nobody can say yet how it ends.
        """
        execution = self.execution
        await self.leases.lease(self.name, 1 << 30, wait=False)
        reason = Reason(code=Code.DRAINED, control="engine.drain_s", value="not started", limit="before the stop")
        left = []
        for task in tuple(self.leases.outstanding.values()):
            orders = await execution.store.journal.of_task(task.follow, task.task_id)
            if all(order.state is JournalState.INTENT for order in orders):
                left.append(task)
                with suppress(LeaseLost):
                    await execution.settlements.miss(task)
                await self.leases.end(task, Outcome(end=End.HALTED, reason=reason))
        if self.leases.outstanding:
            execution.observer.on_alert(
                "unproven-at-exit", f"{len(self.leases.outstanding)} orders of {self.name} may have been sent"
            )
        return len(left)
