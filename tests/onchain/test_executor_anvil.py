"""The executor trades on a real node, at both kinds of venues: what it reports is what balances show."""

import time
from collections.abc import AsyncGenerator

import pytest
import trio
from attrs import evolve

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import ALICE, KeptJournal, Signing, Trading, open_trading, settings_for, token_of
from tests.onchain.test_asking_anvil import open_asked
from trio_copy.errors import OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import Settlement, SignatureType, Status, Wallet
from trio_copy.model.units import BPS, MICRO
from trio_copy.native import SecretKey
from trio_copy.records import read_plain
from trio_copy.testing.anvil import MAX, Node
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool

pytestmark = pytest.mark.anvil
KEY = SecretKey(b"\x66" * 32)


async def fund(market: Market, address: str) -> None:
    """Give an address coin, money, and leave for every venue to take it."""
    await market.ask("anvil_setBalance", address, hex(10**19))
    await market.ask("anvil_impersonateAccount", address)
    for amm in market.deployed.amms:
        await amm.prepare_trader(address)
    for pool in market.deployed.pools:
        for token in (pool.outcome, pool.collateral):
            await market.chain.do(address, token, "approve(address,uint256)", pool.router.address, MAX)


@pytest.fixture
async def trading(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Trading, None]:
    await fund(market, KEY.address)
    async with (
        open_asked(venues[0]) as chain,
        open_trading(market, chain.nodes, time.time, signing=Signing(KEY)) as one,
    ):
        yield one


@pytest.mark.parametrize("which", ["maker", "pool"])
async def test_a_copy_is_bought_and_sold_to_the_unit(trading: Trading, which: str) -> None:
    """Provisional when it is mined, firm when it is final; the gas is counted."""
    market = trading.market
    venue: Fpmm | Pool = market.deployed.makers[0] if which == "maker" else market.deployed.pools[1]
    token = token_of(venue)
    before, shown = await market.balances(venue, KEY.address), await trading.executor.market(token)
    bought = await trading.prepared(token, Side.BUY, "20", limit="0.9")
    report = await trading.submit(bought)
    assert 0 < report.fee.micro * BPS <= report.notional.micro * shown.fee_bps, "what may be spent has room for the fee"
    assert (report.status, report.settlement) == (Status.FILLED, Settlement.MINED)
    held, cash = await market.balances(venue, KEY.address)
    per_share = 1 if venue.decimals.shares == 6 else 10**12
    assert (held - before[0]) // per_share == report.shares.micro
    assert before[1] - cash == report.notional.micro + report.fee.micro == bought.max_cost.micro
    await trading.finalize()
    firm = await trading.found(bought, settlement=Settlement.FIRM)
    assert (firm.shares, firm.notional, firm.fee) == (report.shares, report.notional, report.fee)

    sold = await trading.prepared(token, Side.SELL, str(report.shares), limit="0.1", key="cd")
    left = await trading.submit(sold)
    assert left.settlement is Settlement.MINED, (
        trading.troubles,
        [one[0].nonces for one in trading.executor.operators.of(trading.wallet)],
    )
    now, came = await market.balances(venue, KEY.address)
    assert came - cash == left.notional.micro - left.fee.micro
    assert 0 <= now - before[0] <= (held - before[0]) // 90
    await trading.finalize()
    await trading.found(sold, settlement=Settlement.FIRM)
    (operator,) = trading.executor.operators.of(trading.wallet)
    assert operator[0].gas.transactions == 2
    spent = 10**19 - int(await market.ask("eth_getBalance", KEY.address, "latest"), 16)
    assert 0 < operator[0].gas.wei <= spent
    assert MICRO


@pytest.mark.parametrize("which", ["maker", "pool"])
async def test_a_lost_journal_is_rebuilt_from_the_chain(
    venues: tuple[Node, Deployed], market: Market, which: str
) -> None:
    """The key stands behind the call: what was bought is found, and what was not is never said to be absent."""
    await fund(market, KEY.address)
    venue: Fpmm | Pool = market.deployed.makers[0] if which == "maker" else market.deployed.pools[1]
    async with open_asked(venues[0]) as chain:
        async with open_trading(market, chain.nodes, time.time, signing=Signing(KEY)) as trading:
            order = await trading.prepared(token_of(venue), Side.BUY, "20", limit="0.9")
            never = await trading.prepared(token_of(venue), Side.BUY, "20", limit="0.9", key="cd")
            told = await trading.submit(order)
        await market.ask("anvil_mine", hex(1))
        # The books were not lost: they say which orders are open.
        empty = KeptJournal(orders={order.key, never.key})
        async with open_trading(market, chain.nodes, time.time, signing=Signing(KEY), journal=empty) as later:
            report = await later.found(order, settlement=Settlement.MINED)
            assert (report.shares, report.notional, report.fee) == (told.shares, told.notional, told.fee)
            assert await later.find(never) is None
            await later.finalize()
            assert (await later.found(order, settlement=Settlement.FIRM)).shares == told.shares


async def test_a_limit_that_is_none_is_the_last_price_that_is_one(trading: Trading) -> None:
    """A leader's price and the slippage may come to a dollar, or to nothing: a venue knows what lies in between."""
    token = token_of(trading.market.deployed.makers[0])
    bought = await trading.submit(await trading.prepared(token, Side.BUY, "2", limit="1"))
    assert bought.status is Status.FILLED
    sold = await trading.submit(await trading.prepared(token, Side.SELL, str(bought.shares), limit="0", key="cd"))
    assert sold.settlement is Settlement.MINED


