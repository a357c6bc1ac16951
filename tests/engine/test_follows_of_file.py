"""The follows of the file, and those of commands, in one store."""

import gc
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define, evolve

from tests.builders import OTHER_LEADER
from tests.harness import make_test_plan
from trio_copy.config.settings import FollowTable
from trio_copy.engine.follows_of_file import put_follows_of_file
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy.ports import Store
from trio_copy_memory.data import MemoryData
from trio_copy_memory.follows import MemoryFollows

SETTINGS = make_test_plan().settings
OF_THE_FILE = SETTINGS.follows()
OF_A_COMMAND = Follow(follower=FollowerId("alice"), leader=OTHER_LEADER)
OF_AN_EARLIER_FILE = Follow(follower=FollowerId("bob"), leader=OTHER_LEADER, source="file")


@define(eq=False)
class _Counting(MemoryFollows):
    loads: int = 0

    async def load(self) -> tuple[int, tuple[Follow, ...]]:
        self.loads += 1
        return await super().load()


@pytest.mark.parametrize(
    ("earlier", "loads"),
    [
        ([], 2),
        ([OF_A_COMMAND], 2),
        ([*OF_THE_FILE, OF_AN_EARLIER_FILE], 2),
        (OF_THE_FILE, 1),
        ([*OF_THE_FILE, OF_A_COMMAND], 1),
    ],
)
async def test_what_has_not_changed_is_read_once(earlier: Sequence[Follow], loads: int) -> None:
    """What is returned is what the store holds then; a large book is not read a second time for nothing."""
    follows: Any = _Counting(MemoryData())
    await follows.put(earlier)

    version, held = await put_follows_of_file(cast("Store", SimpleNamespace(follows=follows)), SETTINGS)

    keys = {follow.key for follow in (*OF_THE_FILE, *earlier) if follow is not OF_AN_EARLIER_FILE}
    assert {follow.key for follow in held} == keys
    assert follows.loads == loads
    assert (version, tuple(held)) == await follows.load()


async def test_what_the_collector_looks_through_does_not_grow_with_the_file() -> None:
    """It goes over all of it in one go: a tenth of a second for a million follows, in which nobody has a turn."""
    tables = tuple(FollowTable(follower=FollowerId(f"user-{one}"), leader=OTHER_LEADER) for one in range(5_000))
    for table in tables:
        table.note_given({"follower": table.follower, "leader": table.leader})
    seen = list[int]()

    class Looking(MemoryFollows):
        async def load(self) -> tuple[int, tuple[Follow, ...]]:
            gc.collect()
            seen.append(len(gc.get_objects()))
            return await super().load()

    store = cast("Store", SimpleNamespace(follows=Looking(MemoryData())))
    for settings in (evolve(SETTINGS, follow=tables[:10]), evolve(SETTINGS, follow=tables)):
        await put_follows_of_file(store, settings)
    assert abs(seen[-2] - seen[0]) < 1000, seen


async def test_follows_are_put_in_the_order_of_the_file() -> None:
    """Whatever is kept of them meanwhile: two runs of one file give them the same versions."""
    tables = [FollowTable(follower=FollowerId(f"user-{one}"), leader=OTHER_LEADER) for one in range(2_500)]
    data = MemoryData()
    store = cast("Store", SimpleNamespace(follows=MemoryFollows(data)))
    await put_follows_of_file(store, evolve(SETTINGS, follow=tuple(tables)))
    assert [one.follower for one in data.follows.values()] == [one.follower for one in tables]
    await put_follows_of_file(store, evolve(SETTINGS, follow=()))
    assert not data.follows
