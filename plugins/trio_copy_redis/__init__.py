"""The store of many instances: one Redis, one behind sentinels, or a cluster.

Every change is one atomic script on the keys of one tag: a shard of accounts, or what all shards share. No change concerns
two of them.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import attrs
import trio
from attrs import frozen

from trio_copy.errors import ConfigError, MadeEarlier
from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy_redis.accounts import RedisAccounts
from trio_copy_redis.address import place_of, read_place
from trio_copy_redis.announcements import Announcements
from trio_copy_redis.client import Client, open_client
from trio_copy_redis.control import RedisControl
from trio_copy_redis.follows import RedisFollows
from trio_copy_redis.history import RedisHistory
from trio_copy_redis.keys import LAYOUT, OLD_LAYOUT, CommonKeys
from trio_copy_redis.old_books import export_old
from trio_copy_redis.promises import APPENDONLY, NO_WORD, expect_safe
from trio_copy_redis.retention import Retention
from trio_copy_redis.scripts import load_script

_OPEN = load_script("open")
_TRIALS_KEPT_S = 86_400


def _expect_trust(instance: object, attribute: object, value: str) -> None:
    if value not in (NO_WORD, APPENDONLY):
        raise ValueError(f'expected "{APPENDONLY}" or nothing, got "{value}"')


def _expect_url(instance: object, attribute: object, value: str) -> None:
    """Check a URL that stands in the file; one that is named is read, and checked, later."""
    if not value.startswith(("env:", "file:")):
        read_place(value)


@frozen(kw_only=True)
class RedisSettings:
    """Where Redis is, how long it is waited for, and how long it remembers what is over."""

    url: str = setting(
        attrs.NOTHING,
        unit="redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, env:NAME, file:PATH",
        why="A URL with a password belongs into an environment variable or a 0600 file.",
        check=_expect_url,
        secret=True,
    )
    trust: str = setting(
        NO_WORD,
        unit='"appendonly", or nothing',
        why="Your word that a server which tells neither by CONFIG nor by INFO never evicts and syncs its append-only file.",
        check=_expect_trust,
    )
    prefix: str = setting(
        "trio-copy", unit="text", why="Begins the names of all keys, so that several systems can share one Redis."
    )
    timeout_s: float = setting(
        2.0,
        unit="seconds",
        why="A server that owes an answer this long is given up, and asked again on a new connection.",
        check=within(0.05, 3600.0),
    )
    patience_s: float = setting(
        60.0,
        unit="seconds",
        why="How long everything waits for a Redis that is down, full or failing over, before the engine stops.",
        check=within(0.0, 86_400.0),
    )
    keep_days: float = setting(
        7.0,
        unit="days",
        why="How long skips, the ends of tasks and bookings can be asked for; what they add up to is kept for ever.",
        check=within(0.001, 100_000.0),
    )
    facts_max: int = setting(
        1_000_000,
        unit="facts per shard",
        why="How many of them at most, about 0.8 KB each, so that a busy week does not fill the server.",
        check=within(1000, 10**9),
    )


@frozen
class RedisStore:
    accounts: RedisAccounts
    control: RedisControl
    follows: RedisFollows
    history: RedisHistory


@asynccontextmanager
async def open_redis_store(context: StoreContext) -> AsyncGenerator[Store, None]:
    """Connect, and refuse what is not safe; close the connections at the end.

    Raises:
        ConfigError: the address, the credentials, the number of shards, or a server that may lose what it promised.
        StoreUnavailable: nobody answers there.
    """
    settings: RedisSettings = context.settings
    async with open_client(
        place_of(settings.url),
        timeout_s=settings.timeout_s,
        patience_s=settings.patience_s,
        open_socket=context.open_socket,
        on_trouble=context.on_trouble,
        client_name="trio-copy",
    ) as client:
        await client.greet()
        if not context.guest:
            for problem in await expect_safe(client, live=context.live, trust=settings.trust):
                context.on_trouble("store-unsafe", problem)
        keys = CommonKeys(settings.prefix)
        if context.throwaway:
            await client.call(keys.tag, "EXPIRE", keys("trials"), _TRIALS_KEPT_S)
            number = await client.call(keys.tag, "INCR", keys("trials"))
            keys = CommonKeys(f"{settings.prefix}:trial-{number}")
        await _expect_layout(client, keys, context)
        seconds, micros = await client.call(keys.tag, "TIME")
        announcements = Announcements(client=client, channel=keys.channel)
        await client.connections.nursery.start(announcements.run)
        shards = keys.shards(context.shards)
        store = RedisStore(
            accounts=RedisAccounts(client=client, shards=shards),
            control=RedisControl(
                client=client,
                keys=keys,
                announcements=announcements,
                wall=context.wall,
                offset_s=int(seconds) + int(micros) / 1e6 - context.wall(),
            ),
            follows=RedisFollows(client=client, keys=keys, announcements=announcements),
            history=RedisHistory(client, shards),
        )
        if not context.guest:
            retention = Retention(
                client=client,
                accounts=store.accounts,
                shards=shards,
                keep_s=settings.keep_days * 86_400,
                facts_max=settings.facts_max,
            )
            await client.connections.nursery.start(retention.run)
        try:
            yield store
        finally:
            if context.throwaway:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + settings.patience_s):
                    await _remove(client, keys.prefix)


async def _expect_layout(client: Client, keys: CommonKeys, context: StoreContext) -> None:
    """Begin new data, and refuse what is not laid out as ours is.

    Raises:
        MadeEarlier: data of an earlier version.
        ConfigError: data of a later one, or cut into another number of shards.
    """
    # What an earlier version began with stands under a name of its own.
    touched = (keys("layout"), keys("shape"))
    begin = int(context.make or not context.guest)
    layout, shards = await client.run(_OPEN, keys.tag, touched, LAYOUT, context.shards, begin)
    if layout == OLD_LAYOUT:
        raise MadeEarlier(
            [
                f'store.redis.prefix: expected data of this version, "{keys.prefix}" holds data of an earlier one; export its'
                " follows and ledger first, then use another store.redis.prefix"
            ]
        )
    if layout != LAYOUT:
        raise ConfigError(
            [
                f'store.redis.prefix: expected data of this version, "{keys.prefix}" holds data of a later one: it needs a'
                " newer trio-copy, or use another store.redis.prefix"
            ]
        )
    if int(shards) != context.shards:
        raise ConfigError(
            [
                f"shards.count: expected {shards}, as this Redis was begun with, got {context.shards}: accounts are kept"
                " by shard; drain everything and use another store.redis.prefix to change it"
            ]
        )


async def _remove(client: Client, prefix: str) -> None:
    """Let every server forget what a trial has written."""
    for wire in await client.primaries():
        cursor = "0"
        while True:
            cursor, keys = await wire.call("SCAN", cursor, "MATCH", f"{{{prefix}:*", "COUNT", 1000)
            if wire.facts.get("redis_mode") != "cluster":
                await wire.call("UNLINK", *keys) if keys else None
            else:
                for key in keys:  # of many slots
                    await wire.call("UNLINK", key)
            if cursor == "0":
                break


def _patience_s(settings: RedisSettings) -> float:
    """Return how long a call may take: it may ask twice, and begin to ask, and dial, in the last moment of its patience."""
    return 2 * (settings.patience_s + 5 * settings.timeout_s)


@hookimpl
def trio_copy_register_stores(register: Callable[[StorePlugin], None]) -> None:
    register(
        StorePlugin(
            name="redis",
            open=open_redis_store,
            settings=RedisSettings,
            durable=True,
            shared=True,
            patience_s=_patience_s,
            export_old=export_old,
            back_up_instead="Redis makes its own copies: `redis-cli BGSAVE`, then copy its RDB file and AOF folder while no engine"
            " runs, and put them back before one starts; see docs/redis.md",
        )
    )
