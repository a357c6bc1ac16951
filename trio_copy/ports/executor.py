"""The contract of executors: whoever sends orders to one venue."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from attrs import field, frozen

from trio_copy.clock import WallClock
from trio_copy.entropy import Entropy, system_entropy
from trio_copy.model.books import Book, Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.coins import Coins
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fleets import Fleet
from trio_copy.model.ids import Address, ChainId, IntentKey, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Wallet
from trio_copy.model.settings import NoSettings
from trio_copy.ports.acting import Act, ActReport, Deed, PlannedAct, Wanted
from trio_copy.ports.doctor import Contracts, Finding
from trio_copy.ports.journal import Journal
from trio_copy.ports.nodes import Nodes
from trio_copy.ports.signing import Signers
from trio_copy.ports.store import OpenSocket, nowhere, tell_nobody
from trio_copy.sockets import open_socket

_POLYGON = ChainId(137)


def nothing_new(_key: IntentKey) -> None:
    """Hear of nothing: whoever asks does so of himself."""


class Quotes(Protocol):
    """Where an executor that simulates learns today's prices."""

    def quote(self, token_id: TokenId) -> Quote | None:
        """Return the best bid and ask known for a token, or None when none is known. Never waits."""
        ...


class Facts(Protocol):
    """Where an executor that simulates learns what the venue is known to ask of orders for a token."""

    def of(self, token_id: TokenId) -> TokenFacts | None:
        """Return what is known about a token; None where nobody has told yet. Never waits."""
        ...

    async def soon(self, token_id: TokenId) -> TokenFacts | None:
        """Return the same, and wait for it where a market source may tell it in a moment: two seconds at most. Never raises."""
        ...


class Books(Protocol):
    """Where an executor that simulates learns what is offered."""

    async def book(self, token_id: TokenId) -> Book | None:
        """Return a token's book as it is now; None where nobody can tell. Answers within seconds, and never raises."""
        ...


@frozen(kw_only=True)
class TransactionPolicy:
    """What the guard of a wallet knows of the chain: by `[wallet.NAME.policy]`, and in its words."""

    contracts: Collection[Address]
    collateral: Collection[Address]
    collateral_decimals: int
    outcome_decimals: int
    conditional: Collection[Address]
    multisend: Collection[Address]
    max_day_gas: Coins | None = None
    """What the gas of a day's transactions may cost; None where nobody says."""


@frozen(kw_only=True)
class ExecutorContext:
    """All that an executor is given: its own settings and the seams, never the rest of the configuration."""

    name: str
    settings: Any
    """An instance of the settings class that the plugin registered."""
    wall: WallClock
    quotes: Quotes | None
    books: Books | None = None
    """None where no market source runs."""
    facts: Facts | None = None
    """What a market source, or a person's file, tells of tokens: tick, minimum, fee. It learns more while the engine runs."""
    signers: Signers | None = None
    """Who signs for the wallets of this executor's followers; None on paper."""
    wallets: tuple[Wallet, ...] = ()
    """Live wallets that pay for its followers when it is opened: what takes a while can be made ready for them."""
    fleets: tuple[Fleet, ...] = ()
    """Those whose operators send what some of these wallets do."""
    chain_id: ChainId = _POLYGON
    """Of the chain that is followed, and on which its orders are settled."""
    nodes: Nodes | None = None
    """The nodes of that chain; None where none is configured."""
    open_socket: OpenSocket = open_socket
    """The seam to the network."""
    entropy: Entropy = field(factory=system_entropy)
    """Spreads retries."""
    on_trouble: Callable[[str, str], None] = tell_nobody
    """Hears the kind and detail of what a person should know, once: what the venue has stopped, and that it goes on."""
    on_news: Callable[[IntentKey], None] = nothing_new
    """Hears of which order (`Order.key`) something may have become, so that `find` is asked about it at once, and not at its
    next turn. It is a hint, which proves nothing: who has no way to hear anything need not call it. To be called by Trio's thread."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter; tests crash there."""
    throwaway: bool = False
    """Whether the run is a trial: nothing of it may outlive the process."""
    policies: Mapping[str, TransactionPolicy] = field(factory=dict)
    """By wallet, what its guard lets its transactions do. Told to `Examine` alone: who sends asks the signer."""


