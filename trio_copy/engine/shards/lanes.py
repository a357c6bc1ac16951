"""What waits to be placed: bounded, exits first, and in order within a lane. Sync, apart from waiting for something to do.

A lane is what must not run at once, as the executor says. Lanes run in parallel; inside one, the next task is given out when
the one before is finished, and an exit goes before the entries that are not placed. A task whose signal a reorg took back is
suspended wherever it stands.
"""

import heapq
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterator
from math import inf

import trio
from attrs import define, field

from trio_copy.accounts.aggregate import leave_together
from trio_copy.engine.shards.taking_long import TakingLong
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, SignalId, TaskId
from trio_copy.model.positions import PositionKey

LaneKey = tuple[str, ...]
_SELL = Side.SELL
_OF_ROOM = 3
"""Of whoever has more than so many times the entries out that there is room for, no further one is taken."""


def _endless() -> float:
    return inf


@define(eq=False)
class Queued:
    """One task in the lanes of an executor."""

    task: CopyTask
    shard: int
    lane: LaneKey
    suspended: bool = False
    in_hand: bool = False
    """Whether a worker has it."""
    aside: bool = False
    """Whether it is an exit that waits for what it sells to settle."""
    long: bool = False
    """Whether it has been in hand for so long that another worker stands in for the one that has it."""
    is_exit: bool = field(init=False)
    spot: PositionKey = field(init=False)

    def __attrs_post_init__(self) -> None:
        task = self.task
        self.is_exit = task.intent.side is _SELL
        self.spot = (task.follower, task.signal.leader, task.intent.token_id)


@define(eq=False)
class _Lane:
    held_by: set[object] = field(factory=set)
    """What keeps it closed: a task in hand, or orders that are not proven. Each opens only what it has closed itself."""
    exits: list[Queued] = field(factory=list)
    entries: list[Queued] = field(factory=list)
    """Each in the order in which they were decided."""
    aside: set[Queued] = field(factory=set)
    """Exits that wait for what they sell to settle. Other exits go on; entries, decided later, stay behind them."""

    def of(self, queued: Queued) -> list[Queued]:
        return self.exits if queued.is_exit else self.entries


