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
from trio_copy_redis.bell import LOOK_EVERY_S, Bell
from trio_copy_redis.client import load_script
from trio_copy_redis.desk import Desk

_PUT, _CHANGES = load_script("common", "put_follows"), load_script("common", "follow_changes")
_LOG_LENGTH = 100_000
_PAGE = 5000


@define(eq=False)
class RedisFollows:
    desk: Desk
    bell: Bell

    async def load(self) -> tuple[int, tuple[Follow, ...]]:
        # What changes while the pages are read is in the log of changes after this version.
        version = int(await self.desk.ask(self.desk.common, "GET", "follows:v") or 0)
        layers: dict[str, Layer] = {}
        names: dict[str, str] = {}
        follows: dict[FollowKey, Follow] = {}
        cursor = "0"
        while True:
            cursor, flat = await self.desk.ask(self.desk.common, "HSCAN", "follows", cursor, "COUNT", _PAGE)
            for name, text in zip(flat[::2], flat[1::2], strict=True):
                follow = _follow(name, text, layers, names)
                follows[follow.key] = follow
            if cursor == "0":
                return version, tuple(follows.values())

    async def put(self, follows: Sequence[Follow]) -> int:
        return await self._change([word for one in follows for word in (_name(one.key), _record(one))])

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        return await self._change([word for key in keys for word in (_name(key), "")])

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        while True:
            rung = self.bell.next("follows")
            version, changed, whole = await self.desk.on_common(_CHANGES, since)
            if not whole:
                return await self._everything(int(version))
            if changed:
                return tuple(_change(int(at), name, record) for at, name, record in changed)
            with trio.move_on_after(LOOK_EVERY_S):
                await rung.wait()

    async def _change(self, words: list[str]) -> int:
        return int(await self.desk.on_common(_PUT, self.desk.bell, _LOG_LENGTH, *words))

    async def _everything(self, version: int) -> tuple[FollowChange, ...]:
        """Stand in for changes that are too long ago: follows that were removed since are found at the next start."""
        _, follows = await self.load()
        return tuple(FollowChange(version=version, follow=follow, removed=False) for follow in follows)


def _name(key: FollowKey) -> str:
    return f"{key[0]}|{key[1]}"


def _record(follow: Follow) -> str:
    return f"{follow.source}|{encode_layer(follow.own)}"


def _follow(name: str, text: str, layers: dict[str, Layer], names: dict[str, str]) -> Follow:
    """Read a follow; equal layers and names are kept once, which keeps large books small."""
    follower, bar, leader = name.partition("|")
    version, _, rest = text.partition("|")
    source, _, own = rest.partition("|")
    if not bar or not version.isdecimal():
        raise StoreError(f"expected a stored follow, was {name[:80]}: {text[:80]}")
    if own not in layers:
        layers[own] = decode_layer(own)
    return Follow(
        follower=FollowerId(names.setdefault(follower, follower)),
        leader=Address(names.setdefault(leader, leader)),
        own=layers[own],
        source=names.setdefault(source, source),
        version=int(version),
    )


def _change(version: int, name: str, record: str) -> FollowChange:
    follow = _follow(name, f"{version}|{record or 'command|{}'}", {}, {})
    return FollowChange(version=version, follow=follow, removed=not record)
