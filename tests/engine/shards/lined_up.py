"""Tasks in the lanes of a shard, and what is given out of them."""

from tests.builders import NOW
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import TaskId


def queued(task: CopyTask, shard: int = 0) -> Queued:
    """A task as it stands in its lane."""
    return Queued(task, shard, (task.follower, str(task.intent.token_id)))


def add(lanes: Lanes, *tasks: CopyTask, shard: int = 0) -> list[Queued]:
    """Line tasks up, for which there is room."""
    added = [queued(task, shard) for task in tasks]
    for one in added:
        assert lanes.add(one, NOW) is None
    return added


def take_all(lanes: Lanes) -> list[TaskId]:
    """Take and finish everything that may be placed now, one after the other."""
    taken = []
    while (one := lanes.take_nowait()) is not None:
        taken.append(one.task.task_id)
        lanes.placed(one)
        lanes.free(one.lane, one)
        lanes.turns.done(one)
    return taken


def ids(*tasks: CopyTask) -> list[TaskId]:
    """What tasks are told apart by."""
    return [task.task_id for task in tasks]
