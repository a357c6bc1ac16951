"""Which task may be placed now: exits first, and in order within a lane. Sync, apart from waiting for something to do.

A lane is what must not run at once, as the executor says. Lanes run in parallel; inside one, the next task is given out when
the one before is finished, and an exit goes before the entries that are not placed. A task whose signal a reorg took back is
suspended wherever it stands.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from math import inf

import trio
from attrs import Factory, define, field

from trio_copy.engine.shards.queued import Lane, LaneKey, Queued
from trio_copy.engine.shards.turns import Turns
from trio_copy.engine.shards.unplaced import Unplaced
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import FollowerId, SignalId, TaskId


def _endless() -> float:
    return inf


@define(eq=False)
class Lanes:
    """Of one executor."""

    capacity: int
    unplaced: Unplaced = field(init=False, default=Factory(lambda self: Unplaced(self.capacity), takes_self=True))
    """Everything that is in them."""
    turns: Turns = field(factory=Turns)
    """Which of them are ready."""
    _lanes: defaultdict[LaneKey, Lane] = field(factory=lambda: defaultdict(Lane))
    sending: Counter[int] = field(factory=Counter)
    """Orders that are placed and not answered, by shard."""
    _closed: bool = False

    # --------------------------------------------------------------------------------------------------------- coming

    def add(self, queued: Queued, now: float) -> Queued | None:
        """Let a task wait. When there is no room, returns what has to go: itself, or for an exit the oldest entry."""
        too_much = self.unplaced.too_much(queued)
        if too_much is queued:
            return queued
        if too_much is not None:
            self.remove(too_much)
        self.restore(queued, now)
        return too_much

    def restore(self, queued: Queued, now: float) -> None:
        """Let a task wait that was waiting before, room or not."""
        self.unplaced.add(queued)
        if queued.task.not_before > now:
            # Also when it is suspended: whoever resumes it leaves what is not due to this.
            self.unplaced.put_off(queued)
        elif not queued.suspended:
            self._line_up(queued)

    def push_due(self, now: float) -> float | None:
        """Let what has come to its time be given out; returns when the next one will."""
        for queued in self.unplaced.take_due(now):
            if self.unplaced.holds(queued) and not queued.in_hand and not queued.suspended:
                self._line_up(queued)
        return self.unplaced.next_due

    # ----------------------------------------------------------------------------------------------- whose turn it is

    async def take(self, *, rested: bool = False, room: Callable[[], float] = _endless) -> Queued | None:
        """Wait for a task that may be placed now, and take it with its lane; None once everything is over.

        Others get their turn first, unless whoever asks has `rested`: he has waited for something just now, and a cancellation
        meets him where he waits next. `room` says how many more entries there are workers for; what he leaves, another one that
        is done with an entry has to ask for. `done` follows.
        """
        if not rested:
            await trio.lowlevel.checkpoint()
        while (queued := self.take_nowait(room=room())) is None and not (self._closed and not self._pending):
            await self.turns.idle.park()
        return queued

    def take_nowait(self, *, room: float = inf) -> Queued | None:
        """Take a task that may be placed now, exits first; None when there is none. See `Turns.take`."""
        key = self.turns.take(room)
        if key is None:
            return None
        lane = self._lanes[key]
        queued = (lane.exits or lane.entries).pop(0)
        lane.held_by.add(queued)
        self.unplaced.hand_out(queued)
        return queued

    def is_under_way(self, task: TaskId) -> bool:
        """Tell whether a worker has a task, or the next free one takes it: nothing else has to happen first."""
        queued = self.unplaced.find(task)
        if queued is None or queued.aside:
            return False
        return queued.in_hand or (queued.lane in (self.turns.exits if queued.is_exit else self.turns.entries))

    def close(self) -> None:
        """Take no more: `take` ends once nothing is left that may become ready."""
        self._closed = True
        self._tell_if_over()

    @property
    def _pending(self) -> bool:
        """Whether something is left that a worker may still get: not what waits for a later time, or is suspended."""
        return self.turns.ready or any(
            queued.in_hand or queued.aside or queued in self._lanes[queued.lane].of(queued) for queued in self.unplaced
        )

    def _tell_if_over(self) -> None:
        """Let workers that wait end, once everything is over: before that, each of the hundreds would only wait again."""
        if not self._pending:
            self.turns.idle.unpark_all()

    # -------------------------------------------------------------------------------------------------------- in hand

    def must_give_way(self, queued: Queued) -> bool:
        """Tell whether a task in hand must not be placed now: it is suspended, or its leader has sold again since."""
        return queued.suspended or (not queued.is_exit and bool(self._lanes[queued.lane].exits))

    def exit_behind(self, queued: Queued) -> CopyTask | None:
        """Return the exit that waits for what a task has in hand of its lane; None for none."""
        exits = self._lanes[queued.lane].exits
        return exits[0].task if exits else None

    def give_back(self, queued: Queued) -> None:
        """Put a task back that was taken and not placed, if it still counts; its lane is free."""
        if self.unplaced.holds(queued):
            self.unplaced.take_back(queued)
            if not queued.suspended:
                self._lanes[queued.lane].line_up(queued)
        self.free(queued.lane, queued)

    def set_aside(self, queued: Queued) -> None:
        """Let an exit in hand wait, out of its lane, until what it sells may have settled; its lane is free."""
        if self.unplaced.holds(queued):
            self.unplaced.take_back(queued)
            self.unplaced.set_aside(queued)
            self._lanes[queued.lane].aside.add(queued)
        self.free(queued.lane, queued)

    def bring_back(self, follower: FollowerId) -> None:
        """Let a follower's exits be placed that waited for what they sell to settle: something of it has."""
        if not self.unplaced.aside:
            return
        for queued in [queued for queued in self.unplaced.aside if queued.task.follower == follower]:
            self._no_longer_aside(queued)
            self._line_up(queued)

    def _no_longer_aside(self, queued: Queued) -> None:
        if queued.aside:
            self.unplaced.bring_back(queued)
            self._lanes[queued.lane].aside.remove(queued)

    def placed(self, queued: Queued) -> None:
        """Take note that a task in hand is placed, or over: it waits no more. Its lane stays as it is."""
        self.unplaced.drop(queued)
        if self._closed:
            self._tell_if_over()

    def take_again(self, queued: Queued) -> None:
        """Keep a task in hand that was placed and shall be tried once more: it waits again, and holds its lane."""
        self.unplaced.add(queued)

    # ---------------------------------------------------------------------------------------------------------- lanes

    def close_lane(self, lane: LaneKey, by: object) -> None:
        """Give nothing of a lane out until it is freed by the same: an order of it is not proven."""
        self._lanes[lane].held_by.add(by)
        self.turns.withdraw(lane)

    def free(self, lane: LaneKey, by: object) -> None:
        """Let the next task of a lane be given out, as far as this kept it closed."""
        self._lanes[lane].held_by.discard(by)
        self._offer(lane)
        if self._closed:
            self._tell_if_over()

    def is_held_up(self, queued: Queued) -> bool:
        """Tell whether an order of its lane that is not proven holds a task up, and nobody knows for how long."""
        lane = self._lanes.get(queued.lane)
        return lane is not None and any(not isinstance(by, Queued) for by in lane.held_by)

    def _line_up(self, queued: Queued) -> None:
        self._lanes[queued.lane].line_up(queued)
        self._offer(queued.lane)

    def _offer(self, key: LaneKey) -> None:
        """Let a free lane be ready for what comes next in it."""
        lane = self._lanes[key]
        leaves = bool(lane.exits)
        if lane.held_by or not (leaves or (lane.entries and not lane.aside)):
            self.turns.withdraw(key)
            if not (lane.held_by or leaves or lane.entries or lane.aside):
                del self._lanes[key]
        else:
            self.turns.offer(key, leaves=leaves)

    # ---------------------------------------------------------------------------------------------------------- going

    def remove(self, queued: Queued) -> None:
        """Take a task out that nobody has in hand."""
        lane = self._lanes[queued.lane]
        if queued in lane.of(queued):
            lane.of(queued).remove(queued)
        self._no_longer_aside(queued)
        self.unplaced.drop(queued)
        self._offer(queued.lane)
        if self._closed:
            self._tell_if_over()  # its lane may have been ready

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
        if self._closed:
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

    def _of_signal(self, signal: SignalId, shard: int) -> list[Queued]:
        return [queued for queued in self.unplaced.of_signal(signal) if queued.shard == shard]

    def take_late(self, now: float) -> list[Queued]:
        """Take out what is past its deadline, apart from what a worker has in hand."""
        found = [queued for queued in self.unplaced if queued.task.deadline < now and not queued.in_hand]
        for queued in found:
            self.remove(queued)
        return found

    def drop_shard(self, shard: int, *, in_hand: bool) -> None:
        """Forget what waits of a shard that is not ours any more; and what is in hand, where nothing of it counts.

        A worker that has such a task keeps its lane until he is done: what he may be sending is one of its orders.
        """
        for queued in [queued for queued in self.unplaced if queued.shard == shard]:
            if not queued.in_hand:
                self.remove(queued)
            elif in_hand:
                self.placed(queued)
