"""What every node refused is nowhere, and stays so: whoever asks, and whatever happens to him meanwhile."""

from contextlib import suppress

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import KeptJournal
from tests.onchain.faulting import KEY, fund, open_bench
from tests.onchain.proxying import refuses
from trio_copy.errors import OrderNotSent
from trio_copy.model.orders import Status
from trio_copy.testing.anvil import Node
from trio_copy_onchain.sending.written import Written

pytestmark = pytest.mark.anvil
NO_FUNDS, WRONG = "insufficient funds for gas * price + value", "intrinsic gas too low"


@pytest.mark.parametrize("text", [NO_FUNDS, WRONG])
async def test_what_was_said_not_to_be_sent_does_not_leave_after_a_crash(
    venues: tuple[Node, Deployed], market: Market, text: str
) -> None:
    """The journal has it before the account hears of it: with the account's next write, both are on the disk."""
    await fund(market, KEY.address)
    journal = KeptJournal()
    async with open_bench(venues, market, journal=journal) as bench:
        order, nonce = await bench.buy(), await bench.nonce()
        bench.rule(refuses(text))
        operators = bench.trading.executor.operators
        operators.poll_s = 3600.0  # the process ends before it looks again
        with suppress(OrderNotSent):
            assert (await bench.trading.submit(order)).status is Status.REJECTED
        left = KeptJournal(orders={order.key}, durable=dict(journal.documents()), now=dict(journal.documents()))
        binding = bench.operator.binding(order.key)
        assert binding is not None
        assert binding.unsent
    written = Written(journal=left, chain_id=bench.trading.executor.context.chain_id, operator=KEY.address)
    assert written.read().freed.keys() == {order.key}
    async with open_bench(venues, market, journal=left) as bench:
        await bench.until(lambda: bench.operator.nonces.latest >= 0, "looked")
        report = await bench.trading.find(order)
        assert report is not None
        assert report.status is Status.ABSENT
        assert not bench.nodes["node"].sent()
    assert await bench.nonce() == nonce


async def test_what_was_refused_by_all_is_absent_for_whoever_did_not_hear_it(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """Asked for again, it has its nonce and bytes again: so it is given back, and not in doubt until another uses its nonce."""
    await fund(market, KEY.address)
    async with open_bench(venues, market) as bench:
        order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
        bench.rule(refuses(NO_FUNDS))
        with pytest.raises(OrderNotSent):
            await bench.trading.submit(order)
        report = await bench.trading.find(order)
        assert report is not None
        assert report.status is Status.ABSENT
        bench.obey()
        bench.operator.paused_until = 0.0
        await bench.trading.submit(order)
        await bench.bought_once(order, shares, nonce)
