"""A position of so many lots that most of them are written apart goes through the engine, and from one owner to the next."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import trio.testing

from tests.engine.rig import OpenStore, Rig, buy, on_memory, on_sqlite, open_rig, sell
from trio_copy.accounts.holdings import BUNDLE
from trio_copy.engine.books.books import positions
from trio_copy.model.decisions import CopyTask, End
from trio_copy.model.positions import Position
from trio_copy.model.units import Shares

Clock = trio.testing.MockClock
MANY = 4 * BUNDLE


async def copied(rig: Rig, tasks: Iterable[CopyTask]) -> Position:
    """Copy one after the other, each of ten shares; return what is held then."""
    for task in tasks:
        assert await rig.end_of(task) == [(End.FILLED, None)]
    return rig.position(task)


@pytest.mark.parametrize("on", [lambda _: on_memory(), on_sqlite], ids=["memory", "sqlite"])
async def test_what_one_owner_bought_the_next_ones_sell(
    clock: Clock, tmp_path: Path, on: Callable[[Path], OpenStore]
) -> None:
    """Each of them ends in a crash, and the next one finds every lot; what people read is the same; at the end nothing is left."""
    store = on(tmp_path)
    async with open_rig(open_store=store) as rig:
        bought = await copied(rig, map(buy, range(MANY)))
        assert len(bought.lots) == MANY
        assert len(await rig.store.history.documents("position")) == 1 + MANY // BUNDLE - 1
    async with open_rig(open_store=store) as rig:
        assert list((await positions(rig.store.history)).values()) == [bought]
        left = await copied(rig, map(sell, range(MANY, MANY + 20)))
        assert left.lots == bought.lots[20:]
        assert left.shares == Shares.parse(10 * (MANY - 20))
    async with open_rig(open_store=store) as rig:
        assert list((await positions(rig.store.history)).values()) == [left]
        last = await copied(rig, map(sell, range(MANY + 20, 2 * MANY)))
        assert not last.lots
        assert await rig.store.history.documents("position") == []