class Executor(Protocol):
    """Sends orders to one venue. The worker that holds an order's lane is the only caller for that order.

    The engine opens one per configured name, as an async context manager, before anything is copied.
    """

    async def market(self, token_id: TokenId) -> Market:
        """Return what the venue says about a token. May be cached. Raises `OrderNotSent` when nobody can tell."""
        ...

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        """Build, sign and freeze the whole body. Pure: the same arguments give the same bytes, on every instance.

        Sizes to the venue's rules, always downwards; `model.venue_amounts` has those of Polymarket. Returns an order of zero
        shares when nothing is left, or when nobody signs it; `Order.refused` says why. A BUY says
        the most that it may spend before fees, `max_cost`: where the venue takes cash, all of that is spent, and a book
        better than the limit brings more shares than the order names.

        What the body says of time follows from `intent.leader_time` and `intent.rest_until`, never from a clock.
        """
        ...

    def lane(self, intent: OrderIntent, wallet: Wallet) -> tuple[str, ...]:
        """Name what must not run at once: orders of one lane are sent one after the other. Pure.

        For most venues follower and token are the lane; where a wallet's sendings have an order of their own, the wallet is.
        What stands first says whose it is: where workers become few, who has many leaves some to others.
        """
        ...

    async def submit(self, order: Order) -> ExecutionReport:
        """Send the frozen body. Called again with the same order, it sends the same bytes.

        Runs inside a shield with a deadline, `trio.current_effective_deadline()`: `engine.send_timeout_s` from now, or when the
        task's time is over, whichever is sooner, but a second from now at least. Whoever sends the same bytes again, or waits
        for a turn, does so within it: nothing is sent for a task whose time is over. On cancellation the order may be at the
        venue; what has left by then is looked up.

        Raises:
            OrderNotSent: certainly not at the venue. `not_yet` where the venue takes such orders again in a moment.
            OrderUncertain: it may be at the venue. Any other exception is taken for a bug and stops the service.
        """
        ...

    async def find(self, order: Order) -> ExecutionReport | None:
        """Look an order up by its own id; safe to repeat. None means "not found", which proves nothing.

        Who can prove that an order never arrived, and never will, reports `ABSENT`. Called again for an order that was
        matched until its `settlement` is FIRM or FAILED, and now and then for one that rests. May raise `ExecutorError` when
        nobody answers.

        What settles may differ from what was told, inside the order: the amounts of a FIRM report are those that are booked in
        the end. Where a part of a fill is undone, a PENDING report says what is left of it, or the FIRM one does; FAILED says
        that all of it is. What was FIRM once is never told otherwise. Shares of a PENDING purchase are not sold: MINED says
        that they are on the chain, and can be.

        Of an order that rests (`RESTING`) the amounts are those of all its fills: they grow and never shrink, and are FIRM
        once all of them are settled, MINED once all are on the chain, else PENDING. What of them the chain has undone is
        said at its end. `off_book` says that it is over, and that this may not be all of them: nothing waits for it any more,
        and a proven end has to follow, or a person is asked.
        """
        ...


class RestingExecutor(Executor, Protocol):
    """One whose orders can rest: a GTC or GTD entry that is not filled at once stays open at the venue, at its limit.

    It sends such an order for an intent with `rest_until`, by which a GTD order ends of itself, and lets one that is
    `post_only` be refused where it would take what is offered; and names for an exit the
    lane of the entries of its token, so that an exit waits there until what rested is called off.
    """

    async def cancel(self, order: Order) -> None:
        """Take an order off the venue's book, if it is there. Safe to repeat, and of an order that has ended it does nothing.

        What came of the order is never concluded from this: `find` tells it. May raise `ExecutorError` when nobody answers.
        """
        ...


