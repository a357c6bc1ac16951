"""The follows of the file, and those of commands, in one store."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define

from tests.builders import OTHER_LEADER
from tests.harness import make_test_plan
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
