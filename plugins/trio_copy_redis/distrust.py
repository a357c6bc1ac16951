"""What a Redis must promise before money depends on it: asked at the start, and refused with the cure."""

from redis.exceptions import ResponseError

from trio_copy.errors import ConfigError
from trio_copy_redis.client import Client, facts_of
from trio_copy_redis.wire import Wire

_OLDEST = (6, 2)


async def expect_safe(client: Client, *, live: bool) -> list[str]:
    """Look at every server that takes writes; returns what is unsafe, with its cure.

    Raises:
        ConfigError: a server is too old, or money would depend on one that may forget or evict what it was told.
    """
    problems = []
    for wire in await client.primaries():
        version = tuple(int(part) for part in wire.facts.get("redis_version", "0.0").split(".")[:2])
        if version < _OLDEST:
            found = wire.facts.get("redis_version", "something else")
            raise ConfigError([f"store.redis.url: {wire.address.name}: expected Redis 6.2 or newer, got {found}"])
        problems += [f"{wire.address.name}: {problem}" for problem in await _problems(wire)]
    if live and problems:
        raise ConfigError([f"store.redis.url: {problem}" for problem in problems])
    return problems


async def _problems(wire: Wire) -> list[str]:
    problems = []
    try:
        policy = await wire.call("CONFIG", "GET", "maxmemory-policy")
        fsync = await wire.call("CONFIG", "GET", "appendfsync")
    except ResponseError as error:
        return [f"cannot be asked how it keeps its data ({error}); allow CONFIG GET to this user"]
    if policy and policy[1] != "noeviction":
        problems.append(
            f"maxmemory-policy is {policy[1]}: a full server would drop orders; CONFIG SET maxmemory-policy noeviction"
        )
    persistence = facts_of(await wire.call("INFO", "persistence"))
    if persistence.get("aof_enabled") != "1":
        problems.append("appendonly is no: a crash would forget what was sent; CONFIG SET appendonly yes")
    elif fsync and fsync[1] == "no":
        problems.append("appendfsync is no: a crash would forget what was sent; CONFIG SET appendfsync everysec")
    return problems
