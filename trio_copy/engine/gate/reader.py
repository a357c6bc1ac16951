"""Turns what the feed brings into signals to admit and signals to take back. Sync: the pipeline acts on it.

Every endpoint brings every log, the scanner brings it again, a reorg takes it back and brings it in another block. The
reader drops copies early and cheaply; the gate remains the authority on what is new. A log is known by its content, never
by a number: nodes number the same log differently, and different logs alike. Of equal logs of one transaction a
subscription brings one, for it may tell one twice; the scanner, who reads a block's answer as a whole, brings the others.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from attrs import define, field

from trio_copy.chain.feed import SCAN, SeenLog
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.decoder_border import JudgedDecoder
from trio_copy.errors import UndecodableLog
from trio_copy.model.fills import Fill, NotAFill
from trio_copy.model.ids import Address, Hash32, SignalId
from trio_copy.model.logs import BlockRef, LogName, RawLog
from trio_copy.model.resolutions import Resolution
from trio_copy.model.signals import Signal, signal_from_fill
from trio_copy.ports import Decoder

_LOGS_KEPT = 50_000
_SEALS_OF_DOUBT = 2
Fact = Signal | Resolution
"""What a log may tell: a leader's trade, or the end of a question."""
BlockPlace = tuple[int, Hash32]
"""Number and hash of a block."""
_K = TypeVar("_K")
_V = TypeVar("_V")


