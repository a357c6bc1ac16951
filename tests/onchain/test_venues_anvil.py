"""The venues at the real contracts: quotes to the unit, limits that hold, receipts that say what the balances say."""

from pathlib import Path
from random import Random

import pytest
import trio
from attrs import evolve

from tests.e2e.copying import expect_one_copy_each, open_copying
from tests.onchain.deployed import KEY, PRICE, Market, buy, deploy, sell
from trio_copy.config import PluginTable
from trio_copy.errors import RpcError
from trio_copy.model.fills import Side
from trio_copy.model.ids import ZERO_ADDRESS
from trio_copy.model.units import MICRO, Price, Rounding
from trio_copy.testing.anvil import calldata, open_chain, open_node
from trio_copy.transactions.calls import Call
from trio_copy_onchain.tx.answers import Before, Estimate, read_estimate
from trio_copy_onchain.tx.receipts import why_failed
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool
from trio_copy_onchain.venues.seam import Exchanged, Swap

pytestmark = pytest.mark.anvil

GAS = 2_000_000
LIMIT_S = 30


def tight(venue: Fpmm | Pool, side: Side, exchanged: Exchanged) -> Price:
    """Return the price of an exchange as a limit: to the millionth, rounded so that it is just allowed."""
    cash, shares = exchanged.cash * MICRO * venue.decimals.share, exchanged.shares * venue.decimals.coin
    return Price(-(-cash // shares) if side is Side.BUY else cash // shares)


async def estimate(market: Market, venue: Fpmm | Pool, swap: Swap) -> Estimate:
    return await estimated(market, venue.call(swap), swap.wallet, venue.words)


async def estimated(market: Market, call: Call, sender: str, words: frozenset[str]) -> Estimate:
    try:
        told = await market.chain.session.request("eth_estimateGas", market.transaction(call, sender), "latest")
    except RpcError as error:
        return read_estimate(error, words)
    return read_estimate(told, words)


async def test_a_market_maker_does_what_its_formulas_say(market: Market) -> None:
    """Random amounts, two outcomes and three, with a fee and without: the contract's own figures, and what is executed."""
    random = Random(1)
    for venue in market.deployed.makers:
        for _ in range(6):
            answers = await market.answers(venue, buy(market.wallet, 1))
            state, at = venue.state(answers), venue.outcome
            cash, shares = (random.randrange(1, 10 ** random.randrange(1, 10)) for _ in range(2))
            assert state.bought_for(cash, at) == await market.chain.call(
                venue.maker, "calcBuyAmount(uint256,uint256)", cash, at
            )
            assert state.sold_for(cash, at) == await market.chain.call(
                venue.maker, "calcSellAmount(uint256,uint256)", cash, at
            )
            # The most cash for the shares: the contract takes more of them for a single unit more.
            most = state.cash_for(shares, at)
            for returned, within in ((most, True), (most + 1, False)):
                taken = await market.chain.call(venue.maker, "calcSellAmount(uint256,uint256)", returned, at)
                assert (taken <= shares) is within
            swap = random.choice((buy(market.wallet, cash), sell(market.wallet, shares)))
            quote = venue.quote(swap, answers)
            if quote is not None:
                limit = tight(venue, swap.side, quote)
                done = await market.trade(venue, evolve(swap, cash=quote.cash, limit=limit))
                assert done == quote


async def test_a_pool_pays_what_it_quotes(market: Market) -> None:
    """Random amounts within one range of prices and beyond it, both orders of the tokens, by both routers."""
    random = Random(2)
    for venue in market.deployed.pools:
        for _ in range(2):
            cash = random.randrange(2, 10 ** random.randrange(2, 11))
            bought = buy(market.wallet, cash)
            quote = await market.quote(venue, bought)
            assert quote is not None
            assert await market.trade(venue, evolve(bought, limit=tight(venue, Side.BUY, quote))) == quote
            sold = sell(market.wallet, random.randrange(10**13, 10 ** random.randrange(14, 22)))
            quote = await market.quote(venue, sold)
            assert quote is not None
            assert await market.trade(venue, evolve(sold, limit=tight(venue, Side.SELL, quote))) == quote


async def test_a_price_that_moved_reverts_with_the_venues_words(market: Market) -> None:
    """A rival's trade comes first in the same block, or before: killed, by the receipt and by the estimate."""
    venues: list[tuple[Fpmm | Pool, int, int]] = [(market.deployed.makers[0], 10**7, 10**7)]
    venues += [(pool, 10**7, 10**19) for pool in market.deployed.pools]
    await market.ask("evm_setAutomine", False)
    for venue, cash, shares in venues:
        for swap, first in (
            (buy(market.wallet, cash), buy(market.rival, 50 * cash)),
            (sell(market.wallet, shares), sell(market.rival, 30 * shares)),
        ):
            quote, larger = await market.quote(venue, swap), await market.quote(venue, first)
            assert quote is not None
            assert larger is not None
            limited = evolve(swap, limit=tight(venue, swap.side, quote), cash=quote.cash)
            assert (await estimate(market, venue, limited)).before is Before.READY
            await market.send(venue.call(evolve(first, cash=larger.cash)), market.rival, tip=10**9)
            sent = await market.send(venue.call(limited), market.wallet)
            await market.ask("evm_mine")
            receipt = await market.receipt(sent)
            trace = await market.chain.session.request("debug_traceTransaction", sent, {"tracer": "callTracer"})
            failure = why_failed(receipt, GAS, trace, None, venue.words)
            assert not receipt.succeeded
            assert failure.killed
            words = ("minimum buy amount not reached", "maximum sell amount exceeded")
            assert failure.words == (
                words[swap.side is Side.SELL] if isinstance(venue, Fpmm) else "Too little received"
            )
            assert (await estimate(market, venue, limited)).before is Before.KILLED


async def test_a_sale_at_a_market_maker_has_the_room_that_its_limit_gives(market: Market) -> None:
    """Asked for what the limit says, it goes through although the price has fallen, and no more than the shares leave."""
    for venue in market.deployed.makers:
        swap = sell(market.wallet, 10**7)
        quote = await market.quote(venue, swap)
        assert quote is not None
        limit = Price(tight(venue, Side.SELL, quote).micro * 97 // 100)
        fallen = await market.quote(venue, sell(market.rival, 2 * 10**7))
        assert fallen is not None
        await market.trade(venue, evolve(sell(market.rival, 2 * 10**7), cash=fallen.cash))
        done = await market.trade(venue, evolve(swap, limit=limit))
        assert done.cash == venue.decimals.cash_at(10**7, limit, Rounding.DOWN)
        assert quote.shares * 97 // 100 < done.shares < 10**7


async def test_a_pool_says_what_is_late_what_is_passed_and_what_is_missing(market: Market) -> None:
    for venue in market.deployed.pools:
        late = await estimate(market, venue, buy(market.wallet, 10**7, deadline=1))
        assert (late.before, late.words) == (Before.KILLED, "Transaction too old")
        # The pool's price is over the limit of a BUY, and under that of a SELL, before anything has moved.
        for swap in (
            buy(market.wallet, 10**7, Price(400_000), partial=True),
            sell(market.wallet, 10**19, Price(400_000), partial=True),
        ):
            passed = await estimate(market, venue, swap)
            assert (passed.before, passed.words) == (Before.KILLED, "SPL")
        stranger = market.chain.accounts[7]
        poor = await estimate(market, venue, buy(stranger, 10**7))
        assert (poor.before, poor.words, poor.lacks) == (Before.REJECTED, "STF", Lacks.EITHER)


async def test_a_partial_fill_stops_at_the_limit(market: Market) -> None:
    """It goes as far as the limit and not beyond, both orders of the tokens: by the pool's price and by the balances."""
    for venue in market.deployed.pools:
        for swap in (
            buy(market.wallet, 10**11, Price(430_000), partial=True),
            sell(market.wallet, 10**23, Price(370_000), partial=True),
        ):
            done = await market.trade(venue, swap)
            root, *_ = await market.chain.call(
                venue.pool, "slot0()", returns="(uint160,int24,uint16,uint16,uint16,uint8,bool)"
            )
            assert root == venue.stop_at(swap.side, swap.limit)
            limit = swap.limit.micro * venue.decimals.coin * done.shares
            paid = done.cash * MICRO * venue.decimals.share
            assert (limit * 9 < paid * 10 < limit * 10) if swap.side is Side.BUY else (limit < paid)
            # What is left is not taken for the same limit, nor for one that the fee alone would pass.
            assert (await estimate(market, venue, swap)).words == "SPL"
            whole = await estimate(market, venue, evolve(swap, partial=False))
            assert (whole.before, whole.words) == (Before.KILLED, "Too little received")


async def test_a_safe_approves_and_trades_in_one_transaction(market: Market) -> None:
    """The Safe gives and gets, an owner sends; the key behind the calls hurts nobody, and an inner revert undoes all."""
    (venue, *_), safe, owner = market.deployed.pools, market.deployed.safe, market.chain.accounts[0]
    await market.chain.do(owner, venue.collateral, "mint(address,uint256)", safe, 10**8)
    before = await market.balances(venue, safe)
    refused = await estimated(market, _by_safe(market, venue, buy(safe, 10**7, PRICE)), owner, venue.words)
    assert (refused.before, refused.words) == (Before.REJECTED, "GS013")
    call = _by_safe(market, venue, buy(safe, 10**7, Price(500_000)))
    receipt = await market.receipt(await market.send(call.marked(KEY), owner))
    after = await market.balances(venue, safe)
    told = venue.decode(safe, Side.BUY, receipt.logs)
    assert (told.shares, told.cash) == (after[0] - before[0], before[1] - after[1])
    assert told.cash == 10**7
    assert await market.chain.call(venue.collateral, "allowance(address,address)", safe, venue.router.address) == 0


def _by_safe(market: Market, venue: Pool, swap: Swap) -> Call:
    """Return the Safe's own transaction, sent by an owner: the exact allowance and the swap in one."""
    approve = bytes.fromhex(calldata("approve(address,uint256)", (venue.router.address, swap.cash))[2:])
    trade = venue.call(swap)
    packed = b"".join(
        bytes(1) + bytes.fromhex(to[2:]) + bytes(32) + len(data).to_bytes(32) + data
        for to, data in ((venue.collateral, approve), (trade.to, trade.data))
    )
    both = bytes.fromhex(calldata("multiSend(bytes)", (packed,))[2:])
    execute = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
    # An owner who sends it himself signs by being it: r is his address, and v is 1.
    by_owner = bytes(12) + bytes.fromhex(market.chain.accounts[0][2:]) + bytes(32) + b"\1"
    to_all = (market.deployed.multi_send, 0, both, 1, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, by_owner)
    return Call(to=swap.wallet, data=bytes.fromhex(calldata(execute, to_all)[2:]))


async def test_a_leader_at_pools_is_copied_once_by_everybody(tmp_path: Path) -> None:
    """He buys and sells at both pools by both routers: signals of what his balances say, and of nobody else's.

    On a chain of its own: that of the other tests goes back and forth, as no chain does that an engine follows.
    """
    expected = list[tuple[Side, int, int, int]]()
    with trio.fail_after(LIMIT_S):
        async with open_node(tmp_path) as node, open_chain(node) as chain:
            market = Market(chain, await deploy(chain))
            pools, leader = market.deployed.pools, market.wallet
            tables = [
                {"address": pool.pool, "outcome": pool.outcome, "collateral": pool.collateral}
                for pool in {p.pool: p for p in pools}.values()
            ]
            decoder = PluginTable(name="pool", plugin="pool", options={"pools": tables})
            async with open_copying(node.url, leader, decoder) as (recorder, _):
                await market.trade(pools[0], buy(market.rival, 10**7))
                for pool in pools:
                    for swap in (buy(leader, 10**8), sell(leader, 10**20)):
                        done = await market.trade(pool, swap)
                        expected.append((swap.side, int(pool.outcome, 16), done.shares // 10**12, done.cash))
                        # What is not bought yet when the leader sells again is not bought at all.
                        await recorder.wait_copies(3 * len(expected))
    assert expected == [
        (signal.side, signal.token_id, signal.shares.micro, signal.notional and signal.notional.micro)
        for signal in recorder.admitted
    ]
    expect_one_copy_each(recorder, fills=len(expected))
