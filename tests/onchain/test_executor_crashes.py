"""The process dies around a broadcast: whoever takes over buys what was decided, once."""

import pytest
import trio

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import KeptJournal
from tests.onchain.faulting import KEY, LATE_S, PATIENCE_S, Crash, Wall, fund, open_bench
from trio_copy.errors import ChainError, ExecutorError, OrderNotSent, OrderUncertain
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import Settlement, Status
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil
POINTS = ["onchain: bound", "onchain: written down", "onchain: broadcast"]
Venues = tuple[Node, Deployed]


@pytest.mark.parametrize("mines", [True, False])
@pytest.mark.parametrize("point", POINTS)
async def test_a_death_at_a_first_sending_loses_and_doubles_nothing(
    venues: Venues, market: Market, point: str, mines: bool
) -> None:
    """What the journal has goes on by itself; what it has not was never sent, and is submitted again."""
    await fund(market, KEY.address)
    wall, journal = Wall(), KeptJournal()
    try:
        async with open_bench(venues, market, journal=journal, wall=wall, crash_at=point) as bench:
            await bench.mining(mines)
            shares, nonce = await bench.shares(), await bench.nonce()
            order = await bench.buy()
            await bench.trading.submit(order)
    except* Crash:
        pass
    left = journal.as_left()
    async with open_bench(venues, market, journal=left, wall=wall) as bench:
        written = bench.operator.binding(order.key) is not None
        assert written == (point != POINTS[0])
        if written:
            await bench.until(lambda: bench.operator.nonces.latest >= 0, "looked")
            await bench.trading.find(order)
        # An engine that does not know submits it again.
        await (bench.trading.submit(order) if mines else bench.leave(order))
        await bench.mine()
        await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED)
        firm = await bench.firm(order)
        assert await bench.shares() - shares == firm.shares.micro
        assert await bench.nonce() == nonce + 1


@pytest.mark.parametrize("late", [False, True], ids=["dearer", "cancelled"])
@pytest.mark.parametrize("point", POINTS[1:])
async def test_a_death_at_a_replacement_leaves_one_of_both(
    venues: Venues, market: Market, point: str, late: bool
) -> None:
    """The next owner follows the hashes of both, whether or not a node has seen the second one."""
    await fund(market, KEY.address)
    wall, journal = Wall(), KeptJournal()
    try:
        async with open_bench(venues, market, journal=journal, wall=wall, crash_at=point, crash_time=2) as bench:
            await bench.mining(False)
            shares, nonce = await bench.shares(), await bench.nonce()
            order = await bench.buy()
            await bench.leave(order)
            wall.ahead_s += LATE_S + 1 if late else PATIENCE_S + 1
            await bench.until(lambda: False)
    except* Crash:
        pass
    async with open_bench(venues, market, journal=journal.as_left(), wall=wall) as bench:
        binding = bench.operator.binding(order.key)
        assert binding is not None
        assert len(binding.sendings) == 2
        if point == POINTS[1]:
            # The second one had not left: the first one is mined.
            await bench.mine()
            await bench.found(order, status=Status.FILLED, settlement=Settlement.MINED, detail=binding.sendings[0].hash)
        await bench.mine()
        await bench.mine(3)
        bought = not late or point == POINTS[1]
        report = await bench.found(order, status=Status.FILLED if bought else Status.ABSENT, settlement=Settlement.FIRM)
        assert await bench.shares() - shares == report.shares.micro
        assert await bench.nonce() == nonce + 1


async def test_what_was_bought_while_nobody_looked_is_found(venues: Venues, market: Market) -> None:
    """It is mined and final before the next owner has its first look; its gas is counted."""
    await fund(market, KEY.address)
    journal = KeptJournal()
    async with open_bench(venues, market, journal=journal) as bench:
        await bench.mining(False)
        shares = await bench.shares()
        order = await bench.buy()
        await bench.leave(order)
    await market.ask("anvil_mine", hex(4))
    async with open_bench(venues, market, journal=journal.as_left()) as bench:
        report = await bench.found(order, status=Status.FILLED, settlement=Settlement.FIRM)
        assert await bench.shares() - shares == report.shares.micro
        await bench.until(lambda: bench.operator.gas.transactions == 1, "counted")
        assert await bench.trading.submit(order) == report


