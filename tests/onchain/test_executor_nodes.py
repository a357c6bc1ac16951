"""Nodes that disagree, lie, come late, or are away: no purchase is doubled, none lost, and none booked by one word alone."""

from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
import trio

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, Bench, fund, open_bench
from tests.onchain.proxying import Exchange, hangs, refuses
from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.orders import Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


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
            frame["result"] = frame["result"] | {"status": "0x0", "logs": []}
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
    report = await bench.trading.submit(order, within_s=0.6)
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
