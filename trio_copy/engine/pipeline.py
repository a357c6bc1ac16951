"""The stage from the feed to the gate: decode, decide, admit. It ends when the feed does."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf, nextafter

import trio
from attrs import define, evolve, field

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
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Address, FollowerId, Hash32, SignalId, TokenId, second_signal_id
from trio_copy.model.logs import BlockRef, Checkpoint, RawLog
from trio_copy.model.resolutions import Resolution
from trio_copy.model.signals import Signal
from trio_copy.ports import Admitted, Adopted, Duplicate, Store, Unsure, nowhere
from trio_copy.telemetry.observer import Finished, Observer

_UNSURE_MOST = 1000
_GIVEN_MOST = 10_000


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
    on_removed: Callable[[RawLog, str], bool] = lambda log, source: True
    """Told of each log that a subscription took back, and whose, so that the scanner can look whether it is gone; False
    when the source is not to be believed."""
    on_item: Callable[[FeedItem], None] = lambda item: None
    """Hears everything before it is worked on, for recordings."""
    suspend: Callable[[SignalId], Awaitable[int]]
    """Suspends what is leased of a retracted signal and has no order; returns how many tasks that are."""
    restore: Callable[[SignalId], None]
    """Told of each retracted signal that is there again."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    shard_of: Callable[[Address], int] = lambda leader: 0
    behind_s: Callable[[], float] = lambda: 0.0
    """How far our clock is behind the chain's: what an age by our clock lacks."""
    halted: Callable[[], Reason | None] = lambda: None
    """Tells why no entry may leave at this moment."""
    sealed: BlockRef | None = None
    """The newest block of which everything is stored."""
    armed_at: int = -1
    """The block at which this engine, or one before it on the same store, was armed first."""
    _earlier: Checkpoint | None = None
    """Where an earlier run had come to: below it, the stored checkpoint stays as it is."""

    _unsure: list[Signal] = field(factory=list)
    """Trades that may be retracted ones in another transaction: they wait until all of their block is known."""
    _given: OrderedDict[SignalId, Hash32] = field(factory=OrderedDict)
    """Retracted signals that were adopted by a trade in another transaction, and that transaction."""
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
                # At once, because the trade may come again at any moment; but a single node may be wrong.
                if source == SCAN or self.on_removed(log, source):
                    await self._retract(self.reader.take_back(log))
            case SeenLog(source=source):
                for fact in self.reader.read(item):
                    if isinstance(fact, Resolution):
                        await self.store.ledger.note_resolution(fact)
                    else:
                        await self._admit_ours(fact, scanned=source == SCAN)
            case Sealed(block=block):
                await self._retract(self.reader.seal(block))
                waiting, self._unsure = self._unsure, []
                for signal in waiting:
                    await self._admit_ours(signal, scanned=True)  # or it would have been lost by now
                self.sealed = block
                await self._save()
            case Armed(block=block, shards=shards, checkpoint=earlier):
                self.reader.start_over(block)
                self._earlier = earlier
                # The store may be of a version that did not write down where the story began.
                known = earlier is not None and earlier.armed_at >= 0
                self.armed_at = earlier.armed_at if earlier is not None and known else block.number
                self._unsure.clear()
                self.sealed, self._shards = block, shards
                await self._save()
                self.on_armed(block)
            case TooDeep(block=block):
                why = f"a reorg reached below the window at block {block.number}"
                await self.store.control.set_mode(Mode.HALT_NEW, why)
                self.observer.on_alert("reorg-too-deep", why)

    async def _save(self) -> None:
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            await self.store.control.save_checkpoint(checkpoint, self._shards)

    def _checkpoint(self) -> Checkpoint | None:
        """Return what may be stored now; None while what an earlier run had read is being read again."""
        sealed, earlier = self.sealed, self._earlier
        if sealed is None or (earlier is not None and sealed.number < earlier.number):
            return None
        return Checkpoint(number=sealed.number, hash=sealed.hash, armed_at=self.armed_at)

    async def _admit_ours(self, signal: Signal, *, scanned: bool) -> None:
        try:
            await self._admit(signal, scanned=scanned)
        except LeaseLost:
            # Whoever has the shard now reads it from the checkpoint on, which must therefore stand still.
            self.forget(self.shard_of(signal.leader))

    async def _admit(self, signal: Signal, *, scanned: bool) -> None:
        follows = self.book.of(signal.leader)
        # Never the same moment twice: an exit has to know which entries were decided before it.
        now = self._decided_at = max(self.wall(), nextafter(self._decided_at, inf))
        followers = self.book.terms.followers
        tasks, skips = decide(
            signal,
            follows,
            followers,
            now=now,
            deadline_s=self.settings.deadline_s,
            catalog=self.catalog,
            behind_s=self.behind_s(),
            halted=self.halted(),
        )
        ours = self._shards is None or self.shard_of(signal.leader) in self._shards
        checkpoint = self._checkpoint() if ours else None
        self.at("gate: before admission")
        whole = len(self._unsure) >= _UNSURE_MOST or self.reader.is_whole(signal, scanned=scanned)
        admission = await self.store.inbox.admit(signal, tasks, checkpoint, skips, whole=whole)
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
            case Duplicate() if (own := self._own_name(signal)) != signal:
                await self._admit(own, scanned=scanned)
            case Duplicate():
                self.observer.on_signal(signal, "duplicate", 0, now)
            case Adopted(signal_id=first, resumed=resumed):
                if first != signal.signal_id:
                    self._given[first] = signal.tx_hash
                    if len(self._given) > _GIVEN_MOST:
                        self._given.popitem(last=False)
                self.restore(first)
                self.observer.on_signal(signal, "adopted", resumed, now)
            case Unsure():
                self._unsure.append(signal)

    def _own_name(self, signal: Signal) -> Signal:
        """Name a trade anew whose first name another transaction has: when that was taken for it, it was not there yet."""
        taken_by = self._given.get(signal.signal_id)
        if taken_by is None or taken_by == signal.tx_hash:
            return signal
        return evolve(signal, signal_id=second_signal_id(signal.signal_id))

    async def _miss(self, signal: Signal, follower: FollowerId, token_id: TokenId) -> None:
        with suppress(LeaseLost):  # admitted it is; the new owner of the shard goes on from there
            await self.settlements.miss_signal(signal, follower, token_id)

    async def _retract(self, facts: tuple[Fact, ...]) -> None:
        for fact in facts:
            if isinstance(fact, Resolution):
                await self.store.ledger.drop_resolution(fact.condition_id)
                continue
            self._unsure = [signal for signal in self._unsure if signal != fact]
            fact = self._own_name(fact)
            retracted = None
            with suppress(LeaseLost):
                retracted = await self.store.inbox.retract(fact)
            if retracted is not None:
                suspended = await self.suspend(retracted.signal_id)
                started = max(0, retracted.given_out - suspended)
                self.observer.on_retracted(fact, retracted.held + suspended, started)
