"""What travels from the chain to the pipeline, over one bounded channel."""

from attrs import frozen

from trio_copy.model.logs import BlockRef, Checkpoint, RawLog

SCAN = "scan"
GLANCE = "glance"
"""Who brings what was read ahead of its turn: no subscription, and not yet the scan."""


@frozen
class SeenLog:
    log: RawLog
    source: str
    """Name of the endpoint, or "scan" for the block scanner, whose word about a block is final."""
    seen_at: float
    """Unix seconds."""


@frozen
class Armed:
    """Blocks up to this one are not copied; what follows is complete."""

    block: BlockRef
    shards: set[int] | None = None
    """The shards whose leaders are read from there on, less those that were lost since; None where all are."""
    checkpoint: Checkpoint | None = None
    """Where an earlier run had come to; None at the first start."""


@frozen
class Sealed:
    """Every log up to this block has gone before; the checkpoint may advance."""

    block: BlockRef


@frozen
class TooDeep:
    """A reorg reached below the window: what was booked there can no longer be matched with the chain."""

    block: BlockRef


@frozen
class Joined:
    """Shards that came while the chain was being read: what they have missed is told them by whoever has kept it."""

    shards: frozenset[int]


FeedItem = SeenLog | Armed | Sealed | TooDeep | Joined
