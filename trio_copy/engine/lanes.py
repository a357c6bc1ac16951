"""Order per (follower, token): a lane is a key in flight. Sync, and owned by one worker group."""

from collections import deque
from collections.abc import Callable

from attrs import define, field

from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import FollowerId, TaskId, TokenId

LaneKey = tuple[FollowerId, TokenId]


@define(eq=False)
class Lanes:
    """Lanes run in parallel; inside one, a task starts only when the one before it has ended."""

    _waiting: dict[LaneKey, deque[CopyTask] | None] = field(factory=dict)
    """Every busy lane; None as long as nobody waits behind it."""
    parked: int = 0
    """Tasks that wait behind others."""

    def offer(self, task: CopyTask) -> bool:
        """Take a lane for a task. False when it is busy: then the task waits for `finish`."""
        key = task.lane
        if key not in self._waiting:
            self._waiting[key] = None
            return True
        queue = self._waiting[key]
        if queue is None:
            queue = self._waiting[key] = deque()
        queue.append(task)
        if len(queue) > 1 and queue[-2].decided_at > task.decided_at:
            # It was given back, or waited for its time: it keeps the place that it was decided in.
            self._waiting[key] = deque(sorted(queue, key=_decided_at))
        self.parked += 1
        return False

    def take(self, key: LaneKey, wanted: Callable[[CopyTask], bool]) -> tuple[CopyTask, ...]:
        """Take tasks that wait behind the one that holds a lane, and would go out with it."""
        queue = self._waiting.get(key)
        taken = tuple(task for task in queue or () if wanted(task))
        if taken:
            self._waiting[key] = deque(task for task in queue or () if not wanted(task))
            self.parked -= len(taken)
        return taken

    def take_all(self, wanted: Callable[[CopyTask], bool]) -> tuple[CopyTask, ...]:
        """Take tasks that wait in any lane."""
        return tuple(task for key in tuple(self._waiting) for task in self.take(key, wanted))

    def exit_behind(self, entry: CopyTask) -> TaskId | None:
        """Return the first exit behind an entry by which its leader has sold since."""
        for task in self._waiting.get(entry.lane) or ():
            if leaves_entry(task, entry):
                return task.task_id
        return None

    def put_first(self, task: CopyTask) -> None:
        """Let a task be the next one of its lane, which is busy."""
        self._waiting[task.lane] = deque((task, *(self._waiting[task.lane] or ())))
        self.parked += 1

    def give_way(self, task: CopyTask, other: TaskId) -> CopyTask:
        """Let a task that waits go before the one that holds the lane; returns who holds it now."""
        (first, *_) = (*self.take(task.lane, lambda waiting: waiting.task_id == other), task)
        if first is not task:  # else it has gone meanwhile
            self.put_first(task)
        return first

    def finish(self, key: LaneKey) -> CopyTask | None:
        """End the task that holds a lane and return the next one, which holds it from now on; None frees the lane."""
        queue = self._waiting[key]
        if queue:
            self.parked -= 1
            return queue.popleft()
        del self._waiting[key]
        return None

    def __len__(self) -> int:
        return len(self._waiting)


def leaves_entry(task: CopyTask, entry: CopyTask) -> bool:
    """Tell whether a task is an exit by which the leader of an earlier entry sold again, wholly or in part."""
    return (
        (task.intent.side, entry.intent.side) == (Side.SELL, Side.BUY)
        and task.signal.kind is not Kind.EXIT
        and task.signal.leader == entry.signal.leader
        and task.decided_at > entry.decided_at
        and task.signal.block_number >= entry.signal.block_number
    )


def _decided_at(task: CopyTask) -> float:
    return task.decided_at
