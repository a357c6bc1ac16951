"""Who has sent for a wallet, and may no more: what he has sent still counts."""

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import KeptJournal, Signing
from tests.onchain.faulting import KEY, Crash, Wall, fund, open_bench
from tests.onchain.scripted_chain import OTHER_KEY
from trio_copy.model.orders import Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


async def test_what_an_operator_has_sent_who_was_taken_out_is_followed_to_its_end(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """It is not absent, and whoever may send now does not buy it a second time."""
    await fund(market, KEY.address)
    wall, journal = Wall(), KeptJournal()
    async with open_bench(venues, market, journal=journal, wall=wall, signing=Signing(OTHER_KEY)) as bench:
        assert bench.operator.address == OTHER_KEY.address  # whose part of the journal is whole from here on
    wall.ahead_s += 5
    async with open_bench(venues, market, journal=journal, wall=wall) as bench:
        await bench.mining(False)
        shares, nonce = await bench.shares(), await bench.nonce()
        order = await bench.buy()
        await bench.leave(order)
    async with open_bench(venues, market, journal=journal.as_left(), wall=wall, signing=Signing(OTHER_KEY)) as bench:
        assert await bench.trading.find(order) is None
        assert "operator-unknown" in bench.kinds
        assert (await bench.trading.submit(order, within_s=2)).status is Status.UNKNOWN
        await bench.mine()
        await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
        firm = await bench.firm(order)
        assert (await market.balances(bench.maker, KEY.address))[0] - shares == firm.shares.micro
        assert await count(market, OTHER_KEY.address) == 0
    assert await count(market, KEY.address) == nonce + 1


async def test_the_first_order_of_a_wallet_is_known_to_be_absent_where_nothing_of_it_was_bound(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """An operator's part of the journal is whole from where the shard was taken, and not from its first order."""
    await fund(market, KEY.address)
    wall, journal = Wall(), KeptJournal()
    with pytest.RaisesGroup(Crash, flatten_subgroups=True):
        async with open_bench(venues, market, journal=journal, wall=wall, crash_at="onchain: bound") as bench:
            wall.ahead_s += 5
            order = await bench.buy()
            await journal.wait_durable()  # the order was placed
            await bench.trading.submit(order)
    async with open_bench(venues, market, journal=journal.as_left(), wall=wall) as bench:
        report = await bench.trading.find(order)
        assert report is not None
        assert report.status is Status.ABSENT


async def count(market: Market, address: str) -> int:
    return int(await market.ask("eth_getTransactionCount", address, "latest"), 16)
