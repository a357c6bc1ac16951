"""The contracts between the engine and what can be plugged into it, in words.

`trio_copy.testing.conformance` is their executable form: every backend passes the same suites. Two rules hold for
every method here. *Cancellation*: a cancelled call has either happened whole or not at all, and the caller cannot
know which; every method is therefore safe to repeat with the same arguments. *Time*: no method takes a timeout;
the caller brings a cancel scope. Times are Unix seconds.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import trio
from attrs import field, frozen

from trio_copy.clock import WallClock
from trio_copy.model.budgets import Claim, Credit, Performance
from trio_copy.model.control import ENGINE, Instance, Lease, Mode, ModeChange, Modes, ShardDepth
from trio_copy.model.decisions import CopyTask, Ended, OrderIntent, Outcome, Skip
from trio_copy.model.fills import Fill, NotAFill
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, ChainId, FollowerId, FollowKey, IntentKey, SignalId, TaskId, TokenId
from trio_copy.model.logs import Checkpoint, RawLog
from trio_copy.model.orders import Account, ExecutionReport, JournalState, Market, Order, Quote
from trio_copy.model.positions import Booking, LedgerEntry, Mark, Position, PositionKey
from trio_copy.model.records import OrderRecord, Query, SkipRecord, Story, TaskRecord
from trio_copy.model.resolutions import Resolution
from trio_copy.model.signals import Signal
from trio_copy.model.units import Usd
from trio_copy.sockets import open_socket

# ---------------------------------------------------------------------------------------------------------- executor


class Quotes(Protocol):
    """Where an executor that simulates learns today's prices."""

    def quote(self, token_id: TokenId) -> Quote | None:
        """Return the best bid and ask known for a token, or None when none is known. Never waits."""
        ...


@frozen(kw_only=True)
class ExecutorContext:
    """All that an executor is given: its own settings and the seams, never the rest of the configuration."""

    name: str
    settings: Any
    """An instance of the settings class that the plugin registered."""
    wall: WallClock
    quotes: Quotes | None


class Executor(Protocol):
    """Sends orders to one venue. The worker that holds a task's lane is the only caller for that task.

    The engine opens one per configured name, as an async context manager, before any task is leased.
    """

    async def market(self, token_id: TokenId) -> Market:
        """Return what the venue says about a token. May be cached. Raises `OrderNotSent` when nobody can tell."""
        ...

    def prepare(self, key: IntentKey, intent: OrderIntent, account: Account, market: Market) -> Order:
        """Build, sign and freeze the whole body. Pure: the same arguments give the same bytes, on every instance.

        Sizes to the venue's rules, always downwards. Returns an order of zero shares when nothing is left.
        """
        ...

    async def submit(self, order: Order) -> ExecutionReport:
        """Send the frozen body. Called again with the same order, it sends the same bytes.

        Runs inside a shield with a deadline. On cancellation the order may be at the venue.

        Raises:
            OrderNotSent: certainly not at the venue.
            OrderUncertain: it may be at the venue. Any other exception is taken for a bug and stops the service.
        """
        ...

    async def find(self, order: Order) -> ExecutionReport | None:
        """Look an order up by its own id; safe to repeat. None means "not found", which proves nothing.

        Who can prove that an order never arrived, and never will, reports `ABSENT`. Called again for an order that was
        matched until its `settlement` is FIRM or FAILED. May raise `ExecutorError` when nobody answers.
        """
        ...


# ------------------------------------------------------------------------------------------------------------- store


@frozen(kw_only=True)
class Admitted:
    """The signal is new: `kept` tasks are queued, `shed` ones ended at once."""

    kept: int
    shed: tuple[Ended, ...] = ()


@frozen(kw_only=True)
class Duplicate:
    """The signal was admitted before; nothing changed."""


@frozen(kw_only=True)
class Adopted:
    """The signal, or the same trade under another transaction, had been retracted; it is the old one again."""

    signal_id: SignalId
    """The identity it was first admitted under."""
    resumed: int
    """Tasks that waited for this and are queued again."""


@frozen(kw_only=True)
class Unsure:
    """It may be a retracted trade, mined again in another transaction; nothing changed."""


@frozen(kw_only=True)
class Retracted:
    """A reorg took the signal back."""

    signal_id: SignalId
    """The identity it was first admitted under."""
    held: int
    """Tasks that had not been given out and now wait: for the fill to be mined again, or for their deadline."""
    given_out: int
    """Tasks that are leased, or were: whoever has one suspends it, unless it has an order."""


