"""The contract of stores: where accounts, facts, follows and what instances agree on outlive a process.

A store keeps documents and facts and knows no rule of money: what it is given it gives back, byte for byte. Whoever
writes a store implements storage, and nothing else.

Two rules hold for every method. *Cancellation*: a cancelled call has either happened whole or not at all, and the caller
cannot know which; every method is therefore safe to repeat with the same arguments. *Time*: no method takes a timeout; the
caller brings a cancel scope. Times are Unix seconds. Every method may raise `StoreUnavailable`: the engine then stops
trading instead of trading blind.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import trio
from attrs import field, frozen

from trio_copy.clock import WallClock
from trio_copy.model.control import ENGINE, Heard, Instance, Lease, Mode, ModeChange, Modes
from trio_copy.model.facts import Fact, FactQuery, Sums
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.settings import NoSettings
from trio_copy.ports.follows import Follows
from trio_copy.sockets import open_socket

HEAD_KINDS = frozenset({"order", "waits"})
"""Kinds of documents that `take` returns of every account: what may be at a venue, and what waits."""
NOBODY = FollowerId("")
"""The follower of documents that belong to the shard itself."""
FORGOTTEN_TOKEN = ""
"""Stands in sums for the token of facts that were let go."""
DocumentKey = tuple[FollowerId, str, str]
"""Follower, kind and name."""


class Document(NamedTuple):
    """A piece of an account, or of the shard itself. A tuple, because each copy makes several."""

    follower: FollowerId
    kind: str
    """A short word, such as order or position."""
    name: str
    """Unique among those of one follower and kind; at most 300 characters."""
    body: bytes
    """Opaque to the store."""

    @property
    def key(self) -> DocumentKey:
        return self[:3]


@frozen(kw_only=True)
class Changes:
    """What one write puts, deletes and tells; absolute, so that repeating it changes nothing."""

    puts: Sequence[Document] = ()
    deletes: Sequence[DocumentKey] = ()
    """None of them is in `puts`. An unknown one changes nothing."""
    facts: Sequence[Fact] = ()
    """A fact whose key is known is overwritten."""
    answers: Mapping[str, str] = field(factory=dict)
    """What came of requests, by their names: they are open no more. Of one that nobody asked nothing has to be kept."""


@frozen(kw_only=True)
class Heads:
    """What a new owner of a shard has to know before it does anything."""

    checkpoint: Checkpoint | None
    documents: Sequence[Document]
    """Those of `HEAD_KINDS`, of every account, and all that belong to the shard itself."""


@frozen(kw_only=True)
class Request:
    """What a person wants of the owner of a shard."""

    name: str
    """Unique; drawn by who asks."""
    kind: str
    body: str
    at: float
    """Unix seconds."""


class Accounts(Protocol):
    """The accounts of each shard, in one slot, written by one owner."""

    async def take(self, shard: int, token: int) -> Heads:
        """Become the only writer of a shard. Called by whoever holds the shard's lease, with its token.

        Atomic: from the moment that this is done, every `write` with a lower token fails, and what is returned is what
        the last successful one left. Repeated with the same token, the counting of writes begins anew.

        Raises:
            LeaseLost: a higher token has taken the shard.
        """
        ...

    async def load(
        self, shard: int, token: int, followers: Collection[FollowerId]
    ) -> Mapping[FollowerId, Sequence[Document]]:
        """Return every document of some accounts; of one that has none, an empty sequence.

        Raises:
            LeaseLost: a higher token has taken the shard.
        """
        ...

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        """Make changes durable, all or nothing; when this returns, they survive any crash that the store promises.

        `number` counts the writes of this token from 1 without a gap. The write with the number that was carried out last
        changes nothing when it comes again: its answer was lost. A checkpoint of None leaves the stored one as it is.

        Raises:
            LeaseLost: a higher token has taken the shard.
            StoreForgot: the shard is not as this token left it: it was never taken, by a lower token, or some writes are
                missing. Nothing was changed.
        """
        ...

    async def ask(self, shard: int, request: Request) -> None:
        """Put a request to the owner of a shard; asked again under the same name, nothing changes."""
        ...

    async def requests(self, shard: int, token: int) -> Sequence[Request]:
        """Return the open requests of a shard, oldest first by `at`; at most 100. Raises `LeaseLost` as `load`."""
        ...

    async def answer(self, shard: int, name: str) -> str | None:
        """Return what came of a request; None while it is open. Answers are kept for an hour at least."""
        ...


class Control(Protocol):
    """What an operator and several instances agree on."""

    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        """Let a shard have up to `total` of a budget that all shards share; returns what it may spend of it.

        That is what it has, as far as `limit` less what the others have covers it, and no less than 0. Atomic: no draw
        lets what all shards have together pass its `limit`, in millionths. What one has may pass a later one, where that
        is lower, or where an owner tells a store that forgot what it has: without a limit worth the name. Nothing takes
        anything away, from this shard or from others, neither a lower `total` nor a lowered limit: an owner that was
        replaced may still ask, and must not give away what the owner after it has spent. Repeated, it changes nothing.
        Budgets may be forgotten 3 days after their last draw.
        """
        ...

    async def modes(self) -> Modes:
        """Return every mode in force."""
        ...

    async def set_mode(self, mode: Mode, why: str, scope: str = ENGINE) -> ModeChange:
        """Change the mode of a scope for every instance; it survives a restart where the store does."""
        ...

    async def wait_modes(self, since: int) -> Modes:
        """Wait for modes of a later version."""
        ...

    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        """Take a lease when it is free, expired or already mine. None when somebody else holds it.

        Its token is higher than that of any owner before; the same owner keeps the token of a lease that has not expired.
        """
        ...

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        """Extend a lease. Raises `LeaseLost` when its fencing token is no longer the newest, or it has expired."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give a lease up; one that was lost already changes nothing."""
        ...

    async def held(self, names: Sequence[str]) -> Mapping[str, Lease]:
        """Return those of some leases that somebody holds now."""
        ...

    async def beat(self, instance: Instance) -> Heard:
        """Show that an instance lives; returns what it hears by that, in the same step. `seen_at` is set by the store."""
        ...

    async def leave(self, instance: str) -> None:
        """Take an instance off the list: it ends in good order."""
        ...

    async def ask_drain(self, instance: str) -> bool:
        """Ask an instance to finish and stop; it hears it with its next heartbeat. False when there is no such instance."""
        ...

    async def instances(self) -> tuple[Instance, ...]:
        """List the instances with their last heartbeat, those that died without leaving included for a day."""
        ...


