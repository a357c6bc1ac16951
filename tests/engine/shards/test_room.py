"""A full place: entries are shed before exits, and exits of one position share an order."""

from typing import Any

import pytest
from attrs import evolve

from tests.builders import NOW
from tests.engine.rig import buy, sell
from tests.engine.shards.lined_up import add, ids, queued, take_all
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Kind
from trio_copy.model.units import Shares


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
