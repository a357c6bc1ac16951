"""An order of which its executor has heard something is asked about at once; whatever it hears, no more often than is good."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.engine.rig import Rig, Venue, buy, open_rig
from tests.engine.sending.rests import resting
from trio_copy.model.decisions import CopyTask, End
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Order

Clock = trio.testing.MockClock


@define(eq=False)
class _Asked(Venue):
    """Counts how often it is asked."""

    asked_at: list[float] = field(factory=list)

    async def find(self, order: Order) -> ExecutionReport | None:
        self.asked_at.append(trio.current_time())
        return await super().find(order)


@asynccontextmanager
async def _open(task: CopyTask, step: str, **venue: Any) -> AsyncGenerator[tuple[Rig, _Asked], None]:
    """Open a rig where one order was just sent, and nobody looks of himself."""
    asked = _Asked(name="sim", script=[step], **venue)
    async with open_rig(executor=asked, at_work=False) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.execution.run_worker)
        nursery.start_soon(rig.reconciler.follow_news)
        await rig.take_in(task)
        await trio.testing.wait_all_tasks_blocked()
        yield rig, asked
        nursery.cancel_scope.cancel()


async def test_an_order_is_asked_about_when_there_is_news_of_it(clock: Clock) -> None:
    """At once, and nobody else's: what is proven is booked, as ever."""
    async with _open(task := buy(), "lose reply") as (rig, asked):
        began = trio.current_time()
        rig.reconciler.news.tell(IntentKey("of nobody"))
        await trio.sleep(5)
        assert asked.asked_at == []
        rig.reconciler.news.tell(asked.sent[0].key)
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
        assert asked.asked_at == [began + 5]
        rig.reconciler.news.tell(asked.sent[0].key)
        await trio.sleep(5)
        assert len(asked.asked_at) == 1, "it is not open any more"


@pytest.mark.parametrize(("task", "step"), [(buy(), "lose request"), (resting(), "rest")], ids=["unproven", "resting"])
async def test_whoever_babbles_is_heard_twice_a_second(clock: Clock, task: CopyTask, step: str) -> None:
    """The first news is followed at once, the last one soon: also of an order that rests, which is looked at calmly else."""
    async with _open(task, step) as (rig, asked):
        began = trio.current_time()
        for _ in range(100):
            rig.reconciler.news.tell(asked.sent[0].key)
            await trio.sleep(0.1)
        await trio.sleep(1)
        assert asked.asked_at[0] == began
        assert 15 < len(asked.asked_at) <= 21
        assert asked.asked_at[-1] > began + 9.5
