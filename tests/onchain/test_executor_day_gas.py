"""Behind a real guard: gas counts on the disk before bytes leave, and a day's limit stops entries, exits last, cancellations never."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.onchain.deployed import Deployed, Market
from tests.onchain.faulting import KEY, LATE_S, PATIENCE_S, Bench, Wall, fund, open_bench
from tests.onchain.guarded import Guarded, open_guarded
from tests.onchain.proxying import Exchange
from tests.onchain.test_executor_guarded import Lines, every_line_of
from tests.plugins.stores import in_place
from trio_copy.errors import OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.orders import Settlement, Status
from trio_copy.ports import InThread
from trio_copy.signing.gas import Gas, Nonce
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil


@pytest.fixture
def opened(venues: tuple[Node, Deployed], market: Market, tmp_path: Path) -> Callable[..., Any]:
    """Opens the executor behind a guard with a limit, over a disk that may be slow or full."""

    @asynccontextmanager
    async def open_it(in_thread: InThread = in_place) -> AsyncGenerator[tuple[Bench, Guarded], None]:
        wall = Wall()
        await fund(market, KEY.address)
        async with (
            open_guarded(tmp_path / "signing", market.deployed, wall, in_thread=in_thread) as signing,
            open_bench(venues, market, wall=wall, signing=signing) as bench,
        ):
            yield bench, signing

    return open_it


async def test_bytes_leave_once_the_disk_has_what_they_count(opened: Callable[..., Any], tmp_path: Path) -> None:
    """Nonce and gas of a purchase; so whoever comes after a kill knows both, and an order never counts twice for it."""

    async def slow(run: Callable[[], Any]) -> Any:
        await trio.sleep(0.2)
        return run()

    on_disk: list[Lines] = []

    async def look(exchange: Exchange) -> None:
        on_disk.append(every_line_of(tmp_path / "signing"))
        await exchange.say(await exchange.ask())

    async with opened(in_thread=slow) as (bench, signing):
        nonce = await bench.nonce()
        bench.rule(look)
        await bench.mining(False)
        await bench.leave(await bench.buy())
        bench.wall.ahead_s += PATIENCE_S + 1
        await bench.until(lambda: len(on_disk) == 2, "paid more")
        of_nonce = f"{KEY.address}/{nonce}"
        assert [[line[6] for line in lines] for lines in on_disk] == [["", *[of_nonce] * 2], ["", *[of_nonce] * 3]]
        first, dearer = (lines[-1][5] for lines in on_disk)
        assert dearer == max(what.gas * what.max_fee for what, _ in signing.signed) > first


async def test_what_cannot_be_counted_does_not_leave_and_its_nonce_is_free(opened: Callable[..., Any]) -> None:
    """What is at a node already goes on, and is cancelled when it is late, whatever became of the disk."""
    full = False

    async def failing(run: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        if full:
            raise OSError(28, "No space left on device")
        return run()

    async with opened(in_thread=failing) as (bench, signing):
        await bench.mining(False)
        nonce, shares = await bench.nonce(), await bench.shares()
        await bench.leave(await bench.buy(key="ab"))
        second = await bench.buy(key="cd")

        def fill_the_disk() -> None:
            nonlocal full
            full = True

        signing.on_release = fill_the_disk
        with pytest.raises(OrderNotSent, match="No space left"):
            await bench.trading.submit(second)
        assert len(bench.nodes["node"].sent()) == 1
        assert bench.operator.nonces.of(second.key) is None
        bench.wall.ahead_s += LATE_S + 1
        await bench.until(lambda: cancelled(bench), "cancelled")
        await bench.mine()
        assert await bench.nonce() == nonce + 1
        assert await bench.shares() == shares


async def test_a_disk_that_never_answers_keeps_nothing_from_being_cancelled(opened: Callable[..., Any]) -> None:
    """Nor from being looked after: what cannot be counted in time does not leave, and the next look goes on."""
    hung: trio.Event | None = None
    hangs = trio.Event()

    async def hanging(run: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        if hung is not None:
            hangs.set()
            await hung.wait()
        return run()

    async with opened(in_thread=hanging) as (bench, _):
        await bench.mining(False)
        await bench.leave(await bench.buy())
        hung = trio.Event()
        with trio.fail_after(5):
            await hangs.wait()
        await trio.sleep(1.5)  # the guard reads every second what other processes have written
        bench.wall.ahead_s += LATE_S + 1
        try:
            await bench.until(lambda: cancelled(bench), "cancelled")
        finally:
            hung.set()


async def test_a_day_without_room_for_gas_lets_exits_and_cancellations_go_on(opened: Callable[..., Any]) -> None:
    """Entries are refused with the limit's name, and nothing of them is bound."""
    async with opened() as (bench, signing):
        bought = await bench.trading.submit(await bench.buy(key="ab"))
        await bench.mining(False)
        await bench.leave(await bench.buy(key="cd"))
        guard = signing.signer.guard
        elsewhere = Nonce(KEY.address, 1_000_000)
        guard.gas.count(
            Gas(maker=KEY.address, nonce=elsewhere, wei=guard.policy.max_day_gas.wei, is_exit=False, at=bench.wall())
        )
        refused = await bench.buy(key="ef")
        with pytest.raises(OrderNotSent) as raised:
            await bench.trading.submit(refused)
        reason = raised.value.reason
        assert reason is not None
        assert reason.control == "wallet.main.policy.max_day_gas"
        assert "`trio-copy arm main`" in reason.limit
        assert bench.operator.binding(refused.key) is None
        bench.wall.ahead_s += LATE_S + 1
        await bench.until(lambda: cancelled(bench), "cancelled")
        sale = await bench.trading.prepared(bench.token, Side.SELL, str(bought.shares), key="01", limit="0.01")
        await bench.leave(sale)
        await bench.mine()
        await bench.found(sale, settlement=Settlement.MINED)
        assert (await bench.firm(sale)).status in (Status.FILLED, Status.PARTIAL)


async def cancelled(bench: Bench) -> bool:
    return any(one["to"] == KEY.address and one["input"] == "0x" for one in await bench.pooled())
