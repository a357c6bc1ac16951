"""The whole engine on a real chain: an account, a Safe and a fleet copy a leader, and the books are what the chain says."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import trio

from tests.onchain.living import Living, open_living
from trio_copy.model.decisions import End
from trio_copy.model.fills import Side
from trio_copy.testing.anvil.leaders import Place

pytestmark = pytest.mark.anvil
LIMIT_S = 60


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path) as living:
            yield living


async def test_everybody_copies_at_both_venues_and_the_books_are_the_chains(living: Living) -> None:
    """Bought and sold within the slippage, from an account, a Safe and a fleet: balances to the unit, profit to the cent."""
    async with living.engine(living.plan("onchain")) as (recorder, _):
        for number, place in enumerate(Place, 1):
            await living.trade(place, Side.BUY, 100)
            await recorder.wait_copies(3 * number)
        for number, place in enumerate(Place, 4):
            await living.trade(place, Side.SELL, 40)
            await recorder.wait_copies(3 * number)
    assert {finished.outcome.end for finished in recorder.finished} <= {End.FILLED, End.PARTIAL}, recorder.finished
    assert len(recorder.copies) == len(set(recorder.copies)) == 18
    await living.expect_books_as_on_chain(recorder)
