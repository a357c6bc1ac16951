"""What a worker group has leased, and that somebody attends to each of it until it has ended or is given back.

A store may lease a task to us again before we hear that it took the task back. So a task that is being given back is
*leaving* until then, and what the queue tells of it, or of what has gone since the queue was asked, may be old or new:
it is given back once more, and the next answer is new. What is told of a task that is attended to is known already.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import trio
from attrs import define, field, frozen

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import CopyTask, Outcome
from trio_copy.model.ids import SignalId, TaskId
from trio_copy.model.orders import ExecutionReport
from trio_copy.ports import Inbox
from trio_copy.telemetry.observer import Finished, Observer

_RETRACTED_MOST = 10_000
"""Retracted signals that are remembered: what is leased of them was told within the last moments."""


@define(eq=False, kw_only=True)
class Leases:
    """Owned by one worker group; every call to the inbox that begins or ends a lease goes through here."""

    inbox: Inbox
    owner: str
    shared: bool
    """Whether somebody else can lease from the same store: where nobody can, no lease is ever somebody else's."""
    wall: WallClock
    observer: Observer
    outstanding: dict[TaskId, CopyTask] = field(factory=dict)
    """Leased and not ended, unproven outcomes included: their leases are renewed."""
    placed: set[TaskId] = field(factory=set)
    """Those of which an order is frozen, or is being frozen right now."""
    _leaving: set[TaskId] = field(factory=set)
    _company: dict[TaskId, TaskId] = field(factory=dict)
    """Tasks that were leased on behalf of another one."""
    _ending: set[TaskId] = field(factory=set)
    """What the store is being told the end of."""
    _watches: list[set[TaskId]] = field(factory=list)
    """What has ended or was given back since somebody began to ask the store."""
    _retracted: dict[SignalId, None] = field(factory=dict)
    """Signals that a reorg took back lately, oldest first: a hint to ask the store, which knows."""
    _changed: trio.Event = field(factory=trio.Event)

    async def lease(self, executor: str, limit: int, *, wait: bool) -> "Told":
        """Ask the queue, with `wait` until it has something; what is fresh is attended to from now on."""
        ask = self.inbox.lease if wait else self.inbox.lease_nowait
        with self._watch() as gone:
            told = await ask(executor, self.owner, limit)
        unknown = [task for task in told if not self.attended(task.task_id)]
        doubtful = {task.task_id for task in unknown} & (gone | self._leaving)
        fresh = tuple(task for task in unknown if task.task_id not in doubtful)
        self.outstanding.update((task.task_id, task) for task in fresh)
        return Told(count=len(told), fresh=fresh, doubtful=tuple(doubtful))

    async def gather(self, task: CopyTask) -> tuple[CopyTask, ...]:
        """Lease what may go out with a task. Raises `LeaseLost` when the task is not ours."""
        found = await self.inbox.gather(task.task_id, self.owner)
        self.adopt(task, found)
        return found

    async def withdraw(self, task: CopyTask) -> tuple[CopyTask, ...]:
        """Return the entries before an exit, leased to us; some of them may be attended to by others here.

        Raises `LeaseLost` when the exit is not ours.
        """
        while True:
            with self._watch() as gone:
                found = await self.inbox.withdraw(task.task_id, self.owner)
            names = {entry.task_id for entry in found}
            if not names & (gone | self._leaving | self._ending):
                return found
            # One was leaving meanwhile, and nobody can say what the store did first: it is looked for once more.
            while names & (self._leaving | self._ending):
                await self.wait_change()

    def attended(self, task: TaskId) -> bool:
        """Tell whether somebody here looks after a task."""
        return task in self.outstanding and task not in self._leaving

    def adopt(self, leader: CopyTask, tasks: Iterable[CopyTask]) -> None:
        """Look after tasks on behalf of another one."""
        for task in tasks:
            self.outstanding[task.task_id] = task
            self._company[task.task_id] = leader.task_id
            self._leaving.discard(task.task_id)

    def keep(self, task: CopyTask) -> None:
        """Look after a task for its own sake: it waits in a lane from now on."""
        self.outstanding[task.task_id] = task
        self._company.pop(task.task_id, None)

    def company_of(self, task: TaskId) -> list[TaskId]:
        """Return a task and those that are looked after on its behalf."""
        return [task, *(other for other, leader in self._company.items() if leader == task)]

    async def amend(self, tasks: Sequence[CopyTask]) -> None:
        """Let the store keep what leased tasks want from now on, all in one step. Raises `LeaseLost`: then none."""
        await self.inbox.amend({task.task_id: task.intent for task in tasks}, self.owner)
        for task in tasks:
            self.outstanding[task.task_id] = task

    async def give_back(self, tasks: Iterable[TaskId]) -> None:
        """Give tasks back to the queue, as far as they are ours; whose they are otherwise carries on with them."""
        leaving = list(tasks)
        self._leaving.update(leaving)
        for task in leaving:
            if not self.attended(task):  # else it was leased anew meanwhile
                with suppress(LeaseLost):
                    await self.inbox.retry(task, self.owner)
                self._leave([task])

    async def wait(self, tasks: Sequence[TaskId], until: float) -> None:
        """Let tasks wait for company in the store. Raises `LeaseLost` when one is not ours: then none does."""
        self._leaving.update(tasks)
        try:
            await self.inbox.wait(tasks, self.owner, until)
        except LeaseLost:
            self._stay(tasks)
            raise
        self._leave(tasks)

    async def suspend(self, task: TaskId) -> bool:
        """Let the store hold a task without an order, if a reorg took its signal back. Raises `LeaseLost`."""
        self._leaving.add(task)
        try:
            held = await self.inbox.suspend(task, self.owner)
        except LeaseLost:
            self._stay([task])
            raise
        if held:
            self._leave([task])
        self._stay([task])
        return held

    async def end(
        self, task: CopyTask, outcome: Outcome, report: ExecutionReport | None = None, started_at: float = 0.0
    ) -> None:
        """Record the end of a task, and announce it unless it had one."""
        task = self.outstanding.get(task.task_id, task)  # as it was amended, where it was
        self._ending.add(task.task_id)
        try:
            first = await self.inbox.complete(task.task_id, self.owner, outcome)
        except LeaseLost as error:
            self.lose(str(error))
            self._ending.discard(task.task_id)
            await self.give_back([task.task_id])
            return
        except BaseException:
            self._forget(task.task_id)
            raise
        self._forget(task.task_id)
        if first:
            self.observer.on_finished(
                Finished(task=task, outcome=outcome, report=report, started_at=started_at, ended_at=self.wall())
            )

    async def renew(self) -> tuple[TaskId, ...]:
        """Extend every lease; returns those that are somebody else's now, which is alerted.

        Where nobody else can lease, there are none: what ran out because this process stood still is in the queue, and
        leased to us again, who attend to it.
        """
        with self._watch() as gone:
            lost = await self.inbox.renew(tuple(self.outstanding), self.owner)
        # What ended or was given back while the store answered, or is just about to, is no loss.
        lost = tuple(task for task in lost if self.attended(task) and task not in gone | self._ending)
        if not lost or not self.shared:
            return ()
        self.lose(f"{len(lost)} tasks are somebody else's now")
        return lost

    def lose(self, why: str) -> None:
        """Alert that a lease was lost. Where nobody else can have it, it comes back to us, and nobody needs to know."""
        if self.shared:
            self.observer.on_alert("lease-lost", why)

    def take_back(self, signal: SignalId) -> None:
        """Take note that a reorg took a signal back: what has no order yet asks the store before it gets one."""
        self._retracted[signal] = None
        if len(self._retracted) > _RETRACTED_MOST:
            del self._retracted[next(iter(self._retracted))]

    def restore(self, signal: SignalId) -> None:
        """Take note that a retracted signal is there again."""
        self._retracted.pop(signal, None)

    def in_doubt(self, task: CopyTask) -> bool:
        """Tell whether a task's signal was taken back, as far as this process knows."""
        return task.signal.signal_id in self._retracted

    async def wait_change(self) -> None:
        """Wait until something has ended, was given back, or needs a worker no longer."""
        await self._changed.wait()

    def tell_change(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = trio.Event()

    @contextmanager
    def _watch(self) -> Iterator[set[TaskId]]:
        """Collect what leaves meanwhile."""
        gone: set[TaskId] = set()
        self._watches.append(gone)
        try:
            yield gone
        finally:
            self._watches = [watch for watch in self._watches if watch is not gone]

    def _leave(self, tasks: Iterable[TaskId]) -> None:
        """Forget those that are still leaving: the others were leased anew meanwhile."""
        for task in tasks:
            if task in self._leaving:
                self._forget(task)

    def _stay(self, tasks: Iterable[TaskId]) -> None:
        """Keep tasks that were to leave."""
        self._leaving.difference_update(tasks)
        self.tell_change()

    def _forget(self, task: TaskId) -> None:
        self.outstanding.pop(task, None)
        self._company.pop(task, None)
        self._leaving.discard(task)
        self.placed.discard(task)
        self._ending.discard(task)
        for gone in self._watches:
            gone.add(task)
        self.tell_change()


@frozen(kw_only=True)
class Told:
    """What the queue answered."""

    count: int
    fresh: Sequence[CopyTask]
    """To be worked on."""
    doubtful: Sequence[TaskId]
    """Left since the question was asked, and perhaps told as it was before: to be given back, and asked for again."""
