"""Fees are fresh, asked for once for all who wait, and kept for a while when nodes are away."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from tests.builders import POLYGON
from tests.onchain.scripted_chain import ScriptedChain
from trio_copy.errors import ChainError, ConnectionLost
from trio_copy.model.ids import ChainId
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.tx.fees import GWEI, Fees

Clock = trio.testing.MockClock


class _Prices:
    """A chain whose base fee a test sets."""

    def __init__(self) -> None:
        self.gwei = 100
        self.chain = ScriptedChain(names=("node-1",))
        self.chain.instead["node-1", "eth_feeHistory"] = self._history
        self.clock = FeeClock(chain=self.chain.asked, percentile=50.0, cap=500 * GWEI)

    def _history(self, params: Sequence[object]) -> object:
        return {"baseFeePerGas": [hex(self.gwei * GWEI)] * 2, "reward": [[hex(30 * GWEI)]]}

    @property
    def questions(self) -> int:
        return self.chain.questions("eth_feeHistory")

    async def now(self) -> Fees | None:
        return await self.clock.now(trio.current_time() + 5.0)


def _fees(base: int) -> Fees:
    return Fees(tip=30 * GWEI, max_fee=(2 * base + 30) * GWEI)


async def test_fees_are_asked_for_again_when_they_are_old(clock: Clock) -> None:
    prices = _Prices()
    assert await prices.now() == _fees(100)
    prices.gwei = 120
    await trio.sleep(1.9)
    assert await prices.now() == _fees(100)
    await trio.sleep(0.2)
    assert await prices.now() == _fees(120)
    assert prices.questions == 2


async def test_a_price_that_a_pool_refused_is_asked_for_again(clock: Clock) -> None:
    """At once, and once."""
    prices = _Prices()
    assert await prices.now() == _fees(100)
    prices.gwei = 200
    await trio.sleep(0.1)
    prices.clock.doubt()
    await trio.sleep(0.1)
    assert await prices.now() == await prices.now() == _fees(200)
    assert prices.questions == 2


async def test_all_who_wait_share_one_question(clock: Clock) -> None:
    """Also where the one who asked is cancelled: the next one asks, and all others wait for that."""
    prices = _Prices()
    prices.chain.nodes.latency_s = 1.0
    told: list[Fees | None] = []

    async def ask() -> None:
        told.append(await prices.now())

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            for _ in range(20):
                nursery.start_soon(ask)
            await prices.now()
    assert told == [_fees(100)] * 20
    assert prices.questions <= 2
    assert trio.current_time() - began <= 1.5


async def test_a_chain_without_nodes_is_bridged_for_a_while(clock: Clock) -> None:
    """Nobody waits for long where an older answer will do, nor is a dead node asked by everybody; then there are no fees."""
    prices = _Prices()
    await prices.now()
    prices.chain.nodes.latency_s = 60.0
    await trio.sleep(10)
    began = trio.current_time()
    for _ in range(10):
        assert await prices.now() == _fees(100)
    assert (trio.current_time() - began, prices.questions) == (1.0, 2)
    await trio.sleep(30)
    prices.chain.nodes.away, prices.chain.nodes.latency_s = True, 0.0
    with pytest.raises(ConnectionLost):
        await prices.now()
    prices.chain.nodes.away = False
    assert await prices.now() == _fees(100)


async def test_who_has_no_time_left_is_told_so(clock: Clock) -> None:
    prices = _Prices()
    prices.chain.nodes.latency_s = 3.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(prices.now)
        await trio.sleep(0.1)
        with pytest.raises(ChainError):
            await prices.clock.now(trio.current_time() + 1.0)
    assert await prices.now() == _fees(100)


async def test_nobody_pays_more_than_the_cap_nor_less_than_the_floor(clock: Clock) -> None:
    prices = _Prices()
    assert prices.clock.floor == 25 * GWEI
    assert FeeClock(chain=Chain(nodes=prices.chain.nodes, chain_id=ChainId(100)), percentile=1.0, cap=1).floor == 1
    prices.gwei = 480
    assert await prices.now() is None
    assert (await prices.clock.history(trio.current_time())).base_fee == 480 * GWEI
    assert prices.chain.asked.chain_id == POLYGON
