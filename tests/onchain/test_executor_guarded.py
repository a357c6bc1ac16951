"""Behind a real guard: what is stuck is made dearer on its nonce after a restart too, and counts as often as it has to, no more."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import KeptJournal
from tests.onchain.faulting import KEY, PATIENCE_S, Bench, Wall, fund, open_bench
from tests.onchain.guarded import Guarded, open_guarded
from trio_copy.model.orders import Order
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil
Lines = list[list[Any]]


def lines_of(folder: Path) -> Lines:
    """Return the lines of orders; those of gas are `test_executor_day_gas`'s."""
    return [line for line in every_line_of(folder) if line[2] != "gas"]


def every_line_of(folder: Path) -> Lines:
    return [json.loads(line) for path in sorted(folder.glob("signed-*")) for line in path.read_bytes().splitlines()]


def as_written(lines: Lines) -> Lines:
    return lines


def without_nonces(lines: Lines) -> Lines:
    """As a process leaves it that dies before it has written under which nonce it signed."""
    return [line for line in lines if not line[6]]


def by_an_earlier_version(lines: Lines) -> Lines:
    return [line[:6] for line in without_nonces(lines)]


def elsewhere(lines: Lines) -> Lines:
    """As another machine has it, which takes over."""
    return []


class Restarted:
    """An order that is stuck, its first process gone; what the next one finds in the guard's folder is up to the test."""

    def __init__(self, venues: tuple[Node, Deployed], market: Market, folder: Path) -> None:
        self.venues, self.market, self.folder = venues, market, folder
        self.wall, self.journal = Wall(), KeptJournal()

    @asynccontextmanager
    async def process(self, max_hour_usd: str = "250") -> AsyncGenerator[tuple[Bench, Guarded], None]:
        async with (
            open_guarded(self.folder, self.market.deployed, self.wall, max_hour_usd=max_hour_usd) as signing,
            open_bench(self.venues, self.market, journal=self.journal, wall=self.wall, signing=signing) as bench,
        ):
            yield bench, signing

    async def stuck(self, leaves: Callable[[Lines], Lines]) -> tuple[Order, int, int]:
        """Let an order leave, and its process end; returns it with the shares and the nonce of before."""
        await fund(self.market, KEY.address)
        async with self.process() as (bench, _):
            await bench.mining(False)
            shares, nonce = await bench.shares(), await bench.nonce()
            order = await bench.buy()
            await bench.leave(order)
        [path] = self.folder.glob("signed-*")
        path.write_text(
            "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in leaves(lines_of(self.folder)))
        )
        self.journal = self.journal.as_left()
        self.wall.ahead_s += PATIENCE_S + 1
        return order, shares, nonce


@pytest.fixture
def restarted(venues: tuple[Node, Deployed], market: Market, tmp_path: Path) -> Restarted:
    return Restarted(venues, market, tmp_path / "signing")


@pytest.mark.parametrize(
    ("leaves", "counted_more"), [(as_written, 0), (without_nonces, 1), (by_an_earlier_version, 1), (elsewhere, 1)]
)
async def test_after_a_restart_what_is_stuck_pays_more_on_its_nonce(
    restarted: Restarted, leaves: Callable[[Lines], Lines], counted_more: int
) -> None:
    """Counted once, where the guard has written under which nonce it signed; else once more, and no more than that."""
    order, shares, nonce = await restarted.stuck(leaves)
    counted = sum(not line[6:] or not line[6] for line in lines_of(restarted.folder))
    for more in (counted_more, 0):
        async with restarted.process() as (bench, signing):
            await bench.trading.find(order)
            await bench.until(lambda: signing.signed, "paid more")
            [(dearer, _)] = signing.signed
            assert dearer.nonce == nonce
            assert len(signing.released) == more
        counted += more
        assert [line[6:] for line in lines_of(restarted.folder)].count([f"{KEY.address}/{nonce}"]) == 1
        assert sum(line[6:] != [f"{KEY.address}/{nonce}"] for line in lines_of(restarted.folder)) == counted
        restarted.journal = restarted.journal.as_left()
        restarted.wall.ahead_s += PATIENCE_S + 1
    async with restarted.process() as (bench, _):
        await bench.bought_once(order, shares, nonce)
    assert len(await sent_hashes(restarted, nonce)) == 1


async def sent_hashes(restarted: Restarted, nonce: int) -> list[str]:
    """Return what the chain has of a nonce of the wallet."""
    head = int(await restarted.market.ask("eth_blockNumber"), 16)
    blocks = [await restarted.market.ask("eth_getBlockByNumber", hex(one), True) for one in range(head + 1)]
    return [
        one["hash"]
        for block in blocks
        for one in block["transactions"]
        if (one["from"], int(one["nonce"], 16)) == (KEY.address, nonce)
    ]


async def test_what_the_limits_do_not_allow_to_count_once_more_stays_as_it_is(restarted: Restarted) -> None:
    """The same bytes go out again, nothing is counted, and a person is told."""
    order, shares, nonce = await restarted.stuck(by_an_earlier_version)
    async with restarted.process(max_hour_usd="30") as (bench, signing):
        await bench.trading.find(order)
        await bench.until(lambda: bench.nodes["node"].sent(), "sent again")
        assert not signing.signed
        assert not signing.released
        # On a busy machine a person may also hear of a look that took too long.
        [told] = [told for kind, told in bench.trading.troubles if kind == "sending-held-up"]
        assert "max_hour_usd" in told
        assert len(lines_of(restarted.folder)) == 1
        await bench.bought_once(order, shares, nonce)


async def test_a_guard_that_goes_on_refusing_is_asked_to_let_go_once_for_a_nonce(
    restarted: Restarted,
) -> None:
    """Whatever it does not know the next time: nothing counts with every block."""
    order, shares, nonce = await restarted.stuck(without_nonces)
    async with restarted.process() as (bench, signing):
        signing.forgets = True
        await bench.trading.find(order)
        for _ in range(3):
            sent = len(bench.nodes["node"].sent())
            await bench.until(lambda: len(bench.nodes["node"].sent()) > sent, "sent again")  # noqa: B023  called at once
        assert len(signing.released) == 1
        assert len(signing.refusals) > 3
        signing.forgets = False
        await bench.bought_once(order, shares, nonce)