@define(eq=False)
class LogReader:
    decoders: Mapping[str, Decoder | JudgedDecoder]
    """By topic0."""
    book: FollowBook
    quarantine: Callable[[str, str], None]
    on_fill: Callable[[Fill, SignalId, str], None]
    reads: Callable[[Address], bool] = lambda leader: True
    """Whether a leader is read by this instance."""
    behind_s: Callable[[], float] = lambda: 0.0
    """How far our clock is behind the chain's."""
    armed_block: int | None = None
    """Logs up to this block are not copied; None, and none is, before it is known where the story starts."""
    counts: Counter[str] = field(factory=Counter)
    """Logs by what became of them: new, copy, before-arming, orphaned, and the kinds of `NotAFill`."""
    first_by: Counter[str] = field(factory=Counter)
    """Logs by the source that brought them first."""
    _seen: OrderedDict[LogName, tuple[Fact, ...]] = field(factory=OrderedDict)
    _sealed: OrderedDict[Hash32, None] = field(factory=OrderedDict)
    _sealed_number: int = -1
    _orphaned: OrderedDict[LogName, None] = field(factory=OrderedDict)
    _unsealed: OrderedDict[LogName, tuple[BlockPlace, tuple[Fact, ...]]] = field(factory=OrderedDict)
    """Facts that a subscription brought and the scanner has not confirmed, with their blocks."""
    _unconfirmed: OrderedDict[LogName, tuple[BlockPlace, tuple[Fact, ...]]] = field(factory=OrderedDict)
    """The same of blocks that are sealed: the scanner does not know these logs, so it cannot take them back."""

    def start_over(self, block: BlockRef) -> None:
        """Read everything after a block anew: leaders came whose logs were not looked at before. The gate knows copies."""
        self.armed_block, self._sealed_number = block.number, -1
        for table in (self._seen, self._sealed, self._orphaned, self._unsealed, self._unconfirmed):
            table.clear()

    def read(self, seen: SeenLog) -> tuple[Fact, ...]:
        """Return what a log tells, nothing when it was seen before."""
        log = seen.log
        key = log.name
        scanned = seen.source == SCAN
        if scanned:
            self._unsealed.pop(key, None)
            self._unconfirmed.pop(key, None)
            # The scanner has the last word: a block that was taken back and is on the chain again counts again.
            self._orphaned.pop(key, None)
        elif key in self._orphaned:
            self.counts["orphaned"] += 1
            return ()
        if key in self._seen:
            self.counts["copy"] += 1
            return ()
        if self.armed_block is None or log.block_number <= self.armed_block:
            self.counts["before-arming"] += 1
            return ()
        if log.block_time is None and log.block_number <= self._sealed_number:
            # Not fresh, and nobody says how old: the scanner reads it with its block's time, or has done so.
            self.counts["left-to-the-scan"] += 1
            return ()
        signals = self._signals(seen)
        if signals is None:
            return ()  # unusable: a good copy of the same log may still come
        self.counts["new"] += 1
        self.first_by[seen.source] += 1
        _remember(self._seen, key, signals)
        if not scanned and signals and log.block_hash not in self._sealed:
            _remember(self._unsealed, key, ((log.block_number, log.block_hash), signals))
        return signals

    def take_back(self, log: RawLog) -> tuple[Fact, ...]:
        """Return what a removed log had told; a copy of it that comes only later is then dropped."""
        key = log.name
        _remember(self._orphaned, key, None)
        self._unsealed.pop(key, None)
        self._unconfirmed.pop(key, None)
        return self._seen.pop(key, ())

    def seal(self, block: BlockRef) -> tuple[Fact, ...]:
        """Return the facts of subscriptions' logs that the chain passed by without confirming them.

        A log of the sealed block itself is good, even if the scan did not bring it: sources complete each other. One
        of another block gets a little time, because the seal may belong to the chain that is just being replaced.
        """
        self._sealed_number = block.number
        _remember(self._sealed, block.hash, None)
        lost: list[Fact] = []
        for key, ((number, block_hash), signals) in list(self._unsealed.items()):
            if block_hash == block.hash:
                del self._unsealed[key]
                _remember(self._unconfirmed, key, ((number, block_hash), signals))
            elif number <= block.number - _SEALS_OF_DOUBT:
                del self._unsealed[key]
                self._seen.pop(key, None)
                _remember(self._orphaned, key, None)
                lost.extend(signals)
        for key, ((number, block_hash), signals) in list(self._unconfirmed.items()):
            if number == block.number and block_hash != block.hash:
                del self._unconfirmed[key]
                self._seen.pop(key, None)
                _remember(self._orphaned, key, None)
                lost.extend(signals)
        return tuple(lost)

    def is_whole(self, signal: Signal, *, scanned: bool) -> bool:
        """Tell whether all of a signal's block has been read: then nothing else of it is still to come.

        The seal of another block does not tell, not even one a little further up: it may be of the chain which is just being
        replaced. But blocks of a gap are not sealed one by one. What a subscription brings of a block far below may be a reorg
        that nobody has followed yet: there, only the seal counts.
        """
        below = signal.block_number <= self._sealed_number - _SEALS_OF_DOUBT
        return signal.block_hash in self._sealed or (scanned and below)

    def _signals(self, seen: SeenLog) -> tuple[Fact, ...] | None:
        """Return what a log tells; None when the log is unusable."""
        log = seen.log
        decoder = self.decoders.get(log.topics[0]) if log.topics else None
        if decoder is None:
            self.quarantine("unknown-topic", f"{log.topics[0] if log.topics else 'no topic'} from {seen.source}")
            return None
        try:
            decoded = decoder.decode(log)
        except UndecodableLog as error:
            self.quarantine(error.kind, str(error))
            return None
        if isinstance(decoded, NotAFill):
            self.counts[decoded.kind] += 1
            return ()
        if isinstance(decoded, Resolution):
            return (decoded,)
        return tuple(self._leader_signals(decoded, seen))

    def _leader_signals(self, fills: Iterable[Fill], seen: SeenLog) -> Iterable[Signal]:
        for fill in fills:
            if fill.owner in self.book and self.reads(fill.owner):
                now = int(seen.seen_at + self.behind_s())
                # A fresh log without a time is as old as its arrival, and so is one from the future: a deadline must end.
                block_time = now if fill.block_time is None else min(fill.block_time, now)
                signal = signal_from_fill(fill, block_time=block_time, seen_at=seen.seen_at)
                self.on_fill(fill, signal.signal_id, seen.source)
                yield signal


def _remember(table: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    table[key] = value
    if len(table) > _LOGS_KEPT:
        table.popitem(last=False)
