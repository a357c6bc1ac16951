"""A wallet's key is used from outside: alerts, no purchase twice, and none lost."""

from collections.abc import AsyncGenerator

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, Bench, fund, open_bench
from trio_copy.model.orders import Order, Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        yield one


async def test_a_nonce_that_was_used_elsewhere_frees_its_key_at_finality_only(bench: Bench) -> None:
    """Until then a reorg may still let it happen; submitted again, it gets a new nonce and buys once."""
    await bench.mining(False)
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    await bench.market.ask("eth_sendRawTransaction", bench.raw(nonce))
    await bench.mine()
    await bench.until(lambda: bench.operator.nonces.latest == nonce + 1, "seen")
    assert await bench.trading.find(order) is None
    assert not bench.trading.troubles
    await bench.mine(3)
    await bench.found(order, status=Status.ABSENT)
    assert bench.kinds == ["nonce-used-elsewhere"]
    await bench.mining(True)
    report = await bench.trading.submit(order)
    assert (report.status, report.settlement) == (Status.FILLED, Settlement.MINED)
    firm = await bench.firm(order)
    assert await bench.shares() - shares == firm.shares.micro
    assert await bench.nonce() == nonce + 2


async def test_transactions_of_others_with_this_key_are_stepped_over(bench: Bench) -> None:
    """What waits in the pool, sent from outside, keeps its nonce."""
    await bench.mining(False)
    nonce, shares = await bench.nonce(), await bench.shares()
    for offset in range(3):
        await bench.market.ask("eth_sendRawTransaction", bench.raw(nonce + offset))
    order = await bench.buy()
    await bench.leave(order)
    binding = bench.operator.binding(order.key)
    assert binding is not None
    assert binding.nonce == nonce + 3
    await bench.mine()
    firm = await bench.firm(order)
    assert await bench.shares() - shares == firm.shares.micro
    assert await bench.nonce() == nonce + 4


async def settled(bench: Bench, order: Order) -> int:
    """Drive an order to its end as an engine does: what is absent for good is submitted again."""
    for _ in range(3):
        seen: list[Status] = []

        async def ended(seen: list[Status] = seen) -> bool:
            report = await bench.trading.find(order)
            seen += [report.status] if report is not None and report.settlement is Settlement.FIRM else []
            return bool(seen)

        await bench.mine(3)
        await bench.until(ended, "ended")
        if seen[-1] is Status.FILLED:
            report = await bench.trading.find(order)
            assert report is not None
            return report.shares.micro
        assert seen[-1] is Status.ABSENT
        await bench.leave(order)
    raise AssertionError(f"not settled: {bench.operator.nonces}")


async def test_two_instances_with_one_wallet_buy_each_order_once(
    bench: Bench, venues: tuple[Node, Deployed], market: Market
) -> None:
    """Each has a journal of its own, and both bind the same nonces: what one has displaced, the other sends anew."""
    shares = await bench.shares()
    async with open_bench(venues, market) as other:
        assert other.market is bench.market
        await bench.mining(False)
        ours, theirs = await bench.buy("20", key="ab"), await other.buy("30", key="cd")
        # Their nodes have not told each other yet.
        await bench.market.ask("anvil_dropTransaction", await bench.leave(ours))
        await other.leave(theirs)
        bound = bench.operator.binding(ours.key), other.operator.binding(theirs.key)
        assert len({binding.nonce for binding in bound if binding is not None}) == 1
        await bench.mine()
        bought = await settled(bench, ours) + await settled(other, theirs)
        assert await bench.shares() - shares == bought
        assert "nonce-used-elsewhere" in bench.kinds + other.kinds
