"""What waits, is suspended or is in hand is given out once, in its turn, or taken out, and never forgotten."""

import random
from collections.abc import Iterable, Sized

import pytest
from attrs import evolve

from tests.builders import ALICE, NOW
from tests.engine.rig import buy, sell
from tests.engine.shards.lined_up import add, ids, queued, take_all
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.model.ids import TaskId


def test_what_a_reorg_took_back_waits_wherever_it_stands() -> None:
    """In a lane, or behind another: it is given out once it is resumed, at its old place."""
    lanes = Lanes(100)
    tasks = [buy(number) for number in range(3)]
    add(lanes, *tasks)
    assert len(lanes.suspend(tasks[1].signal.signal_id, 0)) == 1
    assert len(lanes.suspend(tasks[0].signal.signal_id, 0)) == 1
    assert lanes.unplaced.suspended == 2
    first = lanes.take_nowait()
    assert first is not None
    assert first.task is tasks[2]
    assert lanes.resume(tasks[1].signal.signal_id, 0, NOW) == 1
    assert lanes.resume(tasks[0].signal.signal_id, 0, NOW) == 1
    lanes.give_back(first)
    assert take_all(lanes) == ids(*tasks)


def test_what_is_suspended_in_hand_goes_no_further() -> None:
    """Given back, it stands in no lane; resumed in hand, it may go on."""
    lanes = Lanes(100)
    task = buy()
    add(lanes, task)
    taken = lanes.take_nowait()
    assert taken is not None
    lanes.suspend(task.signal.signal_id, 0)
    assert lanes.must_give_way(taken)
    lanes.resume(task.signal.signal_id, 0, NOW)
    assert not lanes.must_give_way(taken)
    lanes.suspend(task.signal.signal_id, 0)
    lanes.give_back(taken)
    assert lanes.take_nowait() is None
    lanes.resume(task.signal.signal_id, 0, NOW)
    assert take_all(lanes) == ids(task)


def test_a_closed_lane_stays_closed_until_everything_that_closed_it_is_over() -> None:
    """An order that is not proven, and another one: each opens what it has closed itself, in whatever order."""
    lanes = Lanes(100)
    task, other = buy(1), buy(2, "bob")
    lane = queued(task).lane
    lanes.close_lane(lane, "order 1")
    lanes.close_lane(lane, "order 2")
    add(lanes, task, other)
    assert take_all(lanes) == ids(other)
    lanes.free(lane, "order 1")
    lanes.free(lane, "order 1")
    assert lanes.take_nowait() is None
    lanes.free(lane, "order 2")
    assert take_all(lanes) == ids(task)


@pytest.mark.parametrize(
    "suspended", ["never", "before and resumed before", "before and resumed after", "from the start"]
)
def test_what_waits_for_its_time_is_given_out_once(suspended: str) -> None:
    """Neither before its time nor twice, whatever a reorg does meanwhile."""
    lanes = Lanes(100)
    task = buy(not_before=NOW + 10)
    signal = task.signal.signal_id
    lanes.restore(evolve_suspended(queued(task), suspended == "from the start"), NOW)
    if suspended.startswith("before"):
        lanes.suspend(signal, 0)
    if suspended in ("before and resumed before", "from the start"):
        assert lanes.resume(signal, 0, NOW + 1) == 1
    assert lanes.push_due(NOW + 9) == NOW + 10
    assert lanes.take_nowait() is None
    assert lanes.push_due(NOW + 10) is None
    if suspended == "before and resumed after":
        assert lanes.take_nowait() is None
        lanes.resume(signal, 0, NOW + 11)
    first = lanes.take_nowait()
    assert first is not None
    lanes.placed(first)
    lanes.free(first.lane, first)
    lanes.push_due(NOW + 20)
    assert lanes.take_nowait() is None


def evolve_suspended(one: Queued, suspended: bool) -> Queued:
    one.suspended = suspended
    return one


def test_what_is_too_late_is_taken_out_apart_from_what_is_in_hand() -> None:
    """In a lane, suspended, or for a later time: all of it; what is in hand ends by itself."""
    lanes = Lanes(100)
    tasks = [buy(number, token=number, deadline=NOW + 5) for number in range(4)]
    add(lanes, *tasks[:3], evolve(tasks[3], not_before=NOW + 60))
    taken = lanes.take_nowait()
    assert taken is not None
    lanes.suspend(tasks[1].signal.signal_id, 0)
    assert lanes.take_late(NOW + 5) == []
    assert [one.task.task_id for one in lanes.take_late(NOW + 6)] == ids(*tasks[1:])
    assert list(lanes.unplaced) == [taken]


def test_a_shard_that_is_handed_over_keeps_what_is_in_hand() -> None:
    """It ends where it began; a shard that is lost keeps nothing, and other shards keep everything."""
    for lost in (False, True):
        lanes = Lanes(100)
        (first,) = add(lanes, buy(1, token=1))
        add(lanes, buy(2, token=2))
        (other,) = add(lanes, buy(3, token=3), shard=1)
        assert lanes.take_nowait() is first
        lanes.drop_shard(0, in_hand=lost)
        assert set(lanes.unplaced) == ({other} if lost else {first, other})
        assert lanes.unplaced.holds(first) is not lost


def test_what_was_dropped_in_hand_comes_back_by_nothing() -> None:
    """Its name may be taken by a new one meanwhile: giving the old one back, or finishing it, does not touch that."""
    lanes = Lanes(100)
    task = buy()
    (old,) = add(lanes, task)
    assert lanes.take_nowait() is old
    lanes.drop_shard(0, in_hand=True)
    (new,) = add(lanes, task)
    assert lanes.take_nowait() is None
    lanes.placed(old)
    assert lanes.unplaced.find(task.task_id) is new
    lanes.give_back(old)
    assert lanes.take_nowait() is new
    assert lanes.take_nowait() is None