@define(eq=False)
class Lanes:
    """Of one executor."""

    capacity: int
    peak: int = 0
    """The most that waited at once."""
    _lanes: defaultdict[LaneKey, _Lane] = field(factory=lambda: defaultdict(_Lane))
    _exits: OrderedDict[LaneKey, None] = field(factory=OrderedDict)
    """Free lanes whose next task is an exit, the longest ready first."""
    _entries: OrderedDict[LaneKey, None] = field(factory=OrderedDict)
    """Free lanes whose next task is an entry."""
    _queued: OrderedDict[TaskId, Queued] = field(factory=OrderedDict)
    """Everything that is not placed, what is in hand included, in the order in which it came."""
    _entries_waiting: OrderedDict[TaskId, Queued] = field(factory=OrderedDict)
    """The entries among them: an exit may evict the oldest that nobody has in hand."""
    _by_spot: defaultdict[PositionKey, dict[TaskId, Queued]] = field(factory=lambda: defaultdict(dict))
    _by_signal: dict[SignalId, dict[TaskId, Queued]] = field(factory=dict)
    _due: list[tuple[float, int, Queued]] = field(factory=list)
    """What waits for its time."""
    sending: Counter[int] = field(factory=Counter)
    """Orders that are placed and not answered, by shard."""
    entries_out: int = 0
    """Entries that were taken and that whoever took them is not done with: `done`."""
    _out_of: dict[str, int] = field(factory=dict)
    """The same, by whom lanes name first."""
    _long: TakingLong = field(factory=TakingLong)
    """What takes long of what is in hand."""
    _in_hand: int = 0
    _aside: dict[Queued, None] = field(factory=dict)
    _first: trio.Event = field(factory=trio.Event)
    """Set when there was nothing, and something comes."""
    _turn: int = 0
    _closed: bool = False
    _idle: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

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

    @property
    def oldest_at(self) -> float | None:
        """When the task was decided that waits the longest."""
        return min((queued.task.decided_at for queued in self._queued.values()), default=None)

    @property
    def crowded(self) -> bool:
        """Whether exits alone fill the room: nothing can be evicted for one more."""
        return self._is_full and self._oldest_entry() is None

    def add(self, queued: Queued, now: float) -> Queued | None:
        """Let a task wait. When there is no room, returns what has to go: itself, or for an exit the oldest entry.

        An exit that can go out in one order with another of its position finds room beyond the capacity, as much again:
        one order gives back what all of them take.
        """
        if len(self._queued) < self.capacity or not self._is_full:
            self._insert(queued, now)
            return None
        evicted = self._oldest_entry() if queued.is_exit else None
        if evicted is not None:
            self.remove(evicted)
        elif not self._has_company(queued):
            return queued
        self._insert(queued, now)
        return evicted

    @property
    def _is_full(self) -> bool:
        return self._in_room >= self.capacity

    @property
    def _in_room(self) -> int:
        # What is in hand leaves by itself, and can make no room: entries that are there must not keep an exit out. Nor must
        # exits that wait for what they sell to settle, up to as many again: a leader's followers all do at the same time.
        return len(self._queued) - self._in_hand - min(len(self._aside), self.capacity)

    def _oldest_entry(self) -> Queued | None:
        return next((entry for entry in self._entries_waiting.values() if not entry.in_hand), None)

    def _has_company(self, queued: Queued) -> bool:
        if self._in_room >= 2 * self.capacity:
            return False
        others = self._by_spot.get(queued.spot, {}).values()
        return any(not (o.in_hand or o.suspended) and leave_together(queued.task, o.task) for o in others)

    def restore(self, queued: Queued, now: float) -> None:
        """Let a task wait that was waiting before, room or not."""
        self._insert(queued, now)

    async def take(self, *, rested: bool = False, room: Callable[[], float] = _endless) -> Queued | None:
        """Wait for a task that may be placed now, and take it with its lane; None once everything is over.

        Others get their turn first, unless whoever asks has `rested`: he has waited for something just now, and a cancellation
        meets him where he waits next. `room` says how many more entries there are workers for; what he leaves, another one that
        is done with an entry has to ask for. `done` follows.
        """
        if not rested:
            await trio.lowlevel.checkpoint()
        while (queued := self.take_nowait(room=room())) is None and not (self._closed and not self._pending):
            await self._idle.park()
        return queued

    def take_nowait(self, *, room: float = inf) -> Queued | None:
        """Take a task that may be placed now, exits first; None when there is none.

        Who has many entries out leaves room to others: alone, three quarters are his, and of the rest the next one has as much.
        """
        if self._exits:
            key = self._long.next_exit(self._exits) if self._long.exits else next(iter(self._exits))
            del self._exits[key]
            lane = self._lanes[key]
            queued = lane.exits.pop(0)
        else:
            next_one = self._next_entry(room)
            if next_one is None:
                return None
            key = next_one
            del self._entries[key]
            lane = self._lanes[key]
            queued = lane.entries.pop(0)
            self.entries_out += 1
            self._out_of[key[0]] = self._out_of.get(key[0], 0) + 1
        lane.held_by.add(queued)
        self._in_hand += 1
        queued.in_hand = True
        return queued

    def _next_entry(self, room: float) -> LaneKey | None:
        most, out_of = _OF_ROOM * room, self._out_of
        if self._long.entries:
            return self._long.next_entry(self._entries, out_of, most, most + _OF_ROOM * self._long.entries.total())
        for key in self._entries:
            if out_of.get(key[0], 0) < most:
                return key
        return None

    @property
    def ready(self) -> bool:
        """Whether something may be given out that no worker has taken."""
        return bool(self._exits or self._entries)

    def takes_long(self, queued: Queued, most: int) -> bool:
        """Take note that a task is in hand for long, so that another worker stands in for its own.

        From now on it does not count against those of whom none takes long, and their exits go before others'. False, and
        nothing is changed, where it is known, or `most` others of its side do.
        """
        if queued.long or not self._long.add(queued.lane[0], most, is_exit=queued.is_exit):
            return False
        queued.long = True
        return True

    def done(self, queued: Queued) -> bool:
        """Take note that a worker is done with what it took; returns whether another one stands in for it since."""
        whose, was_long = queued.lane[0], queued.long
        if not queued.is_exit:
            self.entries_out -= 1
            left = self._out_of[whose] = self._out_of[whose] - 1
            if not left:
                del self._out_of[whose]
        if was_long:
            queued.long = False
            self._long.remove(whose, is_exit=queued.is_exit)
            # Its worker asks for no more. Once none of somebody takes long, there may be room for all that he has.
            self._idle.unpark(count=1 if whose in self._long.entries else max(1, len(self._entries)))
        return was_long

    def give_back(self, queued: Queued) -> None:
        """Put a task back that was taken and not placed, if it still counts; its lane is free."""
        if self.holds(queued):
            queued.in_hand = False
            self._in_hand -= 1
            if not queued.suspended:
                _insert_in_order(self._lanes[queued.lane].of(queued), queued)
        self.free(queued.lane, queued)

    def set_aside(self, queued: Queued) -> None:
        """Let an exit in hand wait, out of its lane, until what it sells may have settled; its lane is free."""
        if self.holds(queued):
            queued.in_hand, queued.aside = False, True
            self._in_hand -= 1
            self._aside[queued] = None
            self._lanes[queued.lane].aside.add(queued)
        self.free(queued.lane, queued)

    def bring_back(self, follower: FollowerId) -> None:
        """Let a follower's exits be placed that waited for what they sell to settle: something of it has."""
        if not self._aside:
            return
        for queued in [queued for queued in self._aside if queued.task.follower == follower]:
            self._no_longer_aside(queued)
            self._line_up(queued)

    def _no_longer_aside(self, queued: Queued) -> None:
        if queued.aside:
            queued.aside = False
            del self._aside[queued]
            self._lanes[queued.lane].aside.remove(queued)

    def holds(self, queued: Queued) -> bool:
        """Tell whether a task in hand still counts: its shard may be somebody else's by now, or ours anew."""
        return self._queued.get(queued.task.task_id) is queued

    def must_give_way(self, queued: Queued) -> bool:
        """Tell whether a task in hand must not be placed now: it is suspended, or its leader has sold again since."""
        return queued.suspended or (not queued.is_exit and bool(self._lanes[queued.lane].exits))

    def exit_behind(self, queued: Queued) -> CopyTask | None:
        """Return the exit that waits for what a task has in hand of its lane; None for none."""
        exits = self._lanes[queued.lane].exits
        return exits[0].task if exits else None

    def placed(self, queued: Queued) -> None:
        """Take note that a task in hand is placed, or over: it waits no more. Its lane stays as it is."""
        self._drop(queued)

    def take_again(self, queued: Queued) -> None:
        """Keep a task in hand that was placed and shall be tried once more: it waits again, and holds its lane."""
        self._note(queued)
        self._in_hand += 1

    def close_lane(self, lane: LaneKey, by: object) -> None:
        """Give nothing of a lane out until it is freed by the same: an order of it is not proven."""
        self._lanes[lane].held_by.add(by)
        self._exits.pop(lane, None)
        self._entries.pop(lane, None)

    def free(self, lane: LaneKey, by: object) -> None:
        """Let the next task of a lane be given out, as far as this kept it closed."""
        self._lanes[lane].held_by.discard(by)
        self._offer(lane)
        self._tell_if_over()

    def remove(self, queued: Queued) -> None:
        """Take a task out that nobody has in hand."""
        lane = self._lanes[queued.lane]
        if queued in lane.of(queued):
            lane.of(queued).remove(queued)
        self._no_longer_aside(queued)
        self._drop(queued)
        self._offer(queued.lane)
        self._tell_if_over()  # its lane may have been ready

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

    def find(self, task: TaskId) -> Queued | None:
        return self._queued.get(task)

    def is_under_way(self, task: TaskId) -> bool:
        """Tell whether a worker has a task, or the next free one takes it: nothing else has to happen first."""
        queued = self._queued.get(task)
        if queued is None or queued.aside:
            return False
        return queued.in_hand or (queued.lane in (self._exits if queued.is_exit else self._entries))

    def amend(self, task: CopyTask) -> None:
        """Let a task that waits want something else: an exit has changed what is left of it."""
        queued = self._queued.get(task.task_id)
        if queued is not None:
            queued.task = task

    def suspend(self, signal: SignalId, shard: int) -> list[Queued]:
        """Give nothing out of a shard's part of a signal until it is resumed; returns what waits for that."""
        mine = self._of_signal(signal, shard)
        for queued in mine:
            if not queued.suspended:
                queued.suspended = True
                lane = self._lanes[queued.lane]
                self._no_longer_aside(queued)
                if not queued.in_hand and queued in lane.of(queued):
                    lane.of(queued).remove(queued)
                self._offer(queued.lane)
        self._tell_if_over()
        return mine

    def resume(self, signal: SignalId, shard: int, now: float) -> int:
        """Let what was suspended of a shard's part of a signal go on; returns how many tasks do."""
        mine = [queued for queued in self._of_signal(signal, shard) if queued.suspended]
        for queued in mine:
            queued.suspended = False
            if not queued.in_hand and queued.task.not_before <= now:
                self._line_up(queued)
        return len(mine)

    def of_signal(self, signal: SignalId) -> Collection[Queued]:
        """Return what is not placed of a signal, what is in hand included."""
        return self._by_signal.get(signal, {}).values()

    def is_held_up(self, queued: Queued) -> bool:
        """Tell whether an order of its lane that is not proven holds a task up, and nobody knows for how long."""
        lane = self._lanes.get(queued.lane)
        return lane is not None and any(not isinstance(by, Queued) for by in lane.held_by)

    def _of_signal(self, signal: SignalId, shard: int) -> list[Queued]:
        return [queued for queued in self.of_signal(signal) if queued.shard == shard]

    def take_late(self, now: float) -> list[Queued]:
        """Take out what is past its deadline, apart from what a worker has in hand."""
        found = [queued for queued in self._queued.values() if queued.task.deadline < now and not queued.in_hand]
        for queued in found:
            self.remove(queued)
        return found

    def drop_shard(self, shard: int, *, in_hand: bool) -> None:
        """Forget what waits of a shard that is not ours any more; and what is in hand, where nothing of it counts.

        A worker that has such a task keeps its lane until he is done: what he may be sending is one of its orders.
        """
        for queued in [queued for queued in self._queued.values() if queued.shard == shard]:
            if not queued.in_hand:
                self.remove(queued)
            elif in_hand:
                self._drop(queued)

    def push_due(self, now: float) -> float | None:
        """Let what has come to its time be given out; returns when the next one will."""
        while self._due and self._due[0][0] <= now:
            _, _, queued = heapq.heappop(self._due)
            if self.holds(queued) and not queued.in_hand and not queued.suspended:
                self._line_up(queued)
        return self._due[0][0] if self._due else None

    def close(self) -> None:
        """Take no more: `take` ends once nothing is left that may become ready."""
        self._closed = True
        self._tell_if_over()

    @property
    def _pending(self) -> bool:
        """Whether something is left that a worker may still get: not what waits for a later time, or is suspended."""
        return bool(self._exits or self._entries) or any(
            queued.in_hand or queued.aside or queued in self._lanes[queued.lane].of(queued)
            for queued in self._queued.values()
        )

    async def wait_queued(self) -> None:
        """Wait until there is something that is not placed."""
        while not self._queued:
            await self._first.wait()
        await trio.lowlevel.checkpoint()

    def _insert(self, queued: Queued, now: float) -> None:
        self._note(queued)
        if len(self._queued) > self.peak:
            self.peak = len(self._queued)
        if queued.task.not_before > now:
            # Once, also when it is suspended: whoever resumes it leaves what is not due to this.
            self._turn += 1
            heapq.heappush(self._due, (queued.task.not_before, self._turn, queued))
        elif not queued.suspended:
            self._line_up(queued)

    def _note(self, queued: Queued) -> None:
        task = queued.task
        if not self._queued:
            self._first.set()
            self._first = trio.Event()
        self._queued[task.task_id] = queued
        if not queued.is_exit:
            self._entries_waiting[task.task_id] = queued
        self._by_spot[queued.spot][task.task_id] = queued
        self._by_signal.setdefault(task.signal.signal_id, {})[task.task_id] = queued

    def _line_up(self, queued: Queued) -> None:
        lane = self._lanes[queued.lane]
        _insert_in_order(lane.exits if queued.is_exit else lane.entries, queued)
        self._offer(queued.lane)

    def _offer(self, key: LaneKey) -> None:
        """Let a free lane be ready for what comes next in it."""
        lane = self._lanes[key]
        leaves = bool(lane.exits)
        if lane.held_by or not (leaves or (lane.entries and not lane.aside)):
            self._exits.pop(key, None)
            self._entries.pop(key, None)
            if not (lane.held_by or leaves or lane.entries or lane.aside):
                del self._lanes[key]
            return
        ready, other = (self._exits, self._entries) if leaves else (self._entries, self._exits)
        other.pop(key, None)
        if key not in ready:
            ready[key] = None
            self._idle.unpark()

    def _drop(self, queued: Queued) -> None:
        if not self.holds(queued):
            return
        task = queued.task
        del self._queued[task.task_id]
        self._in_hand -= queued.in_hand
        self._entries_waiting.pop(task.task_id, None)
        mine = self._by_spot[queued.spot]
        del mine[task.task_id]
        if not mine:
            del self._by_spot[queued.spot]
        same = self._by_signal[task.signal.signal_id]
        del same[task.task_id]
        if not same:
            del self._by_signal[task.signal.signal_id]
        self._tell_if_over()

    def _tell_if_over(self) -> None:
        """Let workers that wait end, once everything is over: before that, each of the hundreds would only wait again."""
        if self._closed and not self._pending:
            self._idle.unpark_all()


def _decided_at(task: CopyTask) -> float:
    return task.decided_at


def _insert_in_order(line: list[Queued], queued: Queued) -> None:
    """Put a task where it was decided: what is given back, or waited for its time, keeps its place."""
    at = len(line)
    while at and line[at - 1].task.decided_at > queued.task.decided_at:
        at -= 1
    line.insert(at, queued)
