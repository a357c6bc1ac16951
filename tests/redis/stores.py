"""How tests open the Redis store."""

import math
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

from trio_copy.clock import anchored_wall_clock
from trio_copy.ports import Store, StoreContext
from trio_copy.testing.conformance import StoreForTest, StoreTerms
from trio_copy_redis import RedisSettings, open_redis_store

_NUMBERS = count()


def new_prefix() -> str:
    """Return a prefix that no other test uses."""
    return f"test-{next(_NUMBERS)}"


def redis_context(url: str, prefix: str, settings: dict[str, Any] | None = None, **context: Any) -> StoreContext:
    """Say how to open a store; what is not said is as in a small engine."""
    usual: dict[str, Any] = {"wall": anchored_wall_clock(), "shards": 4}
    return StoreContext(settings=RedisSettings(url=url, prefix=prefix, **(settings or {})), **{**usual, **context})


def open_redis(
    url: str, prefix: str, settings: dict[str, Any] | None = None, **context: Any
) -> AbstractAsyncContextManager[Store]:
    """Open a store."""
    return open_redis_store(redis_context(url, prefix, settings, **context))


@asynccontextmanager
async def open_on(url: str, terms: StoreTerms) -> AsyncGenerator[Store, None]:
    """Open what the conformance suite asks for: its folder names the data."""
    settings = {"facts_max": 1000} if terms.brief else None
    context = redis_context(url, terms.folder.name, settings, wall=terms.wall, shards=terms.shards)
    if terms.virtual:
        # The clock jumps while a real server works: no answer is ever overdue then, which nobody may wish for otherwise.
        object.__setattr__(context.settings, "timeout_s", math.inf)
    async with open_redis_store(context) as store:
        yield store


def backend_on(url: str) -> StoreForTest:
    """Return a backend for the conformance suite."""
    return StoreForTest(open=partial(open_on, url), durable=True, shared=True)
