"""Order per (follower, token): a lane is a key in flight. Sync, and owned by one worker group."""

from collections import deque
from collections.abc import Callable

from attrs import define, field

from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import FollowerId, TokenId

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