async def test_without_its_lease_nothing_leaves(venues: Venues, market: Market) -> None:
    """Neither for the first time, nor dearer, nor once more."""
    await fund(market, KEY.address)
    wall, journal = Wall(), KeptJournal()
    async with open_bench(venues, market, journal=journal, wall=wall) as bench:
        await bench.mining(False)
        order, nonce = await bench.buy(key="01"), await bench.nonce()
        await bench.leave(order)
        journal.lost = True
        sent = bench.nodes["node"].sent()
        with pytest.raises(OrderNotSent, match="lease"):
            await bench.trading.submit(await bench.buy(key="02"))
        wall.ahead_s += PATIENCE_S + 1
        await bench.until(lambda: "sending-held-up" in bench.kinds, "tried")
        assert bench.nodes["node"].sent() == sent
        assert len(await bench.pooled()) == 1
    async with open_bench(venues, market, journal=journal.as_left(), wall=wall) as bench:
        await bench.mine()
        await bench.firm(order)
        assert await bench.nonce() == nonce + 1


async def test_of_a_shard_that_was_given_away_nothing_leaves(venues: Venues, market: Market) -> None:
    await fund(market, KEY.address)
    wall, journal = Wall(), KeptJournal()
    async with open_bench(venues, market, journal=journal, wall=wall) as bench:
        await bench.mining(False)
        order = await bench.buy()
        await bench.leave(order)
        operator, executor = bench.operator, bench.trading.executor
        executor.close_journal(journal)
        sent = bench.nodes["node"].sent()
        with pytest.raises(OrderNotSent, match="not owned here"):
            await bench.trading.submit(order)
        wall.ahead_s += PATIENCE_S + 1
        await operator.follow()
        assert bench.nodes["node"].sent() == sent


async def test_what_could_not_be_written_down_never_leaves(venues: Venues, market: Market) -> None:
    """It was said not to be sent: not even when the journal writes again, until it is submitted once more."""
    await fund(market, KEY.address)
    wall, journal = Wall(), KeptJournal()
    async with open_bench(venues, market, journal=journal, wall=wall) as bench:
        shares, nonce = await bench.shares(), await bench.nonce()
        order = await bench.buy()
        journal.lost = True
        with pytest.raises(OrderNotSent, match="lease"):
            await bench.trading.submit(order)
        journal.lost = False
        wall.ahead_s += PATIENCE_S + 1
        await bench.operator.follow()
        assert not bench.nodes["node"].sent()
        await bench.leave(order)
        await bench.bought_once(order, shares, nonce)


async def test_what_an_earlier_owner_may_have_sent_is_never_said_not_to_be(venues: Venues, market: Market) -> None:
    """Submitted again while nobody answers, or nothing can be written, it is uncertain."""
    await fund(market, KEY.address)
    journal = KeptJournal()
    async with open_bench(venues, market, journal=journal) as bench:
        await bench.mining(False)
        shares, nonce = await bench.shares(), await bench.nonce()
        order = await bench.buy()
        await bench.leave(order)
    left = journal.as_left()
    async with open_bench(venues, market, journal=left) as bench:
        bench.nodes["node"].down = True
        with pytest.raises(OrderUncertain):
            await bench.trading.submit(order)
        bench.nodes["node"].down = False

        async def connected() -> bool:
            try:
                await bench.trading.executor.chain.nodes.block("latest", trio.current_time() + 0.2)
            except ChainError:
                return False
            return True

        await bench.until(connected, "connected")
        left.lost = True
        with pytest.raises(OrderUncertain, match="lease"):
            await bench.trading.submit(order)
        left.lost = False
        await bench.bought_once(order, shares, nonce)


async def test_what_nobody_asks_about_any_more_leaves_the_journal(venues: Venues, market: Market) -> None:
    """All that stays is since when it is whole, and what gas has cost; what is open stays as it is."""
    await fund(market, KEY.address)
    journal = KeptJournal()
    async with open_bench(venues, market, journal=journal) as bench:
        done, still = await bench.buy("2", key="01"), await bench.buy("2", key="02")
        for order in (done, still):
            await bench.trading.submit(order)
            await bench.firm(order)
        await bench.until(lambda: bench.operator.gas.transactions == 2, "counted")
        journal.orders.discard(done.key)
        bench.trading.executor.operators._forget()
        assert not [name for name in journal.documents() if done.key in name]
        assert (await bench.trading.submit(still)).settlement is Settlement.FIRM
        journal.orders.clear()
        bench.trading.executor.operators._forget()
        assert {name.rpartition("/")[2] for name in journal.documents()} == {"began", "gas"}
        assert not bench.operator.receipts
        assert not bench.operator.busy


async def test_a_chain_that_cannot_be_searched_proves_nothing(venues: Venues, market: Market) -> None:
    """The journal is lost and no node answers: that is told as such, and asked again later."""
    await fund(market, KEY.address)
    async with open_bench(venues, market, journal=KeptJournal(orders={IntentKey("ab" * 32)})) as bench:
        order = await bench.buy()
        bench.nodes["node"].go_down()
        with pytest.raises(ExecutorError, match="was not searched"):
            await bench.trading.find(order)
