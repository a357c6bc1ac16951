"""The follow book's truth, with what changed since a version."""

from collections.abc import Sequence

import trio
from attrs import define, evolve, field

from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.ports import FollowChange


@define(eq=False)
class MemoryFollows:
    _version: int = 0
    _follows: dict[tuple[FollowerId, Address], Follow] = field(factory=dict)
    _changes: dict[tuple[FollowerId, Address], FollowChange] = field(factory=dict)
    """The last change of each follow, in the order of versions: enough for whoever is behind."""
    _changed: trio.Event = field(factory=trio.Event)

    async def load(self) -> tuple[int, tuple[Follow, ...]]:
        return self._version, tuple(self._follows.values())

    async def put(self, follows: Sequence[Follow]) -> int:
        for follow in follows:
            held = self._follows.get(follow.key)
            if held is None or (held.own, held.source) != (follow.own, follow.source):
                stored = evolve(follow, version=self._version + 1)
                self._follows[follow.key] = stored
                self._note(stored, removed=False)
        return self._version

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        for key in keys:
            follow = self._follows.pop(key, None)
            if follow is not None:
                self._note(evolve(follow, version=self._version + 1), removed=True)
        return self._version

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        await trio.lowlevel.checkpoint()
        while self._version <= since:
            await self._changed.wait()
        return tuple(change for change in self._changes.values() if change.version > since)

    def _note(self, follow: Follow, *, removed: bool) -> None:
        self._version += 1
        self._changes.pop(follow.key, None)
        self._changes[follow.key] = FollowChange(version=self._version, follow=follow, removed=removed)
        self._changed.set()
        self._changed = trio.Event()
