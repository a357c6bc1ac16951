"""What is worth keeping of data that an earlier version made: who copied whom, what a person had halted, and what was booked."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec
import trio

from trio_copy.errors import ConfigError, StoreError, TrioCopyError
from trio_copy.sockets import open_socket
from trio_copy_redis.address import place_of
from trio_copy_redis.client import Client, open_client
from trio_copy_redis.control import pairs
from trio_copy_redis.keys import CommonKeys

_PAGE = 500


class _Settings(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def patience_s(self) -> float: ...


class _Follow(msgspec.Struct):
    follower: str
    leader: str
    own: msgspec.Raw
    source: str


class _ModeChange(msgspec.Struct):
    """A mode as it was stored, under its scope."""

    mode: str
    why: str
    at: float


class _Mode(msgspec.Struct):
    scope: str
    """"engine", or "follower:" and a name."""
    mode: str
    why: str
    at: float


class _Line(msgspec.Struct, omit_defaults=True):
    follow: _Follow | None = None
    mode: _Mode | None = None
    entry: msgspec.Raw | None = None
    """A ledger entry as it was stored, money as decimal text."""


def export_old(settings: _Settings, write_line: Callable[[str], None]) -> None:
    """Write every follow, every mode but run and every ledger entry, as {"follow": ...}, {"mode": ...} and {"entry": ...}.

    Nothing is changed there. It runs a loop of its own, and waits for Redis as a store does.

    Raises:
        ConfigError: there are no data of an earlier version under this prefix, or the address or credentials are wrong.
        StoreUnavailable: nobody answers there.
    """
    trio.run(_export, settings, write_line)


async def _export(settings: _Settings, write_line: Callable[[str], None]) -> None:
    failed: TrioCopyError | None = None
    async with open_client(
        place_of(settings.url),
        timeout_s=settings.timeout_s,
        patience_s=settings.patience_s,
        open_socket=open_socket,
        on_trouble=lambda kind, detail: None,
        client_name="trio-copy",
    ) as client:
        try:
            await client.greet()
            await _tell(client, CommonKeys(settings.prefix), write_line)
        except TrioCopyError as error:
            failed = error
    if failed is not None:
        raise failed


async def _tell(client: Client, keys: CommonKeys, write_line: Callable[[str], None]) -> None:
    if not await client.call(keys.tag, "EXISTS", keys("shape")):
        raise ConfigError([f'store.redis.prefix: expected data of an earlier version, "{keys.prefix}" holds none'])
    for version, name, text in sorted(await _follows(client, keys)):
        follower, _, leader = name.partition("|")
        source, bar, own = text.partition("|")
        if not bar:
            raise StoreError(f"expected a stored follow, was version {version} of {name[:80]}: {text[:80]}")
        write_line(_encode(_Line(follow=_Follow(follower, leader, msgspec.Raw(own.encode()), source))))
    for scope, text in sorted(pairs(await client.call(keys.tag, "HGETALL", keys("modes"))).items()):
        change = msgspec.json.decode(text, type=_ModeChange)
        if change.mode != "run":
            write_line(_encode(_Line(mode=_Mode(scope, change.mode, change.why, change.at))))
    booked = sorted([one for name in await _followers(client, keys) for one in await _ledger(client, keys, name)])
    for at in range(0, len(booked), _PAGE):
        records = await client.all(
            [
                partial(client.call, tag, "HGET", f"{tag}:entry:{key}", "rec", raw=True)
                for _, _, tag, key in booked[at : at + _PAGE]
            ]
        )
        for record in records:
            if record is not None:
                write_line(_encode(_Line(entry=msgspec.Raw(record))))


async def _follows(client: Client, keys: CommonKeys) -> list[tuple[int, str, str]]:
    """Return version, name and the rest of each follow."""
    follows, cursor = {}, "0"
    while True:
        cursor, flat = await client.call(keys.tag, "HSCAN", keys("follows"), cursor, "COUNT", _PAGE)
        for name, text in zip(flat[::2], flat[1::2], strict=True):
            version, _, rest = text.partition("|")
            follows[name] = (int(version), name, rest)
        if cursor == "0":
            return list(follows.values())


async def _followers(client: Client, keys: CommonKeys) -> list[str]:
    """List who had an account."""
    return sorted(await client.call(keys.tag, "SMEMBERS", keys("followers")))


async def _ledger(client: Client, keys: CommonKeys, follower: str) -> list[tuple[float, int, str, str]]:
    """Return when each entry of a follower was booked, as the how manyth, its tag and its key."""
    tag, above = f"{{{keys.prefix}:follower:{follower}}}", "-"
    found: list[tuple[float, int, str, str]] = []
    while entries := await client.call(tag, "XRANGE", f"{tag}:ledger", above, "+", "COUNT", _PAGE):
        for _, (_, key, _, at) in entries:
            found.append((float(at), len(found), tag, key))
        above = f"({entries[-1][0]}"
    return found


def _encode(line: _Line) -> str:
    return msgspec.json.encode(line).decode()
