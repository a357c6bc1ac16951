"""Nodes that disagree, lie, come late, or are away: no purchase is doubled, none lost, and none booked by one word alone."""

from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
import trio

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import KeptJournal
from tests.onchain.faulting import KEY, LATE_S, Bench, fund, open_bench
from tests.onchain.proxying import Exchange, hangs, refuses
from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.orders import Settlement, Status
from trio_copy.native import keccak
from trio_copy.testing.anvil import Node
from trio_copy_onchain.venues.abi import address_topic, topic

pytestmark = pytest.mark.anvil
BOUGHT = topic("FPMMBuy(address,uint256,uint256,uint256,uint256)")


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market, "one", "two") as one:
        await one.mining(False)
        yield one


@pytest.mark.parametrize(
    "text", ["insufficient funds for gas * price + value", "transaction underpriced", "intrinsic gas too low"]
)
async def test_one_node_alone_refuses_nothing(bench: Bench, text: str) -> None:
    """What one has is on its way: nobody stops, pauses, or pays more for it."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    bench.rule(refuses(text), "one")
    await bench.leave(order)
    await bench.bought_once(order, shares, nonce)
    assert bench.operator.stopped == ""
    assert bench.operator.paused_until == 0.0
    assert len(set(bench.nodes["two"].sent())) == 1


async def test_a_node_that_lies_about_a_receipt_books_nothing(bench: Bench) -> None:
    """Where two contradict each other about one block, nothing is told until they agree."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()

    async def failed(exchange: Exchange) -> None:
        frame = await exchange.ask()
        if frame.get("result"):
            frame["result"] = frame["result"] | {"status": "0x0", "logs": [], "logsBloom": None}
        await exchange.say(frame)

    bench.rule(failed, "one", method="eth_getTransactionReceipt")
    await bench.leave(order)
    await bench.mine(4)
    looks = len(bench.nodes["two"].asked) + 40
    await bench.until(lambda: len(bench.nodes["two"].asked) > looks, "looked")
    report = await bench.trading.find(order)
    assert report is None or report.status is not Status.KILLED
    bench.obey()
    firm = await bench.found(order, status=Status.FILLED, settlement=Settlement.FIRM)
    assert await bench.shares() - shares == firm.shares.micro
    assert await bench.nonce() == nonce + 1


@pytest.mark.parametrize("lost", [False, True], ids=["its journal there", "its journal lost"])
async def test_a_node_that_is_behind_at_a_start_loses_no_copy(
    venues: tuple[Node, Deployed], market: Market, lost: bool
) -> None:
    """It says that a nonce is free which is used, and takes what is sent with it."""
    await fund(market, KEY.address)
    journal = KeptJournal()
    async with open_bench(venues, market, "one", "two", journal=journal) as before:
        order = await before.buy(key="a1")
        await before.trading.submit(order)
        await before.firm(order)
        used = await before.nonce()
    async with open_bench(venues, market, "one", "two", journal=KeptJournal() if lost else journal) as bench:

        async def counts_less(exchange: Exchange) -> None:
            await exchange.answer(hex(used - 1))

        async def takes(exchange: Exchange) -> None:
            await exchange.answer("0x" + keccak(bytes.fromhex(exchange.params[0][2:])).hex())

        bench.rule(counts_less, "one", method="eth_getTransactionCount")
        bench.rule(takes, "one")
        order, shares = await bench.buy(), await bench.shares()
        report = await bench.trading.submit(order)
        assert report.status is Status.FILLED
        assert await bench.shares() - shares == report.shares.micro


