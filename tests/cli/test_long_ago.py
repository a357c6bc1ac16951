"""Bookings that the store has let go still count."""

import trio.testing

from trio_copy.cli.pnl import LONG_AGO, By, read_profits
from trio_copy.clock import wall_clock_from
from trio_copy.engine.books.books import earned_positions
from trio_copy.model.facts import FactQuery
from trio_copy.ports import StoreContext
from trio_copy.testing.conformance.terms import START, fact, write_facts
from trio_copy_memory import MemorySettings, open_memory_store


async def test_profits_do_not_change_when_bookings_go(autojump_clock: trio.testing.MockClock) -> None:
    """By follower, leader and day they are what they were; by token the old ones are one line."""
    facts = [fact(str(token), token_id=token, amounts=(1, 10, 20, 1, 9 + token, 0)) for token in range(1, 5)]
    told = {}
    for facts_max in (4, 1):
        context = StoreContext(settings=MemorySettings(facts_max=facts_max), wall=wall_clock_from(START), shards=1)
        async with open_memory_store(context) as store:
            await write_facts(store, *facts)
            ways: tuple[By, ...] = ("follower", "leader", "day", "token")
            told[facts_max] = {by: await read_profits(store, by) for by in ways}
            assert len(await earned_positions(store.history, FactQuery(kinds=()))) == facts_max
    for by in ("follower", "leader", "day"):
        assert told[1][by] == told[4][by]
    assert [(row.name, row.trades) for row in told[4]["token"]] == [(str(token), 1) for token in range(1, 5)]
    assert [(row.name, row.trades) for row in told[1]["token"]] == [(LONG_AGO, 3), ("4", 1)]
    assert sum(row.realised.micro for row in told[1]["token"]) == sum(row.realised.micro for row in told[4]["token"])
