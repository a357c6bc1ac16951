"""How often a venue is asked about what it has matched: while an exit may wait for it, at each look, and calmly from then on."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.engine.rig import Rig, Venue, buy, open_rig
from trio_copy.model.decisions import End
from trio_copy.model.orders import ExecutionReport, Order, Settlement

Clock = trio.testing.MockClock


@define(eq=False)
class _Settles(Venue):
    """Matches at once, says how far a fill has settled, and counts how often it is asked."""

    settlement: Settlement = Settlement.PENDING
    asked_at: list[float] = field(factory=list)

    async def submit(self, order: Order) -> ExecutionReport:
        return evolve(await super().submit(order), settlement=self.settlement)

    async def find(self, order: Order) -> ExecutionReport | None:
        self.asked_at.append(trio.current_time())
        report = await super().find(order)
        return None if report is None else evolve(report, settlement=self.settlement)


@asynccontextmanager
async def _matched(settlement: Settlement) -> AsyncGenerator[tuple[Rig, _Settles], None]:
    """Open a rig where one order was just matched; it looks every second."""
    venue = _Settles(name="sim", settlement=settlement)
    async with open_rig(executor=venue) as rig:
        assert await rig.end_of(buy()) == [(End.FILLED, None)]
        yield rig, venue


@pytest.mark.parametrize(
    ("settlement", "least", "most"),
    [(Settlement.PENDING, 58, 61), (Settlement.MINED, 10, 13)],
    ids=["pending", "mined"],
)
async def test_what_is_mined_is_asked_about_calmly(clock: Clock, settlement: Settlement, least: int, most: int) -> None:
    """Its shares can be sold, and nothing but its finality is missing: of many at once, most questions would be about that."""
    async with _matched(settlement) as (rig, venue):
        await trio.sleep(60)
        assert least <= len(venue.asked_at) <= most
        assert rig.reconciler.settling == 1
        venue.settlement = Settlement.FIRM
        await trio.sleep(5.5)
        assert rig.reconciler.settling == 0


async def test_news_of_what_is_mined_is_followed_at_once(clock: Clock) -> None:
    """Who hears that a reorg took it back, or that it is final, does not wait for the calm look."""
    async with _matched(Settlement.MINED) as (rig, venue), trio.open_nursery() as nursery:
        nursery.start_soon(rig.reconciler.follow_news)
        await trio.sleep(1.25)
        venue.settlement = Settlement.FIRM
        rig.reconciler.news.tell(venue.sent[0].key)
        await trio.sleep(0.1)
        assert rig.reconciler.settling == 0
        nursery.cancel_scope.cancel()