class LeavingExecutor(Executor, Protocol):
    """One that can say what an exit needs where it cannot say all that an entry wants to know."""

    async def market_for_exit(self, token_id: TokenId) -> Market:
        """Return the same as `market` does, as far as it is to be had at once: nothing of an exit looks at `Market.quote`.

        Asked for exits in place of `market`. One that is `closed` ends an exit, so that what may be over in a moment is asked
        again before it is told. Raises `OrderNotSent` as `market` does.
        """
        ...


class BookExecutor(Executor, Protocol):
    """One that can show a token's whole book: the followers of one signal share it, and it is read once for all of them.

    What a purchase may take is told in cash: `prepare` keeps within `intent.max_cost`, which may be less than its shares at the limit.
    """

    async def market_with_book(self, token_id: TokenId) -> Market:
        """Return the same as `market`, with the book as it is now in `Market.book`; None there where nobody can tell it.

        Asked where several orders for the token are about to be placed. Raises `OrderNotSent` as `market` does.
        """
        ...


class JournalledExecutor(Executor, Protocol):
    """One that has to remember what it sent, and is told of each shard before anything is asked of it there."""

    def open_journal(self, journal: Journal) -> None:
        """Take a shard's journal, with what an earlier owner has left in it. Called once for each time the shard is taken."""
        ...

    def close_journal(self, journal: Journal) -> None:
        """Forget all of a shard: it is somebody else's, or the process ends. Nothing of it may leave from here on."""
        ...


class ActingExecutor(JournalledExecutor, Protocol):
    """One whose wallets can act."""

    async def act(self, act: Act) -> ActReport:
        """Do it, or go on with it; returns once its end is known, or at `trio.current_effective_deadline()`.

        Safe to repeat. Raises `OrderNotSent` where nothing has left, nor will. Cancelled, it may happen.
        """
        ...

    async def plan(self, wallet: Wallet, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
        """Say what a deed takes as the chain is now, in the order in which it is done; nothing where nothing is missing.

        It reads and changes nothing, and needs neither a signer nor a journal. The keys of the acts follow from what they are
        for and from what the chain says of it now: planned again before anything has happened they are the same, and
        afterwards others.

        Raises:
            OrderNotSent: it cannot be done, and why; or nobody answers.
        """
        ...


OpenExecutor = Callable[[ExecutorContext], AbstractAsyncContextManager[Executor]]
Examine = Callable[[ExecutorContext, Contracts], Awaitable[Sequence[Finding]]]
"""Looks at `context.wallets`, and returns what it found in the order in which people should read it.

The signers sign who asks, and no order; there is none for a wallet whose key could not be opened. It changes nothing
anywhere, ends by itself within a minute or so, and raises nothing: who does not answer is a finding.
"""


@frozen(kw_only=True)
class ExecutorPlugin:
    name: str
    open: OpenExecutor
    settings: type = NoSettings
    """An attrs class; the table `[executor.NAME]` is checked against it."""
    moves_money: bool = True
    """False for simulations: they run without being armed."""
    rests: bool = False
    """Whether what it opens is a `RestingExecutor`; else nothing but FAK and FOK is asked of it."""
    shows_books: bool = False
    """Whether what it opens is a `BookExecutor`; else the orders of one signal take what they meet."""
    examine: Examine | None = None
    """Looks at wallets for `trio-copy doctor`; None where there is nothing that it could look at."""
    keeps_journal: bool = False
    """Whether what it opens is a `JournalledExecutor`; else it is given no journal."""
    acts: bool = False
    """Whether what it opens is an `ActingExecutor`, and keeps a journal."""
    signs_orders: bool = False
    """Whether it has orders signed by their digest (`Signer.sign`), for a venue that matches them; else its signers sign none,
    for no guard could tell that it is no transaction's."""
