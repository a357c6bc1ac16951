"""A node dies and comes back without its pool, while a purchase is on its way."""

from pathlib import Path

import pytest
from attrs import define

from tests.onchain.deployed import Market, deploy
from tests.onchain.faulting import KEY, fund, open_bench
from trio_copy.model.orders import Settlement, Status
from trio_copy.testing.anvil import Node, open_chain, open_node

pytestmark = pytest.mark.anvil


@define(eq=False)
class Remembering(Node):
    """A node that knows the state of old blocks when it comes back, as real ones do."""

    @property
    def command(self) -> list[str]:
        return [*Node.command.fget(self), "--preserve-historical-states"]  # type: ignore[attr-defined]


async def test_a_node_that_was_restarted_is_given_what_its_pool_forgot(tmp_path: Path) -> None:
    """Meanwhile nothing is told, and nothing is sent anew."""
    async with open_node(tmp_path) as first:
        node = Remembering(first.port, first.folder)
        await first.kill()
        await node.start()
        async with open_chain(node) as chain:
            market = Market(chain, await deploy(chain))
            await fund(market, KEY.address)
        await node.stop()  # it writes its chain down
        await node.start()
        async with open_bench((node, market.deployed), market) as bench:
            async with open_chain(node) as chain:
                market.chain.session = chain.session
                shares = await bench.shares()
                await bench.mining(False)
                order = await bench.buy()
                await bench.leave(order)
            sent = bench.nodes["node"].sent()
            await node.kill()
            assert await bench.trading.find(order) is None
            await node.start()
            bench.wall.ahead_s += 4.0  # so long after it was sent, it is asked whether nodes still have it
            async with open_chain(node) as chain:
                market.chain.session = chain.session
                await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
                firm = await bench.firm(order)
                assert await bench.shares() - shares == firm.shares.micro
                assert set(bench.nodes["node"].sent()) == set(sent)
        await node.kill()
