"""The stage from the feed to the shards: decode, meet, decide, let wait. It ends when the feed does."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from zlib import crc32

import trio
from attrs import define, evolve, field

from trio_copy.chain.feed import SCAN, Armed, FeedItem, Joined, Sealed, SeenLog, TooDeep
from trio_copy.clock import WallClock
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.deciding import Deciding
from trio_copy.engine.gate.reader import Fact, LogReader
from trio_copy.engine.gate.recent import Recent
from trio_copy.engine.gate.undecided import Undecided
from trio_copy.engine.shards.met import Adopted, Copy, New, Unsure
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import arm, resume, retract, seal
from trio_copy.errors import LeaseLost
from trio_copy.model.control import Mode
from trio_copy.model.follows import Terms
from trio_copy.model.ids import Address, FollowerId, SignalId, TokenId
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.model.resolutions import Resolution
from trio_copy.model.signals import Signal
from trio_copy.ports import Store
from trio_copy.telemetry.observer import Observer

_Told = dict[tuple[SignalId, str], tuple[Signal, int]]
"""What the shards say of a signal, by its admission, and how many tasks wait in all of them."""
_Follows = Mapping[int, Sequence[Terms]]
"""Of one leader, by shard."""
_UNSURE_MOST = 1000


def ignore(token_id: TokenId) -> None:
    """Hear of a traded token where nobody wants to know."""


@define(eq=False, kw_only=True)
class Gate:
    reader: LogReader
    book: FollowBook
    deciding: Deciding
    store: Store
    shards: Mapping[int, Shard]
    """Those that are held here."""
    shard_of: Callable[[FollowerId], int]
    observer: Observer
    wall: WallClock
    on_armed: Callable[[BlockRef], None] = lambda block: None
    on_joined: Callable[[int, int], None] = lambda shard, block: None
    """Told of a shard that reads on with the others, and the block after which it was told what it had missed."""
    on_removed: Callable[[RawLog, str], bool] = lambda log, source: True
    """Told of each log that a subscription took back, and whose, so that the scanner can look whether it is gone; False
    when the source is not to be believed."""
    on_traded: Callable[[TokenId], None] = ignore
    """Told of each token that a leader trades whom somebody here follows, before anything is decided about it."""
    on_item: Callable[[FeedItem], None] = lambda item: None
    """Hears everything before it is worked on, for recordings."""
    undecided: Undecided | None = None
    """Where follows wait for what a market source may tell; None where there is none."""
    recent: Recent = field(factory=lambda: Recent(keeps=False))
    sealed: BlockRef | None = None
    """The newest block of which everything was read."""
    armed_at: int = -1
    """The block at which this engine, or one before it on the same store, was armed first."""
    _unsure: list[tuple[int, Signal]] = field(factory=list)
    """Trades that may be retracted ones in another transaction, by shard: they wait until all of their block is known."""

    async def run(self, receive: trio.MemoryReceiveChannel[FeedItem]) -> None:
        """Work through the feed until it ends. A store that does not answer ends it with `StoreUnavailable`."""
        with receive:
            async for item in receive:
                self.on_item(item)
                await self._take(item)
        if self.undecided is not None:
            await self.undecided.decide_all()

    async def _take(self, item: FeedItem) -> None:
        match item:
            case SeenLog(log=log, source=source) if log.removed:
                # At once, because the trade may come again at any moment; but a single node may be wrong.
                if source == SCAN or self.on_removed(log, source):
                    self._retract(self.reader.take_back(log))
            case SeenLog(source=source):
                for fact in self.reader.read(item):
                    await self._take_fact(fact, scanned=source == SCAN)
            case Sealed(block=block):
                self._retract(self.reader.seal(block))
                with self._telling() as told:
                    await self._meet_unsure(told)
                self.sealed = block
                self._seal(block)
            case Armed(block=block, shards=shards, checkpoint=earlier):
                self.reader.start_over(block)
                self.recent.start_over(block)
                # The store may be of a version that did not write down where the story began.
                known = earlier is not None and earlier.armed_at >= 0
                self.armed_at = earlier.armed_at if earlier is not None and known else block.number
                self._unsure.clear()
                self.sealed = block
                for number, shard in tuple(self.shards.items()):
                    shard.resolved.read_again(block.number)
                    shard.met.read_from(block.number, self.wall())
                    if shards is None or number in shards:
                        arm(shard, block, self.armed_at, anew=earlier is None)
                        # Said only once the next start knows it too: it reads on from here, and not from its own head.
                        with suppress(LeaseLost):
                            await shard.writer.open.wait()
                self.on_armed(block)
            case Joined(shards=shards):
                for number in sorted(shards):
                    joined = self.shards.get(number)
                    if joined is None or joined.armed:
                        continue
                    if self.can_tell([number]):
                        await self._tell(joined)
                    else:  # others have come to be read since: taken anew, it is read from the chain
                        joined.lose(LeaseLost(f"what shard {number} has missed is not all known here"))
                self.recent.let_go()
            case TooDeep(block=block):
                why = f"a reorg reached below the window at block {block.number}"
                await self.store.control.set_mode(Mode.HALT_NEW, why)
                self.observer.on_alert("reorg-too-deep", why)

    async def _meet_unsure(self, told: _Told) -> None:
        """Meet the trades that waited until all of their block is known."""
        waiting, self._unsure = self._unsure, []
        for number, signal in waiting:
            shard = self.shards.get(number)
            # What far below no scan has confirmed was lost just now.
            if not self.reader.is_whole(signal, scanned=True):
                self._unsure.append((number, signal))
            elif shard is not None:
                await self._meet(shard, signal, self._follows(signal.leader), told, whole=True)

    def can_tell(self, shards: Iterable[int]) -> bool:
        """Tell whether all that shards have missed since their checkpoints is kept; then it is until they have `Joined`."""
        joined = [self.shards[number].checkpoint for number in shards if number in self.shards]
        known = [checkpoint.number for checkpoint in joined if checkpoint is not None]
        return len(known) == len(joined) and self.sealed is not None and self.recent.hold(min(known, default=-1))

    async def _tell(self, shard: Shard) -> None:
        """Let a shard meet what it has missed, as if it had been there, and read on with the others."""
        checkpoint, sealed = shard.checkpoint, self.sealed
        assert checkpoint is not None  # or it could not be told
        assert sealed is not None
        shard.resolved.read_again(checkpoint.number)
        shard.met.read_from(checkpoint.number, self.wall())
        with self._telling() as told:
            for fact, whole, gone, taken_back in self.recent.after(checkpoint.number):
                if taken_back:
                    self._retract_at([shard], fact)
                elif isinstance(fact, Resolution):
                    if not gone:
                        shard.resolved.note(fact)
                elif not gone:
                    await self._meet(shard, fact, self._follows(fact.leader), told, whole=whole)
                elif self._follows(fact.leader).get(shard.number):
                    shard.met.miss(shard.met.own_name(fact), self.wall())
            await self._meet_unsure(told)
        arm(shard, sealed, checkpoint.armed_at, anew=False)
        with suppress(LeaseLost):
            await shard.writer.open.wait()
        self.on_joined(shard.number, checkpoint.number)

    def _seal(self, block: BlockRef) -> None:
        self.recent.seal(block)
        for shard in self.shards.values():
            if shard.armed and not shard.leaving:
                seal(shard, block)

    async def _take_fact(self, fact: Fact, *, scanned: bool) -> None:
        if isinstance(fact, Resolution):
            self.recent.add(fact, whole=True)
            for shard in self.shards.values():
                shard.resolved.note(fact)
                shard.writer.tell()
            return
        whole = len(self._unsure) >= _UNSURE_MOST or self.reader.is_whole(fact, scanned=scanned)
        self.recent.add(fact, whole=whole)
        copies, follows = True, self._follows(fact.leader)
        if follows:
            self.on_traded(fact.token_id)
        with self._telling() as told:
            for shard in in_turn(self.shards.values(), fact.signal_id):
                if not shard.armed:
                    continue  # it begins at its checkpoint: an exit met before would find nothing of the entries in between
                copies = not await self._meet(shard, fact, follows, told, whole=whole) and copies
        if copies:
            self.observer.on_signal(fact, "duplicate", 0, self.wall())

    @contextmanager
    def _telling(self) -> Iterator[_Told]:
        """Tell the observer once what all shards together did with a signal, also when somebody ends it half way."""
        told: _Told = {}
        try:
            yield told
        finally:
            for (_, admission), (signal, tasks) in told.items():
                all_tasks: int | None = tasks
                if self.undecided is not None and admission == "admitted":
                    all_tasks = self.undecided.owes(signal, tasks)
                if all_tasks is not None:
                    self.observer.on_signal(signal, admission, all_tasks, self.wall())

    async def _meet(self, shard: Shard, signal: Signal, follows_of: _Follows, told: _Told, *, whole: bool) -> bool:
        """Let a shard meet a signal; False when it was a copy, or nobody there follows."""
        follows = follows_of.get(shard.number)
        if not follows or not shard.is_read():
            return False
        # An account is read before the shard takes note of the signal: what is cut off in between is met again.
        try:
            await shard.load([terms.follower for terms in follows])
        except LeaseLost as error:
            shard.lose(error)
        if not shard.is_read():
            return False  # meanwhile: whoever has it next meets the signal
        told_as, signal = signal, shard.met.own_name(signal)
        match shard.met.meet(signal, self.wall(), whole=whole):
            case New(first=first):
                resume(shard, first)  # what an earlier owner had suspended of it
                signal = signal if first == signal.signal_id else evolve(signal, signal_id=first)
                _note(told, signal, "admitted", self._decide(shard, signal, follows))
                return True
            case Copy():
                return False
            case Adopted(first=first):
                _note(told, signal, "adopted", resume(shard, first))
                return True
            case Unsure():
                self._unsure.append((shard.number, told_as))
                return True

    def _decide(self, shard: Shard, signal: Signal, follows: Sequence[Terms]) -> int:
        """Decide what a shard's followers make of a signal, as far as they can now; returns how many tasks wait."""
        if self.undecided is not None:
            follows = self.undecided.keep_back(shard, signal, follows)
        return self.deciding.decide(shard, signal, follows)

    def _follows(self, leader: Address) -> _Follows:
        """Return a leader's follows by shard; once for all shards, for a leader may have thousands."""
        if self.shard_of is alone:
            return {0: self.book.of(leader)}
        follows: defaultdict[int, list[Terms]] = defaultdict(list)
        for terms in self.book.of(leader):
            follows[self.shard_of(terms.follower)].append(terms)
        return follows

    def _retract(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self.recent.take_back(fact)
            if not isinstance(fact, Resolution):
                self._unsure = [(shard, signal) for shard, signal in self._unsure if signal != fact]
            self._retract_at(self.shards.values(), fact)

    def _retract_at(self, shards: Iterable[Shard], fact: Fact) -> None:
        if isinstance(fact, Resolution):
            for shard in shards:
                shard.resolved.take_back(fact)
            return
        found, suspended, placed = False, 0, 0
        for shard in shards:
            first = shard.met.retract(shard.met.own_name(fact), self.wall())
            if first is not None:
                waiting, started = retract(shard, first)
                found, suspended, placed = True, suspended + waiting, placed + started
        if found:
            self.observer.on_retracted(fact, suspended, placed)


def _note(told: _Told, signal: Signal, admission: str, tasks: int) -> None:
    before = told.get((signal.signal_id, admission))
    told[signal.signal_id, admission] = (signal, tasks + (0 if before is None else before[1]))


def in_turn(shards: Collection[Shard], signal: SignalId) -> Sequence[Shard]:
    """Return shards in another turn for each signal: no follower is always behind all those of another shard."""
    turn = tuple(shards)
    first = crc32(signal.encode()) % len(turn) if turn else 0
    return turn[first:] + turn[:first]


def alone(follower: FollowerId) -> int:
    """Return the shard of a follower where there is one for all."""
    return 0