class History(Protocol):
    """What was written, for people who ask. Beside the engine: no copy waits for an answer.

    A store may let facts go after a time, or when there are too many; their amounts are kept, by kind, follower, leader and
    day, in the step that lets them go. A fact that is told again after that counts anew.

    What is written meanwhile may be seen or not, also in parts.
    """

    async def facts(self, query: FactQuery) -> Sequence[Fact]:
        """Return facts of all shards, newest first; those of one moment in any order that stays the same."""
        ...

    async def sums(self, query: FactQuery, by: Sequence[str]) -> Sums:
        """Add the amounts of facts up, by some of follower, leader, token_id and day; the query's limit does not count.

        The keys are in the order of `by`. A day is the UTC date of `at`, as 2026-01-31. What adds up to nothing may be left
        out.

        Facts that the store has let go count as before, but for two things that are forgotten: the moment within their day,
        so that all of a day counts if it began between `since` and `until`; and their token. They are added up under
        `FORGOTTEN_TOKEN`, and where a question names a token they do not count.
        """
        ...

    async def story(self, prefix: str) -> tuple[Sequence[Fact], Sequence[Document]]:
        """Return the facts, and the documents of `HEAD_KINDS`, about ids that start with a text.

        A fact is found by its `task_id`, `signal_id` and `order_id`, a document by the ids in its `name`, which are
        separated by "/". At most 100 of each.
        """
        ...

    async def documents(self, kind: str, follower: FollowerId | None = None) -> Sequence[Document]:
        """Return the documents of a kind, of all shards and of one or every account, sorted by their keys.

        Those of one account are all of one moment: no write has put some of them and not yet the others.
        """
        ...


