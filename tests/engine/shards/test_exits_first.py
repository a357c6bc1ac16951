"""Exits go before entries at every place where something waits, in order, and wait for their own lane only."""

import pytest

from tests.builders import NOW
from tests.engine.rig import buy, sell
from tests.engine.shards.lined_up import add, ids, queued, take_all
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.model.ids import FollowerId


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


def test_an_exit_waits_for_its_own_lane_only() -> None:
    """Behind an unproven order it waits, and nobody else with it."""
    lanes = Lanes(100)
    lanes.close_lane(queued(sell()).lane, "order")
    add(lanes, sell(1), sell(2, "bob"), buy(3, "carol"))
    assert len(take_all(lanes)) == 2


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
    assert len(lanes.unplaced) == 0


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
    assert lanes.unplaced.crowded
    late = queued(sell(20, token=20))
    assert lanes.add(late, NOW) is late
