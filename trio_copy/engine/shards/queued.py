"""One task that is not placed, and the lane in which it waits: the order within a lane."""

from attrs import define, field

from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.positions import PositionKey

LaneKey = tuple[str, ...]
_SELL = Side.SELL


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
class Lane:
    """What of one lane is next: its exits, then its entries."""

    held_by: set[object] = field(factory=set)
    """What keeps it closed: a task in hand, or orders that are not proven. Each opens only what it has closed itself."""
    exits: list[Queued] = field(factory=list)
    entries: list[Queued] = field(factory=list)
    """Each in the order in which they were decided."""
    aside: set[Queued] = field(factory=set)
    """Exits that wait for what they sell to settle. Other exits go on; entries, decided later, stay behind them."""

    def of(self, queued: Queued) -> list[Queued]:
        return self.exits if queued.is_exit else self.entries

    def line_up(self, queued: Queued) -> None:
        """Put a task where it was decided: what is given back, or waited for its time, keeps its place."""
        line = self.exits if queued.is_exit else self.entries
        at = len(line)
        while at and line[at - 1].task.decided_at > queued.task.decided_at:
            at -= 1
        line.insert(at, queued)
