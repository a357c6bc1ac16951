"""What proofs on a living chain stand on: both venues, real logs, wallets of all kinds, reorgs that are told and that are not."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import trio

from tests.onchain.apart import LIMIT_S, open_apart, write_conf
from tests.onchain.living import CASH_MICRO, Holding, Living, open_living
from trio_copy.model.fills import Side
from trio_copy.testing.anvil.leaders import Place

pytestmark = pytest.mark.anvil


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path) as living:
            yield living


async def test_a_leader_at_both_venues_is_copied_by_everybody(living: Living) -> None:
    """His trades, and nobody else's; what is copied on paper moves nothing on the chain."""
    async with living.engine(living.plan()) as (recorder, _):
        await living.trade(Place.YES, Side.BUY, 10, by=living.stranger)
        for number, place in enumerate(Place, 1):
            await living.trade(place, Side.BUY, 100)
            await recorder.wait_copies(3 * number)
        for number, place in enumerate(Place, 4):
            await living.trade(place, Side.SELL, 40)
            await recorder.wait_copies(3 * number)
    assert [(living_place(living, one.token_id), one.side) for one in recorder.admitted] == [
        (place, side) for side in (Side.BUY, Side.SELL) for place in Place
    ]
    assert len(recorder.copies) == len(set(recorder.copies)) == 18
    for name, person in living.people.items():
        assert await living.holding(person.wallet) == living.began[name] == Holding(CASH_MICRO, dict.fromkeys(Place, 0))
        booked = living.booked(name, [recorder])
        assert booked.cash < 0 < min(booked.shares.values())
    with pytest.raises(AssertionError):
        await living.expect_books_as_on_chain(recorder)


def living_place(living: Living, token: int) -> Place:
    return next(place for place, one in living.tokens.items() if one == token)


async def test_another_engine_goes_on_with_the_same_books(living: Living) -> None:
    """What happened between two engines is copied by the second one, and what the first one copied is not."""
    plan = living.plan(store=living.books)
    async with living.engine(plan) as (first, _):
        await living.trade(Place.YES, Side.BUY, 100)
        await first.wait_copies(3)
    await living.trade(Place.POOL, Side.BUY, 100)
    async with living.engine(plan) as (second, _):
        await second.wait_copies(3)
    assert [one.token_id for one in second.admitted] == [living.tokens[Place.POOL]]
    assert len({*first.copies, *second.copies}) == 6


async def test_a_reorg_of_the_leaders_fill_is_told(living: Living) -> None:
    """By the node itself, as removed: it is retracted; the same bytes, mined again, are not copied again."""
    chain = living.stage.chain
    async with living.engine(living.plan()) as (recorder, _):
        raw = await living.sign(Place.POOL, Side.BUY, 100)
        await chain.send_raw(raw)
        await chain.ask("evm_mine")
        await recorder.wait_copies(3)
        assert await living.door.reorg(2) == 1
        await recorder.wait_until(lambda: len(recorder.retracted) == 1)
        await chain.send_raw(raw)
        await recorder.wait_until(lambda: "adopted" in recorder.admissions)
        await living.trade(Place.NO, Side.BUY, 50)
        await recorder.wait_copies(6)
    assert len(recorder.admitted) == 2


@pytest.mark.parametrize("executor", ["dry-run", "onchain"])
async def test_an_engine_that_is_killed_goes_on_where_it_was(living: Living, executor: str) -> None:
    """A process of its own, from a file: what was traded while nobody lived is copied by the next one, and nothing twice."""
    conf = write_conf(living, executor)
    async with open_apart(conf) as first:
        await first.wait_step("armed")
        await living.trade(Place.YES, Side.BUY, 100)
        await first.wait_copies(3)
        await first.kill()
    await living.trade(Place.POOL, Side.BUY, 100)
    async with open_apart(conf) as second:
        await second.wait_copies(3)
        assert await second.stop() == 0
    assert len({*first.copies, *second.copies}) == 6
    for name, person in living.people.items():
        has = await living.holding(person.wallet)
        bought = [place for place, shares in has.shares.items() if shares]
        assert bought == ([Place.YES, Place.POOL] if executor == "onchain" else []), name
