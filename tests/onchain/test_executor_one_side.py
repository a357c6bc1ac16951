"""A pool in which the price has left the range of all money: one side is empty, and the other one trades on."""

from collections.abc import AsyncGenerator

import pytest
from attrs import define, evolve

from tests.onchain.deployed import PRICE, Deployed, Market, buy, pools_of, sell
from tests.onchain.executing import token_of
from tests.onchain.faulting import KEY, Bench, fund, open_bench
from tests.onchain.proxying import Exchange
from trio_copy.errors import OrderNotSent
from trio_copy.model.books import Quote
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Settlement
from trio_copy.testing.anvil import Node, PoolMarket, deploy_outcome, deploy_pool, deploy_uniswap
from trio_copy.testing.anvil.pools import FAR, SHARE, USD
from trio_copy_onchain.venues.pool import Pool
from trio_copy_onchain.venues.seam import Swap

pytestmark = pytest.mark.anvil
EVERYTHING_USD, EVERYTHING = 10**5 * USD, 10**5 * SHARE
"""More than the pool has of the other token: it stops where its range ends."""
CALL = "eth_call"
_POSITION = "(uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128)"


@define(eq=False)
class OneSide:
    bench: Bench
    made: PoolMarket
    pool: Pool

    @property
    def token(self) -> TokenId:
        return token_of(self.pool)

    async def rival(self, swap: Swap) -> None:
        sent = await self.bench.market.send(self.pool.call(evolve(swap, partial=True)), swap.wallet)
        assert (await self.bench.market.receipt(sent)).succeeded

    async def traded(self, side: Side, amount: str) -> None:
        order = await self.bench.trading.prepared(self.token, side, amount)
        assert (await self.bench.trading.submit(order)).settlement is Settlement.MINED


@pytest.fixture
async def one_side(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[OneSide, None]:
    await fund(market, KEY.address)
    uniswap = await deploy_uniswap(market.chain, market.deployed.amms[0].usdc)
    made = await deploy_pool(market.chain, uniswap, await deploy_outcome(market.chain), PRICE.micro, everywhere=False)
    for trader in (market.rival, KEY.address):
        await made.prepare_trader(trader, shares=10**6)
    pool, _ = await pools_of(made)
    market.deployed = evolve(market.deployed, pools=(pool,))
    async with open_bench(venues, market) as bench:
        yield OneSide(bench, made, pool)


async def test_where_all_is_bought_an_exit_goes_through(one_side: OneSide) -> None:
    """As with a winner: nobody asks any more, and those who provide still bid."""
    await one_side.rival(buy(one_side.bench.market.rival, EVERYTHING_USD))
    shown = await one_side.bench.trading.executor.market(one_side.token)
    assert shown.closed is None
    assert shown.quote is not None
    assert shown.quote.ask is None
    assert shown.quote.bid is not None
    assert shown.quote.bid > PRICE
    await one_side.traded(Side.SELL, "5")


async def test_where_all_is_sold_an_entry_goes_through(one_side: OneSide) -> None:
    await one_side.rival(sell(one_side.bench.market.rival, EVERYTHING))
    shown = await one_side.bench.trading.executor.market(one_side.token)
    assert shown.closed is None
    assert shown.quote is not None
    assert shown.quote.bid is None
    assert shown.quote.ask is not None
    assert shown.quote.ask < PRICE
    await one_side.traded(Side.BUY, "5")


async def test_a_node_that_fails_empties_no_side(one_side: OneSide) -> None:
    """What nobody answers is no price of nothing: the market is not known then, on neither side."""
    (asked,) = one_side.pool.reads(buy(one_side.bench.address, USD))

    async def fails(exchange: Exchange) -> None:
        if exchange.params[0]["data"] == "0x" + asked.data.hex():
            await exchange.refuse(-32000, "missing trie node")
        else:
            await exchange.say(await exchange.ask())

    await one_side.bench.trading.executor.market(one_side.token)
    one_side.bench.rule(fails, method=CALL)
    with pytest.raises(OrderNotSent, match=r"no node tells what token .* costs: .*missing trie node"):
        await one_side.bench.trading.executor.market(one_side.token)


async def test_without_any_money_in_it_nothing_trades(one_side: OneSide, market: Market) -> None:
    owner, positions = market.chain.accounts[0], one_side.made.uniswap.positions
    *_, liquidity, _, _, _, _ = await market.chain.call(positions, "positions(uint256)", 1, returns=_POSITION)
    taken = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
    await market.chain.do(owner, positions, taken, (1, liquidity, 0, 0, FAR))
    shown = await one_side.bench.trading.executor.market(one_side.token)
    assert (shown.closed, shown.quote) == ("no liquidity", Quote(bid=None, ask=None))