async def test_the_same_call_for_two_keys_are_two_orders(trading: Trading) -> None:
    """Two copies of a wallet may be equal to the unit; each is looked up by its own name."""
    token = token_of(trading.market.deployed.makers[0])
    orders = [await trading.prepared(token, Side.BUY, "2", limit="0.9", key=key) for key in ("ab", "cd")]
    assert len({order.order_id for order in orders}) == 2


async def test_looking_again_writes_nothing_down(trading: Trading) -> None:
    """What is provisional is asked for again and again; what was told of it is written once."""
    order = await trading.prepared(token_of(trading.market.deployed.makers[0]), Side.BUY, "20", limit="0.9")
    await trading.submit(order)
    before = trading.journal.puts
    for _ in range(3):
        assert (await trading.found(order, settlement=Settlement.MINED)).shares
    assert trading.journal.puts == before


async def test_what_was_bought_is_known_where_nobody_quotes_any_more(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """A pool without liquidity says no price; what its trades are made of is known all the same."""
    pool = market.deployed.pools[1]
    settings = settings_for(market.deployed)
    dead = tuple(evolve(one, quoter=KEY.address) for one in settings.pools)
    async with (
        open_asked(venues[0]) as chain,
        open_trading(market, chain.nodes, time.time, signing=Signing(KEY), pools=dead) as trading,
    ):
        markets, until = trading.executor.markets, trio.current_time() + 5
        with pytest.raises(OrderNotSent):
            await markets.market(token_of(pool), until)
        assert (await markets.terms(token_of(pool), until)).decimals == pool.decimals


OWNER = SecretKey(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))


async def _fund_safe(market: Market) -> Wallet:
    """Give the Safe money, and let the market makers take its shares; of money it allows nothing beforehand."""
    safe, deployed = market.deployed.safe, market.deployed
    await market.ask("anvil_impersonateAccount", safe)
    await market.ask("anvil_setBalance", safe, hex(10**19))
    await market.chain.do(safe, deployed.amms[0].usdc, "mint(address,uint256)", safe, 10**10)
    for amm in deployed.amms:
        await market.chain.do(safe, amm.ctf, "setApprovalForAll(address,bool)", amm.pool, True)
    return Wallet(follower=ALICE, address=safe, name="safe", signature_type=SignatureType.SAFE)


@pytest.mark.parametrize("wei", [0, 10**15], ids=["nothing", "less than its gas may cost"])
async def test_an_operator_without_coin_costs_no_copy(venues: tuple[Node, Deployed], market: Market, wei: int) -> None:
    """Nobody fills these up, so nobody looks at them but who sends: another one carries the copy, and the poor one nothing."""
    wallet = evolve(await _fund_safe(market), fleet="ops")
    safe, token = market.deployed.safe, token_of(market.deployed.makers[0])
    await market.chain.do(safe, safe, "addOwnerWithThreshold(address,uint256)", KEY.address, 1)
    await market.ask("anvil_setBalance", KEY.address, hex(wei))
    async with (
        open_asked(venues[0]) as chain,
        open_trading(
            market, chain.nodes, time.time, signing=Signing(KEY), others=[Signing(OWNER)], wallet=wallet
        ) as trading,
    ):
        _, (rich, _) = trading.executor.operators.of(wallet)
        for key in ("ab", "cd"):
            order = await trading.prepared(token, Side.BUY, "2", limit="0.9", key=key)
            with rich.expecting(IntentKey("ee" * 32)):  # so the poor one has less to do
                assert (await trading.submit(order)).settlement is Settlement.MINED
        assert int(await market.ask("eth_getTransactionCount", KEY.address, "latest"), 16) == 0
        ((kind, detail),) = trading.troubles
        assert (kind, KEY.address in detail) == ("no-gas-money", True)


@pytest.mark.parametrize("which", ["maker", "pool"])
async def test_a_safe_allows_what_it_trades_in_the_same_transaction(
    venues: tuple[Node, Deployed], market: Market, which: str
) -> None:
    """To the unit; and what its calls are refused for is told, and not the Safe's own word for everything."""
    wallet = await _fund_safe(market)
    venue: Fpmm | Pool = market.deployed.makers[0] if which == "maker" else market.deployed.pools[1]
    spender, usdc = (venue.maker if isinstance(venue, Fpmm) else venue.router.address), market.deployed.amms[0].usdc
    async with (
        open_asked(venues[0]) as chain,
        open_trading(market, chain.nodes, time.time, signing=Signing(OWNER), wallet=wallet) as trading,
    ):
        bought = await trading.prepared(token_of(venue), Side.BUY, "20", limit="0.9", order_type="FOK")
        report = await trading.submit(bought)
        assert (report.status, report.settlement) == (Status.FILLED, Settlement.MINED)
        shares, _ = await market.balances(venue, market.deployed.safe)
        assert shares // (1 if which == "maker" else 10**12) == report.shares.micro
        assert await market.chain.call(usdc, "allowance(address,address)", market.deployed.safe, spender) == 0
        sold = await trading.prepared(token_of(venue), Side.SELL, str(report.shares), limit="0.1", key="cd")
        assert (await trading.submit(sold)).settlement is Settlement.MINED
        dear = await trading.prepared(token_of(venue), Side.BUY, "20", limit="0.05", key="ef", order_type="FOK")
        killed = await trading.submit(dear)
        assert (killed.status, killed.detail) == (Status.KILLED, killed.detail)
        assert killed.detail.lower() in venue.words
        await trading.finalize()
        await trading.found(sold, settlement=Settlement.FIRM)
        ((operator, _),) = trading.executor.operators.of(wallet)
        counted = read_plain(trading.journal.documents()[f"137/gas/{wallet.address}/{OWNER.address}"])
        assert counted == [1, 2, operator.gas.wei]
