"""The gate and the queue behind it."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import Code, CopyTask, End, Ended, Outcome, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Hash32, SignalId, TaskId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.signals import Signal
from trio_copy.ports import Admitted, Adopted, DeadLetter, Depth, Duplicate, Retracted

CREDIT_S = 600.0
"""How long a retracted trade may come back under another transaction hash."""


@define(eq=False)
class _Known:
    """An admitted signal: the blocks it stands in, and whether a reorg took it out of all of them."""

    signal_id: SignalId
    admitted_at: float
    blocks: set[Hash32]
    retracted: bool = False


@define(eq=False)
class _Leased:
    task: CopyTask
    owner: str
    until: float


@define(eq=False, kw_only=True)
class MemoryInbox:
    wall: WallClock
    capacity: int
    dedup_ttl_s: float
    dedup_max: int
    ended_max: int
    lease_s: float
    advance: Callable[[Checkpoint], None]
    """Keeps the checkpoint that comes with an admission, in the same step."""
    _known: OrderedDict[SignalId, _Known] = field(factory=OrderedDict)
    _credits: dict[tuple[str, ...], tuple[_Known, float]] = field(factory=dict)
    _queues: dict[str, OrderedDict[TaskId, CopyTask]] = field(factory=lambda: defaultdict(OrderedDict))
    _entries: OrderedDict[TaskId, CopyTask] = field(factory=OrderedDict)
    """The queued BUYs of all queues, oldest first: what an exit may evict."""
    _leased: dict[TaskId, _Leased] = field(factory=dict)
    _held: dict[SignalId, list[CopyTask]] = field(factory=dict)
    _dead: OrderedDict[TaskId, DeadLetter] = field(factory=OrderedDict)
    _ended: OrderedDict[TaskId, Outcome] = field(factory=OrderedDict)
    _queued: int = 0
    _held_count: int = 0
    _peak: int = 0
    _ready: dict[str, trio.Event] = field(factory=lambda: defaultdict(trio.Event))

    async def admit(
        self, signal: Signal, tasks: Sequence[CopyTask], checkpoint: Checkpoint | None
    ) -> Admitted | Duplicate | Adopted:
        now = self.wall()
        self._forget(now)
        if checkpoint is not None:
            self.advance(checkpoint)
        known = self._known.get(signal.signal_id)
        if known is None:
            known = self._credited(signal, now)
            if known is None:
                self._known[signal.signal_id] = _Known(signal.signal_id, now, {signal.block_hash})
                return self._enqueue(tasks)
            self._known[signal.signal_id] = known
        elif not known.retracted:
            known.blocks.add(signal.block_hash)
            return Duplicate()
        known.blocks, known.retracted = {signal.block_hash}, False
        waiting = self._held.pop(known.signal_id, [])
        self._held_count -= len(waiting)
        for task in waiting:
            self._push(task)
        return Adopted(signal_id=known.signal_id, resumed=len(waiting))

    async def retract(self, signal: Signal) -> Retracted | None:
        known = self._known.get(signal.signal_id)
        if known is None or known.retracted:
            return None
        known.blocks.discard(signal.block_hash)
        if known.blocks:
            return None
        known.retracted = True
        if signal.credit_key is not None:
            self._credits[signal.credit_key] = (known, self.wall() + CREDIT_S)
        held = [
            task
            for queue in self._queues.values()
            for task in queue.values()
            if task.signal.signal_id == known.signal_id
        ]
        for task in held:
            self._take(task)
        if held:
            self._held[known.signal_id] = held
            self._held_count += len(held)
        started = sum(leased.task.signal.signal_id == known.signal_id for leased in self._leased.values())
        return Retracted(held=len(held), started=started)

    async def lease(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._queues[executor]:
            await self._ready[executor].wait()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return await self.lease_nowait(executor, owner, limit)

    async def lease_nowait(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        queue = self._queues[executor]
        until = self.wall() + self.lease_s
        tasks: list[CopyTask] = []
        while queue and len(tasks) < limit:
            task_id, task = queue.popitem(last=False)
            self._entries.pop(task_id, None)
            self._leased[task_id] = _Leased(task, owner, until)
            tasks.append(task)
        self._queued -= len(tasks)
        if not queue:
            self._ready.pop(executor, None)
        return tuple(tasks)

    async def renew(self, tasks: Sequence[TaskId], owner: str) -> tuple[TaskId, ...]:
        until = self.wall() + self.lease_s
        lost = []
        for task_id in tasks:
            leased = self._leased.get(task_id)
            if leased is None or leased.owner != owner:
                lost.append(task_id)
            else:
                leased.until = until
        return tuple(lost)

    async def complete(self, task: TaskId, owner: str, outcome: Outcome) -> bool:
        if task in self._ended:
            return False
        self._release(task, owner)
        self._end(task, outcome)
        return True

    async def retry(self, task: TaskId, owner: str) -> None:
        self._push(self._release(task, owner), front=True)

    async def bury(self, task: TaskId, owner: str, why: str) -> None:
        self._dead[task] = DeadLetter(task=self._release(task, owner), why=why, at=self.wall())

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        return tuple(self._dead.values())

    async def replay(self, tasks: Sequence[TaskId]) -> int:
        letters = [self._dead.pop(task) for task in tasks if task in self._dead]
        for letter in letters:
            self._push(letter.task)
        return len(letters)

    async def purge(self, tasks: Sequence[TaskId]) -> int:
        return sum(self._dead.pop(task, None) is not None for task in tasks)

    async def expire(self, now: float) -> tuple[Ended, ...]:
        for task_id, leased in list(self._leased.items()):
            if leased.until <= now:
                del self._leased[task_id]
                self._push(leased.task, front=True)
        return tuple(self._expire_held(now))

    async def depth(self) -> Depth:
        return Depth(
            queued=self._queued,
            leased=len(self._leased),
            held=self._held_count,
            dead=len(self._dead),
            capacity=self.capacity,
            peak=self._peak,
        )

    def _expire_held(self, now: float) -> Iterable[Ended]:
        for signal_id, waiting in list(self._held.items()):
            if waiting[0].deadline <= now:
                del self._held[signal_id]
                self._held_count -= len(waiting)
                for task in waiting:
                    reason = Reason(
                        code=Code.RETRACTED, control="chain", value=task.signal.block_hash, limit="a block that stays"
                    )
                    outcome = Outcome(end=End.RETRACTED, reason=reason)
                    self._end(task.task_id, outcome)
                    yield Ended(task=task, outcome=outcome)

    def _credited(self, signal: Signal, now: float) -> _Known | None:
        if not self._credits or signal.credit_key is None:
            return None
        known, until = self._credits.pop(signal.credit_key, (None, 0.0))
        return known if known is not None and known.retracted and now < until else None

    def _enqueue(self, tasks: Sequence[CopyTask]) -> Admitted:
        shed: list[Ended] = []
        for task in tasks:
            if self._queued + self._held_count >= self.capacity:
                victim = self._make_room(task)
                shed.append(victim)
                if victim.task is task:
                    continue
            self._push(task)
        return Admitted(kept=len(tasks) - sum(ended.task in tasks for ended in shed), shed=tuple(shed))

    def _make_room(self, task: CopyTask) -> Ended:
        if task.intent.side is Side.SELL and self._entries:
            victim, code, control = next(iter(self._entries.values())), Code.EVICTED_BY_EXIT, "inbox.exits_first"
            self._take(victim)
        else:
            victim, code, control = task, Code.QUEUE_FULL, "engine.queue_capacity"
        outcome = Outcome(
            end=End.SHED,
            reason=Reason(code=code, control=control, value=str(self.capacity), limit=f"under {self.capacity}"),
        )
        self._end(victim.task_id, outcome)
        return Ended(task=victim, outcome=outcome)

    def _push(self, task: CopyTask, *, front: bool = False) -> None:
        queue = self._queues[task.executor]
        queue[task.task_id] = task
        if task.intent.side is Side.BUY:
            self._entries[task.task_id] = task
        if front:
            queue.move_to_end(task.task_id, last=False)
        self._queued += 1
        self._peak = max(self._peak, self._queued)
        self._ready[task.executor].set()

    def _take(self, task: CopyTask) -> None:
        del self._queues[task.executor][task.task_id]
        self._entries.pop(task.task_id, None)
        self._queued -= 1
        if not self._queues[task.executor]:
            self._ready.pop(task.executor, None)

    def _release(self, task: TaskId, owner: str) -> CopyTask:
        leased = self._leased.get(task)
        if leased is None or leased.owner != owner:
            raise LeaseLost(f"task {task} is not leased to {owner}")
        del self._leased[task]
        return leased.task

    def _end(self, task: TaskId, outcome: Outcome) -> None:
        self._ended[task] = outcome
        if len(self._ended) > self.ended_max:
            self._ended.popitem(last=False)

    def _forget(self, now: float) -> None:
        while self._known:
            oldest = next(iter(self._known.values()))
            if len(self._known) < self.dedup_max and now - oldest.admitted_at < self.dedup_ttl_s:
                break
            self._known.popitem(last=False)
        if self._credits:
            self._credits = {key: credit for key, credit in self._credits.items() if credit[1] > now}
