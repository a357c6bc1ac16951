"""Whose turn it is: in order within a lane, lanes beside each other, exits before entries, and nobody starved."""

import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW, make_signal
from tests.engine.rig import buy, open_rig, sell
from trio_copy.model.decisions import Code, End
from trio_copy.model.orders import Order
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


async def test_one_token_of_one_follower_is_traded_in_order(clock: Clock) -> None:
    """A lane never has two orders in flight, however many workers are free; other lanes do not wait for it."""
    async with open_rig(workers=8) as rig:

        def on_send(order: Order) -> None:
            assert order.wallet.follower != "alice" or not any(
                one.wallet.follower == "alice" and one.order_id not in rig.executor.filled
                for one in rig.executor.sent[:-1]
            )

        rig.executor.on_send, rig.executor.latency_s = on_send, 0.5
        tasks = [buy(number, deadline=NOW + 100) for number in range(1, 6)]
        await rig.end_of(*tasks, buy(6, "bob", deadline=NOW + 100))
    sent = [order.key for order in rig.executor.sent if order.wallet.follower == "alice"]
    assert [task.key for task in tasks] == sent
    assert "bob" in {order.wallet.follower for order in rig.executor.sent[:3]}


async def test_one_hung_venue_call_holds_one_lane_only(clock: Clock) -> None:
    """A follower whose order hangs does not delay twenty others."""
    async with open_rig(workers=4) as rig:
        rig.executor.script = ["hang"]
        await rig.take_in(buy(1), buy(2))
        await trio.testing.wait_all_tasks_blocked()
        await rig.take_in(*(buy(10 + number, "bob", token=100 + number) for number in range(20)))
        await trio.sleep(1)
        assert [follower for follower, _, _ in rig.ends()] == ["bob"] * 20


async def test_exits_do_not_wait_behind_twice_as_many_entries_as_can_be_sent(clock: Clock) -> None:
    """An exit waits for a send that is under way, and for no entry, however many come in all the time."""
    async with open_rig(workers=4, queue_capacity=60) as rig:
        exits = [sell(1_000 + number, "bob", token=number, deadline=NOW + 600) for number in range(1, 31)]
        for task in exits:
            await rig.hold("bob", token=task.intent.token_id, number=2_000 + task.intent.token_id)
        rig.executor.latency_s = 1.0
        for second, leave in enumerate(exits):
            await rig.take_in(
                *(buy(8 * second + number, token=100 + 8 * second + number, deadline=NOW + 600) for number in range(8))
            )
            await rig.take_in(evolve(leave, decided_at=rig.wall()))
            await trio.sleep(1)
        await rig.wait_ends(*exits)
        of_exits = [one for one in rig.recorder.finished if one.task.follower == "bob"]
        entries = [one for one in rig.recorder.finished if one.task.follower == "alice"]
    assert [one.outcome.end for one in of_exits] == [End.FILLED] * 30
    assert max(one.started_at - one.task.decided_at for one in of_exits) <= 1.0
    assert Code.EVICTED_BY_EXIT in {one.outcome.reason.code for one in entries if one.outcome.reason}


async def test_a_busy_lane_does_not_starve_the_others(clock: Clock) -> None:
    """Many tasks behind one hung order leave room for everybody else's."""
    async with open_rig(workers=2) as rig:
        rig.executor.script = ["hang"]
        await rig.take_in(*(buy(number, deadline=NOW + 60) for number in range(1, 12)))
        await trio.testing.wait_all_tasks_blocked()
        await rig.take_in(*(buy(100 + number, "bob", token=number) for number in range(5)))
        await trio.sleep(0.5)
        assert [follower for follower, _, _ in rig.ends()] == ["bob"] * 5


async def test_two_signals_of_one_token_are_two_orders(clock: Clock) -> None:
    """Identity is the signal, not the wish: the same wish twice is carried out twice."""
    async with open_rig() as rig:
        assert await rig.end_of(buy(1), buy(2)) == [(End.FILLED, None)] * 2
        assert make_signal(1).signal_id != make_signal(2).signal_id
        assert Shares.parse(20) == rig.position(buy()).shares
        await rig.take_in(buy(1))
        await trio.testing.wait_all_tasks_blocked()
    assert len(rig.executor.sent) == 2