class Inbox(Protocol):
    """The gate and the queue behind it."""

    async def admit(
        self,
        signal: Signal,
        tasks: Sequence[CopyTask],
        checkpoint: Checkpoint | None,
        skips: Sequence[Skip] = (),
        *,
        whole: bool = True,
    ) -> Admitted | Duplicate | Adopted | Unsure:
        """Admit a signal with all its tasks, in one atomic step. Called by the pipeline only.

        Atomic: the test whether `signal.signal_id` is known, the insertion of every task and skip, the capacity and
        the advance of the checkpoint. Of any number of concurrent callers with one signal, exactly one is `Admitted`.
        When full, a BUY is shed; a SELL takes the place of the oldest queued BUY, which is shed, and is itself shed
        only when there is none. A signal that was retracted is `Adopted` instead, as is one with the `credit_key` of a
        signal retracted in the last ten minutes: the oldest such one, each once, and none that was of the same
        transaction, where another fill is one of its own. This needs a `whole` block, one of which everything was
        admitted before: what was retracted may stand in it itself, and then this is a second trade. Otherwise it is
        `Unsure`, and nothing is used up.
        """
        ...

    async def retract(self, signal: Signal) -> Retracted | None:
        """Take a signal back out of `signal.block_hash`.

        None when it was never admitted, is retracted already, or lives on in another block.
        """
        ...

    async def lease(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        """Wait for queued tasks of an executor's group and take up to `limit`, oldest first; never empty.

        A task is not given out before its `not_before`. One that was given out before is marked `again`. Each stays
        queued in the sense of "not lost": unless renewed or ended within `lease_s` it is given out again.
        """
        ...

    async def lease_nowait(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        """Like `lease`, but empty when nothing is queued."""
        ...

    async def gather(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        """Lease what else is queued or waits and `gathers` with a leased task: same follower, leader, token and side.

        Oldest first, whatever its `not_before`. Raises `LeaseLost` when the task is not the owner's.
        """
        ...

    async def withdraw(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        """Lease the entries that a leased exit finds queued or waiting: same follower, leader and token, decided before.

        Oldest first, whatever their `not_before`, those that were given out before included; those that the owner has
        leased already are returned as well. Raises `LeaseLost` when the exit is not the owner's.
        """
        ...

    async def amend(self, intents: Mapping[TaskId, OrderIntent], owner: str) -> None:
        """Change what leased tasks of one leader want, all in one step: it stays so whoever leases them next.

        Raises `LeaseLost` when one is not the owner's; then none is changed.
        """
        ...

    async def suspend(self, task: TaskId, owner: str) -> bool:
        """Hold a leased task whose signal is retracted, given out before or not: its owner knows that it has no order.

        False when the signal stands; then nothing changes. Raises `LeaseLost` when the task is not the owner's.
        """
        ...

    async def wait(self, tasks: Sequence[TaskId], owner: str, until: float) -> None:
        """Let leased tasks wait until others gather with them; `expire` ends them as NEVER_ENOUGH after `until`.

        A task that waited before keeps its earlier end. Raises `LeaseLost` when one is not the owner's.
        """
        ...

    async def renew(self, tasks: Sequence[TaskId], owner: str) -> tuple[TaskId, ...]:
        """Extend leases; returns those that were lost to somebody else meanwhile."""
        ...

    async def complete(self, task: TaskId, owner: str, outcome: Outcome) -> bool:
        """Record the terminal state. False when it had one before, which then stands.

        Raises:
            LeaseLost: another owner holds the task.
        """
        ...

    async def retry(self, task: TaskId, owner: str) -> None:
        """Give a leased task back, to the front of the queue; one whose `not_before` is still to come waits for it.

        Raises:
            LeaseLost: another owner holds the task.
        """
        ...

    async def bury(self, task: TaskId, owner: str, why: str) -> None:
        """Move a leased task to the dead letters: a person decides. Raises `LeaseLost` as above."""
        ...

    async def dead_letters(self) -> tuple["DeadLetter", ...]:
        """List the dead letters, oldest first."""
        ...

    async def replay(self, tasks: Sequence[TaskId]) -> int:
        """Queue dead letters again; returns how many were."""
        ...

    async def purge(self, tasks: Sequence[TaskId]) -> int:
        """Forget dead letters; returns how many were."""
        ...

    async def expire(self, now: float) -> tuple[Ended, ...]:
        """End held tasks past their deadline and those that waited in vain, requeue leases that ran out.

        Called by housekeeping. Whatever a store keeps for a limited time is forgotten here too.
        """
        ...

    async def depth(self) -> "Depth":
        """Count what waits, in all shards."""
        ...

    async def depths(self) -> tuple[ShardDepth, ...]:
        """Count what waits in each shard, by its number; a store without shards has the one with the number 0."""
        ...

    def serve(self, shards: frozenset[int]) -> None:
        """Let `lease` take tasks of these shards only; before the first call, of all that the store may touch."""
        ...

    async def reclaim(self, shard: int) -> int:
        """Give out again what an earlier owner of a shard had leased; returns how many tasks.

        Called by a new owner, after it has the shard's lease. They are marked `again`. A task that came back too often
        this way becomes a dead letter.
        """
        ...


@frozen(kw_only=True)
class DeadLetter:
    task: CopyTask
    why: str
    at: float


@frozen(kw_only=True)
class Depth:
    queued: int
    """Tasks that may be taken up, now or when their time comes."""
    leased: int
    held: int
    """Tasks of retracted fills, and entries that wait until enough has gathered."""
    dead: int
    capacity: int
    peak: int
    """The most that were queued at once since the store was opened."""


class Journal(Protocol):
    """What may have been sent. Written before the first byte leaves."""

    async def freeze(self, order: Order, task: CopyTask, members: Sequence[TaskId] = ()) -> OrderRecord:
        """Insert the order unless its key is known, and return what is stored: the caller sends that one, or none.

        A record in the state INTENT was certainly never sent; one that ENDED carries its last report.
        """
        ...

    async def mark(
        self, follow: FollowKey, key: IntentKey, state: JournalState, report: ExecutionReport | None = None
    ) -> None:
        """Record how far an order of a follow got. Raises `StoreError` for an unknown key. ENDED is final: later marks are dropped."""
        ...

    async def of_task(self, follow: FollowKey, task: TaskId) -> tuple[OrderRecord, ...]:
        """Return the orders that a task of a follow went out in, as the first or as a member; by attempt."""
        ...

    async def unresolved(self) -> tuple[OrderRecord, ...]:
        """List every order that has not ENDED, oldest first; of the shards that are held, where there are shards."""
        ...


@frozen(kw_only=True)
class Reserved:
    """Every claim fitted and is held until `commit` or `release`."""


@frozen(kw_only=True)
class Refused:
    """One claim did not fit; nothing was taken."""

    claim: Claim
    used: int
    """What the budget had already given out, in millionths."""


class Limits(Protocol):
    """Budgets that never give out more than they have, whatever runs at once, on however many instances."""

    async def reserve(self, follow: FollowKey, key: IntentKey, claims: Sequence[Claim]) -> Reserved | Refused:
        """Take every claim of a follow's order or none. Repeated with a key that holds a reservation, changes nothing.

        Atomic among the follower's own budgets and positions. A claim on a budget that everybody shares is taken before
        them, and given back when one of them does not fit.
        """
        ...

    async def commit(self, follow: FollowKey, key: IntentKey, spent: Usd) -> None:
        """Turn a reservation into spending: of each claim, what `Claim.kept` says stays. An unknown key changes nothing.

        `spent` is the whole cost, fees included; zero for an order that was sent and filled nothing.
        """
        ...

    async def release(self, follow: FollowKey, key: IntentKey) -> None:
        """Give a reservation back whole: only on proof that it was never sent. An unknown key changes nothing."""
        ...

    async def restate(self, prefix: str, used: Mapping[FollowerId, Mapping[str, int]]) -> None:
        """Set every budget whose name begins with a prefix to what is said, and what is reserved on top; others to zero.

        Called at a start, when nothing is under way on any instance, because what a budget counts may have got another
        name since.
        """
        ...

    async def used(self, follower: FollowerId, counter: str) -> int:
        """Return what a follower's budget, or one that everybody shares, has given out: reserved and spent, in millionths."""
        ...


Freed = Callable[[Booking], Sequence[Credit]]
"""Says what a booking gives back to budgets."""


@frozen(kw_only=True)
class Closing:
    """How an order is closed together with the booking of what it filled."""

    key: IntentKey
    spent: Usd
    state: JournalState
    report: ExecutionReport


def nothing_freed(booking: Booking) -> Sequence[Credit]:
    """Give nothing back."""
    return ()


class Ledger(Protocol):
    """What was bought and sold."""

    async def book(self, entry: LedgerEntry, freed: Freed = nothing_freed, closing: Closing | None = None) -> Booking:
        """Book an entry once, and tell what it changed; booked again, tell what it changed the first time.

        Atomic: the entry, its position (see `positions.fold`), the follower's performance, and what the booking frees in
        the follower's budgets, which never fall below zero. With `closing`, the order that was executed is closed in the
        same step, as `Limits.commit` and `Journal.mark` would; that is also done when the entry was booked before.
        """
        ...

    async def position(self, key: PositionKey) -> Position:
        """Return the fold over all entries of a position; an empty one where there are none."""
        ...

    async def positions(self) -> Mapping[PositionKey, Position]:
        """Return every position that was ever opened."""
        ...

    async def open_positions(self) -> Mapping[PositionKey, Position]:
        """Return every position that holds shares; of the shards that are held. Called every few seconds."""
        ...

    async def performance(self, follower: FollowerId) -> Performance:
        """Return what a follower realised so far."""
        ...

    async def reset_peak(self, follower: FollowerId) -> None:
        """Let the drawdown start over from today's total. A person asks for it."""
        ...

    async def note_resolution(self, resolution: Resolution) -> None:
        """Remember that a question was decided; noted again, the newer one holds."""
        ...

    async def drop_resolution(self, condition_id: str) -> None:
        """Forget a resolution that a reorg took back."""
        ...

    async def resolutions(self, conditions: Collection[str]) -> Mapping[str, Resolution]:
        """Return which of some questions were decided, by condition id."""
        ...

    async def note_marks(self, marks: Mapping[PositionKey, Mark]) -> None:
        """Remember what positions could be sold for; a lost mark costs a peak, never money."""
        ...

    async def marks(self) -> Mapping[PositionKey, Mark]:
        """Return the last mark of each open position."""
        ...


@frozen(kw_only=True)
class FollowChange:
    version: int
    follow: Follow
    removed: bool


class Follows(Protocol):
    """The follow book's truth. Versions grow by one with each change."""

    async def load(self) -> tuple[int, tuple[Follow, ...]]:
        """Return the current version and every follow."""
        ...

    async def put(self, follows: Sequence[Follow]) -> int:
        """Insert or replace; all or none. Returns the new version; equal follows are no change."""
        ...

    async def remove(self, keys: Sequence[tuple[FollowerId, Address]]) -> int:
        """Remove; all or none. Returns the new version; an unknown key is no change."""
        ...

    async def wait_changes(self, since: int) -> tuple[FollowChange, ...]:
        """Wait until something changed after a version, then return all of it in order; never empty."""
        ...


class Control(Protocol):
    """What an operator and several instances agree on."""

    async def modes(self) -> Modes:
        """Return every mode in force."""
        ...

    async def set_mode(self, mode: Mode, why: str, scope: str = ENGINE) -> ModeChange:
        """Change the mode of a scope for every instance; it survives a restart where the store does."""
        ...

    async def wait_modes(self, since: int) -> Modes:
        """Wait for modes of a later version."""
        ...

    async def checkpoint(self) -> Checkpoint | None:
        """Return the block up to which everything is stored: the lowest of the shards that are held."""
        ...

    async def save_checkpoint(self, checkpoint: Checkpoint, shards: Collection[int] | None = None) -> None:
        """Advance the checkpoint of some shards, or of all that are held; a reorg may lower it.

        A shard that came while others were being read must not be among them: nothing of it was stored.
        """
        ...

    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        """Take a lease when it is free, expired or already mine. None when somebody else holds it."""
        ...

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        """Extend a lease. Raises `LeaseLost` when its fencing token is no longer the newest."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give a lease up; one that was lost already changes nothing."""
        ...

    async def held(self, names: Sequence[str]) -> Mapping[str, Lease]:
        """Return those of some leases that somebody holds now."""
        ...

    async def beat(self, instance: Instance) -> bool:
        """Show that an instance lives; returns whether somebody asked it to drain. `seen_at` is set by the store."""
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
    """What happened, for people who ask. Bounded by what the store keeps."""

    async def tasks(self, query: Query) -> tuple[TaskRecord, ...]:
        """Return tasks by their admission, newest first."""
        ...

    async def skips(self, query: Query) -> tuple[SkipRecord, ...]:
        """Return what follows did not want and tasks that ended without a fill, newest first."""
        ...

    async def entries(self, query: Query) -> tuple[LedgerEntry, ...]:
        """Return ledger entries by their booking, newest first."""
        ...

    async def story(self, prefix: str) -> tuple[Story, ...]:
        """Return the stories of the tasks whose task id, signal id or order id starts with a text; at most ten."""
        ...


class Store(Protocol):
    """Seven small parts; one backend opens them all.

    Every method may raise `StoreUnavailable`: the engine then stops trading instead of trading blind.
    """

    @property
    def inbox(self) -> Inbox: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def follows(self) -> Follows: ...
    @property
    def control(self) -> Control: ...
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
    queue_capacity: int
    """Tasks that may wait in the inbox; see `Inbox.admit` for what happens beyond."""
    dedup_ttl_s: float
    """How long an admitted signal is known at least."""
    lease_s: float
    """How long a lease lasts that nobody renews."""
    guest: bool = False
    """True for a command that looks or changes settings while an engine may run on the same store."""
    make: bool = True
    """Whether a guest may make a store that does not exist yet."""
    in_thread: InThread = to_thread_run_sync
    """Runs what would block. Virtual time cannot wait for threads, so simulations run it in place."""
    at: Callable[[str], None] = nowhere
    """Called with the name of each point at which a crash would matter; tests crash there."""
    open_socket: OpenSocket = open_socket
    """The seam to the network, for stores that have a server."""
    on_trouble: Callable[[str, str], None] = tell_nobody
    """Hears the kind and detail of what a person should know: that the server does not answer, and that it does again."""
    shards: int = 1
    """Slices of leaders. A store for several instances keeps the queue and the checkpoint of each apart."""
    fenced: bool = False
    """Whether every change for a shard needs its lease, as `Control.acquire` of this store gave it; else `LeaseLost`."""
    throwaway: bool = False
    """Whether it is a trial: on data of its own, which a server shall forget at the end."""
    live: bool = False
    """Whether money moves: a store that may lose what it promised must refuse to open."""


# ----------------------------------------------------------------------------------------------------------- decoder


@frozen(kw_only=True)
class LogFilter:
    """A server-side filter: any of the addresses, and for each topic position any of its topics (None: anything)."""

    addresses: tuple[Address, ...]
    """Empty means any contract."""
    topics: tuple[tuple[str, ...] | None, ...]


class Decoder(Protocol):
    """Reads the logs of one family of contracts. Sync and pure: a log goes in, facts come out."""

    @property
    def topics(self) -> frozenset[str]:
        """The topic0 values it answers for."""
        ...

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        """Return the filters that yield each execution of these leaders at least once, and little else."""
        ...

    def decode(self, log: RawLog) -> tuple[Fill, ...] | NotAFill | Resolution:
        """Decode a log whose topic0 is in `topics`.

        Raises:
            UndecodableLog: it does not have the shape its topic promises.
        """
        ...


@frozen(kw_only=True)
class DecoderContext:
    settings: Any
    chain_id: ChainId


# ------------------------------------------------------------------------------------------------------ registration

OpenExecutor = Callable[[ExecutorContext], AbstractAsyncContextManager[Executor]]
OpenStore = Callable[[StoreContext], AbstractAsyncContextManager[Store]]
MakeDecoder = Callable[[DecoderContext], Decoder]


@frozen
class NoSettings:
    """For plugins that have nothing to set."""


@frozen(kw_only=True)
class ExecutorPlugin:
    name: str
    open: OpenExecutor
    settings: type = NoSettings
    """An attrs class; the table `[executor.NAME]` is checked against it."""
    moves_money: bool = True
    """False for simulations: they run without being armed."""


@frozen(kw_only=True)
class StorePlugin:
    name: str
    open: OpenStore
    settings: type = NoSettings
    """An attrs class; the table `[store.NAME]` is checked against it."""
    durable: bool = field(default=False)
    """Whether what was promised survives the process; live modes demand it."""
    shared: bool = field(default=False)
    """Whether several instances may work on it at once; `[shards]` demands it."""


@frozen(kw_only=True)
class DecoderPlugin:
    name: str
    make: MakeDecoder
    settings: type = NoSettings
    """An attrs class; the table `[decoder.NAME]` is checked against it."""
