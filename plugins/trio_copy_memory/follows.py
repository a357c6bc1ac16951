"""The follow book's truth, with what changed since a version."""

from collections.abc import Sequence
from itertools import takewhile

import trio
from attrs import define, evolve

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.ports import FollowChange
from trio_copy_memory.data import MemoryData


@define(eq=False)
class MemoryFollows:
    data: MemoryData

    async def load(self) -> tuple[int, tuple[Follow, ...]]:
        return self.data.version, tuple(self.data.follows.values())

    async def put(self, follows: Sequence[Follow]) -> int:
        for follow in follows:
            held = self.data.follows.get(follow.key)
            if held is None or (held.own, held.source) != (follow.own, follow.source):
                self.data.follows[follow.key] = self._note(follow, removed=False)
        return self.data.version

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        for key in keys:
            follow = self.data.follows.pop(key, None)
            if follow is not None:
                self._note(follow, removed=True)
        return self.data.version

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        await trio.lowlevel.checkpoint()
        while self.data.version <= since:
            await self.data.follows_changed.wait()
        newest_first = takewhile(lambda change: change.version > since, reversed(self.data.changes.values()))
        return tuple(newest_first)[::-1]

    def _note(self, follow: Follow, *, removed: bool) -> Follow:
        self.data.version += 1
        noted = evolve(follow, version=self.data.version)
        self.data.changes.pop(follow.key, None)
        self.data.changes[follow.key] = FollowChange(version=noted.version, follow=noted, removed=removed)
        self.data.follows_changed.wake()
        return noted
