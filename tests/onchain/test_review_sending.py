"""What goes on by itself: dropped bytes that may not be signed dearer, and nonces that were used while nothing was open."""

from collections.abc import AsyncGenerator

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, PATIENCE_S, Bench, fund, open_bench
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil
REFUSED = Reason(code=Code.GUARD_REFUSED, control="policy.max_gas", value="2", limit="1")


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        yield one


async def test_what_may_not_be_signed_dearer_goes_out_again_as_it_was(bench: Bench) -> None:
    await bench.mining(False)
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    dropped = await bench.leave(order)
    bench.trading.signing.refuses = REFUSED
    await bench.market.ask("anvil_dropTransaction", dropped)
    bench.wall.ahead_s += PATIENCE_S + 1
    await bench.until(lambda: len(bench.nodes["node"].sent()) == 2, "sent again")
    assert len(set(bench.nodes["node"].sent())) == 1
    assert "sending-held-up" in bench.kinds
    await bench.bought_once(order, shares, nonce)


async def test_a_nonce_that_was_used_while_nothing_was_open_is_not_bound(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit would wait for finality, only to be late then."""
    await bench.operator.look(float("inf"))
    monkeypatch.setattr("trio_copy_onchain.sending.operator._STALE_S", 0.0)
    nonce, shares = await bench.nonce(), await bench.shares()
    await bench.market.ask("eth_sendRawTransaction", bench.raw(nonce))
    order = await bench.buy()
    await bench.leave(order)
    await bench.bought_once(order, shares, nonce + 1)
    assert not bench.kinds


async def test_why_something_is_sent_is_forgotten_where_it_gets_no_nonce(bench: Bench) -> None:
    order = await bench.buy()
    bench.trading.executor.operators.fees.cap = 1
    with pytest.raises(OrderNotSent, match="the cap"):
        await bench.trading.submit(order)
    assert not bench.operator.signing._causes
