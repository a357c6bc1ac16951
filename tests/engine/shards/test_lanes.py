"""Where tasks wait: exits first at every place, in order within a lane, bounded, and nothing forgotten."""

import random
from collections.abc import Iterable, Sized
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, NOW
from tests.engine.rig import buy, sell
from trio_copy.engine.shards.lanes import Lanes, Queued
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Kind
from trio_copy.model.ids import FollowerId, TaskId
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


def queued(task: CopyTask, shard: int = 0) -> Queued:
    return Queued(task, shard, (task.follower, str(task.intent.token_id)))


def add(lanes: Lanes, *tasks: CopyTask, shard: int = 0) -> list[Queued]:
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
        lanes.done(one)
    return taken


def ids(*tasks: CopyTask) -> list[TaskId]:
    return [task.task_id for task in tasks]


def test_an_exit_goes_before_every_entry_of_every_lane() -> None:
    """However many entries wait, and in whatever lanes: an exit that is ready is the next."""
    lanes = Lanes(100)
    entries = [buy(number, token=number) for number in range(20)]
    add(lanes, *entries)
    leave = sell(50, token=99)
    add(lanes, leave)
    assert take_all(lanes) == ids(leave, *entries)


def test_an_exit_goes_before_the_entries_of_its_own_lane() -> None:
    """They wait for the same order to end; then the exit is next, and the entries follow as they came."""
    lanes = Lanes(100)
    entries = [buy(number) for number in range(3)]
    add(lanes, *entries)
    first = lanes.take_nowait()
    leave = sell(50)
    add(lanes, leave)
    assert first is not None
    assert lanes.take_nowait() is None
    assert lanes.must_give_way(first)
    lanes.give_back(first)
    assert take_all(lanes) == ids(leave, *entries)


def test_exits_of_a_lane_keep_their_order() -> None:
    """What was decided first goes first, also when it was given back meanwhile."""
    lanes = Lanes(100)
    leaves = [sell(number) for number in range(3)]
    add(lanes, *leaves)
    first = lanes.take_nowait()
    assert first is not None
    assert not lanes.must_give_way(first)
    lanes.give_back(first)
    assert take_all(lanes) == ids(*leaves)


def test_a_full_place_sheds_entries_and_makes_room_for_exits() -> None:
    """An entry finds no room; an exit takes that of the oldest entry that nobody has in hand."""
    lanes = Lanes(3)
    entries = [buy(number, token=number) for number in range(3)]
    added = add(lanes, *entries)
    late = queued(buy(10, token=10))
    assert lanes.add(late, NOW) is late
    leave = queued(sell(11, token=11))
    assert lanes.add(leave, NOW) is added[0]
    assert take_all(lanes) == ids(leave.task, *entries[1:])


def test_entries_in_hand_keep_no_exit_out() -> None:
    """They are under way and cannot make room: an exit beyond the capacity waits all the same, an entry does not."""
    lanes = Lanes(2)
    add(lanes, *(buy(number, token=number) for number in range(2)))
    in_hand = [lanes.take_nowait(), lanes.take_nowait()]
    assert None not in in_hand
    add(lanes, *(sell(number + 10, token=number) for number in range(2)))
    for more in (queued(sell(20, token=9)), queued(buy(21, token=9))):
        assert lanes.add(more, NOW) is more


def test_what_was_given_back_is_still_the_oldest() -> None:
    """It was in hand when the place filled up; the next exit evicts it and nobody younger."""
    lanes = Lanes(3)
    add(lanes, *(buy(number, token=number) for number in range(3)))
    first = lanes.take_nowait()
    assert first is not None
    lanes.give_back(first)
    assert lanes.add(queued(sell(9, token=9)), NOW) is first


def test_a_full_place_of_exits_sheds_the_newest_of_another_position() -> None:
    """There is nothing else to shed, and nothing that it could go out with; the place stays bounded."""
    lanes = Lanes(2)
    add(lanes, sell(1, token=1), sell(2, token=2))
    late = queued(sell(3, token=3))
    assert lanes.add(late, NOW) is late


def test_an_exit_that_has_company_finds_room() -> None:
    """Exits of one position need one order: they wait beyond the capacity, up to as much again, and are given out in turn."""
    lanes = Lanes(3)
    leaves = [sell(number) for number in range(6)]
    seen = [lanes.crowded]
    add(lanes, *leaves)
    seen.append(lanes.crowded)
    for late in (sell(7), buy(8)):
        assert lanes.add(queued(late), NOW) is not None
    assert len(lanes) == 6
    assert take_all(lanes) == ids(*leaves)
    assert [*seen, lanes.crowded] == [False, True, False]


