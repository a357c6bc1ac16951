"""What a small world is between two steps: a store, the owners of its shard, a venue, and what has happened."""

from typing import NamedTuple

from tests.model_check.worlds import Key

COST = 5_100_000
"""What each purchase of these worlds may cost, in millionths."""
MORE = {"rest": "half", "half": "fill"}
"""How an order that rests may be filled."""
OVER = {"rest": "kill", "half": "half and over"}
"""What it is once it was cancelled."""
SETTLES = {"pending": ("fill", "half pending"), "half pending": ("half and over",)}
"""What becomes of a fill that was matched: it settles, or one of its two trades is undone first."""
Frozen = tuple[str, bytes]
"""An order's key and body."""


Puts = tuple[tuple[Key, bytes | None], ...]


class Checkpoint(NamedTuple):
    number: int = 0
    version: int = 0
    """Which history of the chain its block is of: what a block hash tells."""


class Write(NamedTuple):
    puts: Puts = ()
    facts: tuple[tuple[str, str], ...] = ()
    checkpoint: Checkpoint | None = None
    sends: tuple[Frozen, ...] = ()


class Store(NamedTuple):
    token: int = 1
    documents: tuple[tuple[Key, bytes], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    checkpoint: Checkpoint = Checkpoint()
    placed: tuple[Frozen, ...] = ()
    """Every order that was ever durable."""
    drawn: int = 0


class Process(NamedTuple):
    """One owner of the shard, or who was it."""

    token: int
    canonical: bool = False
    """Whether it began after the reorg, and knows nothing else."""
    position: int = 0
    version: int = 0
    start: int = 0
    since: int = 0
    """The history of the chain that the checkpoint was of from which it began."""
    alive: bool = True
    marks: tuple[str, ...] = ()
    """Its accounts, empty where one is not loaded."""
    met: tuple[str, ...] = ()
    heard: tuple[tuple[str, int], ...] = ()
    """Signals that it read itself, and their blocks."""
    first: tuple[tuple[tuple[str, ...], str], ...] = ()
    """By what a retracted signal may be known again, and its identity."""
    queue: tuple[str, ...] = ()
    writes: tuple[Write, ...] = ()
    outbox: tuple[Frozen, ...] = ()
    sealed: int = 0
    asked: Checkpoint = Checkpoint()
    granted: int = 0


class World(NamedTuple):
    store: Store = Store()
    processes: tuple[Process, ...] = ()
    venue: tuple[tuple[Frozen, str], ...] = ()
    """What each order that arrived came to."""
    reorged: bool = False
    late: bool = False
    crashes: int = 0


class Wrong(Exception):
    """A promise is broken."""
