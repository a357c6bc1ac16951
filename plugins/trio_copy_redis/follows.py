"""The follow book's truth. Changes stand in a stream whose entries are named by their versions."""

from collections.abc import Sequence
from functools import partial
from itertools import repeat
from typing import Any

import trio
from attrs import define

from trio_copy.errors import StoreError
from trio_copy.model.follow_columns import ColumnsMaker, FollowColumns, Kind
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId, FollowKey
from trio_copy.ports import FollowChange
from trio_copy.records import decode_layer, encode_layer
from trio_copy_redis.announcements import LOOK_EVERY_S, Announcements
from trio_copy_redis.client import Client
from trio_copy_redis.keys import CommonKeys
from trio_copy_redis.scripts import load_script

_PUT, _CHANGES = load_script("put_follows"), load_script("follow_changes")
_LOG_LENGTH = 100_000
_PAGE = 5000
_CHANGES_AT_ONCE = 1000
_SENT_AFTER = 3
"""Turns of the loop after which a call that was begun has left."""


@define(eq=False, kw_only=True)
class RedisFollows:
    client: Client
    keys: CommonKeys
    announcements: Announcements

    async def load(self) -> tuple[int, FollowColumns]:
        while True:
            # What changes while the pages are read is in the log of changes after this version.
            version = await self._version()
            follows = await self._read()
            if follows is not None:
                # While others change it, or it has just shrunk, a scan may tell the same twice.
                count = await self.client.call(self.keys.tag, "HLEN", self.keys("follows"))
                if count != len(follows) or await self._version() != version:
                    for follows in follows.latest_in_slices():  # noqa: B007, B020  the last has each once
                        await trio.lowlevel.checkpoint()
                return version, follows

    async def _version(self) -> int:
        return int(await self.client.call(self.keys.tag, "GET", self.keys("follows:v")) or 0)

    async def _read(self) -> FollowColumns | None:
        """Read every follow; None when another server may have answered in between, to which a cursor means something else."""
        maker: ColumnsMaker[bytes, bytes] = ColumnsMaker(bytes.decode, _kind)
        turns = self.client.turns
        cursor, flat = await self._page(b"0")
        while turns == self.client.turns:
            if cursor == b"0":
                _add(maker, flat)
                return maker.columns
            asked = (partial(self._page, cursor), partial(_add_meanwhile, maker, flat))
            (cursor, flat), _ = await self.client.all(asked)
        return None

    async def _page(self, cursor: bytes) -> Any:  # noqa: ANN401  what Redis answers
        return await self.client.call(self.keys.tag, "HSCAN", self.keys("follows"), cursor, "COUNT", _PAGE, raw=True)

    async def put(self, follows: Sequence[Follow]) -> int:
        return await self._change([word for one in follows for word in (_name(one.key), _record(one))])

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        return await self._change([word for key in keys for word in (_name(key), "")])

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        while True:
            announced = self.announcements.next("follows")
            changes = await self._changes(since)
            if changes:
                return tuple(changes)
            with trio.move_on_after(LOOK_EVERY_S):
                await announced.wait()

    async def _changes(self, since: int) -> Sequence[FollowChange]:
        """Return what changed, in pages: a file may bring a hundred thousand at once, and server and loop have more to do."""
        touched, changes = (self.keys("follows:v"), self.keys("follows:log")), list[FollowChange]()
        while True:
            after = changes[-1].version if changes else since
            version, told, whole = await self.client.run(_CHANGES, self.keys.tag, touched, after, _CHANGES_AT_ONCE)
            if not whole:
                return await self._everything(int(version))
            changes += (_change(int(at), name, record) for at, name, record in told)
            if len(told) < _CHANGES_AT_ONCE:
                return changes

    async def _change(self, words: list[str]) -> int:
        touched = (self.keys("follows"), self.keys("follows:v"), self.keys("follows:log"))
        return int(await self.client.run(_PUT, self.keys.tag, touched, self.keys.channel, _LOG_LENGTH, *words))

    async def _everything(self, version: int) -> Sequence[FollowChange]:
        """Stand in for changes that are too long ago: follows that were removed since are found at the next start."""
        _, follows = await self.load()
        changes = list[FollowChange]()
        for start in range(0, len(follows), _PAGE):
            rows = range(start, min(start + _PAGE, len(follows)))
            changes += (FollowChange(version=version, follow=follows.make(row), removed=False) for row in rows)
            await trio.lowlevel.checkpoint()
        return changes


def _name(key: FollowKey) -> str:
    return f"{key[0]}|{key[1]}"


def _record(follow: Follow) -> str:
    return f"{follow.source}|{encode_layer(follow.own)}"


async def _add_meanwhile(maker: ColumnsMaker[bytes, bytes], flat: Sequence[bytes]) -> None:
    """Add a page once the question for the next one has left, so that the server answers it meanwhile."""
    for _ in range(_SENT_AFTER):
        await trio.lowlevel.checkpoint()
    _add(maker, flat)


def _add(maker: ColumnsMaker[bytes, bytes], flat: Sequence[bytes]) -> None:
    """Add a page of follows. Cut up without a step of Python for each: books are large."""
    names, records = flat[::2], flat[1::2]
    if not names:
        return
    followers, _, leaders = zip(*map(bytes.partition, names, repeat(b"|")), strict=True)
    versions, _, kinds = zip(*map(bytes.partition, records, repeat(b"|")), strict=True)
    try:
        # A name without a bar is nobody's: the columns are then not of one length.
        maker.add(followers, filter(None, leaders), kinds, map(int, versions))
    except (ValueError, OverflowError) as error:
        raise StoreError(f"expected stored follows, were {names[0][:80]!r} and others: {error}") from error


def _kind(told: str | bytes) -> Kind:
    source, _, own = (told if isinstance(told, str) else told.decode()).partition("|")
    return (source, decode_layer(own))


def _change(version: int, name: str, record: str) -> FollowChange:
    follower, bar, leader = name.partition("|")
    if not bar:
        raise StoreError(f"expected a stored follow, was {name[:80]}: {record[:80]}")
    source, own = _kind(record or "command|{}")
    follow = Follow(follower=FollowerId(follower), leader=Address(leader), own=own, source=source, version=version)
    return FollowChange(version=version, follow=follow, removed=not record)
