"""What waits in a pool: sent again, paid more for, or cancelled; whichever is mined is booked, once."""

from collections.abc import AsyncGenerator

import pytest

from tests.e2e.anvil import Node
from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, Bench, fund, open_bench
from trio_copy.errors import OrderNotSent
from trio_copy.model.orders import Settlement, Status
from trio_copy_onchain.tx.fees import GWEI

pytestmark = pytest.mark.anvil


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        yield one


async def firm(bench: Bench, order: object) -> object:
    await bench.mine(70)
    return await bench.found(order, settlement=Settlement.FIRM)  # type: ignore[arg-type]


async def test_what_a_pool_dropped_is_sent_again_to_the_byte(bench: Bench) -> None:
    await bench.mining(False)
    order = await bench.buy()
    sent = await bench.leave(order)
    await bench.market.ask("anvil_dropTransaction", sent)
    assert not await bench.pooled()
    bench.wall.ahead_s += 0.5
    await bench.until(lambda: len(bench.nodes["node"].sent()) > 1, "sent again")
    first, *others = bench.nodes["node"].sent()
    assert set(others) == {first}
    await bench.mine()
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
    await firm(bench, order)
    assert await bench.nonce() == 3 + 1
