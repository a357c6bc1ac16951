"""The gate and the queue behind it."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush

import trio
from attrs import define, evolve, field

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ShardDepth
from trio_copy.model.decisions import (
    CopyTask,
    Ended,
    OrderIntent,
    Outcome,
    Skip,
    evicted,
    never_enough,
    retracted,
    shed,
)
from trio_copy.model.fills import Side
from trio_copy.model.ids import Hash32, SignalId, TaskId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.positions import PositionKey
from trio_copy.model.records import SkipRecord, TaskRecord, skip_record
from trio_copy.model.signals import Signal
from trio_copy.ports import Admitted, Adopted, DeadLetter, Depth, Duplicate, Retracted, Unsure

CREDIT_S = 600.0
"""How long a retracted trade may come back under another transaction hash."""


@define(eq=False)
class _Known:
    """An admitted signal: the blocks it stands in, and whether a reorg took it out of all of them."""

    signal_id: SignalId
    admitted_at: float
    blocks: set[Hash32]
    transactions: set[Hash32]
    """Every one it was ever in: another fill of one of these is no return of it."""
    retracted: bool = False


@define(eq=False)
class _Leased:
    task: CopyTask
    owner: str
    until: float
    at: float


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
    forget: Callable[[float], None]
    """Drops what other parts of the store keep for a limited time."""
    history: deque[TaskRecord]
    """Ended tasks."""
    skips: deque[SkipRecord]
    _known: OrderedDict[SignalId, _Known] = field(factory=OrderedDict)
    _credits: dict[tuple[str, ...], dict[SignalId, tuple[_Known, float]]] = field(factory=dict)
    """Retracted signals that may come back under another hash, and until when; of each key the oldest first."""
    _queues: dict[str, OrderedDict[TaskId, CopyTask]] = field(factory=lambda: defaultdict(OrderedDict))
    _entries: OrderedDict[TaskId, CopyTask] = field(factory=OrderedDict)
    """The queued BUYs of all queues, oldest first: what an exit may evict."""
    _delayed: dict[TaskId, CopyTask] = field(factory=dict)
    """Queued, but not due yet."""
    _due: list[tuple[float, int, TaskId]] = field(factory=list)
    _waiting: OrderedDict[TaskId, tuple[CopyTask, float]] = field(factory=OrderedDict)
    """Too small to be sent alone, and until when others may join them."""
    _wait_ends: dict[TaskId, float] = field(factory=dict)
    _leased: dict[TaskId, _Leased] = field(factory=dict)
    _buying: dict[PositionKey, dict[TaskId, None]] = field(factory=dict)
    """Entries that have not ended: what an exit looks for."""
    _held: dict[SignalId, list[CopyTask]] = field(factory=dict)
    _dead: OrderedDict[TaskId, DeadLetter] = field(factory=OrderedDict)
    _ended: OrderedDict[TaskId, None] = field(factory=OrderedDict)
    _queued: int = 0
    _held_count: int = 0
    _peak: int = 0
    _pushed: int = 0
    _ready: dict[str, trio.Event] = field(factory=lambda: defaultdict(trio.Event))

    async def admit(
        self,
        signal: Signal,
        tasks: Sequence[CopyTask],
        checkpoint: Checkpoint | None,
        skips: Sequence[Skip] = (),
        *,
        whole: bool = True,
    ) -> Admitted | Duplicate | Adopted | Unsure:
        now = self.wall()
        self._forget(now)
        if checkpoint is not None:
            self.advance(checkpoint)
        known = self._known.get(signal.signal_id)
        if known is None:
            known = self._credited(signal, now)
            if known is None:
                self._known[signal.signal_id] = _Known(
                    signal.signal_id, now, blocks={signal.block_hash}, transactions={signal.tx_hash}
                )
                self.skips.extend(skip_record(skip, signal, now) for skip in skips)
                return self._enqueue(tasks)
            if not whole:
                return Unsure()
            self._known[signal.signal_id] = known
        elif not known.retracted:
            known.blocks.add(signal.block_hash)
            return Duplicate()
        known.blocks, known.retracted = {signal.block_hash}, False
        known.transactions.add(signal.tx_hash)
        # However it came back: what stands in the chain again must not be taken for one more trade.
        self._use_credit(signal.credit_key, known)
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
            self._credits.setdefault(signal.credit_key, {})[known.signal_id] = (known, self.wall() + CREDIT_S)
        # What was given out before may have been sent: it goes its way.
        mine = [task for task in self._not_leased() if task.signal.signal_id == known.signal_id]
        held = [task for task in mine if not task.again]
        for task in held:
            self._take(task)
        if held:
            self._held[known.signal_id] = held
            self._held_count += len(held)
        started = sum(leased.task.signal.signal_id == known.signal_id for leased in self._leased.values())
        given_out = started + len(mine) - len(held)
        return Retracted(signal_id=known.signal_id, held=len(held), given_out=given_out)

    async def lease(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._queues[executor]:
            ready = self._ready[executor]
            with trio.move_on_after(self._next_due_s()):
                await ready.wait()
            self._push_due()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return await self.lease_nowait(executor, owner, limit)

    async def lease_nowait(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        self._push_due()
        queue = self._queues[executor]
        tasks: list[CopyTask] = []
        while queue and len(tasks) < limit:
            _, task = queue.popitem(last=False)
            tasks.append(task)
            self._entries.pop(task.task_id, None)
            self._lease(task, owner)
        self._queued -= len(tasks)
        if not queue:
            self._ready.pop(executor, None)
        return tuple(tasks)

    async def gather(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        leader = self._expect_owner(task, owner).task
        others = [
            other
            for other in self._not_leased()
            if other.gathers
            and not other.again
            and other.lane == leader.lane
            and (other.signal.leader, other.intent.side) == (leader.signal.leader, leader.intent.side)
        ]
        for other in others:
            self._take(other)
            self._lease(other, owner)
        return tuple(sorted(others, key=lambda other: other.decided_at))

    async def withdraw(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        leaves = self._expect_owner(task, owner).task
        found = []
        for entry in tuple(self._buying.get(_position_of(leaves), ())):
            leased, resting = self._leased.get(entry), self._resting(entry)
            if leased is not None and leased.owner == owner and leased.task.decided_at < leaves.decided_at:
                found.append(leased.task)
            elif resting is not None and resting.decided_at < leaves.decided_at:
                self._take(resting)
                self._lease(resting, owner)
                found.append(resting)
        return tuple(sorted(found, key=lambda entry: entry.decided_at))

    async def amend(self, intents: Mapping[TaskId, OrderIntent], owner: str) -> None:
        leased = {task: self._expect_owner(task, owner) for task in intents}
        for task, intent in intents.items():
            leased[task].task = evolve(leased[task].task, intent=intent)

    async def suspend(self, task: TaskId, owner: str) -> bool:
        known = self._known.get(self._expect_owner(task, owner).task.signal.signal_id)
        if known is None or not known.retracted:
            return False
        self._held.setdefault(known.signal_id, []).append(self._release(task, owner))
        self._held_count += 1
        return True

    async def wait(self, tasks: Sequence[TaskId], owner: str, until: float) -> None:
        for task_id in tasks:
            self._expect_owner(task_id, owner)
        for task_id in tasks:
            end = self._wait_ends.setdefault(task_id, until)
            task = self._release(task_id, owner)
            if not self._hold_if_retracted(task):
                self._waiting[task_id] = (task, end)

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
        leased = self._expect_owner(task, owner)
        self._release(task, owner)
        self._end(leased.task, outcome, leased.at)
        return True

    async def retry(self, task: TaskId, owner: str) -> None:
        given_back = self._release(task, owner)
        if not self._hold_if_retracted(given_back):
            self._push(given_back, front=True)

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
        letters = [self._dead.pop(task) for task in tasks if task in self._dead]
        for letter in letters:
            self._forget_entry(letter.task)
        return len(letters)

    async def expire(self, now: float) -> tuple[Ended, ...]:
        self.forget(now)
        for task_id, leased in list(self._leased.items()):
            if leased.until <= now:
                del self._leased[task_id]
                self._push(evolve(leased.task, again=True), front=True)
        return (*self._expire_held(now), *self._expire_waiting(now))

    async def depth(self) -> Depth:
        return Depth(
            queued=self._queued,
            leased=len(self._leased),
            held=self._held_count + len(self._waiting),
            dead=len(self._dead),
            capacity=self.capacity,
            peak=self._peak,
        )

    async def depths(self) -> tuple[ShardDepth, ...]:
        return (
            ShardDepth(
                shard=0,
                queued=self._queued,
                leased=len(self._leased),
                held=self._held_count + len(self._waiting),
                dead=len(self._dead),
                oldest_at=min((record.admitted_at for record in self.open_tasks()), default=None),
            ),
        )

    def serve(self, shards: frozenset[int]) -> None:
        """There is one shard, and it is always served."""

    async def reclaim(self, shard: int) -> int:
        return 0

    def open_tasks(self) -> Iterator[TaskRecord]:
        """Yield every task that has not ended."""
        for leased in self._leased.values():
            yield _record(leased.task, "leased", leased.at)
        for queue in (*self._queues.values(), self._delayed):
            yield from (_record(task, "queued") for task in queue.values())
        yield from (_record(task, "waiting") for task, _ in self._waiting.values())
        yield from (_record(task, "held") for tasks in self._held.values() for task in tasks)
        yield from (_record(letter.task, "dead") for letter in self._dead.values())

    def _not_leased(self) -> Iterator[CopyTask]:
        for queue in self._queues.values():
            yield from queue.values()
        yield from self._delayed.values()
        yield from (task for task, _ in self._waiting.values())

    def _resting(self, task_id: TaskId) -> CopyTask | None:
        """Return a task that is queued or waits."""
        waiting = self._waiting.get(task_id)
        return self._entries.get(task_id) if waiting is None else waiting[0]

    def _expire_held(self, now: float) -> Iterable[Ended]:
        for signal_id, waiting in list(self._held.items()):
            if waiting[0].deadline <= now:
                del self._held[signal_id]
                self._held_count -= len(waiting)
                for task in waiting:
                    outcome = retracted(task)
                    self._end(task, outcome)
                    yield Ended(task=task, outcome=outcome)

    def _expire_waiting(self, now: float) -> Iterable[Ended]:
        for task, until in list(self._waiting.values()):
            if until <= now:
                del self._waiting[task.task_id]
                outcome = never_enough(task)
                self._end(task, outcome)
                yield Ended(task=task, outcome=outcome)

    def _credited(self, signal: Signal, now: float) -> _Known | None:
        """Return the oldest retracted signal that this one may be under another hash; its credit is not used up."""
        if not self._credits or signal.credit_key is None:
            return None
        waiting = [known for known, until in self._credits.get(signal.credit_key, {}).values() if now < until]
        itself = (known for known in waiting if known.signal_id == signal.signal_id)
        return next(itself, None) or next(
            (known for known in waiting if signal.tx_hash not in known.transactions), None
        )

    def _use_credit(self, key: tuple[str, ...] | None, known: _Known) -> None:
        if key is None or key not in self._credits:
            return
        self._credits[key].pop(known.signal_id, None)
        if not self._credits[key]:
            del self._credits[key]

    def _enqueue(self, tasks: Sequence[CopyTask]) -> Admitted:
        victims: list[Ended] = []
        for task in tasks:
            if self._queued + self._held_count + len(self._waiting) >= self.capacity:
                victim = self._make_room(task)
                victims.append(victim)
                if victim.task is task:
                    continue
            self._push(task)
            if task.intent.side is Side.BUY:
                self._buying.setdefault(_position_of(task), {})[task.task_id] = None
        ids = {task.task_id for task in tasks}
        kept = len(tasks) - sum(victim.task.task_id in ids for victim in victims)
        return Admitted(kept=kept, shed=tuple(victims))

    def _make_room(self, task: CopyTask) -> Ended:
        entry = self._oldest_entry() if task.intent.side is Side.SELL else None
        if entry is not None:
            victim, outcome = entry, evicted(self.capacity)
        else:
            victim, outcome = task, shed(self.capacity)
        self._end(victim, outcome)
        return Ended(task=victim, outcome=outcome)

    def _oldest_entry(self) -> CopyTask | None:
        """Take an entry that makes room for an exit: queued ones first, then those that wait or are held."""
        entry = next((task for task in self._entries.values() if not task.again), None)
        if entry is None:
            waiting = (task for task, _ in self._waiting.values() if task.intent.side is Side.BUY and not task.again)
            entry = next(waiting, None)
        if entry is not None:
            self._take(entry)
            return entry
        for signal_id, held in self._held.items():
            if held[0].intent.side is Side.BUY:
                entry = held.pop(0)
                self._held_count -= 1
                if not held:
                    del self._held[signal_id]
                return entry
        return None

    def _hold_if_retracted(self, task: CopyTask) -> bool:
        """Hold a task that comes back after a reorg took its signal away; False when its signal stands."""
        known = self._known.get(task.signal.signal_id)
        if known is None or not known.retracted or task.again:
            return False
        self._held.setdefault(known.signal_id, []).append(task)
        self._held_count += 1
        return True

    def _push(self, task: CopyTask, *, front: bool = False) -> None:
        self._queued += 1
        self._peak = max(self._peak, self._queued)
        if task.intent.side is Side.BUY:
            self._entries[task.task_id] = task
        if task.not_before > self.wall():
            self._pushed += 1
            self._delayed[task.task_id] = task
            heappush(self._due, (task.not_before, self._pushed, task.task_id))
        else:
            queue = self._queues[task.executor]
            queue[task.task_id] = task
            if front:
                queue.move_to_end(task.task_id, last=False)
        self._ready[task.executor].set()
        if not self._queues[task.executor]:
            self._ready.pop(task.executor)  # only woken, to look again at when the next one is due

    def _push_due(self) -> None:
        now = self.wall()
        while self._due and self._due[0][0] <= now:
            task = self._delayed.pop(heappop(self._due)[2], None)
            if task is not None:
                self._queues[task.executor][task.task_id] = task
                self._ready[task.executor].set()

    def _next_due_s(self) -> float:
        return max(0.0, self._due[0][0] - self.wall()) if self._due else float("inf")

    def _take(self, task: CopyTask) -> None:
        """Take a task that is not leased out of wherever it is."""
        if self._waiting.pop(task.task_id, None) is not None:
            return
        self._entries.pop(task.task_id, None)
        self._queued -= 1
        if self._delayed.pop(task.task_id, None) is not None:
            return
        del self._queues[task.executor][task.task_id]
        if not self._queues[task.executor]:
            self._ready.pop(task.executor, None)

    def _lease(self, task: CopyTask, owner: str) -> None:
        now = self.wall()
        self._leased[task.task_id] = _Leased(task, owner, now + self.lease_s, now)

    def _expect_owner(self, task: TaskId, owner: str) -> _Leased:
        leased = self._leased.get(task)
        if leased is None or leased.owner != owner:
            raise LeaseLost(f"task {task} is not leased to {owner}")
        return leased

    def _release(self, task: TaskId, owner: str) -> CopyTask:
        leased = self._expect_owner(task, owner)
        del self._leased[task]
        return leased.task

    def _end(self, task: CopyTask, outcome: Outcome, leased_at: float | None = None) -> None:
        now = self.wall()
        self._wait_ends.pop(task.task_id, None)
        self._forget_entry(task)
        self._ended[task.task_id] = None
        if len(self._ended) > self.ended_max:
            self._ended.popitem(last=False)
        self.history.append(
            TaskRecord(
                task=task,
                state="ended",
                outcome=outcome,
                admitted_at=task.decided_at,
                leased_at=leased_at,
                ended_at=now,
            )
        )

    def _forget_entry(self, task: CopyTask) -> None:
        mine = self._buying.get(_position_of(task))
        if mine is not None:
            mine.pop(task.task_id, None)
            if not mine:
                del self._buying[_position_of(task)]

    def _forget(self, now: float) -> None:
        while self._known:
            oldest = next(iter(self._known.values()))
            if len(self._known) < self.dedup_max and now - oldest.admitted_at < self.dedup_ttl_s:
                break
            self._known.popitem(last=False)
        for key, credits in list(self._credits.items()):
            # Oldest first: behind one that still holds, all do.
            for known, until in list(credits.values()):
                if until > now:
                    break
                self._use_credit(key, known)


def _position_of(task: CopyTask) -> PositionKey:
    return (task.follower, task.signal.leader, task.intent.token_id)


def _record(task: CopyTask, state: str, leased_at: float | None = None) -> TaskRecord:
    return TaskRecord(
        task=task, state=state, outcome=None, admitted_at=task.decided_at, leased_at=leased_at, ended_at=None
    )
