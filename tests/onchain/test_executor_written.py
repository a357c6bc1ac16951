"""What leaves is on the disk as it leaves, also where the two disks that must have it are slow at different times."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import KeptJournal, Signing
from tests.onchain.faulting import KEY, PATIENCE_S, Bench, fund, open_bench
from tests.onchain.proxying import Exchange
from trio_copy.errors import OrderNotSent
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


class SlowJournal(KeptJournal):
    """Takes a while to write, when a test says so."""

    slow: trio.Event | None = None

    async def wait_durable(self) -> None:
        if self.slow is not None:
            await self.slow.wait()
        await super().wait_durable()


class SlowSigning(Signing):
    """Its guard takes a while to write what it counts, when a test says so."""

    slow: trio.Event | None = None

    def on_wait(self) -> None:
        """A test may do something as soon as its guard is waited for."""

    async def wait_counted(self) -> None:
        if self.slow is not None:
            self.on_wait()
            await self.slow.wait()
        await super().wait_counted()


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market, journal=SlowJournal(), signing=SlowSigning(KEY)) as one:
        await one.mining(False)
        yield one
        await market.ask("anvil_setNextBlockBaseFeePerGas", "0x0")
        await one.mine()


async def test_what_was_made_dearer_while_the_first_bytes_were_written_waits_for_its_own(bench: Bench) -> None:
    """Both wait for a disk, and the first is woken first: what it finds signed by then is not written down yet."""
    journal, signing = bench.trading.journal, bench.trading.signing
    assert isinstance(journal, SlowJournal)
    assert isinstance(signing, SlowSigning)
    order, written = await bench.buy(), list[bool]()

    async def look(exchange: Exchange) -> None:
        (raw,) = exchange.params
        written.append(any(raw.removeprefix("0x").encode() in body for body in journal.durable.values()))
        await exchange.say(await exchange.ask())

    def wait_long() -> None:
        if journal.slow is None:
            journal.slow = trio.Event()
            bench.wall.ahead_s += PATIENCE_S + 1

    bench.rule(look)
    signing.slow, signing.on_wait = trio.Event(), wait_long  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:

        async def submit() -> None:
            await bench.trading.submit(order, within_s=8)

        nursery.start_soon(submit)
        await bench.until(lambda: _sendings(bench, order) == 2, "made dearer")
        signing.slow.set()
        with trio.move_on_after(1):
            await bench.broadcasts(1)
        assert journal.slow is not None
        journal.slow.set()
        await bench.broadcasts(1)
        nursery.cancel_scope.cancel()
    assert written
    assert all(written)


async def test_a_shard_that_is_let_go_while_the_disk_takes_its_time_lets_nothing_leave(bench: Bench) -> None:
    """Whoever owns it next finds the nonce bound, and sends the same bytes, or takes it back: two would not know of each other."""
    journal, order, nonce = bench.trading.journal, await bench.buy(), await bench.nonce()
    assert isinstance(journal, SlowJournal)
    await bench.operator.ready(trio.current_time() + 5)
    journal.slow = trio.Event()
    operator = bench.operator
    async with trio.open_nursery() as nursery:

        async def submit() -> None:
            with pytest.raises(OrderNotSent, match="its shard is somebody else's by now"):
                await bench.trading.submit(order)

        nursery.start_soon(submit)
        await bench.until(lambda: operator.nonces.of(order.key) is not None, "bound")
        bench.trading.executor.close_journal(journal)
        journal.slow.set()
    assert [one.sent() for one in bench.nodes.values()] == [[]] * len(bench.nodes)
    assert (await bench.nonce(), await bench.pooled()) == (nonce, [])


def _sendings(bench: Bench, order: Any) -> int:
    binding = bench.operator.nonces.of(order.key)
    return 0 if binding is None else len(binding.sendings)
