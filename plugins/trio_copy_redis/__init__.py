"""The store of many instances: one Redis, one behind sentinels, or a cluster.

Every change is one atomic script on the data of one tag: a shard of leaders, a follower's account, or what everybody
shares. Where a change concerns two of them, the order of the two makes every interruption harmless.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import attrs
import trio
from attrs import frozen

from trio_copy.errors import ConfigError
from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy_redis.address import read_place
from trio_copy_redis.bell import Bell
from trio_copy_redis.client import Client, load_script, open_client
from trio_copy_redis.control import RedisControl
from trio_copy_redis.desk import Desk
from trio_copy_redis.distrust import APPENDONLY, NOBODY, expect_safe
from trio_copy_redis.follows import RedisFollows
from trio_copy_redis.history import RedisHistory
from trio_copy_redis.inbox import RedisInbox
from trio_copy_redis.journal import RedisJournal
from trio_copy_redis.ledger import RedisLedger
from trio_copy_redis.limits import RedisLimits

_SHAPE = load_script("common", "shape")


def _expect_trust(instance: object, attribute: object, value: str) -> None:
    if value not in (NOBODY, APPENDONLY):
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
        NOBODY,
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
    deliveries: int = setting(
        3,
        unit="times",
        why="A task whose worker died this often becomes a dead letter: it may be what kills them.",
        check=within(1, 1000),
    )
    keep_s: float = setting(
        86_400.0,
        unit="seconds",
        why="How long ended tasks and orders are kept, about 2 KB each; the ledger is kept for ever.",
        check=within(60.0, 10_000_000.0),
    )
    history_max: int = setting(
        10_000,
        unit="records per shard",
        why="Tasks and skips that `trio-copy trades`, `skips` and `explain` can still find.",
        check=within(100, 10**9),
    )


@frozen
class RedisStore:
    inbox: RedisInbox
    journal: RedisJournal
    limits: RedisLimits
    ledger: RedisLedger
    follows: RedisFollows
    control: RedisControl
    history: RedisHistory


@asynccontextmanager
async def open_redis_store(context: StoreContext) -> AsyncGenerator[Store, None]:
    """Connect, and refuse what is not safe; close the connections at the end.

    Raises:
        ConfigError: the address, the credentials, the number of shards, or a server that may lose what it promised.
        StoreUnavailable: nobody answers there.
    """
    settings: RedisSettings = context.settings
    try:
        place = read_place(settings.url)
    except ValueError as error:
        raise ConfigError([f"store.redis.url: {error}"]) from None
    desks: list[Desk] = []
    async with open_client(
        place,
        timeout_s=settings.timeout_s,
        patience_s=settings.patience_s,
        open_socket=context.open_socket,
        on_trouble=context.on_trouble,
        on_changed=lambda: desks[0].drop_all() if desks else None,
        client_name="trio-copy",
    ) as client:
        await client.greet()
        if not context.guest:
            for problem in await expect_safe(client, live=context.live, trust=settings.trust):
                context.on_trouble("store-unsafe", problem)
        prefix = settings.prefix
        if context.throwaway:
            await client.call(f"{{{prefix}}}", "EXPIRE", f"{{{prefix}}}:trials", 86_400)
            prefix += f":trial-{await client.call(f'{{{prefix}}}', 'INCR', f'{{{prefix}}}:trials')}"
        common = f"{{{prefix}:common}}"
        seconds, micros = await client.call(common, "TIME")
        desk = Desk(
            client=client,
            prefix=prefix,
            shards=context.shards,
            fenced=context.fenced,
            wall=context.wall,
            keep_ms=round(settings.keep_s * 1000),
            log_length=min(settings.history_max, 1000),
            deliveries=settings.deliveries,
            nonce=str(await client.call(common, "INCR", f"{common}:opened")),
            offset_s=int(seconds) + int(micros) / 1e6 - context.wall(),
        )
        desks.append(desk)
        shape = int(await desk.on_common(_SHAPE, context.shards))
        if shape != context.shards:
            raise ConfigError(
                [
                    f"shards.count: expected {shape}, as this Redis was begun with, got {context.shards}: queues and"
                    " checkpoints are kept by shard; drain everything and use another store.redis.prefix to change it"
                ]
            )
        bell = Bell(client=client, channel=desk.bell)
        await client.nursery.start(bell.run)
        limits = RedisLimits(desk)
        store = RedisStore(
            inbox=RedisInbox(
                desk=desk,
                bell=bell,
                capacity=context.queue_capacity,
                dedup_ttl_s=context.dedup_ttl_s,
                lease_s=context.lease_s,
                history_max=settings.history_max,
            ),
            journal=RedisJournal(desk),
            limits=limits,
            ledger=RedisLedger(desk, limits),
            follows=RedisFollows(desk, bell),
            control=RedisControl(desk, bell),
            history=RedisHistory(desk),
        )
        try:
            yield store
        finally:
            if context.throwaway:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + settings.patience_s):
                    await _remove(client, prefix)


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


@hookimpl
def trio_copy_register_stores(register: Callable[[StorePlugin], None]) -> None:
    register(StorePlugin(name="redis", open=open_redis_store, settings=RedisSettings, durable=True, shared=True))
