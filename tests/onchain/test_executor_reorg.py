"""A reorg takes back what was bought: it goes out again, the same bytes, and the books follow the chain."""

from collections.abc import AsyncGenerator

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, LATE_S, Bench, fund, open_bench
from tests.onchain.proxying import refuses, says
from trio_copy.model.orders import Order, Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        yield one


async def bought(bench: Bench) -> Order:
    """Buy, and let nothing more be mined by itself."""
    order = await bench.buy()
    report = await bench.trading.submit(order)
    assert report.settlement is Settlement.MINED
    await bench.mining(False)
    return order


@pytest.mark.parametrize("late_s", [0.0, LATE_S])
async def test_a_copy_that_was_taken_back_is_mined_again_with_other_amounts(bench: Bench, late_s: float) -> None:
    """Told as it was, then by the second block alone; late or not, for it had happened and is booked."""
    shares, nonce = await bench.shares(), await bench.nonce()
    order = await bought(bench)
    first = await bench.found(order, settlement=Settlement.MINED)
    bench.wall.ahead_s += late_s
    await bench.market.ask("anvil_reorg", 1, [])
    assert await bench.shares() == shares
    await bench.rival_buys(500)
    back = await bench.found(order, settlement=Settlement.PENDING)
    assert (back.shares, back.notional, back.fee) == (first.shares, first.notional, first.fee)
    await bench.until(bench.pooled, "sent again")
    sent = bench.nodes["node"].sent()
    assert sent[1] == sent[0]
    await bench.mine()
    again = await bench.found(order, settlement=Settlement.MINED)
    assert again.shares < first.shares
    firm = await bench.firm(order)
    assert (firm.status, firm.shares) == (Status.FILLED, again.shares)
    assert await bench.shares() - shares == firm.shares.micro
    assert await bench.nonce() == nonce + 1


async def test_a_block_that_moved_is_no_news(bench: Bench) -> None:
    """Mined in another block of the same chain with the same amounts, it is told as before."""
    shares = await bench.shares()
    order = await bought(bench)
    first = await bench.found(order, settlement=Settlement.MINED)
    await bench.market.ask("anvil_reorg", 1, [[bench.nodes["node"].sent()[0], 0]])
    again = await bench.found(order, settlement=Settlement.MINED)
    assert again == first
    firm = await bench.firm(order)
    assert await bench.shares() - shares == firm.shares.micro


async def test_where_another_took_its_nonce_the_purchase_is_booked_failed(bench: Bench) -> None:
    """At finality, once, with the amounts that were told."""
    shares, nonce = await bench.shares(), await bench.nonce()
    order = await bought(bench)
    told = await bench.found(order, settlement=Settlement.MINED)
    await bench.market.ask("anvil_reorg", 1, [[bench.raw(nonce), 0]])
    assert (await bench.shares(), await bench.nonce()) == (shares, nonce + 1)
    await bench.until(lambda: True)
    report = await bench.trading.find(order)
    assert report is None or report.settlement is not Settlement.FAILED
    await bench.mine(3)
    failed = await bench.found(order, settlement=Settlement.FAILED)
    assert (failed.status, failed.shares, failed.notional) == (told.status, told.shares, told.notional)
    assert "nonce-used-elsewhere" in bench.kinds
    assert (await bench.shares(), await bench.nonce()) == (shares, nonce + 1)


async def test_a_cancellation_that_was_taken_back_lets_its_call_happen_or_not(bench: Bench) -> None:
    """Whichever is mined for good is the truth: here the call, in the block that replaced the other."""
    await bench.mining(False)
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    bench.wall.ahead_s += LATE_S + 1
    await bench.until(lambda: len(bench.nodes["node"].sent()) > 1, "cancelled")
    await bench.mine()
    await bench.until(lambda: bench.operator.nonces.latest == nonce + 1, "mined")
    await bench.market.ask("anvil_reorg", 1, [[bench.nodes["node"].sent()[0], 0]])
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
    firm = await bench.firm(order)
    assert await bench.shares() - shares == firm.shares.micro
    assert await bench.nonce() == nonce + 1


async def test_a_purchase_that_is_refused_in_its_second_block_is_booked_failed(bench: Bench) -> None:
    """With the amounts that were told, when the refusal is final."""
    shares, nonce = await bench.shares(), await bench.nonce()
    order = await bench.buy(limit="0.53")
    assert (await bench.trading.submit(order)).settlement is Settlement.MINED
    await bench.mining(False)
    told = await bench.found(order, settlement=Settlement.MINED)
    await bench.market.ask("anvil_reorg", 1, [])
    await bench.rival_buys(2_000)
    await bench.found(order, settlement=Settlement.PENDING)
    await bench.until(bench.pooled, "sent again")
    await bench.mine()
    await bench.until(lambda: bench.operator.nonces.latest == nonce + 1, "mined")
    assert (await bench.found(order, settlement=Settlement.PENDING)).shares == told.shares
    await bench.mine(3)
    failed = await bench.found(order, settlement=Settlement.FAILED)
    assert (failed.shares, failed.notional) == (told.shares, told.notional)
    assert (await bench.shares(), await bench.nonce()) == (shares, nonce + 1)


async def test_amounts_of_a_branch_that_is_gone_are_never_firm(bench: Bench) -> None:
    """Between two looks it was mined in another block, with other amounts, whose receipt the node writes down late."""
    shares, node = await bench.shares(), bench.nodes["node"]
    order = await bought(bench)
    node.rules["eth_getTransactionCount"] = refuses("busy")
    await bench.market.ask("anvil_reorg", 1, [])
    await bench.rival_buys(500)
    await bench.market.ask("eth_sendRawTransaction", node.sent()[0])
    await bench.mine()
    node.rules["eth_getTransactionReceipt"] = says(None)
    del node.rules["eth_getTransactionCount"]
    await bench.mine(4)
    await bench.until(lambda: order.key in bench.operator.nonces.ended, "found in its block")
    assert await bench.trading.find(order) is None
    bench.obey()
    firm = await bench.found(order, settlement=Settlement.FIRM)
    assert await bench.shares() - shares == firm.shares.micro
    await bench.until(lambda: bench.operator.gas.transactions == 1, "its gas is counted")
