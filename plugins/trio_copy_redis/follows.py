"""The follow book's truth. Changes stand in a stream whose entries are named by their versions."""

from collections.abc import Sequence

import trio
from attrs import define

from trio_copy.errors import StoreError
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId, FollowKey
from trio_copy.model.layers import Layer
from trio_copy.ports import FollowChange
from trio_copy.records import decode_layer, encode_layer
from trio_copy_redis.announcements import LOOK_EVERY_S, Announcements
from trio_copy_redis.client import Client
from trio_copy_redis.keys import CommonKeys
from trio_copy_redis.scripts import load_script

_PUT, _CHANGES = load_script("put_follows"), load_script("follow_changes")
_LOG_LENGTH = 100_000
_PAGE = 5000


@define(eq=False, kw_only=True)
class RedisFollows:
    client: Client
    keys: CommonKeys
    announcements: Announcements

    async def load(self) -> tuple[int, tuple[Follow, ...]]:
        while True:
            # What changes while the pages are read is in the log of changes after this version.
            version = int(await self.client.call(self.keys.tag, "GET", self.keys("follows:v")) or 0)
            follows = await self._read()
            if follows is not None:
                return version, tuple(follows.values())

    async def _read(self) -> dict[str, Follow] | None:
        """Read every follow; None when another server may have answered in between, to which a cursor means something else."""
        terms: dict[str, tuple[str, Layer]] = {}
        names: dict[str, str] = {}
        follows: dict[str, Follow] = {}
        cursor, turns = "0", -1
        while True:
            cursor, flat = await self.client.call(self.keys.tag, "HSCAN", self.keys("follows"), cursor, "COUNT", _PAGE)
            for name, text in zip(flat[::2], flat[1::2], strict=True):
                follows[name] = _follow(name, text, terms, names)
            if turns not in (-1, self.client.turns):
                return None
            turns = self.client.turns
            if cursor == "0":
                return follows

    async def put(self, follows: Sequence[Follow]) -> int:
        return await self._change([word for one in follows for word in (_name(one.key), _record(one))])

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        return await self._change([word for key in keys for word in (_name(key), "")])

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        while True:
            announced = self.announcements.next("follows")
            touched = (self.keys("follows:v"), self.keys("follows:log"))
            version, changed, whole = await self.client.run(_CHANGES, self.keys.tag, touched, since)
            if not whole:
                return await self._everything(int(version))
            if changed:
                return tuple(_change(int(at), name, record) for at, name, record in changed)
            with trio.move_on_after(LOOK_EVERY_S):
                await announced.wait()

    async def _change(self, words: list[str]) -> int:
        touched = (self.keys("follows"), self.keys("follows:v"), self.keys("follows:log"))
        return int(await self.client.run(_PUT, self.keys.tag, touched, self.keys.channel, _LOG_LENGTH, *words))

    async def _everything(self, version: int) -> tuple[FollowChange, ...]:
        """Stand in for changes that are too long ago: follows that were removed since are found at the next start."""
        _, follows = await self.load()
        return tuple(FollowChange(version=version, follow=follow, removed=False) for follow in follows)


def _name(key: FollowKey) -> str:
    return f"{key[0]}|{key[1]}"


def _record(follow: Follow) -> str:
    return f"{follow.source}|{encode_layer(follow.own)}"


def _follow(name: str, text: str, terms: dict[str, tuple[str, Layer]], names: dict[str, str]) -> Follow:
    """Read a follow; equal terms and names are read and kept once: books are large."""
    follower, bar, leader = name.partition("|")
    version, _, rest = text.partition("|")
    if not bar or not version.isdecimal():
        raise StoreError(f"expected a stored follow, was {name[:80]}: {text[:80]}")
    if rest not in terms:
        source, _, own = rest.partition("|")
        terms[rest] = (source, decode_layer(own))
    source, layer = terms[rest]
    return Follow(
        follower=FollowerId(names.setdefault(follower, follower)),
        leader=Address(names.setdefault(leader, leader)),
        own=layer,
        source=source,
        version=int(version),
    )


def _change(version: int, name: str, record: str) -> FollowChange:
    follow = _follow(name, f"{version}|{record or 'command|{}'}", {}, {})
    return FollowChange(version=version, follow=follow, removed=not record)
