"""The stage from the feed to the gate: decode, decide, admit. It ends when the feed does."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf, nextafter

import trio
from attrs import define

from trio_copy.chain.feed import Armed, FeedItem, Sealed, SeenLog, TooDeep
from trio_copy.chain.scanner import SCAN
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.decide import decide
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.reader import Fact, LogReader
from trio_copy.engine.settlement import Settlements
from trio_copy.errors import LeaseLost
from trio_copy.model.control import Mode
from trio_copy.model.ids import Address, FollowerId, SignalId, TokenId
from trio_copy.model.logs import BlockRef, Checkpoint, RawLog
from trio_copy.model.resolutions import Resolution
from trio_copy.model.signals import Signal
from trio_copy.ports import Admitted, Adopted, Duplicate, Store, nowhere
from trio_copy.telemetry.observer import Finished, Observer


@define(eq=False, kw_only=True)
class Pipeline:
    reader: LogReader
    book: FollowBook
    catalog: Catalog
    settlements: Settlements
    settings: EngineSettings
    store: Store
    observer: Observer
    wall: WallClock
    on_armed: Callable[[BlockRef], None] = lambda block: None
    on_removed: Callable[[RawLog], None] = lambda log: None
    """Told of each log that a subscription took back, so that the scanner can look whether it is gone."""
    on_item: Callable[[FeedItem], None] = lambda item: None
    """Hears everything before it is worked on, for recordings."""
    suspend: Callable[[SignalId], Awaitable[int]]
    """Suspends what is leased of a retracted signal and has no order; returns how many tasks that are."""
    restore: Callable[[SignalId], None]
    """Told of each retracted signal that is there again."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    shard_of: Callable[[Address], int] = lambda leader: 0
    sealed: BlockRef | None = None
    """The newest block of which everything is stored."""

    _shards: set[int] | None = None
    """The shards of which everything is stored up to `sealed`: one that came later waits for its own arming."""

    _decided_at: float = 0.0

    async def run(self, receive: trio.MemoryReceiveChannel[FeedItem]) -> None:
        """Work through the feed until it ends. A store that does not answer ends it with `StoreUnavailable`."""
        with receive:
            async for item in receive:
                self.on_item(item)
                await self._take(item)

    def forget(self, shard: int) -> None:
        """Advance a shard's checkpoint no more until it is armed again: something of it may not have been stored."""
        if self._shards is not None:
            self._shards.discard(shard)

    async def _take(self, item: FeedItem) -> None:
        match item:
            case SeenLog(log=log, source=source) if log.removed:
                await self._retract(self.reader.take_back(log))
                if source != SCAN:
                    # At once, because the trade may come again at any moment; but a single node may be wrong.
                    self.on_removed(log)
            case SeenLog():
                for fact in self.reader.read(item):
                    if isinstance(fact, Resolution):
                        await self.store.ledger.note_resolution(fact)
                    else:
                        try:
                            await self._admit(fact)
                        except LeaseLost:
                            # Whoever has the shard now reads it from the checkpoint on, which must therefore stand still.
                            self.forget(self.shard_of(fact.leader))
            case Sealed(block=block):
                await self._retract(self.reader.seal(block))
                self.sealed = block
                await self._save(block)
            case Armed(block=block, shards=shards):
                self.reader.start_over(block)
                self.sealed, self._shards = block, shards
                await self._save(block)
                self.on_armed(block)
            case TooDeep(block=block):
                why = f"a reorg reached below the window at block {block.number}"
                await self.store.control.set_mode(Mode.HALT_NEW, why)
                self.observer.on_alert("reorg-too-deep", why)

    async def _save(self, block: BlockRef) -> None:
        checkpoint = Checkpoint(number=block.number, hash=block.hash)
        await self.store.control.save_checkpoint(checkpoint, self._shards)

    async def _admit(self, signal: Signal) -> None:
        follows = self.book.of(signal.leader)
        # Never the same moment twice: an exit has to know which entries were decided before it.
        now = self._decided_at = max(self.wall(), nextafter(self._decided_at, inf))
        followers = self.book.terms.followers
        tasks, skips = decide(
            signal, follows, followers, now=now, deadline_s=self.settings.deadline_s, catalog=self.catalog
        )
        sealed = self.sealed
        checkpoint = None
        if sealed is not None and (self._shards is None or self.shard_of(signal.leader) in self._shards):
            checkpoint = Checkpoint(number=sealed.number, hash=sealed.hash)
        self.at("gate: before admission")
        admission = await self.store.inbox.admit(signal, tasks, checkpoint, skips)
        self.at("gate: admitted")
        match admission:
            case Admitted():
                self.observer.on_signal(signal, "admitted", len(tasks), self.wall())
                for skip in skips:
                    self.observer.on_skip(skip, signal)
                    await self._miss(signal, skip.follower, signal.token_id)
                for ended in admission.shed:
                    await self._miss(ended.task.signal, ended.task.follower, ended.task.intent.token_id)
                    self.observer.on_finished(
                        Finished(task=ended.task, outcome=ended.outcome, report=None, started_at=0.0, ended_at=now)
                    )
            case Duplicate():
                self.observer.on_signal(signal, "duplicate", 0, now)
            case Adopted(signal_id=first, resumed=resumed):
                self.restore(first)
                self.observer.on_signal(signal, "adopted", resumed, now)

    async def _miss(self, signal: Signal, follower: FollowerId, token_id: TokenId) -> None:
        with suppress(LeaseLost):  # admitted it is; the new owner of the shard goes on from there
            await self.settlements.miss_signal(signal, follower, token_id)

    async def _retract(self, facts: tuple[Fact, ...]) -> None:
        for fact in facts:
            if isinstance(fact, Resolution):
                await self.store.ledger.drop_resolution(fact.condition_id)
                continue
            retracted = None
            with suppress(LeaseLost):
                retracted = await self.store.inbox.retract(fact)
            if retracted is not None:
                suspended = await self.suspend(retracted.signal_id)
                started = max(0, retracted.given_out - suspended)
                self.observer.on_retracted(fact, retracted.held + suspended, started)
