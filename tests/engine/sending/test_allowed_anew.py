"""Every send is allowed anew: what was forbidden, or settled by a person, since the last one is not sent again."""

from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import ALICE, NOW, usd
from tests.engine.rig import Rig, buy, on_memory, open_rig
from tests.engine.sending.answers import lose_request, prove_absence
from trio_copy.accounts.budgets import day_of
from trio_copy.accounts.commands import Answer, SetMode
from trio_copy.errors import OrderNotSent
from trio_copy.model.budgets import Performance
from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes
from trio_copy.model.decisions import Code, End
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock


def _halt(rig: Rig) -> None:
    change = ModeChange(mode=Mode.HALT_ALL, why="test", at=NOW)
    rig.mode.modes = Modes(version=2, by_scope={ENGINE: change})


def _lose_the_lease(rig: Rig) -> None:
    rig.shard.until = rig.wall()


@pytest.mark.parametrize(("change", "left"), [(_halt, 0), (_lose_the_lease, 1)])
async def test_every_send_is_allowed_anew(clock: Clock, change: Any, left: int) -> None:
    """The venue was not reached; before the next try it became forbidden. What is not ours stays open for its owner."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False) as rig:

        async def refuse(order: Order) -> Any:
            rig.executor.sent.append(order)
            change(rig)
            await trio.lowlevel.checkpoint()
            raise OrderNotSent("nobody listens")

        rig.executor.submit = refuse
        await rig.take_in(buy())
        await trio.sleep(10)
        assert len(rig.executor.sent) == 1
        assert len(await rig.store.history.documents("order")) == left
    assert [end for _, end, _ in rig.ends()] == [End.HALTED] * (1 - left)


def _halt_follower(rig: Rig, mode: Mode) -> None:
    rig.shard.act(FollowerId(ALICE), SetMode(mode=mode, why="a person", at=rig.wall()))


def _lose_elsewhere(rig: Rig) -> None:
    rig.account().performance = Performance().after(usd("0") - usd("5"), day_of(rig.wall()))


FOLLOWER_HALTS: dict[str, tuple[Mode, Side, End]] = {
    "halt-new stops entries": (Mode.HALT_NEW, Side.BUY, End.HALTED),
    "halt-new lets exits go": (Mode.HALT_NEW, Side.SELL, End.FILLED),
    "halt-all stops entries": (Mode.HALT_ALL, Side.BUY, End.HALTED),
    "halt-all stops exits": (Mode.HALT_ALL, Side.SELL, End.HALTED),
}


@pytest.mark.parametrize("case", FOLLOWER_HALTS)
@pytest.mark.parametrize("sends", [0, 1], ids=["before the first send", "before the next try"])
async def test_a_follower_who_halts_is_heard_before_every_send(clock: Clock, case: str, sends: int) -> None:
    """Placed already, and not at the venue yet: his own mode counts as the engine's does."""
    mode, side, end = FOLLOWER_HALTS[case]
    async with open_rig() as rig:
        await rig.hold()

        def halt(point: str) -> None:
            if point == "place: durable" and not sends:
                _halt_follower(rig, mode)

        rig.call_at(halt)
        rig.executor.on_send = lambda order: _halt_follower(rig, mode)
        rig.executor.script = ["refuse connection"] * sends
        assert (await rig.end_of(buy(side=side)))[0][0] is end
        assert len(rig.executor.sent) == sends + (end is End.FILLED)
        assert rig.open_orders() == []


@pytest.mark.parametrize("case", FOLLOWER_HALTS)
async def test_a_follower_who_halts_is_heard_before_an_order_is_sent_again(clock: Clock, case: str) -> None:
    """The request was lost, he was halted, and then the venue proves that it has nothing: only what may go now goes again."""
    mode, side, end = FOLLOWER_HALTS[case]
    async with open_rig() as rig:
        await rig.hold()
        task = buy(side=side, deadline=NOW + 600)
        await lose_request(rig, task)
        _halt_follower(rig, mode)
        prove_absence(rig)
        again = end is End.FILLED
        assert await rig.wait_ends(task) == [(End.FILLED, None) if again else (End.REJECTED, Code.NOT_SENT)]
        assert len(rig.executor.sent) == 1 + again


async def test_a_loss_cap_that_halts_is_heard_before_an_order_is_sent_again(clock: Clock) -> None:
    """Another entry is denied by the cap, which halts the follower: the one whose request was lost stays where it is."""
    async with open_rig(terms={"max_day_loss_usd": usd("1"), "on_breach": "halt"}) as rig:
        task = buy(deadline=NOW + 600)
        await lose_request(rig, task)
        _lose_elsewhere(rig)
        assert await rig.end_of(buy(2, token=9)) == [(End.DENIED, Code.LOSS_LIMIT)]
        prove_absence(rig)
        assert await rig.wait_ends(task) == [(End.REJECTED, Code.NOT_SENT)]
        assert len(rig.executor.sent) == 1


async def test_what_a_person_settled_meanwhile_is_not_sent_again(clock: Clock) -> None:
    """The venue proves its absence slowly; while it is asked, somebody writes the outcome down by hand."""
    async with open_rig() as rig:
        rig.executor.script, task = ["lose request"], buy(deadline=NOW + 600)
        report = prove_absence(rig, after_s=1.5)
        await rig.take_in(task)
        await trio.sleep(2)
        (order,) = rig.open_orders()
        filled = report(order.order, shares=order.order.shares)
        rig.shard.act(task.follower, _answer(order.order, filled))
        await trio.sleep(10)
        assert Shares.parse(10) == rig.position(task).shares
    assert len(rig.executor.sent) == 1


def _answer(order: Order, report: ExecutionReport) -> Answer:
    return Answer(key=order.key, report=report, at=NOW)
