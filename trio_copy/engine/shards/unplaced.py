"""Everything that is not placed, what workers have in hand included: how much room it takes, and what of it concerns what.

`Lanes` put in and take out; here it is found again, by its name, its spot, its signal and its time. Sync, apart from waiting
for something to come.
"""

import heapq
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator

import trio
from attrs import define, field

from trio_copy.accounts.aggregate import leave_together
from trio_copy.engine.shards.queued import Queued
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import SignalId, TaskId
from trio_copy.model.positions import PositionKey


@define(eq=False)
class Unplaced:
    """Of one executor."""

    capacity: int
    peak: int = 0
    """The most that waited at once."""
    aside: dict[Queued, None] = field(factory=dict)
    """The exits among them that wait for what they sell to settle."""
    _queued: OrderedDict[TaskId, Queued] = field(factory=OrderedDict)
    """All of it, in the order in which it came."""
    _entries: OrderedDict[TaskId, Queued] = field(factory=OrderedDict)
    """The entries among them: an exit may evict the oldest that nobody has in hand."""
    _by_spot: defaultdict[PositionKey, dict[TaskId, Queued]] = field(factory=lambda: defaultdict(dict))
    _by_signal: dict[SignalId, dict[TaskId, Queued]] = field(factory=dict)
    _due: list[tuple[float, int, Queued]] = field(factory=list)
    """What waits for its time."""
    _turn: int = 0
    _in_hand: int = 0
    _first: trio.Event = field(factory=trio.Event)
    """Set when there was nothing, and something comes."""

    def __len__(self) -> int:
        return len(self._queued)

    def __contains__(self, task: TaskId) -> bool:
        return task in self._queued

    def __iter__(self) -> Iterator[Queued]:
        return iter(tuple(self._queued.values()))

    @property
    def waiting(self) -> int:
        """How many tasks wait, apart from those that a worker has in hand."""
        return sum(not queued.in_hand for queued in self._queued.values())

    @property
    def suspended(self) -> int:
        """How many tasks wait for a trade that a reorg took back."""
        return sum(queued.suspended for queued in self._queued.values())

    async def wait_any(self) -> None:
        """Wait until there is something."""
        while not self._queued:
            await self._first.wait()
        await trio.lowlevel.checkpoint()

    # ----------------------------------------------------------------------------------------------------------- room

    @property
    def crowded(self) -> bool:
        """Whether exits alone fill the room: nothing can be evicted for one more."""
        return self._in_room >= self.capacity and self._oldest_entry() is None

    def too_much(self, queued: Queued) -> Queued | None:
        """Return what has to go where there is no room for one more: itself, or for an exit the oldest entry. None where there is.

        An exit that can go out in one order with another of its position finds room beyond the capacity, as much again:
        one order gives back what all of them take.
        """
        if len(self._queued) < self.capacity or self._in_room < self.capacity:
            return None
        oldest = self._oldest_entry() if queued.is_exit else None
        if oldest is not None or self._has_company(queued):
            return oldest
        return queued

    @property
    def _in_room(self) -> int:
        # What is in hand leaves by itself, and can make no room: entries that are there must not keep an exit out. Nor must
        # exits that wait for what they sell to settle, up to as many again: a leader's followers all do at the same time.
        return len(self._queued) - self._in_hand - min(len(self.aside), self.capacity)

    def _oldest_entry(self) -> Queued | None:
        return next((entry for entry in self._entries.values() if not entry.in_hand), None)

    def _has_company(self, queued: Queued) -> bool:
        if self._in_room >= 2 * self.capacity:
            return False
        others = self._by_spot.get(queued.spot, {}).values()
        return any(not (o.in_hand or o.suspended) and leave_together(queued.task, o.task) for o in others)

    # -------------------------------------------------------------------------------------------------- coming, going

    def add(self, queued: Queued) -> None:
        """Put a task in, room or not."""
        task = queued.task
        task_id = task.task_id
        if not self._queued:
            self._first.set()
            self._first = trio.Event()
        self._queued[task_id] = queued
        if not queued.is_exit:
            self._entries[task_id] = queued
        self._by_spot[queued.spot][task_id] = queued
        self._by_signal.setdefault(task.signal.signal_id, {})[task_id] = queued
        if queued.in_hand:
            self._in_hand += 1  # it was placed, and was counted when it came
        elif len(self._queued) > self.peak:
            self.peak = len(self._queued)

    def drop(self, queued: Queued) -> None:
        """Take a task out that is placed, or over; one that was taken out before changes nothing."""
        task = queued.task
        task_id = task.task_id
        if self._queued.get(task_id) is not queued:
            return
        del self._queued[task_id]
        self._in_hand -= queued.in_hand
        self._entries.pop(task_id, None)
        mine = self._by_spot[queued.spot]
        del mine[task_id]
        if not mine:
            del self._by_spot[queued.spot]
        same = self._by_signal[task.signal.signal_id]
        del same[task_id]
        if not same:
            del self._by_signal[task.signal.signal_id]

    def hand_out(self, queued: Queued) -> None:
        """Take note that a worker has a task."""
        queued.in_hand = True
        self._in_hand += 1

    def take_back(self, queued: Queued) -> None:
        """Take note that no worker has a task any more."""
        queued.in_hand = False
        self._in_hand -= 1

    def set_aside(self, queued: Queued) -> None:
        """Take note that an exit waits for what it sells to settle."""
        queued.aside = True
        self.aside[queued] = None

    def bring_back(self, queued: Queued) -> None:
        """Take note that an exit waits for that no longer."""
        queued.aside = False
        del self.aside[queued]

    def put_off(self, queued: Queued) -> None:
        """Let a task wait for its time: `take_due` returns it, once, whatever has become of it."""
        self._turn += 1
        heapq.heappush(self._due, (queued.task.not_before, self._turn, queued))

    def take_due(self, now: float) -> list[Queued]:
        """Take what has come to its time."""
        found = []
        while self._due and self._due[0][0] <= now:
            found.append(heapq.heappop(self._due)[2])
        return found

    @property
    def next_due(self) -> float | None:
        """When the next one comes to its time."""
        return self._due[0][0] if self._due else None

    def amend(self, task: CopyTask) -> None:
        """Let a task that waits want something else: an exit has changed what is left of it."""
        queued = self._queued.get(task.task_id)
        if queued is not None:
            queued.task = task

    # --------------------------------------------------------------------------------------------------------- asking

    def holds(self, queued: Queued) -> bool:
        """Tell whether a task in hand still counts: its shard may be somebody else's by now, or ours anew."""
        return self._queued.get(queued.task.task_id) is queued

    def find(self, task: TaskId) -> Queued | None:
        return self._queued.get(task)

    def of_signal(self, signal: SignalId) -> Collection[Queued]:
        """Return what there is of a signal."""
        return self._by_signal.get(signal, {}).values()

    def resting(self, queued: Queued) -> tuple[CopyTask, ...]:
        """Return what else waits of a task's follower, leader and token, suspended or not, oldest first.

        Nothing for an entry that goes out alone: it neither calls others off nor takes them along.
        """
        if not (queued.is_exit or queued.task.aggregates):
            return ()
        others = self._by_spot.get(queued.spot, {}).values()
        return tuple(sorted((o.task for o in others if o is not queued and not o.in_hand), key=_decided_at))

    def leaving(self, entry: CopyTask) -> CopyTask | None:
        """Return an exit that waits to sell what an earlier entry of its follower, leader and token buys; None for none."""
        others = self._by_spot.get((entry.follower, entry.signal.leader, entry.intent.token_id), {}).values()
        later = (o.task for o in others if o.is_exit and not o.suspended and o.task.decided_at > entry.decided_at)
        return next(later, None)


def _decided_at(task: CopyTask) -> float:
    return task.decided_at
