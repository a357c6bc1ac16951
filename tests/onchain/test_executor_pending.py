"""What waits in a pool: sent again, paid more for, or cancelled; whichever is mined is booked, once."""

from collections.abc import AsyncGenerator
from functools import partial

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, LATE_S, PATIENCE_S, Bench, fund, open_bench
from trio_copy.errors import OrderNotSent
from trio_copy.model.orders import Order, Settlement, Status
from trio_copy.testing.anvil import Node
from trio_copy_onchain.tx.fees import GWEI

pytestmark = pytest.mark.anvil
FORGOTTEN_S = 4.0
"""So long after it was sent, it is asked whether nodes still have it."""


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        await one.mining(False)
        yield one
        # What a snapshot does not bring back.
        await market.ask("anvil_setNextBlockBaseFeePerGas", "0x0")
        await one.mine()


async def bought_once(bench: Bench, order: Order, shares: int, nonce: int) -> None:
    """Check that an order was mined once, with what it reports, and has used one nonce."""
    report = await bench.firm(order)
    assert report.status is Status.FILLED
    assert await bench.shares() - shares == report.shares.micro
    assert await bench.nonce() == nonce + 1


async def test_what_a_pool_dropped_is_sent_again_to_the_byte(bench: Bench) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    sent = await bench.leave(order)
    await bench.market.ask("anvil_dropTransaction", sent)
    assert not await bench.pooled()
    bench.wall.ahead_s += FORGOTTEN_S
    await bench.until(bench.pooled, "sent again")
    first, *others = bench.nodes["node"].sent()
    assert set(others) == {first}
    await bench.mine()
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
    await bought_once(bench, order, shares, nonce)


def _sent(bench: Bench, times: int) -> bool:
    return len(bench.nodes["node"].sent()) == times


async def test_what_is_stuck_pays_an_eighth_more_on_its_nonce(bench: Bench) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    sent = await bench.leave(order)
    (before,) = await bench.pooled()
    for rise in range(2):
        bench.wall.ahead_s += PATIENCE_S + 1
        await bench.until(partial(_sent, bench, 2 + rise), "replaced")
        (after,) = await bench.pooled()
        assert after["nonce"] == before["nonce"]
        for name in ("maxFeePerGas", "maxPriorityFeePerGas"):
            assert int(after[name], 16) * 8 >= int(before[name], 16) * 9
        before = after
    assert before["hash"] != sent
    await bench.mine()
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED, detail=before["hash"])
    await bought_once(bench, order, shares, nonce)


async def test_the_one_that_was_replaced_may_be_mined_all_the_same(bench: Bench) -> None:
    """A block takes what its builder knows: it counts, and nothing else of the key happens."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    sent = await bench.leave(order)
    bench.wall.ahead_s += PATIENCE_S + 1
    await bench.until(lambda: len(bench.nodes["node"].sent()) == 2, "replaced")
    (dearer,) = await bench.pooled()
    await bench.market.ask("anvil_dropTransaction", dearer["hash"])
    await bench.market.ask("eth_sendRawTransaction", bench.nodes["node"].sent()[0])
    await bench.mine()
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED, detail=sent)
    await bought_once(bench, order, shares, nonce)


async def test_a_base_fee_over_what_was_signed_is_paid_within_the_cap(bench: Bench) -> None:
    """A pool drops what is too cheap by now: one replacement, at what is paid now, is enough."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    await bench.market.ask("anvil_setNextBlockBaseFeePerGas", hex(150 * GWEI))
    await bench.mine()
    assert not await bench.pooled()
    bench.wall.ahead_s += FORGOTTEN_S
    await bench.until(bench.pooled, "replaced")
    binding = bench.operator.binding(order.key)
    assert binding is not None
    assert len(binding.sendings) == 2
    await bench.mine()
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
    await bought_once(bench, order, shares, nonce)


