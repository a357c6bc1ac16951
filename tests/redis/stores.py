"""How tests open the Redis store."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from trio_copy.clock import anchored_wall_clock
from trio_copy.ports import Store, StoreContext
from trio_copy.registry import discover
from trio_copy.testing.conformance import StoreTerms

_NUMBERS = count()
FOREVER_S = 3600.0
"""A virtual clock jumps while a real server works: no answer is ever overdue then."""


def new_prefix() -> str:
    """Return a prefix that no other test uses."""
    return f"test-{next(_NUMBERS)}"


def redis_context(url: str, prefix: str, settings: dict[str, Any] | None = None, **context: Any) -> StoreContext:
    """Say how to open a store; what is not said is as in a small engine."""
    plugin = discover().store("redis")
    usual: dict[str, Any] = {
        "wall": anchored_wall_clock(),
        "queue_capacity": 1000,
        "dedup_ttl_s": 3600.0,
        "lease_s": 30.0,
        "shards": 4,
    }
    return StoreContext(settings=plugin.settings(url=url, prefix=prefix, **(settings or {})), **{**usual, **context})


def open_redis(url: str, prefix: str, settings: dict[str, Any] | None = None, **context: Any) -> Any:
    """Open a store."""
    return discover().store("redis").open(redis_context(url, prefix, settings, **context))


def opener(url: str) -> Callable[[StoreTerms], Any]:
    """Return what the conformance suite opens stores with: each on keys of its own, patient with a clock that jumps."""

    @asynccontextmanager
    async def open_terms(terms: StoreTerms) -> AsyncGenerator[Store, None]:
        settings = {"timeout_s": FOREVER_S, "patience_s": 0.0}
        async with open_redis(
            url,
            new_prefix(),
            settings,
            wall=terms.wall,
            queue_capacity=terms.queue_capacity,
            dedup_ttl_s=terms.dedup_ttl_s,
            lease_s=terms.lease_s,
        ) as store:
            yield store

    return open_terms
