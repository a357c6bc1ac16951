"""The shards that are held here: begun with a lease, run until it is lost or given up."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

import trio
from attrs import Factory, define, field

from trio_copy.clock import WallClock
from trio_copy.engine.gate.gate import alone as in_one_shard
from trio_copy.engine.owning.taking_over import may_lack, recover, take_over
from trio_copy.engine.shards.at_hand import AtHand
from trio_copy.engine.shards.forgetting import Forgetting
from trio_copy.engine.shards.grants import Grants
from trio_copy.engine.shards.journal import ShardJournal
from trio_copy.engine.shards.known_tokens import KnownTokens
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.met import Met
from trio_copy.engine.shards.paperwork import announce
from trio_copy.engine.shards.progress import Progress
from trio_copy.engine.shards.queued import LaneKey
from trio_copy.engine.shards.resolved import Resolved
from trio_copy.engine.shards.riding_along import everything, ride_along
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.sightings import Sightings
from trio_copy.engine.shards.writing import Writer
from trio_copy.errors import LeaseLost, StoreError, StoreForgot, StoreUnavailable
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.control import Lease, shard_lease
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import FollowerId
from trio_copy.model.units import Usd
from trio_copy.ports import JournalledExecutor, Store, nowhere
from trio_copy.telemetry.observer import Observer

_FORGOTTEN = (
    "the store came back without what some followers of shard {} had spent and lost, with their modes and paper money, and"
    " nobody has it in memory: no entry leaves. Restore a backup, or see what each may still spend; then `trio-copy mode run`"
)


async def _halt_nothing(_why: str) -> None:
    await trio.lowlevel.checkpoint()


@define(eq=False, kw_only=True)
class Holder:
    store: Store
    lanes: dict[str, Lanes]
    """By executor."""
    catalog: Catalog
    wall: WallClock
    observer: Observer
    lane_of: Callable[[CopyTask], LaneKey]
    dedup_ttl_s: float
    max_day_usd: Usd | None
    alone: bool
    """Whether there is one shard for everything, which nobody else can own."""
    owner: str
    """In whose name the leases are held."""
    lease_s: float
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    journalled: Mapping[str, JournalledExecutor] = field(factory=dict)
    """Executors that write down what they send, by name."""
    shard_of: Callable[[FollowerId], int] = in_one_shard
    followers: Callable[[], Iterable[FollowerId]] = tuple
    """Tells whose entries may come, also of those who have left and may come back."""
    halt: Callable[[str], Awaitable[None]] = _halt_nothing
    """Lets no entry leave any more, from the moment that it returns, until a person says otherwise."""
    learn: Callable[[Sequence[TokenFacts]], object] = Factory(lambda self: self.catalog.put, takes_self=True)
    """Puts facts into the catalog."""
    sightings: Sightings = field(factory=Sightings)
    watch_store: Callable[[], Awaitable[NoReturn]] | None = None
    """Runs as long as something may be written: tells when the store takes long."""
    shards: dict[int, Shard] = field(factory=dict)
    """Those that are held."""
    found: int = 0
    """Tasks of earlier owners that had not ended when their shards were begun."""
    gone: int = 0
    """How often a shard was given up or lost: what has not ended of it ends elsewhere."""
    forgetting: Forgetting = field(init=False)
    _arming: set[int] = field(factory=set)
    _writing: trio.CancelScope = field(factory=lambda: trio.CancelScope(shield=True))
    _begun: tuple[trio.MemorySendChannel[Shard], trio.MemoryReceiveChannel[Shard]] = field(
        factory=lambda: trio.open_memory_channel[Shard](float("inf"))
    )

    def __attrs_post_init__(self) -> None:
        self.forgetting = Forgetting(
            control=self.store.control,
            instance=self.owner,
            lease_s=self.lease_s,
            wall=self.wall,
            observer=self.observer,
        )

    async def begin(self, number: int, lease: Lease) -> Shard:
        """Become the only writer of a shard, with what its owner before has left.

        Raises:
            LeaseLost: somebody else has taken it meanwhile.
        """
        self.at("take over: leased")
        heads = await self.store.accounts.take(number, lease.token)
        self.at("take over: taken")
        writer = Writer(
            accounts=self.store.accounts,
            shard=number,
            token=lease.token,
            before_write=lambda batch: ride_along(shard, batch),
            announce=partial(announce, self.observer),
            at=self.at,
        )
        marks = Marks()
        shard = Shard(
            number=number,
            store=self.store,
            writer=writer,
            lanes=self.lanes,
            catalog=self.catalog,
            wall=self.wall,
            observer=self.observer,
            met=Met(self.dedup_ttl_s),
            progress=Progress(),
            grants=Grants(
                control=self.store.control,
                shard=number,
                alone=self.alone,
                limit=self.max_day_usd,
                forgetting=self.forgetting,
                at=self.at,
            ),
            resolved=Resolved(),
            tokens=KnownTokens(self.catalog, self.learn),
            marks=marks,
            sightings=self.sightings,
            at_hand=AtHand(shard=number, store=self.store.accounts, writer=writer, catalog=self.catalog, marks=marks),
            lane_of=self.lane_of,
            shards=self.shards,
            on_lost=self.lose,
            until=float("inf") if self.alone else lease.until,
            at=self.at,
        )
        self.found += await take_over(shard, heads)
        for name, executor in self.journalled.items():
            journal = shard.journals[name] = ShardJournal(
                executor=name,
                shard=number,
                writer=writer,
                covers=lambda follower: self.shard_of(follower) == number,
                open_keys=shard.open_keys,
            )
            journal.load(heads.documents)
            executor.open_journal(journal)
        self.at("take over: read")
        self.shards[number] = shard
        # Whatever was armed before was not read for this owner of it.
        self._arming.discard(number)
        self._begun[0].send_nowait(shard)
        return shard

    def begin_arming(self) -> set[int]:
        """Return the shards that are read from now on; one that is lost meanwhile, if only for a moment, leaves the set."""
        self._arming = set(self.shards)
        return self._arming

    def works_on(self, number: int) -> bool:
        """Tell whether something of a shard is in hand: being placed, sent or written down."""
        return any(
            queued.in_hand and queued.shard == number for lanes in self.lanes.values() for queued in lanes.unplaced
        ) or any(lanes.sending[number] for lanes in self.lanes.values())

    def hand_over(self, number: int) -> None:
        """Place nothing more of a shard: somebody else will, who reads it from the chain."""
        shard = self.shards.get(number)
        if shard is None:
            return  # it was lost meanwhile
        self.gone += not shard.leaving
        shard.leaving = True
        for lanes in self.lanes.values():
            lanes.drop_shard(number, in_hand=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write for every shard that is begun, until `stop`.

        A cancellation from outside does not end it: what is in flight when the engine is cancelled is written down, and
        whoever sends waits for that.

        Raises:
            StoreError: the store failed; nothing is traded blind.
        """
        with self._writing:
            task_status.started()
            await self._run()

    def stop(self) -> None:
        """Let `run` end: nobody is left who has something to write."""
        self._writing.cancel()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            if self.watch_store is not None:
                nursery.start_soon(self.watch_store)
            async for shard in self._begun[1]:
                nursery.start_soon(self._run_shard, shard, name=f"shard {shard.number}")
                nursery.start_soon(self._run_recovery, shard, name=f"recovery of shard {shard.number}")

    async def end(self, number: int) -> None:
        """Give a shard up in good order: what was decided is on the disk, and nothing more is written."""
        shard = self.shards.get(number)
        if shard is None:
            return
        shard.leave()
        self.at("end: before the last write")
        try:
            with suppress(LeaseLost):  # somebody else has it already
                await shard.writer.flush()
            self.at("end: written")
        finally:
            if self.shards.get(number) is shard:
                self.drop(number, LeaseLost(f"shard {number} was given up"))

    def lose(self, shard: Shard, error: LeaseLost) -> None:
        """Forget a shard that turned out to be somebody else's; one that was forgotten before changes nothing."""
        if self.shards.get(shard.number) is not shard:
            return
        if self.alone:
            self._close_journals(shard)
            shard.end(error)  # there is nothing to go on with: `run` raises it
            return
        self.observer.on_alert("shard-lost", str(error))
        self.drop(shard.number, error)

    def drop(self, number: int, error: LeaseLost) -> None:
        """Forget a shard: nothing of it in memory counts any more, and what is in flight is not written down here."""
        shard = self.shards.pop(number, None)
        self._arming.discard(number)
        if shard is not None:
            self.gone += not shard.leaving
            self._close_journals(shard)
            shard.end(error)
            for lanes in self.lanes.values():
                lanes.drop_shard(number, in_hand=True)

    def _close_journals(self, shard: Shard) -> None:
        for name, journal in shard.journals.items():
            self.journalled[name].close_journal(journal)
        shard.journals.clear()

    async def _run_shard(self, shard: Shard) -> None:
        while await self._write_on(shard):
            self.observer.on_alert("store-forgot", f"the store has lost writes of shard {shard.number}")
            while not await self._write_again(shard):
                pass  # it has forgotten once more

    async def _write_on(self, shard: Shard) -> bool:
        """Write until the shard is lost; True when the store turns out to have forgotten something."""
        try:
            await shard.writer.run()
        except LeaseLost as error:
            if self.alone and self.shards.get(shard.number) is shard:
                raise
            # Dropped before, maybe: then another one may have its number by now.
            self.lose(shard, error)
            return False
        except StoreForgot:
            return not shard.lost

    async def _run_recovery(self, shard: Shard) -> None:
        with suppress(LeaseLost):  # whoever has it now goes on
            await recover(shard)

    async def _write_again(self, shard: Shard) -> bool:
        """Write a shard whole once more, as its living owner knows it, if it is still his; False: to be tried again."""
        try:
            await self._take_again(shard)
        except LeaseLost as error:
            shard.writer.give_up(error)  # `run` tells what follows from it
        except StoreForgot:
            return False
        except BaseException as error:
            # Whoever waits for what was being written is shielded, and would wait for ever.
            why = error if isinstance(error, StoreError) else StoreUnavailable(f"it is not written again: {error!r}")
            shard.writer.give_up(why)
            raise
        return True

    async def _take_again(self, shard: Shard) -> None:
        accounts = self.store.accounts
        lease = await self.store.control.acquire(shard_lease(shard.number), self.owner, self.lease_s)
        if lease is None:
            raise LeaseLost(f"shard {shard.number} has another owner since the store forgot")
        heads = await accounts.take(shard.number, lease.token)
        stored = {document.key for document in heads.documents}
        for documents in (await accounts.load(shard.number, lease.token, tuple(shard.accounts))).values():
            stored.update(document.key for document in documents)
        await shard.grants.draw_again()
        if may_lack(shard, heads, (one for one in self.followers() if self.shard_of(one) == shard.number)):
            # Before it is written again: an entry that is about to leave waits for that, and is asked for the mode after it.
            await self.halt(f"the store has forgotten accounts of shard {shard.number}")
            self.observer.on_alert("accounts-forgotten", _FORGOTTEN.format(shard.number))
        self.at("forgot: taken again")
        if shard.lost:
            # The store has forgotten the lease as well, and it was found out meanwhile: the next owner begins anew.
            raise LeaseLost(f"shard {shard.number} was given up while it was read")
        await shard.writer.write_again(lease.token, everything(shard), stored)
        shard.at_hand.trust()
