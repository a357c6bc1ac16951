"""A chain of blocks with logs, that can be mined and reorganised. Sync and deterministic."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256

from attrs import define, field, frozen

from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.transactions.bloom import bloom_over


@frozen(kw_only=True)
class DevLog:
    """What a contract emits."""

    address: Address
    topics: tuple[str, ...]
    data: bytes


@frozen(kw_only=True)
class DevTx:
    """A transaction; the same `tx_hash` in another block is the same one, mined again."""

    tx_hash: Hash32
    logs: tuple[DevLog, ...]


@frozen(kw_only=True)
class DevBlock:
    ref: BlockRef
    txs: tuple[DevTx, ...]
    logs: tuple[RawLog, ...]


def fake_hash(*parts: object) -> Hash32:
    """Derive a hash that looks like one."""
    return Hash32("0x" + sha256("|".join(map(str, parts)).encode()).hexdigest())


@define(eq=False)
class DevChain:
    chain_id: ChainId
    now: Callable[[], float]
    """Unix seconds; blocks are stamped with it."""
    kept: int | None = None
    """How many blocks it remembers, the newest ones, as one that prunes does; None for all."""
    blocks: list[DevBlock] = field(factory=list)
    """By number; the first one stands where one is forgotten."""
    on_block: list[Callable[[DevBlock], None]] = field(factory=list)
    on_removed: list[Callable[[DevBlock], None]] = field(factory=list)
    _forks: int = 0
    _by_hash: OrderedDict[Hash32, DevBlock] = field(factory=OrderedDict)

    def __attrs_post_init__(self) -> None:
        self._append(())

    @property
    def head(self) -> DevBlock:
        return self.blocks[-1]

    def mine(self, *txs: DevTx) -> DevBlock:
        """Put a block on top and tell everybody who listens."""
        block = self._append(txs)
        for listener in self.on_block:
            listener(block)
        return block

    def reorg(self, depth: int, replacement: Sequence[Sequence[DevTx]]) -> list[DevBlock]:
        """Drop the newest `depth` blocks and mine others in their place; returns the dropped ones, newest first."""
        self._forks += 1
        dropped = [self.blocks.pop() for _ in range(min(depth, len(self.blocks) - 1))]
        for block in dropped:
            for listener in self.on_removed:
                listener(block)
        for txs in replacement:
            self.mine(*txs)
        return dropped

    def at(self, number: int) -> DevBlock | None:
        block = self.blocks[number] if 0 <= number < len(self.blocks) else None
        return block if block is not None and block.ref.number == number else None

    def by_hash(self, block_hash: str) -> DevBlock | None:
        """Return a block, even one that is no longer on the chain, as nodes do for a while."""
        return self._by_hash.get(Hash32(block_hash))

    def _append(self, txs: Sequence[DevTx]) -> DevBlock:
        number = len(self.blocks)
        parent = self.blocks[-1].ref.hash if self.blocks else Hash32("0x" + "0" * 64)
        block_hash = fake_hash("block", self.chain_id, number, parent, self._forks, *(tx.tx_hash for tx in txs))
        time = int(self.now())
        logs = [(tx, log) for tx in txs for log in tx.logs]
        block = DevBlock(
            ref=BlockRef(
                number=number,
                hash=block_hash,
                parent=parent,
                time=time,
                bloom=bloom_over(value for _, log in logs for value in (log.address, *log.topics)),
            ),
            txs=tuple(txs),
            logs=tuple(
                RawLog(
                    chain_id=self.chain_id,
                    address=log.address,
                    topics=tuple(map(Hash32, log.topics)),
                    data=log.data,
                    block_number=number,
                    block_hash=block_hash,
                    block_time=time,
                    tx_hash=tx.tx_hash,
                    log_index=index,
                )
                for index, (tx, log) in enumerate(logs)
            ),
        )
        self.blocks.append(block)
        self._by_hash[block_hash] = block
        if self.kept is not None and number >= self.kept:
            self.blocks[number - self.kept] = self.blocks[0]
            while len(self._by_hash) > self.kept:
                self._by_hash.popitem(last=False)
        return block