def _resized(task: CopyTask, **changes: Any) -> CopyTask:
    return evolve(task, intent=evolve(task.intent, **changes))


@pytest.mark.parametrize(
    "other",
    [
        sell(1, token=2),
        sell(1, "bob"),
        _resized(sell(1), sell="all"),
        evolve(sell(1), signal=evolve(sell(1).signal, kind=Kind.EXIT)),
        evolve(sell(1), attempt=1),
        evolve(sell(1), executor="other"),
        _resized(sell(1), called_off=Shares(1)),
    ],
    ids=str,
)
def test_what_is_no_company_makes_no_room(other: CopyTask) -> None:
    """Of another position, said in another way, or begun already: nothing to go out with."""
    lanes = Lanes(1)
    add(lanes, other)
    late = queued(sell(3))
    assert lanes.add(late, NOW) is late


@pytest.mark.parametrize("in_hand", [True, False])
def test_what_cannot_leave_with_others_makes_no_room(*, in_hand: bool) -> None:
    """What a worker has in hand leaves by itself, and what a reorg took back may not leave at all."""
    lanes = Lanes(1)
    (there,) = add(lanes, sell(1))
    if in_hand:
        assert lanes.take_nowait() is there
        add(lanes, sell(2, token=5))
    else:
        lanes.suspend(there.task.signal.signal_id, 0)
    late = queued(sell(3))
    assert lanes.add(late, NOW) is late


def test_entries_leave_before_exits_share_an_order() -> None:
    """As long as an entry can make room, no exit is in a crowd."""
    lanes = Lanes(2)
    _, entry = add(lanes, sell(1), buy(2, token=2))
    before = lanes.crowded
    assert lanes.add(queued(sell(3)), NOW) is entry
    assert (before, lanes.crowded) == (False, True)


def test_what_a_reorg_took_back_waits_wherever_it_stands() -> None:
    """In a lane, or behind another: it is given out once it is resumed, at its old place."""
    lanes = Lanes(100)
    tasks = [buy(number) for number in range(3)]
    add(lanes, *tasks)
    assert len(lanes.suspend(tasks[1].signal.signal_id, 0)) == 1
    assert len(lanes.suspend(tasks[0].signal.signal_id, 0)) == 1
    assert lanes.suspended == 2
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


def test_an_exit_waits_for_its_own_lane_only() -> None:
    """Behind an unproven order it waits, and nobody else with it."""
    lanes = Lanes(100)
    lanes.close_lane(queued(sell()).lane, "order")
    add(lanes, sell(1), sell(2, "bob"), buy(3, "carol"))
    assert len(take_all(lanes)) == 2


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
    assert list(lanes) == [taken]


def test_a_shard_that_is_handed_over_keeps_what_is_in_hand() -> None:
    """It ends where it began; a shard that is lost keeps nothing, and other shards keep everything."""
    for lost in (False, True):
        lanes = Lanes(100)
        (first,) = add(lanes, buy(1, token=1))
        add(lanes, buy(2, token=2))
        (other,) = add(lanes, buy(3, token=3), shard=1)
        assert lanes.take_nowait() is first
        lanes.drop_shard(0, in_hand=lost)
        assert set(lanes) == ({other} if lost else {first, other})
        assert lanes.holds(first) is not lost


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
    assert lanes.find(task.task_id) is new
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
    assert task.task_id not in lanes
    first.task = evolve(task, attempt=1)
    lanes.take_again(first)
    assert lanes.find(task.task_id) is first
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
    assert lanes.resting(added[0]) == tuple(tasks[:3])
    taken = lanes.take_nowait()
    assert taken is not None
    assert lanes.resting(taken) == tuple(task for task in tasks if task is not taken.task)


def test_an_entry_that_goes_out_alone_asks_for_no_company() -> None:
    """Thousands may wait behind it: only an exit, or what goes out with others, looks at them."""
    lanes = Lanes(100)
    alone, leaving = add(lanes, buy(1), sell(2))
    assert lanes.resting(alone) == ()
    assert lanes.resting(leaving) == (alone.task,)


