"""How a check opens a store, and the few steps that most checks begin with."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.errors import StoreError
from trio_copy.model.facts import NO_AMOUNTS, Amounts, Fact
from trio_copy.model.ids import Address, FollowerId, Hash32, OrderId, SignalId, TaskId, TokenId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Changes, Document, Store

START = 1_764_000_000.0
"""Unix seconds at which a check begins: 16:00 UTC, so that midnight is not far."""
SHARDS = 4
ALICE, BOB = FollowerId("alice"), FollowerId("bob")
LEADER, OTHER_LEADER = Address("0x" + "1e" * 20), Address("0x" + "2e" * 20)


@frozen(kw_only=True)
class StoreTerms:
    """What a check wants a store to be opened with."""

    folder: Path
    """Names the data: opened again with the same one, a store is on the same data, and with a new one on none yet. It is an
    empty directory at first, for backends that need a place; all of it is deleted after the check."""
    wall: WallClock
    virtual: bool = True
    """Whether time is virtual. Then nothing may be left to threads: the clock does not wait for them."""
    shards: int = SHARDS
    brief: bool = False
    """Whether it shall let facts go as soon as it can, after a day or when there are more than a thousand; a store that keeps
    them all does not care."""


OpenStoreForTest = Callable[[StoreTerms], AbstractAsyncContextManager[Store]]


@frozen(kw_only=True)
class StoreForTest:
    """One backend, as the checks see it.

    Where it is `durable` it has to be picklable, `open` included (a function of a module, or a `functools.partial` of one):
    a check opens it in another process, and kills that.
    """

    open: OpenStoreForTest
    durable: bool = False
    """Whether data outlive a store that was closed, and a process that was killed: as `StorePlugin.durable`."""
    shared: bool = False
    """Whether it may be opened twice at once on the same data: as `StorePlugin.shared`."""


StoreCheck = Callable[[StoreForTest], Awaitable[None]]


@asynccontextmanager
async def fresh(backend: StoreForTest, *, brief: bool = False) -> AsyncGenerator[Store, None]:
    """Open a store on no data."""
    with TemporaryDirectory() as folder:
        async with backend.open(StoreTerms(folder=Path(folder), wall=wall_clock_from(START), brief=brief)) as store:
            yield store


@asynccontextmanager
async def two_owners(backend: StoreForTest) -> AsyncGenerator[tuple[Store, Store], None]:
    """Open the same data for two: as two instances have it where it is shared, and as two parts of one instance elsewhere."""
    with TemporaryDirectory() as folder:
        terms = StoreTerms(folder=Path(folder), wall=wall_clock_from(START))
        async with backend.open(terms) as store:
            if not backend.shared:
                yield store, store
                return
            async with backend.open(terms) as other:
                yield store, other


async def refused(error: type[StoreError], call: Awaitable[object]) -> None:
    """Make a call that must fail like this."""
    try:
        await call
    except error:
        return
    raise AssertionError(f"expected {error.__name__}")


def document(name: str, body: bytes | str = b"{}", *, follower: FollowerId = ALICE, kind: str = "position") -> Document:
    return Document(follower, kind, name, body.encode() if isinstance(body, str) else body)


def fact(
    key: str,
    *,
    kind: str = "filled",
    at: float = START,
    follower: FollowerId = ALICE,
    leader: Address = LEADER,
    token_id: int = 7,
    names: tuple[str, str, str] = ("", "", ""),
    amounts: Amounts = NO_AMOUNTS,
    body: bytes = b"{}",
) -> Fact:
    """Make a fact; `names` are those of its signal, task and order."""
    signal_id, task_id, order_id = names
    return Fact(
        key=key,
        kind=kind,
        at=at,
        follower=follower,
        leader=leader,
        token_id=TokenId(token_id),
        signal_id=SignalId(signal_id),
        task_id=TaskId(task_id),
        order_id=OrderId(order_id),
        amounts=amounts,
        body=body,
    )


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint(number=number, hash=Hash32(f"0x{number:064x}"), armed_at=3)


async def write_facts(store: Store, *facts: Fact, shard: int = 0) -> None:
    """Take a shard and write facts into it, as its only writer."""
    await store.accounts.take(shard, 1)
    await store.accounts.write(shard, 1, 1, Changes(facts=facts))
