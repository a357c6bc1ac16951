"""How a check opens a store, and the few steps that most checks begin with."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from attrs import frozen

from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.model.decisions import CopyTask, End, Outcome
from trio_copy.model.fills import Side
from trio_copy.ports import Store
from trio_copy.testing.samples import EXECUTOR, sample_signal, sample_task

START = 1_764_000_000.0
FILLED = Outcome(end=End.FILLED)
ME, YOU = "me", "you"


@frozen(kw_only=True)
class StoreTerms:
    """What a check wants a store to be opened with."""

    wall: WallClock
    queue_capacity: int = 100
    dedup_ttl_s: float = 3600.0
    lease_s: float = 10.0


OpenStoreForTest = Callable[[StoreTerms], AbstractAsyncContextManager[Store]]
StoreCheck = Callable[[OpenStoreForTest], Awaitable[None]]


def open_with(open_store: OpenStoreForTest, **terms: float) -> AbstractAsyncContextManager[Store]:
    return open_store(StoreTerms(wall=wall_clock_from(START), **terms))  # type: ignore[arg-type]  # numbers by name


async def admit(store: Store, number: int, *followers: str, side: Side = Side.BUY, block: int = 1) -> object:
    signal = sample_signal(number, side=side, block=block, now=START)
    return await store.inbox.admit(signal, [sample_task(signal, name) for name in followers or ("alice",)], None)


async def lease_all(store: Store, owner: str = ME) -> tuple[CopyTask, ...]:
    return await store.inbox.lease_nowait(EXECUTOR, owner, 1000)
