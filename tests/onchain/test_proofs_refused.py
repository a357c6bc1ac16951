"""What is refused before it leaves, in a whole engine: nothing is spent on it, no nonce used, and a person reads why."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import trio

from tests.onchain.living import Kind, Living, open_living
from tests.onchain.proving import mine, mining, sent, until
from trio_copy.model.decisions import End
from trio_copy.model.fills import Side
from trio_copy.testing.anvil.leaders import Place

pytestmark = pytest.mark.anvil
LIMIT_S = 60
COIN = 10**18


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path) as living:
            yield living


@pytest.mark.parametrize("place", [Place.YES, Place.POOL])
async def test_where_a_stranger_moved_the_price_nothing_is_bought(living: Living, place: Place) -> None:
    """Both trade in one block, the stranger after the leader: the copies would cost more than the slippage allows."""
    before = {name: await sent(living, name) for name in living.people}
    async with living.engine(living.plan("onchain")) as (recorder, _):
        await mining(living, False)
        chain = living.stage.chain
        await chain.ask("eth_sendRawTransaction", await living.sign(place, Side.BUY, 100))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(living.trade, place, Side.BUY, 50_000, living.stranger)

            async def both() -> bool:
                return len((await chain.ask("txpool_content"))["pending"]) == 2

            await until(both, "both trades in the pool")
            await mine(living)
        await mining(living, True)
        await recorder.wait_until(lambda: len(recorder.finished) == 3)
    for one in recorder.finished:
        assert one.outcome.end is End.KILLED, one.outcome
        assert one.outcome.reason is not None
        assert one.outcome.reason.value in ("minimum buy amount not reached", "SPL")
    assert {name: await sent(living, name) for name in living.people} == before
    assert await living.who_has(place) == []
    await living.expect_books_as_on_chain(recorder)


async def test_a_fleet_goes_on_without_the_operator_that_has_no_gas(tmp_path: Path) -> None:
    """A person is told; the other one carries all that there is, and with coin both do."""
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path, {"carol": Kind.FLEET}) as living:
            chain = living.stage.chain
            poor, rich = (key.address for key in living.people["carol"].keys)

            async def nonces() -> list[int]:
                return [int(await chain.ask("eth_getTransactionCount", one, "latest"), 16) for one in (poor, rich)]

            await chain.ask("anvil_setBalance", poor, hex(10**9))
            before = await nonces()
            async with living.engine(living.plan("onchain")) as (recorder, _):
                for number, place in enumerate(Place, 1):
                    await living.trade(place, Side.BUY, 100)
                    await recorder.wait_copies(number)
                assert "no-gas-money" in [kind for kind, _ in recorder.alerts]
                assert [now - then for now, then in zip(await nonces(), before, strict=True)] == [0, 3]
            await chain.ask("anvil_setBalance", poor, hex(10 * COIN))
            async with living.engine(living.plan("onchain")) as (again, _):
                for number, place in enumerate(Place, 1):
                    await living.trade(place, Side.BUY, 100)
                    await again.wait_copies(number)
                assert (await nonces())[0] > before[0]
            await living.expect_books_as_on_chain(recorder, again)
