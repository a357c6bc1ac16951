"""Workers are woken by what comes, and end once nothing is left that may come."""

from functools import partial

import trio
import trio.testing

from tests.builders import NOW
from tests.engine.rig import buy
from tests.engine.shards.lined_up import add, queued
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued

Clock = trio.testing.MockClock


async def test_a_worker_is_woken_by_what_comes(clock: Clock) -> None:
    """By a new task, a freed lane, a resumed signal; a cancelled worker takes nothing along."""
    lanes = Lanes(100)
    taken: list[Queued | None] = []

    async def work() -> None:
        taken.append(await lanes.take())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(work)
        with trio.move_on_after(1):
            await lanes.take()
        task, behind, later = buy(1), buy(2), buy(3, "bob")
        lanes.close_lane(queued(later).lane, "order")
        first, _, _ = add(lanes, task, behind, later)
        await trio.testing.wait_all_tasks_blocked()
        assert taken == [first]
        lanes.placed(first)
        lanes.free(first.lane, first)
        await trio.testing.wait_all_tasks_blocked()
        assert len(taken) == 2
        lanes.free(queued(later).lane, "order")
    assert len(taken) == 3
    assert None not in taken


async def test_a_drain_ends_the_workers_once_nothing_is_left_that_may_come(clock: Clock) -> None:
    """What is in hand may come back, a closed lane may open; what is suspended, or for later, does not keep anybody."""
    lanes = Lanes(100)
    ended: list[float] = []

    async def work() -> None:
        while (one := await lanes.take()) is not None:
            await trio.sleep(1)
            lanes.placed(one)
            lanes.free(one.lane, one)
        ended.append(trio.current_time())

    add(lanes, buy(1), buy(2), buy(3, token=8, not_before=NOW + 999))
    (waiting,) = add(lanes, buy(4, token=9))
    lanes.close_lane(waiting.lane, "order")
    (suspended,) = add(lanes, buy(5, token=10))
    lanes.suspend(suspended.task.signal.signal_id, 0)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        lanes.close()
        await trio.sleep(10)
        assert ended == []
        # It becomes too old behind the order that nobody can prove.
        lanes.remove(waiting)
    assert ended == [10.0] * 3
    assert len(lanes.unplaced) == 2


async def test_a_drain_wakes_no_worker_before_everything_is_over(clock: Clock) -> None:
    """Hundreds may wait: for each task that ends, all of them would look whether it was the last one."""
    lanes, looks = Lanes(100), 0

    def look() -> float:
        nonlocal looks
        looks += 1
        return 1

    held = add(lanes, *(buy(number) for number in range(10)))
    lanes.close_lane(held[0].lane, "order")
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(partial(lanes.take, room=look))
        await trio.testing.wait_all_tasks_blocked()
        lanes.close()
        for one in held[1:]:
            lanes.remove(one)
            await trio.testing.wait_all_tasks_blocked()
        assert looks == 5
        lanes.remove(held[0])
    assert looks == 10


async def test_a_drain_ends_the_workers_when_what_none_may_take_is_taken_out(clock: Clock) -> None:
    """An entry that is ready, and that no worker has room for, becomes too old: then nothing is left that may come."""
    lanes = Lanes(100)
    (entry,) = add(lanes, buy(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(lanes.take, room=lambda: 0))
        lanes.close()
        await trio.testing.wait_all_tasks_blocked()
        lanes.remove(entry)
    assert len(lanes.unplaced) == 0


async def test_a_drain_ends_the_workers_when_a_reorg_suspends_what_was_left(clock: Clock) -> None:
    lanes = Lanes(100)
    (held,) = add(lanes, buy(1))
    lanes.close_lane(held.lane, "order")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lanes.take)
        lanes.close()
        await trio.testing.wait_all_tasks_blocked()
        lanes.suspend(held.task.signal.signal_id, 0)
    assert lanes.unplaced.suspended == 1
