"""The memory store: its data can outlive it, fall back, and do not grow for ever."""

import pytest
import trio.testing

from tests.builders import NOW
from trio_copy.clock import wall_clock_from
from trio_copy.errors import StoreForgot
from trio_copy.model.control import Mode
from trio_copy.model.facts import Amounts, FactQuery
from trio_copy.ports import Changes, StoreContext
from trio_copy.testing.conformance.terms import ALICE, checkpoint, document, fact
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData

ONE: Amounts = (1, 0, 0, 0, 0, 0)


def context(facts_max: int = 1000) -> StoreContext:
    return StoreContext(settings=MemorySettings(facts_max=facts_max), wall=wall_clock_from(NOW))


async def test_another_store_goes_on_with_its_data(clock: trio.testing.MockClock) -> None:
    """As after a crash: what was written is there, and the writes are counted on."""
    data = MemoryData()
    async with open_memory_store(context(), data) as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(puts=[document("1", kind="order")]), checkpoint(5))
    async with open_memory_store(context(), data) as store:
        await store.accounts.write(0, 1, 2, Changes(puts=[document("2", kind="order")]))
        heads = await store.accounts.take(0, 2)
        assert (heads.checkpoint, [one.name for one in heads.documents]) == (checkpoint(5), ["1", "2"])


async def test_whoever_works_on_data_that_fell_back_is_told(clock: trio.testing.MockClock) -> None:
    """A living owner's next write fails, instead of building on what is not there; a new owner begins with what is."""
    data = MemoryData()
    async with open_memory_store(context(), data) as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(puts=[document("1")]))
        earlier = data.copy()
        await store.accounts.write(0, 1, 2, Changes(puts=[document("1", "changed")], facts=[fact("f")]))
        await store.control.set_mode(Mode.HALT_ALL, "lost")
        data.fall_back(earlier)
        with pytest.raises(StoreForgot, match="expected write 2 of token 1, was 3"):
            await store.accounts.write(0, 1, 3, Changes(puts=[document("2")]))
        assert list((await store.accounts.load(0, 1, [ALICE]))[ALICE]) == [document("1")]
        assert list(await store.history.facts(FactQuery(kinds=["filled"]))) == []
        assert (await store.control.modes()).version == 0
        await store.accounts.write(0, 1, 2, Changes(puts=[document("1", "again")]))
    assert [one.body for one in earlier.documents()] == [b"{}"]


async def test_facts_are_bounded_and_documents_are_not(clock: trio.testing.MockClock) -> None:
    """What was told longest ago is let go first; told again, a fact is the newest. Sums stay what they were."""
    async with open_memory_store(context(facts_max=3)) as store:
        await store.accounts.take(0, 1)
        for number in range(1, 6):
            changes = Changes(puts=[document(str(number))], facts=[fact(str(number), amounts=ONE), fact("again")])
            await store.accounts.write(0, 1, number, changes)
        assert {one.key for one in await store.history.facts(FactQuery(kinds=["filled"]))} == {"4", "5", "again"}
        assert await store.history.sums(FactQuery(kinds=["filled"]), ()) == {(): (5, 0, 0, 0, 0, 0)}
        assert len(await store.history.documents("position")) == 5
