"""What the chain says, before anybody says what it means."""

from attrs import frozen

from trio_copy.model.ids import Address, ChainId, Hash32


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
    removed: bool = False
    """True when a reorg took this log back."""


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
