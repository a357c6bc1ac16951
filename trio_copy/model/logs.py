"""What the chain says, before anybody says what it means."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NewType

from attrs import define, evolve, field, frozen

from trio_copy.model.ids import Address, ChainId, Hash32

LogName = NewType("LogName", bytes)
"""What a log is known by, whoever tells it: a digest of its block, its transaction, its words and its `nth`."""


@frozen(kw_only=True)
class RawLog:
    """One `eth_subscribe` / `eth_getLogs` entry: checked for shape, not decoded."""

    chain_id: ChainId
    address: Address
    topics: tuple[Hash32, ...]
    data: bytes
    block_number: int
    block_hash: Hash32
    block_time: int | None
    """Unix seconds, or None where the node does not tell."""
    tx_hash: Hash32
    log_index: int
    """Its place in the block as its source numbers it: for people and for sorting, never for recognising a log."""
    nth: int = 0
    """Which of the equal logs of its transaction it is, counted within what one source told."""
    removed: bool = False
    """True when a reorg took this log back."""

    @property
    def name(self) -> LogName:
        """Name the log by its content: nodes agree on that, and on no number."""
        words = "|".join((self.block_hash, self.tx_hash, self.address, *self.topics, str(self.nth), ""))
        return LogName(blake2b(words.encode() + self.data, digest_size=16).digest())


@define(eq=False)
class EqualLogs:
    """Tells logs of equal content apart, within what one source told: an answer, or a file.

    A log that comes twice under one number is one log, told twice. A source that numbers different logs alike says
    nothing by its numbers; there, every log counts.
    """

    numbers_repeat: bool = False
    kept: int = 1_000_000
    """Logs that are remembered: an endless source takes no endless memory."""
    _numbers: dict[LogName, list[int]] = field(factory=dict)

    def numbered(self, log: RawLog) -> RawLog:
        """Return the log with its `nth`."""
        numbers = self._numbers.setdefault(log.name, [])
        if len(self._numbers) > self.kept:
            del self._numbers[next(iter(self._numbers))]
        if self.numbers_repeat or log.log_index not in numbers:
            numbers.append(log.log_index)
            nth = len(numbers) - 1
        else:
            nth = numbers.index(log.log_index)
        return evolve(log, nth=nth) if nth else log


def numbers_repeat(logs: Iterable[RawLog]) -> bool:
    """Tell whether a source numbers different logs of one block alike."""
    names: dict[tuple[Hash32, int], LogName] = {}
    return any(names.setdefault((log.block_hash, log.log_index), log.name) != log.name for log in logs)


@frozen(kw_only=True)
class BlockRef:
    """A block header as far as following a chain needs it."""

    number: int
    hash: Hash32
    parent: Hash32
    time: int
    """Unix seconds."""
    bloom: int = 0
    """The 2048-bit logs bloom."""


@frozen(kw_only=True)
class Checkpoint:
    """The block up to which everything is stored."""

    number: int
    hash: Hash32
    armed_at: int = -1
    """The block at which the engine was armed first: what is older is not copied, however far back is read."""