async def test_one_node_alone_invents_no_purchase(bench: Bench) -> None:
    """What does nothing was mined in its place, and one node shows a receipt of the purchase: told of it, it is taken back."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    call = await bench.leave(order)
    bench.wall.ahead_s += LATE_S + 1
    await bench.until(lambda: len(set(bench.nodes["two"].sent())) > 1, "cancelled")
    binding = bench.operator.binding(order.key)
    assert binding is not None
    cancel = binding.newest.hash

    async def invents(exchange: Exchange) -> None:
        true = await bench.market.ask("eth_getTransactionReceipt", cancel)
        if exchange.params[0] != call or true is None:
            await exchange.answer(None)
            return
        place = {name: true[name] for name in ("blockNumber", "blockHash", "transactionIndex")}
        log = place | {
            "address": bench.maker.maker,
            "topics": [BOUGHT, address_topic(bench.address), f"0x{bench.maker.outcome:064x}"],
            "data": "0x" + "".join(f"{amount:064x}" for amount in (20 * 10**6, 0, 777 * 10**6)),
            "transactionHash": call,
            "logIndex": "0x0",
        }
        await exchange.answer(true | {"transactionHash": call, "logs": [log], "logsBloom": None})

    bench.rule(invents, "one", method="eth_getTransactionReceipt")
    await bench.mine(5)
    await bench.found(order, settlement=Settlement.FAILED)
    assert (await bench.shares(), await bench.nonce()) == (shares, nonce + 1)


async def test_one_node_alone_has_refused_nothing(bench: Bench) -> None:
    """The other one writes its receipt down late; by then one may have been told that it was bought."""
    order, shares = await bench.buy(), await bench.shares()

    async def failed(exchange: Exchange) -> None:
        frame = await exchange.ask()
        if frame.get("result"):
            frame["result"] = frame["result"] | {"status": "0x0", "logs": [], "logsBloom": None}
        await exchange.say(frame)

    async def late(exchange: Exchange) -> None:
        await exchange.answer(None)

    bench.rule(failed, "one", method="eth_getTransactionReceipt")
    bench.rule(late, "two", method="eth_getTransactionReceipt")
    await bench.leave(order)
    await bench.mine(5)
    await bench.until(lambda: bench.operator.nonces.ended, "explained by its final block")
    assert await bench.trading.find(order) is None
    bench.obey()
    firm = await bench.found(order, status=Status.FILLED, settlement=Settlement.FIRM)
    assert await bench.shares() - shares == firm.shares.micro


@pytest.mark.parametrize("named", ["one", "both"])
async def test_a_receipt_without_its_logs_is_none(bench: Bench, named: str) -> None:
    """Its own bloom says that some are missing. That nothing was exchanged would free what was spent."""
    order, shares = await bench.buy(), await bench.shares()

    async def bare(exchange: Exchange) -> None:
        frame = await exchange.ask()
        if frame.get("result"):
            frame["result"] = frame["result"] | {"logs": []}
        await exchange.say(frame)

    bench.rule(bare, *(("one",) if named == "one" else ()), method="eth_getTransactionReceipt")
    await bench.leave(order)
    await bench.mine(5)
    if named == "both":
        await bench.until(lambda: bench.operator.nonces.ended, "explained by its final block")
        assert await bench.trading.find(order) is None
        bench.obey()
    firm = await bench.found(order, status=Status.FILLED, settlement=Settlement.FIRM)
    assert await bench.shares() - shares == firm.shares.micro


async def test_late_and_double_answers_change_nothing(bench: Bench) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    release = trio.Event()

    async def late(exchange: Exchange) -> None:
        frame = await exchange.ask()
        await release.wait()
        await exchange.say(frame)

    async def double(exchange: Exchange) -> None:
        frame = await exchange.ask()
        for _ in range(3):
            await exchange.say(frame)

    bench.rule(late, "one")
    bench.rule(hangs, "two")
    report = await bench.trading.submit(order, within_s=2)
    assert report.status is Status.UNKNOWN
    bench.rule(double, method="eth_getTransactionReceipt")
    release.set()
    await bench.bought_once(order, shares, nonce)
    assert len({raw for node in bench.nodes.values() for raw in node.sent()}) == 1


async def test_of_nodes_that_are_away_nothing_is_waited_for(bench: Bench) -> None:
    """One that is away refuses nothing; where all are, nothing has left, and no nonce is used."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    bench.nodes["one"].go_down()
    await bench.leave(order)
    await bench.bought_once(order, shares, nonce)
    other = await bench.buy(key="cd")
    bench.nodes["two"].go_down()
    with pytest.raises(OrderNotSent):
        await bench.trading.submit(other, within_s=8)
    for node in bench.nodes.values():
        node.down = False

    async def answers() -> bool:
        with suppress(ChainError):
            await bench.trading.executor.chain.nodes.block("latest", trio.current_time() + 1)
            return True
        return False

    await bench.until(answers, "connected again")
    await bench.leave(other)
    await bench.bought_once(other, await bench.shares(), nonce + 1)


async def test_what_is_kept_of_a_venue_is_told_by_every_node(bench: Bench) -> None:
    """A fee is read once: one node's mistake would be in every sale until a restart."""

    async def of_no_fee(exchange: Exchange) -> None:
        if exchange.params[0]["data"].startswith("0xddca3f43"):
            await exchange.answer("0x" + "00" * 32)
        else:
            await exchange.say(await exchange.ask())

    bench.rule(of_no_fee, "one", method="eth_call")
    with pytest.raises(OrderNotSent, match="nodes contradict each other"):
        await bench.buy()
    bench.obey()
    await bench.buy()
