"""Asks many things at once and returns all that came."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import trio

from trio_copy.errors import MarketsUnavailable

_T = TypeVar("_T")
_K = TypeVar("_K")


def batches(items: Sequence[_K], most: int) -> Iterator[Sequence[_K]]:
    return (items[start : start + most] for start in range(0, len(items), most))


async def together(calls: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """Make calls beside each other; how many are under way is bounded by what they call. The first that fails ends all.

    Raises:
        MarketsUnavailable: that first one.
    """
    answers: list[_T] = []
    failed: list[MarketsUnavailable] = []

    async def ask(call: Callable[[], Awaitable[_T]]) -> None:
        try:
            answers.append(await call())
        except MarketsUnavailable as error:
            failed.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(ask, call)
    if failed:
        raise failed[0]
    return answers
