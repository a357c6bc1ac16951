"""A command that owns a shard while it has something sent: it writes as an engine does, and copies nothing.

What an engine left under way is left as it is: its orders stay open, its tasks wait, and whether it ended in good order is
for the next one to know.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.engine.people.acts import resolves
from trio_copy.engine.people.visited import Visited
from trio_copy.engine.shards.journal import ShardJournal
from trio_copy.engine.shards.writing import Writer
from trio_copy.errors import LeaseLost, StoreError, StoreForgot, Unanswered
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Lease, shard_lease
from trio_copy.model.ids import FollowerId, IntentKey
from trio_copy.ports import Heads, JournalledExecutor, Paid, Store

_LEASE_S = 30.0
_RENEWALS = 3
"""Renewals per lease: one may fail without losing it."""
_LEAVE_S = 2.0


@define(eq=False, kw_only=True)
class StandIn:
    """The owner of a shard; see `acts.ActOwner`."""

    number: int
    store: Store
    visited: Visited
    wall: WallClock
    writer: Writer
    lease: Lease
    lost: bool = False
    _booking: trio.Lock = field(factory=trio.Lock)

    @property
    def token(self) -> int:
        return self.lease.token

    async def answer(self, answers: Mapping[str, str]) -> None:
        """Answer requests. Raises `LeaseLost`, and what else the store raises."""
        self.writer.open.answers.update(answers)
        await self.writer.flush()

    async def finish(self, follower: FollowerId, pays: Sequence[Paid], answers: Mapping[str, str]) -> None:
        async with self._booking:  # each reads the account again
            documents = await self.store.accounts.load(self.number, self.token, (follower,))
            self.visited.put(documents)
            account = self.visited.accounts[follower]
            for command in resolves(account, pays, self.wall()):
                self.visited.act(account, command)
            self.visited.write_down(self.writer.open)
            self.writer.open.answers.update(answers)
            await self.writer.flush()

    async def run_writer(self) -> None:
        """Write until the shard is lost."""
        try:
            await self.writer.run()
        except (LeaseLost, StoreForgot) as error:
            self.lose(error)

    async def keep(self) -> None:
        """Renew the lease until it is lost."""
        while not self.lost:
            await trio.sleep(_LEASE_S / _RENEWALS)
            try:
                self.lease = await self.store.control.renew(self.lease, _LEASE_S)
            except LeaseLost as error:
                self.lose(error)

    def lose(self, error: StoreError) -> None:
        """Take note that somebody else owns the shard: nothing of it is written here any more."""
        self.lost = True
        self.writer.give_up(error if isinstance(error, LeaseLost) else LeaseLost(str(error)))


@asynccontextmanager
async def open_stand_in(
    store: Store,
    shard: int,
    name: str,
    catalog: Catalog,
    wall: WallClock,
    covers: Callable[[FollowerId], bool],
    executor: str,
    journalled: JournalledExecutor,
) -> AsyncGenerator[StandIn, None]:
    """Own a shard that nobody owns while the block runs, and let an executor have its journal.

    Raises:
        Unanswered: somebody else owns it.
        StoreError: the store fails.
    """
    lease = await store.control.acquire(shard_lease(shard), name, _LEASE_S)
    if lease is None:
        raise Unanswered(f"somebody else has taken shard {shard} meanwhile; nothing was sent. Ask again")
    try:
        heads = await store.accounts.take(shard, lease.token)
        writer = Writer(
            accounts=store.accounts,
            shard=shard,
            token=lease.token,
            before_write=lambda batch: None,
            announce=lambda told: None,
        )
        visited = Visited.of(shard, store.control, catalog, heads.documents)
        owner = StandIn(number=shard, store=store, visited=visited, wall=wall, writer=writer, lease=lease)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(owner.run_writer)
            nursery.start_soon(owner.keep)
            journal = _journal_of(executor, heads, writer, covers)
            journalled.open_journal(journal)
            try:
                yield owner
            finally:
                journalled.close_journal(journal)
                with trio.move_on_after(_LEAVE_S, shield=True), suppress(StoreError):
                    await writer.flush()
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(_LEAVE_S, shield=True), suppress(StoreError):
            await store.control.release(lease)


def _journal_of(executor: str, heads: Heads, writer: Writer, covers: Callable[[FollowerId], bool]) -> ShardJournal:
    open_keys = frozenset(IntentKey(one.name.partition("/")[0]) for one in heads.documents if one.kind == "order")
    journal = ShardJournal(
        executor=executor, shard=writer.shard, writer=writer, covers=covers, open_keys=lambda: open_keys
    )
    journal.load(heads.documents)
    return journal
