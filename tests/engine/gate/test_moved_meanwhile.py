"""An owner buys and is gone, and a reorg comes while nobody looks: the next one knows what was bought, wherever it stands now."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import hash_of
from tests.engine.gate.fed import FOLLOWERS, bought, comes_back, gate_at, pause_shard, take_shard
from tests.engine.rig import on_memory, open_rig
from trio_copy.chain.feed import SCAN, Joined, Sealed
from trio_copy.engine.shards.tidying import tidy
from trio_copy.testing.devnet import DevChain, DevTx

Clock = trio.testing.MockClock


async def bought_and_gone(
    store: Any, *, passed: bool = False, taken_back: bool = False
) -> tuple[DevChain, DevTx, DevTx]:
    """Let an owner buy a trade, and be gone; returns the chain with it at its head, the trade, and one that was not mined.

    His checkpoint has `passed` its block, or lies below it; and he may have seen that it was `taken_back`.
    """
    async with open_rig(open_store=store) as rig, gate_at(rig) as feed:
        chain, trade, other = feed.chain, feed.buy(), feed.buy()
        await feed.arm(0)
        await feed.mine()
        chain.mine(trade)
        await feed.bring(*chain.head.logs)
        if passed:
            await feed.tell(Sealed(chain.head.ref))
        await trio.sleep(5)
        assert len(rig.executor.sent) == 3
        if taken_back:
            await feed.reorg()
    return chain, trade, other


def moved(trade: DevTx, number: int = 0) -> DevTx:
    return evolve(trade, tx_hash=hash_of(999 + number))


@pytest.mark.parametrize("passed", [False, True], ids=["the checkpoint below it", "the checkpoint at it"])
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
async def test_what_was_moved_is_not_bought_again(clock: Clock, *, passed: bool, twice: bool) -> None:
    """Mined in another transaction it is the same trade; one more of it is one more."""
    store = on_memory()
    chain, trade, _ = await bought_and_gone(store, passed=passed)
    chain.reorg(1, [[moved(trade, number) for number in range(1 + twice)]])
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        await feed.arm(0)
        await feed.read(1)
        await feed.read(1, source=SCAN)
        await trio.sleep(10)
        assert bought(rig) == sorted(FOLLOWERS) * twice


@pytest.mark.parametrize("passed", [False, True], ids=["the checkpoint below it", "the checkpoint at it"])
async def test_what_was_moved_to_another_block_can_be_taken_back_from_there(clock: Clock, *, passed: bool) -> None:
    """Where it stood before is no place in which it lives on."""
    store = on_memory()
    chain, trade, _ = await bought_and_gone(store, passed=passed)
    chain.reorg(1, [[], [trade]])
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        await feed.arm(0)
        await feed.read(1, source=SCAN)
        await feed.reorg()
        assert rig.recorder.retractions == [(0, 0)]
        await comes_back(feed, trade, other_tx=True)
        await trio.sleep(10)
        assert rig.executor.sent == []


@pytest.mark.parametrize("taken_back", [False, True], ids=["while nobody looked", "before its owner was gone"])
async def test_what_comes_back_long_after_is_not_bought_again(clock: Clock, *, taken_back: bool) -> None:
    """The next owner's checkpoint has passed its block without it, and only the accounts know that it was bought."""
    store = on_memory()
    chain, trade, other = await bought_and_gone(store, taken_back=taken_back)
    if not taken_back:
        chain.reorg(1, [[]])
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        await feed.arm(0)
        await feed.read(1, source=SCAN)
        await feed.mine(other)  # so that the accounts are at hand
        for _ in range(5):
            await feed.mine()
        await trio.sleep(15)
        tidy(rig.shard)
        await feed.mine(trade)
        await trio.sleep(10)
        assert len(rig.executor.sent) == 3


async def test_who_was_warm_and_never_heard_of_it_does_not_buy_it_again(clock: Clock) -> None:
    """Only the owner before had seen the block that a reorg replaced: what it held is known by what he wrote down."""
    store = on_memory()
    chain, trade, _ = await bought_and_gone(store)
    chain.reorg(1, [[moved(trade)]])
    async with open_rig(open_store=store) as rig, gate_at(rig, chain, warm=True) as feed:
        await feed.arm(0)
        await pause_shard(rig)
        await feed.read(1, source=SCAN)
        await take_shard(rig)
        assert feed.gate.can_tell([0])
        await feed.tell(Joined(frozenset([0])))
        await trio.sleep(10)
        assert bought(rig) == []


async def test_what_is_where_it_was_is_no_trade_that_was_moved(clock: Clock) -> None:
    """The next owner hears of its like in a later block first: both are there, and both are bought."""
    store = on_memory()
    chain, trade, _ = await bought_and_gone(store, passed=True)
    chain.mine(moved(trade))
    async with open_rig(open_store=store) as rig, gate_at(rig, chain) as feed:
        await feed.arm(0)
        await feed.bring(*chain.head.logs)
        assert bought(rig) == []
        await feed.read(1, source=SCAN)
        await trio.sleep(10)
        assert bought(rig) == sorted(FOLLOWERS)
