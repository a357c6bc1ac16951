"""Blocks are taken back, or the node is, while everybody copies: what was copied happens once, and the books are the chain's."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
import trio

from tests.onchain.living import Living, open_living, open_mortal, reached
from tests.onchain.proving import mine, mined, mining, sent, trade_in_a_block, until, wait_idle, wait_waiting
from trio_copy.engine.service import Service
from trio_copy.model.fills import Side
from trio_copy.testing.anvil.leaders import Place

pytestmark = pytest.mark.anvil
LIMIT_S = 60
FINAL_BLOCKS = 70


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path) as living:
            yield living


async def settle(living: Living, service: Service) -> None:
    """Let everything be final, and wait until the books know."""
    await mine(living, FINAL_BLOCKS)

    async def settled() -> bool:
        await trio.lowlevel.checkpoint()
        return not service.reconciler.settling and not service.reconciler.unknown

    await until(settled, "settled")
    await wait_idle(service)


async def mine_copies(living: Living) -> list[tuple[str, str]]:
    """Let a block take all three copies: none of it is final, and neither is the one before. Returns hashes and bytes."""
    await wait_waiting(living, 3)
    await mine(living)
    copies = await mined(living, 1)
    assert len(copies) == 3
    return copies


async def expect_mined(living: Living, copies: Sequence[tuple[str, str]]) -> None:
    """Expect the very same transactions on the chain as it is now."""
    for tx_hash, _ in copies:
        assert await living.stage.chain.ask("eth_getTransactionReceipt", tx_hash) is not None


@pytest.mark.parametrize("keeps", [True, False], ids=["copies stay mined", "copies go out again"])
async def test_copies_stay_where_the_leaders_fill_is_taken_back(living: Living, keeps: bool) -> None:
    """It is told, and copied no second time; what was bought is on the chain, by the same bytes, and in the books."""
    async with living.engine(living.plan("onchain")) as (recorder, service):
        await trade_in_a_block(living, Place.YES, Side.BUY, 100)
        copies = await mine_copies(living)
        await recorder.wait_copies(3)
        assert await living.door.reorg(2, [(raw, 0) for _, raw in copies] if keeps else []) == 1
        await mining(living, True)
        await recorder.wait_until(lambda: len(recorder.retracted) == 1)

        async def there() -> bool:
            return await living.who_has(Place.YES) == list(living.people)

        await until(there, "bought again")
        await settle(living, service)
        await expect_mined(living, copies)
        assert len(set(recorder.copies)) == 3
        await living.expect_books_as_on_chain(recorder)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["as before", "at another price"])
async def test_copies_that_are_taken_back_go_out_again(living: Living, elsewhere: bool) -> None:
    """The same bytes; the books have what came of them in the end."""
    before = {name: await sent(living, name) for name in living.people}
    async with living.engine(living.plan("onchain")) as (recorder, service):
        await trade_in_a_block(living, Place.YES, Side.BUY, 100)
        copies = await mine_copies(living)
        await recorder.wait_copies(3)
        await living.door.reorg(1)
        await mining(living, True)
        if elsewhere:
            await living.trade(Place.NO, Side.BUY, 10, by=living.stranger)

        async def there() -> bool:
            return await living.who_has(Place.YES) == list(living.people)

        await until(there, "bought again")
        await settle(living, service)
        counts = {name: await sent(living, name) - before[name] for name in living.people}
        assert counts == dict.fromkeys(living.people, 1)
        await expect_mined(living, copies)
        assert recorder.retracted == []
        await living.expect_books_as_on_chain(recorder)


@pytest.mark.parametrize("keeps", [True, False], ids=["its chain kept", "its newest blocks lost"])
async def test_a_node_that_dies_under_copies_comes_back(tmp_path: Path, keeps: bool) -> None:
    """What waited in its pool goes to it again with the same nonce; so does what was mined in blocks that nobody has any more."""
    with trio.fail_after(LIMIT_S):
        async with open_mortal(tmp_path) as living, living.engine(living.plan("onchain")) as (recorder, service):
            node = living.stage.node
            async with reached(living):
                before = {name: await sent(living, name) for name in living.people}
                await trade_in_a_block(living, Place.POOL, Side.BUY, 100)
                await wait_waiting(living, 3)
                if not keeps:
                    await mine(living)
                    await recorder.wait_copies(3)
            await (node.stop() if keeps else node.kill())
            await node.start()
            async with reached(living):
                # Of blocks from before its start it knows no state: it tells what is final once there are others.
                await mine(living, 4)

                async def there() -> bool:
                    return await living.who_has(Place.POOL) == list(living.people)

                await until(there, "bought")
                await recorder.wait_copies(3)
                await settle(living, service)
                counts = {name: await sent(living, name) - before[name] for name in living.people}
                assert counts == dict.fromkeys(living.people, 1)
                await living.expect_books_as_on_chain(recorder)
