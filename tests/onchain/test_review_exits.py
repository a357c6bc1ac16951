"""Exits do not wait behind entries for room, and whoever waits in vain is told that nothing was sent."""

import pytest
import trio

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import BROADCAST, KEY, fund, open_bench
from trio_copy.errors import OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.orders import Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


async def test_an_exit_leaves_while_entries_have_all_the_room(venues: tuple[Node, Deployed], market: Market) -> None:
    await fund(market, KEY.address)
    async with open_bench(venues, market, in_flight=1) as bench:
        bought = await bench.trading.submit(await bench.buy(key="ab"))
        await bench.mining(False)
        await bench.leave(await bench.buy(key="cd"))
        waits = await bench.buy(key="ef")
        sale = await bench.trading.prepared(bench.token, Side.SELL, str(bought.shares), key="01")
        async with trio.open_nursery() as nursery:

            async def enter() -> None:
                with pytest.raises(OrderNotSent, match="as much on its way"):
                    await bench.trading.submit(waits, within_s=1.0)

            nursery.start_soon(enter)
            left = bench.points.count(BROADCAST)
            await bench.leave(sale)
            assert bench.points.count(BROADCAST) == left + 1
        assert bench.operator.binding(waits.key) is None
        await bench.mine()
        await bench.found(sale, settlement=Settlement.MINED)
        assert (await bench.firm(sale)).status in (Status.FILLED, Status.PARTIAL)
