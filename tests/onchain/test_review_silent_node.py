"""A node that is connected and answers nothing keeps nobody from seeing what the others show."""

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, fund, open_bench
from tests.onchain.proxying import SEND, hangs
from trio_copy.model.orders import Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil
ASKED = [
    SEND,
    "eth_getTransactionCount",
    "eth_getBlockByNumber",
    "eth_getTransactionReceipt",
    "eth_getTransactionByHash",
    "eth_estimateGas",
    "eth_call",
    "eth_feeHistory",
]


async def test_what_one_node_shows_is_seen_while_another_answers_nothing(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    await fund(market, KEY.address)
    async with open_bench(venues, market, "one", "two") as bench:
        order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
        for method in ASKED:
            bench.rule(hangs, "two", method=method)
        report = await bench.trading.submit(order, within_s=15)
        assert (report.status, report.settlement) == (Status.FILLED, Settlement.MINED)
        assert await bench.nonce() == nonce + 1
        firm = await bench.firm(order)
        assert await bench.shares() - shares == firm.shares.micro
