"""What happens within blocks: refusals that cost gas, many of one wallet at once, and gaps that a start finds."""

from collections.abc import AsyncGenerator, Sequence

import pytest
import trio

from tests.onchain.deployed import Deployed, Market, buy
from tests.onchain.executing import KeptJournal, token_of
from tests.onchain.faulting import KEY, Bench, fund, open_bench
from tests.onchain.proxying import hangs, refuses
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.testing.anvil import MAX, Node
from trio_copy_onchain import looking
from trio_copy_onchain.tx.fees import GWEI

pytestmark = pytest.mark.anvil
SILENT = refuses("the state of this block is not available")


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market) as one:
        await one.mining(False)
        yield one


async def test_a_price_that_moves_within_the_block_kills_at_finality_only(bench: Bench) -> None:
    """Until then a reorg may still let it through; what its gas has cost is counted."""
    order, shares, coin = await bench.buy(limit="0.53"), await bench.shares(), await bench.coin()
    await bench.leave(order)
    await bench.rival_buys(2_000)
    await bench.mine()
    await bench.until(lambda: bench.operator.receipts, "mined")
    assert await bench.trading.find(order) is None
    await bench.mine(3)
    report = await bench.found(order, status=Status.KILLED)
    assert report.detail == "minimum buy amount not reached"
    gas = bench.operator.gas
    assert (gas.transactions, gas.wei) == (1, coin - await bench.coin())
    assert gas.wei > 0
    assert await bench.shares() == shares


async def test_while_no_node_says_why_it_is_not_decided(bench: Bench) -> None:
    """Whoever says it later tells a price from a refusal; it is not waited for for ever."""
    order = await bench.buy(limit="0.53")
    await bench.leave(order)
    await bench.rival_buys(2_000)
    for method in ("debug_traceTransaction", "eth_call"):
        bench.rule(SILENT, method=method)
    await bench.mine(4)
    await bench.until(lambda: (one := bench.operator.binding(order.key)) is not None and one.end is not None, "ended")
    assert await bench.trading.find(order) is None
    assert await bench.trading.find(order) is None
    bench.obey()
    await bench.found(order, status=Status.KILLED, detail="minimum buy amount not reached")


async def test_what_no_node_says_for_long_is_a_refusal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_UNTOLD_S", 0.3)
    order = await bench.buy(limit="0.53")
    await bench.leave(order)
    await bench.rival_buys(2_000)
    for method in ("debug_traceTransaction", "eth_call"):
        bench.rule(SILENT, method=method)
    await bench.mine(4)
    report = await bench.found(order, status=Status.REJECTED)
    assert report.detail == "refused within its block, and no node says why"


async def test_a_pool_whose_price_moves_within_the_block_kills_too(bench: Bench) -> None:
    """All or nothing: its limit is on what comes out."""
    pool = bench.market.deployed.pools[1]
    await bench.market.chain.session.request("evm_setAutomine", True)
    await bench.market.chain.do(bench.address, pool.collateral, "approve(address,uint256)", pool.router.address, MAX)
    await bench.mining(False)
    order = await bench.trading.prepared(token_of(pool), Side.BUY, "20", limit="0.41", order_type="FOK")
    await bench.leave(order)
    dearer = buy(bench.market.rival, 1_500 * 10**6)
    await bench.market.send(pool.call(dearer), bench.market.rival, 100 * GWEI)
    await bench.mine(4)
    report = await bench.found(order, status=Status.KILLED)
    assert report.detail == "Too little received"
    assert bench.operator.gas.transactions == 1


async def test_what_ran_out_of_gas_is_rejected_and_the_next_one_gets_more(bench: Bench) -> None:
    order, shares = await bench.buy(), await bench.shares()
    bench.nodes["node"].rules["eth_estimateGas"] = lambda exchange: exchange.answer(hex(120_000))
    await bench.leave(order)
    await bench.mine(4)
    report = await bench.found(order, status=Status.REJECTED)
    assert report.detail == "out of gas"
    assert await bench.shares() == shares
    assert bench.operator.gas.transactions == 1
    (before,) = [transaction.gas for transaction, _ in bench.trading.signing.signed]
    await bench.leave(await bench.buy(key="cd"))
    assert bench.trading.signing.signed[-1][0].gas > before


