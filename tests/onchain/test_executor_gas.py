"""An estimate is a search, and dear: a call like one that was estimated is only tried with as much gas. Nothing else changes."""

from collections.abc import AsyncGenerator

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, Bench, fund, open_bench
from trio_copy.model.fills import Side
from trio_copy.model.orders import Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil
_ESTIMATE = "eth_estimateGas"


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        yield one


def estimates(bench: Bench) -> int:
    return [method for method, _ in bench.nodes["node"].asked].count(_ESTIMATE)


def limits(bench: Bench) -> list[int]:
    return [transaction.gas for transaction, _ in bench.trading.signing.signed]


async def test_calls_that_are_alike_are_estimated_once(bench: Bench) -> None:
    for place in range(3):
        report = await bench.trading.submit(await bench.buy(key=f"a{place}"))
        assert report.settlement is Settlement.MINED
    assert estimates(bench) == 1
    assert len(set(limits(bench))) == 1
    sold = await bench.trading.submit(await bench.trading.prepared(bench.token, Side.SELL, "10", key="b0"))
    assert (sold.settlement, estimates(bench)) == (Settlement.MINED, 2)


async def test_what_takes_more_than_is_known_is_estimated_and_remembered(bench: Bench) -> None:
    """It is not sent with too little: that would use its nonce, and its gas, for nothing."""
    bench.nodes["node"].rules[_ESTIMATE] = lambda exchange: exchange.answer(hex(120_000))
    await bench.mining(False)
    await bench.leave(await bench.buy(key="a0"))
    bench.obey()
    for key in ("a1", "a2"):
        await bench.leave(await bench.buy(key=key))
    assert estimates(bench) == 2
    short, enough, same = limits(bench)
    assert short < enough == same
    await bench.mining(True)
    await bench.mine()


async def test_what_is_refused_is_refused_in_the_same_words(bench: Bench) -> None:
    """Tried with a known amount, a contract says no: the estimate tells why, and no nonce is used."""
    await bench.trading.submit(await bench.buy(key="a0"))
    nonce = await bench.nonce()
    report = await bench.trading.submit(await bench.buy(key="a1", limit="0.5"))
    assert (report.status, report.detail) == (Status.KILLED, "minimum buy amount not reached")
    assert (await bench.nonce(), estimates(bench)) == (nonce, 2)


async def test_while_it_is_mined_and_not_final_its_block_is_asked_for_and_not_its_receipt(bench: Bench) -> None:
    order = await bench.buy()
    await bench.trading.submit(order)
    receipts = [one for one in bench.nodes["node"].asked if one[0] == "eth_getTransactionReceipt"]
    assert len(receipts) == 1
    for _ in range(4):
        await bench.operator.follow()
    assert [one for one in bench.nodes["node"].asked if one[0] == "eth_getTransactionReceipt"] == receipts
    assert (await bench.firm(order)).status is Status.FILLED


async def test_what_takes_too_much_refuses_itself_and_no_other(bench: Bench) -> None:
    """Remembered, it would be what all others are tried with, exits among them."""
    await bench.trading.submit(await bench.buy(key="a0"))
    bench.nodes["node"].rules[_ESTIMATE] = lambda exchange: exchange.answer(hex(2_000_000))
    refused = await bench.trading.submit(await bench.trading.prepared(bench.token, Side.SELL, "5", key="b0"))
    assert (refused.status, refused.detail) == (Status.REJECTED, "it takes 2000000 gas, and max_gas is 1500000")
    bench.obey()
    sold = await bench.trading.submit(await bench.trading.prepared(bench.token, Side.SELL, "5", key="b1"))
    assert sold.settlement is Settlement.MINED
