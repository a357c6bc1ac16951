"""The gate and the lanes as `verify` tries them: the first counts, also for the next owner, and no room is no loss."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW, make_signal, make_task
from tests.engine.rig import on_memory
from trio_copy.clock import wall_clock_from
from trio_copy.engine.owning.trial import EXECUTOR, open_trial
from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import Code, End
from trio_copy.ports import StoreContext

Clock = trio.testing.MockClock


def offered(number: int) -> tuple[Any, list[Any]]:
    """A signal in a block of its own, and alice's task of it."""
    signal = make_signal(number, block_number=number)
    return signal, [evolve(make_task(signal), executor=EXECUTOR, deadline=NOW + 1000)]


async def test_the_first_counts_until_it_is_forgotten(clock: Clock) -> None:
    """Known to who met it and to the owner after him, and new once the gate has forgotten it."""
    wall = wall_clock_from(NOW)
    async with on_memory()(StoreContext(settings=None, wall=wall)) as store:
        async with open_trial(store, owner="one", wall=wall, capacity=10, ttl_s=60.0) as trial:
            assert await trial.offer(*offered(1)) == []
            assert await trial.offer(*offered(1)) is None
            assert trial.waiting == 1
        async with open_trial(store, owner="two", wall=wall, capacity=10, ttl_s=60.0) as trial:
            assert trial.waiting == 0
            await trio.sleep(59)
            assert await trial.offer(*offered(1)) is None
            await trio.sleep(2)
            assert await trial.offer(*offered(1)) == []


async def test_what_finds_no_room_is_shed_with_a_reason(clock: Clock) -> None:
    """What was kept waits until somebody clears it away; the next owner finds nothing of it."""
    wall = wall_clock_from(NOW)
    async with on_memory()(StoreContext(settings=None, wall=wall)) as store:
        async with open_trial(store, owner="one", wall=wall, capacity=3, ttl_s=60.0) as trial:
            shed = [one for number in range(5) for one in await trial.offer(*offered(number)) or ()]
            assert [(one.task.signal.block_number, one.outcome.end) for one in shed] == [(3, End.SHED), (4, End.SHED)]
            assert {one.outcome.reason and one.outcome.reason.code for one in shed} == {Code.QUEUE_FULL}
            assert trial.waiting == 3
            await trial.clear()
            assert trial.waiting == 0
        async with open_trial(store, owner="two", wall=wall, capacity=3, ttl_s=60.0) as trial:
            assert trial.waiting == 0


async def test_a_store_with_an_owner_is_left_alone(clock: Clock) -> None:
    """Two at once would be two writers."""
    wall = wall_clock_from(NOW)
    async with (
        on_memory()(StoreContext(settings=None, wall=wall)) as store,
        open_trial(store, owner="one", wall=wall, capacity=3, ttl_s=60.0),
    ):
        with pytest.raises(LeaseLost, match="somebody else owns"):
            async with open_trial(store, owner="two", wall=wall, capacity=3, ttl_s=60.0):
                pass