async def test_a_refusal_that_a_reorg_takes_back_may_still_buy(bench: Bench) -> None:
    order, shares = await bench.buy(limit="0.53"), await bench.shares()
    await bench.leave(order)
    await bench.rival_buys(2_000)
    await bench.mine()
    await bench.until(lambda: bench.operator.receipts, "mined")
    await bench.market.ask("anvil_reorg", 1, [[bench.nodes["node"].sent()[0], 0]])
    await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
    firm = await bench.firm(order)
    assert await bench.shares() - shares == firm.shares.micro


async def test_sixteen_of_one_wallet_fit_into_one_block(
    bench: Bench, venues: tuple[Node, Deployed], market: Market
) -> None:
    """In the order of their nonces, and no more than sixteen wait at a time; the next ones follow."""
    shares, nonce = await bench.shares(), await bench.nonce()
    orders: dict[int, Order] = {}
    reports: dict[int, ExecutionReport] = {}
    # A real node works hard for each look while so many wait: seldom is enough.
    async with open_bench(venues, market, poll_s=0.5) as rare:

        async def submit(place: int) -> None:
            orders[place] = await rare.buy("2", key=f"{place:02x}")
            reports[place] = await rare.trading.submit(orders[place], within_s=20)

        async with trio.open_nursery() as nursery:
            for place in range(18):
                nursery.start_soon(submit, place)
            await rare.broadcasts(16)
            assert rare.operator.in_flight == 16
            pooled = await rare.pooled()
            assert [int(one["nonce"], 16) for one in pooled] == list(range(nonce, nonce + 16))
            await rare.mine()
            assert await rare.nonce() == nonce + 16
            await rare.broadcasts(18)
            await rare.mine()
        assert {report.settlement for report in reports.values()} == {Settlement.MINED}
        await rare.mine(3)
        firm = [await rare.found(order, settlement=Settlement.FIRM) for order in orders.values()]
        assert await rare.shares() - shares == sum(report.shares.micro for report in firm)
        assert await rare.nonce() == nonce + 18


async def test_blocks_are_watched_while_a_look_takes_long(bench: Bench) -> None:
    """The receipt is not answered: the block that comes meanwhile is seen all the same, and looked at next."""
    order = await bench.buy()
    await bench.leave(order)
    asked = bench.nodes["node"].asked
    bench.rule(hangs, method="eth_getTransactionReceipt")
    await bench.mine()
    await bench.until(lambda: any(method == "eth_getTransactionReceipt" for method, _ in asked), "looked")
    heads = sum(_asks_for_the_head(*one) for one in asked)
    bench.obey()
    await bench.mine()
    await bench.until(lambda: sum(_asks_for_the_head(*one) for one in asked) >= heads + 3, "watched")
    looked = [method for method, _ in asked].count("eth_getTransactionReceipt")
    assert looked == 1, "the first look still waits"
    await bench.found(order, settlement=Settlement.MINED)


async def test_a_gap_is_found_and_filled_at_a_start(
    bench: Bench, venues: tuple[Node, Deployed], market: Market
) -> None:
    """The first of two is lost everywhere, in the journal as well: the second does not wait behind it for ever."""
    shares, nonce = await bench.shares(), await bench.nonce()
    first, second = await bench.buy("2", key="01"), await bench.buy("3", key="02")
    await bench.leave(first)
    await bench.leave(second)
    left = bench.trading.journal.as_left()
    left = KeptJournal(
        durable={name: body for name, body in left.durable.items() if not name.endswith(first.key)},
        orders=left.orders,
        now={name: body for name, body in left.durable.items() if not name.endswith(first.key)},
    )
    bench.trading.executor.close_journal(bench.trading.journal)
    for one in await bench.pooled():
        await market.ask("anvil_dropTransaction", one["hash"])
    assert await bench.pooled() == []
    async with open_bench(venues, market, journal=left) as other:
        other.wall.ahead_s += 4.0
        await other.until(lambda: len(other.nodes["node"].sent()) >= 2, "filled")
        filled, bought = await bench.pooled()
        assert (filled["to"], filled["nonce"]) == (bench.address, hex(nonce))
        await other.mine()
        firm = await other.firm(second)
        assert await bench.shares() - shares == firm.shares.micro
        # The coin that filled the gap is spent as well.
        gas = other.operator.gas
        await other.until(lambda: gas.transactions == 2, "both paid")
        spent = [await _paid(market, one) for one in (filled["hash"], bought["hash"])]
        assert gas.wei == sum(spent)


async def _paid(market: Market, tx_hash: object) -> int:
    receipt = await market.ask("eth_getTransactionReceipt", tx_hash)
    return int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)


def _asks_for_the_head(method: str, params: Sequence[object]) -> bool:
    return method == "eth_getBlockByNumber" and params[0] == "latest"
