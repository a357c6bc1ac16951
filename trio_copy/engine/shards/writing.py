"""The one writer of a shard: what is ready at the same time is one write, and writes leave in order.

Events are applied at once and written behind; whoever needs to know that something is durable waits for its batch. A write
that fails ends the writer: then nothing in memory may be believed any more, and whoever waits is told.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

import trio
from attrs import define, field

from trio_copy.accounts.telling import Told
from trio_copy.errors import LeaseLost, StoreError, StoreForgot, StoreUnavailable
from trio_copy.model.facts import Fact
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Accounts, Changes, Document, DocumentKey, nowhere

FACTS_KEPT = 20_000
"""Facts that are kept at hand, should the store forget its last moments."""
_FACTS_KEPT_S = 3600.0
"""And for how long: a fact that is told again after the store has let it go would count twice."""


@define(eq=False)
class Batch:
    """Changes that become durable together."""

    puts: dict[DocumentKey, Document] = field(factory=dict)
    deletes: dict[DocumentKey, None] = field(factory=dict)
    facts: list[Fact] = field(factory=list)
    answers: dict[str, str] = field(factory=dict)
    told: list[Told] = field(factory=list)
    """What is announced once it is durable."""
    checkpoint: Checkpoint | None = None
    error: StoreError | None = None
    _done: trio.Event = field(factory=trio.Event)

    def put(self, document: Document) -> None:
        self.deletes.pop(document.key, None)
        self.puts[document.key] = document

    def delete(self, key: DocumentKey) -> None:
        self.puts.pop(key, None)
        self.deletes[key] = None

    async def wait(self) -> None:
        """Wait until it is durable. Raises what kept it from being so: `StoreError` and its kinds."""
        await self._done.wait()
        if self.error is not None:
            raise self.error

    def end(self, error: StoreError | None) -> None:
        self.error = error
        self._done.set()

    @property
    def changes(self) -> Changes:
        return Changes(
            puts=tuple(self.puts.values()), deletes=tuple(self.deletes), facts=self.facts, answers=self.answers
        )

    @property
    def empty(self) -> bool:
        return not (self.puts or self.deletes or self.facts or self.answers or self.checkpoint or self.told)


@define(eq=False, kw_only=True)
class Writer:
    """Run by one task; any task may add to the batch that is open."""

    accounts: Accounts
    shard: int
    token: int
    before_write: Callable[[Batch], None]
    """Adds what rides along with every write: the checkpoint, and what the shard itself remembers."""
    announce: Callable[[Told], None]
    """Lets people hear of what has become durable."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    open: Batch = field(factory=Batch)
    """What is written next."""
    recent_facts: deque[tuple[float, Fact]] = field(factory=lambda: deque(maxlen=FACTS_KEPT))
    """Each with the moment, by Trio's clock, when it became durable."""
    checkpoint: Checkpoint | None = None
    """The newest one that is durable."""
    _unwritten: Batch | None = None
    """What was being written when the store turned out to have forgotten."""
    _number: int = 0
    _news: trio.Event = field(factory=trio.Event)
    _ended: StoreError | None = None

    @property
    def number(self) -> int:
        """How many writes have succeeded under this token."""
        return self._number

    def tell(self) -> None:
        """Let what is in the open batch be written."""
        if self._ended is not None and self._unwritten is None:
            self._end_open(self._ended)
        self._news.set()

    async def run(self) -> NoReturn:
        """Write until cancelled; a write under way is finished first.

        Raises:
            StoreError: a write failed, or somebody said that none may follow. Everybody who waits has been told.
        """
        try:
            while True:
                await self._news.wait()
                self._news = trio.Event()
                with trio.CancelScope(shield=True):
                    # Whoever decides in this turn of the loop, as those who have waited for the same answer, shares the write.
                    await trio.lowlevel.checkpoint()
                    await self._write_open()
        except StoreForgot:
            raise  # it may be written again
        except BaseException:
            # Whoever waits is shielded, and would wait for ever: another shard's write has failed, and ended this as well,
            # or what rides along could not be written down.
            self.give_up(self._ended or StoreUnavailable("nothing more is written: the engine is ending"))
            raise

    async def flush(self) -> None:
        """Wait until what is open now is written, by the one task that writes. Raises what kept it from being so."""
        batch = self.open
        self.tell()
        await batch.wait()

    async def _write_open(self) -> None:
        if self._ended is not None:
            self._end_open(self._ended)
            raise self._ended
        self.before_write(self.open)
        batch, self.open = self.open, Batch()
        if batch.empty:
            batch.end(None)
            return
        await self._write(batch, batch.changes)

    async def write_again(self, token: int, documents: Sequence[Document], stored: Collection[DocumentKey]) -> None:
        """Write everything once more to a store that forgot, under a token that was just taken with.

        What was being written when that was found out is part of it; whoever waits for it goes on waiting.
        """
        batch, self._unwritten = self._unwritten, None
        if batch is None:  # somebody else turned out to own it meanwhile
            raise self._ended or LeaseLost(f"shard {self.shard} is held here no more")
        self.token, self._number, self._ended = token, 0, None
        keys, since = {document.key for document in documents}, trio.current_time() - _FACTS_KEPT_S
        changes = Changes(
            puts=documents,
            deletes=[key for key in stored if key not in keys],
            facts=(*(fact for told_at, fact in self.recent_facts if told_at >= since), *batch.facts),
            answers=batch.answers,
        )
        with trio.CancelScope(shield=True):
            await self._write(batch, changes)

    async def _write(self, batch: Batch, changes: Changes) -> None:
        checkpoint = batch.checkpoint or (self.checkpoint if self._number == 0 else None)
        self.at("write: before")
        try:
            await self.accounts.write(self.shard, self.token, self._number + 1, changes, checkpoint)
        except StoreForgot as error:
            if self._ended is not None:
                # Given up meanwhile, and taken anew: what was written here is nobody's loss any more.
                batch.end(self._ended)
                raise self._ended from error
            self._ended, self._unwritten = error, batch
            raise
        except Exception as error:
            # Also of a bug in the store: whoever waits is shielded, and would wait for ever.
            ended = error if isinstance(error, StoreError) else StoreUnavailable(f"the store failed: {error!r}")
            self._ended = ended
            batch.end(ended)
            self._end_open(ended)
            raise
        if self._ended is not None:
            # Given up meanwhile: the next owner finds it, but here nothing of it is announced or sent.
            batch.end(self._ended)
            raise self._ended
        self.at("write: durable")
        self._number += 1
        self.checkpoint = checkpoint or self.checkpoint
        if batch.facts:
            now = trio.current_time()
            self.recent_facts.extend([(now, fact) for fact in batch.facts])
        for told in batch.told:
            self.announce(told)
        self.at("write: announced")
        batch.end(None)

    def give_up(self, error: StoreError) -> None:
        """Write no more: somebody else owns the shard. Whoever waits is told, and `run` ends."""
        self._ended = error
        if self._unwritten is not None:
            self._unwritten.end(error)
            self._unwritten = None
        self._end_open(error)
        self._news.set()

    def _end_open(self, error: StoreError) -> None:
        self.open.end(error)
        # The next one has ended as well: whoever adds to it, and waits only then, would wait for ever.
        self.open = Batch()
        self.open.end(error)
