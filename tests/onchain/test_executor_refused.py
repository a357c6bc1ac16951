"""What is refused before anything is sent uses no nonce, and says what is missing."""

from collections.abc import AsyncGenerator

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import Signing, token_of
from tests.onchain.faulting import COIN, KEY, Bench, fund, open_bench
from tests.onchain.proxying import refuses
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.orders import Order, Settlement, Status
from trio_copy.testing.anvil import MAX, Node, calldata

pytestmark = pytest.mark.anvil
ESTIMATE = "eth_estimateGas"


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        yield one


async def nothing_left(bench: Bench, order: Order, nonce: int) -> None:
    assert not bench.nodes["node"].sent()
    assert not bench.trading.signing.signed
    assert bench.operator.binding(order.key) is None
    assert await bench.nonce() == nonce


async def test_a_price_that_moved_away_is_killed(bench: Bench) -> None:
    order, nonce = await bench.buy(limit="0.5"), await bench.nonce()
    report = await bench.trading.submit(order)
    assert (report.status, report.detail) == (Status.KILLED, "minimum buy amount not reached")
    await nothing_left(bench, order, nonce)


async def test_a_missing_approval_is_named(bench: Bench) -> None:
    amm = bench.market.deployed.amms[0]
    await bench.market.chain.do(bench.address, amm.usdc, "approve(address,uint256)", amm.pool, 0)
    order, nonce = await bench.buy(), await bench.nonce()
    report = await bench.trading.submit(order)
    assert report.status is Status.REJECTED
    assert report.detail.endswith("`trio-copy wallet approve main` lets it")
    await nothing_left(bench, order, nonce)


async def test_what_is_missing_is_named_where_the_token_gives_no_reason(bench: Bench) -> None:
    """WETH9, and what is made like it, says the same of both: nothing."""
    chain, usdc = bench.market.chain, bench.market.deployed.amms[0].usdc
    order, nonce = await bench.buy(), await bench.nonce()
    wordless = await bench.market.ask("eth_getCode", await chain.deploy("WETH9"), "latest")
    await bench.market.ask("anvil_setCode", usdc, wordless)

    async def told() -> str:
        report = await bench.trading.submit(order)
        assert report.status is Status.REJECTED
        return report.detail.removeprefix("execution reverted")

    approve = "; `trio-copy wallet approve main` lets it"
    assert await told() == ": the wallet lacks an approval, and money or shares" + approve
    deposit = {"from": bench.address, "to": usdc, "data": calldata("deposit()", ()), "value": hex(10**9)}
    await chain.receipt(await bench.market.ask("eth_sendTransaction", deposit))
    assert await told() == ": the wallet lacks an approval" + approve
    await chain.do(bench.address, usdc, "approve(address,uint256)", bench.maker.maker, MAX)
    await chain.do(bench.address, usdc, "withdraw(uint256)", 10**9)
    assert await told() == ": the wallet lacks money, or shares"
    assert bench.operator.binding(order.key) is None
    assert await bench.nonce() == nonce + 3
    await chain.receipt(await bench.market.ask("eth_sendTransaction", deposit))
    assert (await bench.trading.submit(order)).settlement is Settlement.MINED


async def test_nothing_is_asked_about_a_wallet_whose_refusal_is_plain(bench: Bench) -> None:
    order, node = await bench.buy(limit="0.5"), bench.nodes["node"]
    asked = len([one for one, _ in node.asked if one == "eth_call"])
    await bench.trading.submit(order)
    assert len([one for one, _ in node.asked if one == "eth_call"]) == asked


async def test_without_coin_the_wallet_pauses_and_goes_on_when_it_has_some(bench: Bench) -> None:
    order, nonce = await bench.buy(), await bench.nonce()
    bench.nodes["node"].rules[ESTIMATE] = refuses("gas required exceeds allowance (0)")
    with pytest.raises(OrderNotSent, match="cannot pay for gas"):
        await bench.trading.submit(order)
    assert bench.kinds == ["no-gas-money"]
    with pytest.raises(OrderNotSent, match="no operator has coin"):
        await bench.trading.submit(order)
    await nothing_left(bench, order, nonce)
    bench.nodes["node"].rules.clear()
    bench.operator.paused_until = 0.0
    assert (await bench.trading.submit(order)).settlement is Settlement.MINED


async def test_coin_for_less_than_its_gas_is_found_out_by_the_nodes(bench: Bench) -> None:
    """The estimate asks for no price: what a pool refuses has used no nonce either."""
    await bench.market.ask("anvil_setBalance", bench.address, hex(10**9))
    order, nonce = await bench.buy(), await bench.nonce()
    with pytest.raises(OrderNotSent, match=r"no node takes it: Insufficient funds for gas \* price \+ value$"):
        await bench.trading.submit(order)
    assert "no-gas-money" in bench.kinds
    assert await bench.nonce() == nonce
    assert not await bench.pooled()
    await bench.market.ask("anvil_setBalance", bench.address, hex(COIN))
    bench.operator.paused_until = 0.0
    report = await bench.trading.submit(order)
    assert report.settlement is Settlement.MINED
    assert await bench.nonce() == nonce + 1


async def test_more_gas_than_a_call_may_take_is_refused(bench: Bench) -> None:
    bench.nodes["node"].rules[ESTIMATE] = lambda exchange: exchange.answer(hex(2_000_000))
    order, nonce = await bench.buy(), await bench.nonce()
    report = await bench.trading.submit(order)
    assert (report.status, report.detail) == (Status.REJECTED, "it takes 2000000 gas, and max_gas is 1500000")
    await nothing_left(bench, order, nonce)


@pytest.mark.parametrize(
    "code, message, status",
    [
        (3, "execution reverted: STF", Status.REJECTED),
        (3, "execution reverted: Too little received", Status.KILLED),
        (3, "execution reverted: SPL", Status.KILLED),
        (3, "execution reverted: Transaction too old", Status.KILLED),
        (3, "execution reverted: maximum sell amount exceeded", Status.KILLED),
        (-32015, "VM execution error. Reverted: minimum buy amount not reached", Status.KILLED),
        (-32000, "execution reverted: ERC20: transfer amount exceeds balance", Status.REJECTED),
        (-32005, "too many requests", None),
        (-32000, "header not found", None),
    ],
)
async def test_what_an_estimate_says_decides_before_a_nonce_is_bound(
    bench: Bench, code: int, message: str, status: Status | None
) -> None:
    venue = bench.maker if "amount" in message else bench.market.deployed.pools[0]
    order, nonce = await bench.trading.prepared(token_of(venue), Side.BUY, "20"), await bench.nonce()
    bench.nodes["node"].rules[ESTIMATE] = refuses(message, code)
    if status is None:
        with pytest.raises(OrderNotSent):
            await bench.trading.submit(order)
    else:
        assert (await bench.trading.submit(order)).status is status
    await nothing_left(bench, order, nonce)


async def test_what_the_guard_refuses_leaves_no_trace(bench: Bench) -> None:
    """Neither when it releases the call, nor when the transaction is signed."""
    order, nonce = await bench.buy(), await bench.nonce()
    signing: Signing = bench.trading.signing
    signing.refuses = Reason(code=Code.VENUE_REFUSED, control="guard", value="1", limit="0")
    with pytest.raises(OrderNotSent):
        await bench.trading.submit(order)
    await nothing_left(bench, order, nonce)
