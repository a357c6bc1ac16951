"""A full place: entries are shed before exits, exits of one position share an order, and nobody takes all the room."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.engine.rig import buy, sell
from tests.engine.shards.lined_up import add, ids, queued, take_all
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Kind
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


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
    seen = [lanes.unplaced.crowded]
    add(lanes, *leaves)
    seen.append(lanes.unplaced.crowded)
    for late in (sell(7), buy(8)):
        assert lanes.add(queued(late), NOW) is not None
    assert len(lanes.unplaced) == 6
    assert take_all(lanes) == ids(*leaves)
    assert [*seen, lanes.unplaced.crowded] == [False, True, False]


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
    before = lanes.unplaced.crowded
    assert lanes.add(queued(sell(3)), NOW) is entry
    assert (before, lanes.unplaced.crowded) == (False, True)


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
    lanes.turns.done(hers[0])
    assert lanes.take_nowait(room=1) is hers[3]
    assert lanes.turns.entries_out == 4


def test_what_takes_long_does_not_count_against_those_of_whom_none_does() -> None:
    """They get what there are workers for besides, whoever has the fewest first; whoever has many that take long gets no more."""
    lanes = Lanes(100)
    *hers, his, his_second, another = add(
        lanes,
        *(buy(number, token=number) for number in range(5)),
        buy(6, "bob"),
        buy(7, "bob", token=8),
        buy(8, "carol"),
    )
    taken = [lanes.take_nowait(room=4 - out) for out in range(4)]
    assert taken == [*hers[:3], his]
    assert lanes.take_nowait(room=0) is None
    assert [lanes.turns.takes_long(one, 2) for one in hers[:3]] == [True, True, False]
    assert not lanes.turns.takes_long(hers[0], 2), "it is known"
    assert [lanes.take_nowait(room=-out) for out in range(3)] == [another, his_second, None]
    assert [lanes.turns.done(one) for one in (*hers[:3], his, another, his_second)] == [True, True] + [False] * 4
    assert lanes.take_nowait(room=4) is hers[3]
    assert lanes.turns.entries_out == 1


def test_exits_of_those_of_whom_some_take_long_go_last() -> None:
    """The others' are taken in turns: they may be stuck as well. Where there are no others, they go in their order."""
    lanes = Lanes(100)
    hers = add(lanes, *(sell(number, token=number) for number in range(3)))
    his = add(lanes, *(sell(number, "bob", token=number) for number in range(10, 12)))
    (another,) = add(lanes, sell(20, "carol"))
    assert lanes.take_nowait() is hers[0]
    assert lanes.turns.takes_long(hers[0], 1)
    assert not lanes.turns.takes_long(his[0], 1)
    assert [lanes.take_nowait() for _ in range(6)] == [his[0], another, his[1], hers[1], hers[2], None]
    assert lanes.turns.done(hers[0])
    more = add(lanes, *(sell(30 + number, token=30 + number) for number in range(2)), sell(40, "bob", token=40))
    assert [lanes.take_nowait() for _ in range(3)] == more, "as ever, the longest ready first"


async def test_once_none_of_somebody_takes_long_all_workers_that_wait_ask_for_his(clock: Clock) -> None:
    """A worker for which another one has stood in asks for no more: without that, one of his would be sent after the other."""
    lanes, taken = Lanes(100), list[Queued]()

    def room() -> int:
        return 4 - lanes.turns.entries_out

    async def work() -> None:
        one = await lanes.take(room=room)
        assert one is not None
        taken.append(one)

    his = add(lanes, *(buy(number, "bob", token=number) for number in range(3)))
    assert [lanes.take_nowait(room=room()) for _ in range(3)] == his
    hers = add(lanes, *(buy(10 + number, token=number) for number in range(7)))
    assert all(lanes.turns.takes_long(one, 9) for one in his)
    assert [lanes.take_nowait(room=room()) for _ in range(3)] == hers[:3]
    assert all(lanes.turns.takes_long(one, 9) for one in hers[:3])
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        for one in hers[:3]:
            assert taken == []
            lanes.placed(one)
            assert lanes.turns.done(one)
            await trio.testing.wait_all_tasks_blocked()
        assert taken == hers[3:6]
        nursery.cancel_scope.cancel()
