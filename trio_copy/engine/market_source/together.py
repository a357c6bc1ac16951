"""Asks a market source many things beside each other, where nobody waits for a copy."""

from collections.abc import Awaitable, Callable, Iterable

import trio

from trio_copy.errors import MarketsUnavailable

_CALLS_AT_ONCE = 8
"""How often the venue is asked is bounded by the source; this bounds what waits for its turn."""


async def together(calls: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Make calls beside each other, some at a time; the first that fails ends all.

    Raises:
        MarketsUnavailable: that first one.
    """
    failed: list[MarketsUnavailable] = []
    turns = trio.CapacityLimiter(_CALLS_AT_ONCE)

    async def call_in_turn(call: Callable[[], Awaitable[None]]) -> None:
        async with turns:
            try:
                await call()
            except MarketsUnavailable as error:
                failed.append(error)
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(call_in_turn, call)
    if failed:
        raise failed[0]