def test_looking_at_what_is_over_leaves_nothing_behind() -> None:
    """A place that thousands of tokens went through is as small as before."""
    lanes = Lanes(100)
    for number in range(50):
        (one,) = add(lanes, buy(number, token=number))
        lanes.remove(one)
        assert lanes.resting(one) == ()
    for number in range(50):
        add(lanes, buy(number, token=number))
        take_all(lanes)
    tables = (getattr(lanes, name, None) for name in Lanes.__slots__)
    left = [len(table) for table in tables if isinstance(table, Sized)]
    assert left == [0] * len(left) != []


def test_who_has_many_entries_out_leaves_room_to_others() -> None:
    """More than three times what there is room for are too many of one; exits go first, whoever's, and whatever the room."""
    lanes = Lanes(100)
    *hers, his, _ = add(lanes, *(buy(number, token=number) for number in range(6)), buy(7, "bob"), sell(8, token=9))
    leaving = lanes.take_nowait(room=0)
    assert leaving is not None
    assert leaving.is_exit
    assert lanes.take_nowait(room=0) is None
    assert [lanes.take_nowait(room=4 - out) for out in range(3)] == hers[:3]
    assert lanes.take_nowait(room=1) is his
    assert lanes.take_nowait(room=1) is None
    lanes.done(hers[0])
    assert lanes.take_nowait(room=1) is hers[3]
    assert lanes.entries_out == 4


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
    assert len(lanes) == 2


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
    assert len(lanes) == 0


async def test_a_drain_ends_the_workers_when_a_reorg_suspends_what_was_left(clock: Clock) -> None:
    lanes = Lanes(100)
    (held,) = add(lanes, buy(1))
    lanes.close_lane(held.lane, "order")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lanes.take)
        lanes.close()
        await trio.testing.wait_all_tasks_blocked()
        lanes.suspend(held.task.signal.signal_id, 0)
    assert lanes.suspended == 1


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
        assert set(lanes) == set(waiting.values())


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


def test_an_exit_that_is_set_aside_holds_up_entries_of_its_lane_alone() -> None:
    """Other exits go on, and so do other lanes; once something has settled, it goes first."""
    lanes = Lanes(100)
    leave, other, entry, elsewhere = sell(0, token=1), sell(2, token=1), buy(3, token=1), buy(4, token=2)
    add(lanes, leave)
    waits = lanes.take_nowait()
    assert waits is not None
    lanes.set_aside(waits)
    add(lanes, other, entry, elsewhere)
    assert not lanes.is_under_way(leave.task_id)
    assert take_all(lanes) == ids(other, elsewhere)
    lanes.bring_back(FollowerId("nobody"))
    assert take_all(lanes) == []
    lanes.bring_back(leave.follower)
    assert take_all(lanes) == ids(leave, entry)
    assert len(lanes) == 0


@pytest.mark.parametrize("how", ["late", "lost", "retracted"])
def test_whatever_ends_an_exit_that_is_set_aside_lets_the_entries_go_on(how: str) -> None:
    lanes = Lanes(100)
    leave, entry = sell(0, token=1, deadline=NOW + 1), buy(3, token=1)
    add(lanes, leave)
    waits = lanes.take_nowait()
    assert waits is not None
    lanes.set_aside(waits)
    add(lanes, entry, shard=1)
    match how:
        case "late":
            assert lanes.take_late(NOW + 2) == [waits]
        case "lost":
            lanes.drop_shard(0, in_hand=True)
        case "retracted":
            lanes.suspend(leave.signal.signal_id, 0)
    lanes.bring_back(leave.follower)
    assert take_all(lanes) == ids(entry)
    assert lanes.resume(leave.signal.signal_id, 0, NOW) == (how == "retracted")
    assert take_all(lanes) == (ids(leave) if how == "retracted" else [])


def test_exits_that_are_set_aside_keep_no_other_exit_out() -> None:
    """They are on the disk and take no worker; but there are no more of them than there is room for."""
    lanes = Lanes(2)
    for number in range(2):
        add(lanes, sell(number, token=number))
        waits = lanes.take_nowait()
        assert waits is not None
        lanes.set_aside(waits)
    assert [lanes.add(queued(sell(10 + number, token=10 + number)), NOW) for number in range(2)] == [None, None]
    assert lanes.crowded
    late = queued(sell(20, token=20))
    assert lanes.add(late, NOW) is late