def test_another_attempt_keeps_its_lane() -> None:
    """It waits again without being given out, and takes what was changed meanwhile along."""
    lanes = Lanes(100)
    task, behind = buy(1), buy(2)
    (first, _) = add(lanes, task, behind)
    assert lanes.take_nowait() is first
    lanes.placed(first)
    assert task.task_id not in lanes.unplaced
    first.task = evolve(task, attempt=1)
    lanes.take_again(first)
    assert lanes.unplaced.find(task.task_id) is first
    assert lanes.take_nowait() is None
    lanes.placed(first)
    lanes.free(first.lane, first)
    assert take_all(lanes) == ids(behind)


def test_what_else_rests_of_a_spot_is_known_whatever_its_state() -> None:
    """Suspended or not, oldest first; what is in hand, and other tokens, are not among it."""
    lanes = Lanes(100)
    tasks = [buy(number, aggregates=True) for number in range(4)]
    added = add(lanes, *reversed(tasks))
    add(lanes, buy(9, token=8), buy(10, "bob"))
    lanes.suspend(tasks[2].signal.signal_id, 0)
    assert lanes.unplaced.resting(added[0]) == tuple(tasks[:3])
    taken = lanes.take_nowait()
    assert taken is not None
    assert lanes.unplaced.resting(taken) == tuple(task for task in tasks if task is not taken.task)


def test_an_entry_that_goes_out_alone_asks_for_no_company() -> None:
    """Thousands may wait behind it: only an exit, or what goes out with others, looks at them."""
    lanes = Lanes(100)
    alone, leaving = add(lanes, buy(1), sell(2))
    assert lanes.unplaced.resting(alone) == ()
    assert lanes.unplaced.resting(leaving) == (alone.task,)


def test_looking_at_what_is_over_leaves_nothing_behind() -> None:
    """A place that thousands of tokens went through is as small as before."""
    lanes = Lanes(100)
    for number in range(50):
        (one,) = add(lanes, buy(number, token=number))
        lanes.remove(one)
        assert lanes.unplaced.resting(one) == ()
    for number in range(50):
        add(lanes, buy(number, token=number))
        take_all(lanes)
    parts = (lanes, lanes.unplaced, lanes.turns)
    tables = (getattr(part, name, None) for part in parts for name in type(part).__slots__)
    left = [len(table) for table in tables if isinstance(table, Sized)]
    assert left == [0] * len(left) != []


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_nothing_is_lost_doubled_or_out_of_turn(seed: int) -> None:
    """Against a model that is nothing but lists: every call in any order, and the same answers."""
    dice, lanes, now = random.Random(seed), Lanes(12), NOW
    waiting: dict[TaskId, Queued] = {}
    in_hand: list[Queued] = []
    aside: set[Queued] = set()
    for number in range(400):
        match dice.randrange(10):
            case 0 | 1 | 2:
                make = dice.choice((buy, sell))
                later = now + 3 if dice.random() < 0.2 else 0.0
                one = queued(make(number, token=dice.randrange(4), not_before=later), dice.randrange(2))
                gone = lanes.add(one, now)
                if gone is not one:
                    waiting[one.task.task_id] = one
                if gone is not None and gone is not one:
                    assert one.is_exit
                    assert gone is next(w for w in waiting.values() if not w.in_hand and not w.is_exit)
                    del waiting[gone.task.task_id]
            case 3 | 4:
                ready = _ready(waiting.values(), in_hand, aside, now)
                taken = lanes.take_nowait()
                assert (taken is None) == (not ready)
                if taken is not None:
                    assert taken in ready
                    assert taken.is_exit or not any(one.is_exit for one in ready)
                    in_hand.append(taken)
            case 5 if in_hand:
                one = in_hand.pop(dice.randrange(len(in_hand)))
                lanes.placed(one)
                lanes.free(one.lane, one)
                waiting.pop(one.task.task_id, None)
            case 6 if in_hand:
                one = in_hand.pop(dice.randrange(len(in_hand)))
                if one.is_exit and not one.suspended and dice.random() < 0.5:
                    lanes.set_aside(one)
                    aside.add(one)
                else:
                    lanes.give_back(one)
            case 7 if waiting:
                signal = dice.choice(list(waiting.values())).task.signal.signal_id
                if dice.random() < 0.5:
                    aside -= set(lanes.suspend(signal, 0))
                else:
                    lanes.resume(signal, 0, now)
            case 8:
                now += 1
                lanes.push_due(now)
            case 9:
                lanes.bring_back(ALICE)
                aside.clear()
        assert set(lanes.unplaced) == set(waiting.values())


def _ready(waiting: Iterable[Queued], in_hand: list[Queued], aside: set[Queued], now: float) -> list[Queued]:
    """What may be given out: of each lane that nobody holds, the oldest exit, or the oldest entry where there is none.

    Exits that are set aside are none of them, and no entry goes out before them.
    """
    busy, behind = {one.lane for one in in_hand}, {one.lane for one in aside}
    lined = [
        one
        for one in waiting
        if one.lane not in busy and not one.in_hand and not one.suspended and one.task.not_before <= now
        if one not in aside and (one.is_exit or one.lane not in behind)
    ]
    first: dict[object, Queued] = {}
    for one in sorted(lined, key=lambda one: (not one.is_exit, one.task.decided_at)):
        first.setdefault(one.lane, one)
    return list(first.values())