class Store(Protocol):
    """Four parts; one backend opens them all."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def control(self) -> Control: ...
    @property
    def follows(self) -> Follows: ...
    @property
    def history(self) -> History: ...


OpenSocket = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Connects to a host and port, or to a Unix socket: see `sockets.open_socket`."""
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


async def to_thread_run_sync(run: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever it returns
    """Run something in a thread; a cancellation waits for it."""
    return await trio.to_thread.run_sync(run, abandon_on_cancel=False)


def nowhere(point: str) -> None:
    """Let a crash point pass."""


def tell_nobody(kind: str, detail: str) -> None:
    """Take the kind and detail of trouble that nobody wants to hear of."""


@frozen(kw_only=True)
class StoreContext:
    """All that a store is given."""

    settings: Any
    """An instance of the settings class that the plugin registered."""
    wall: WallClock
    guest: bool = False
    """True for a command that looks or changes settings while an engine may run on the same store."""
    make: bool = True
    """Whether a guest may make a store that does not exist yet; `open` raises `NotMadeYet` where it may not."""
    in_thread: InThread = to_thread_run_sync
    """Runs what would block. Virtual time cannot wait for threads, so simulations run it in place."""
    at: Callable[[str], None] = nowhere
    """Called with the name of each point at which a crash would matter; tests crash there."""
    open_socket: OpenSocket = open_socket
    """The seam to the network, for stores that have a server."""
    on_trouble: Callable[[str, str], None] = tell_nobody
    """Hears the kind and detail of what a person should know: that the server does not answer, and that it does again."""
    shards: int = 1
    """How many slices the accounts are cut into."""
    throwaway: bool = False
    """Whether it is a trial: on data of its own, which a server shall forget at the end."""
    live: bool = False
    """Whether money moves: a store that may lose what it promised must refuse to open."""


OpenStore = Callable[[StoreContext], AbstractAsyncContextManager[Store]]
ExportOld = Callable[[Any, Callable[[str], None]], None]
"""Called with an instance of the store's settings, and with what takes lines."""


CopyStore = Callable[[Any, Path, Callable[[float], None]], str]
"""Called with an instance of the store's settings, the copy's file, and what hears which part is done, from 0 to 1. Returns
what came of it, for people."""


@frozen(kw_only=True)
class StorePlugin:
    name: str
    open: OpenStore
    settings: type = NoSettings
    """An attrs class; the table `[store.NAME]` is checked against it."""
    durable: bool = field(default=False)
    """Whether what was promised survives the process; live modes demand it."""
    shared: bool = field(default=False)
    """Whether several instances may work on it at once; `[shards]` demands it. Where they may not, `open` refuses a second
    one that is no guest: who got in owns what an instance before held when it died."""
    patience_s: Callable[[Any], float] = field(default=lambda settings: 60.0)
    """Called with an instance of the store's settings: how long, in seconds, a call may wait for a disk or a server before it
    raises `StoreUnavailable` by itself. Half a minute later an engine gives the call up, and ends."""
    export_old: ExportOld | None = field(default=None)
    """Tells what is in a store that an earlier version made and `open` refuses by `MadeEarlier`, each as a line of JSON:
    every follow, every mode in force ({"mode": {"scope", "mode", "why", "at"}}) and every ledger entry, oldest first. It
    changes nothing there. Raises `ConfigError` where there is no such store. None where no earlier version can have made
    one."""
    back_up: CopyStore | None = field(default=None)
    """Writes a copy of everything while an engine may run, whole and checked, or nothing. Raises `ConfigError`."""
    restore: CopyStore | None = field(default=None)
    """Puts a copy that `back_up` wrote in the place of everything. Raises `ConfigError` where an engine runs, or where the
    copy is not good; then nothing was changed."""
    back_up_instead: str = field(default="it has no copies of its own: ask its author")
    """Where there is no `back_up`: what a person does instead, in one line."""
