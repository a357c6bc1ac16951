"""Of what is ready: exits go first, and nobody takes all the workers."""

import trio
import trio.testing

from tests.engine.rig import buy, sell
from tests.engine.shards.lined_up import add
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued

Clock = trio.testing.MockClock


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
