"""Everything a service takes from the world."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

import trio
from attrs import Factory, define, field

from trio_copy.chain.dial import Dial
from trio_copy.chain.feed import FeedItem
from trio_copy.clock import AnchoredClock, WallClock
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.calls import Calls
from trio_copy.entropy import Entropy
from trio_copy.model.books import PricesLost, SeenPrice
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.leader_names import LeaderNames
from trio_copy.native import SecretKey
from trio_copy.ports import InThread, Markets, OpenSocket, Quotes, nowhere, to_thread_run_sync
from trio_copy.signing.fleets import FleetKeys
from trio_copy.sockets import open_socket
from trio_copy.telemetry.observer import Observer


@define(eq=False, kw_only=True)
class Seams:
    """Everything a service takes from the world, so that a test can bring a world of its own."""

    dial: Dial
    wall: WallClock
    clock: AnchoredClock | None = None
    """The wall clock once more, where it is one that can be set."""
    entropy: Entropy
    observer: Observer
    quotes: Quotes | None = None
    watch_markets: Callable[[Markets], Markets] = lambda source: source
    """Is handed the market source: for recordings."""
    on_facts: Callable[[Collection[TokenFacts]], None] = lambda facts: None
    """Hears what is new of tokens while an engine runs, and no person wrote down: for recordings."""
    on_price: Callable[[SeenPrice | PricesLost], None] = lambda told: None
    """Hears every change of the prices that a market source tells: for recordings."""
    play: Callable[[trio.MemorySendChannel[FeedItem]], Awaitable[None]] | None = None
    """Feeds the pipeline in place of nodes, until it returns: for replays."""
    on_item: Callable[[FeedItem], None] = lambda item: None
    """Hears everything that reaches the pipeline, for recordings."""
    catalog: Catalog = field(factory=Catalog)
    """What is known about tokens: those who show names read along."""
    book: FollowBook = field(factory=FollowBook)
    """Who follows whom, filled when a service opens: those who judge it read along."""
    open_socket: OpenSocket = open_socket
    """For market sources."""
    names: LeaderNames = field(factory=LeaderNames)
    """Learns what leaders are called, for whoever shows them to people."""
    in_thread: InThread = to_thread_run_sync
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    throwaway: bool = False
    """Whether the run is a trial, of which neither a store nor an executor keeps anything."""
    from_head: bool = False
    """Whether the first start forgets how far an earlier run had come, because a person says so."""
    keys: Mapping[str, SecretKey] = field(factory=dict, repr=False)
    """What wallets sign with, by their names; none on paper."""
    fleets: Mapping[str, FleetKeys] = field(factory=dict, repr=False)
    """What the operators of those wallets sign with that have a fleet, by its name."""
    instance: str = "instance-1"
    """Names this process among those that share a store."""
    calls: Calls = Factory(lambda self: Calls(self.observer.on_alert), takes_self=True)
    """Drives calls into plugins, and knows which are under way."""

    def learn(self, facts: Iterable[TokenFacts]) -> None:
        """Put what was told of tokens into the catalog."""
        new = self.catalog.put(facts)
        if new:
            self.on_facts(new)