async def test_over_the_cap_nothing_is_sent(bench: Bench) -> None:
    """It uses no nonce; when gas is cheap again, the same order goes out."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    await bench.market.ask("anvil_setNextBlockBaseFeePerGas", hex(2_000 * GWEI))
    await bench.mine()
    with pytest.raises(OrderNotSent, match="cap"):
        await bench.trading.submit(order)
    assert not bench.nodes["node"].sent()
    report = await bench.trading.find(order)
    assert report is None or report.status is Status.ABSENT
    await bench.mining(True)
    assert (await bench.nonce(), await bench.shares()) == (nonce, shares)


async def test_over_the_cap_what_waits_goes_on_waiting(bench: Bench) -> None:
    """It is never paid more for than the cap, and goes out again, the same bytes, when nodes take them."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    await bench.market.ask("anvil_setNextBlockBaseFeePerGas", hex(2_000 * GWEI))
    await bench.mine()
    assert not await bench.pooled()
    bench.wall.ahead_s += PATIENCE_S + 1
    await bench.until(lambda: "sending-held-up" in bench.kinds or len(bench.nodes["node"].sent()) > 2, "tried")
    binding = bench.operator.binding(order.key)
    assert binding is not None
    assert {one.fees.max_fee <= 1000 * GWEI for one in binding.sendings} == {True}
    await bench.market.ask("anvil_setNextBlockBaseFeePerGas", "0x0")
    await bench.mine()
    await bench.until(bench.pooled, "sent again")
    await bench.mine()
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
    await bought_once(bench, order, shares, nonce)


async def test_what_is_late_is_cancelled_on_its_nonce(bench: Bench) -> None:
    """Absent only when the cancellation is final."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    bench.wall.ahead_s += LATE_S + 1
    await bench.until(lambda: len(bench.nodes["node"].sent()) > 1, "cancelled")
    (nothing,) = await bench.pooled()
    assert (nothing["to"], nothing["value"], nothing["input"]) == (bench.address, "0x0", "0x")
    await bench.mine()
    await bench.until(lambda: bench.operator.nonces.latest == nonce + 1, "mined")
    assert await bench.trading.find(order) is None
    await bench.mine(3)
    await bench.found(order, status=Status.ABSENT)
    assert (await bench.shares(), await bench.nonce()) == (shares, nonce + 1)


async def test_what_is_late_is_cancelled_however_near_the_cap_gas_is(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """At the price of before it would otherwise buy hours later, for nothing takes its place for less than an eighth more."""
    await fund(market, KEY.address)
    await market.ask("anvil_setNextBlockBaseFeePerGas", hex(60 * GWEI))
    async with open_bench(venues, market, max_fee_gwei=100) as bench:
        await bench.mining(False)
        await bench.mine()
        order, shares = await bench.buy(), await bench.shares()
        await bench.leave(order)
        bench.wall.ahead_s += LATE_S + 1
        await bench.until(lambda: len(bench.nodes["node"].sent()) > 1, "cancelled")
        (nothing,) = await bench.pooled()
        assert nothing["input"] == "0x"
        assert int(nothing["maxFeePerGas"], 16) <= 100 * GWEI
        await bench.mine(4)
        await bench.found(order, status=Status.ABSENT)
        assert await bench.shares() == shares
    await market.ask("anvil_setNextBlockBaseFeePerGas", "0x0")  # a snapshot does not bring it back
    await market.ask("anvil_mine", "0x1")


async def test_a_call_that_wins_against_its_cancellation_is_booked(bench: Bench) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    bench.wall.ahead_s += LATE_S + 1
    await bench.until(lambda: len(bench.nodes["node"].sent()) > 1, "cancelled")
    (nothing,) = await bench.pooled()
    await bench.market.ask("anvil_dropTransaction", nothing["hash"])
    await bench.market.ask("eth_sendRawTransaction", bench.nodes["node"].sent()[0])
    await bench.mine()
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
    await bought_once(bench, order, shares, nonce)
