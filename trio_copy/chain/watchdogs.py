"""Watches every node, and says what is red: the figures of `trio-copy status`.

A node with something red is asked last; when every node has something red, entries are halted until one has nothing red
any more. Exits go on: they are what is left to do when one cannot see. Nothing of this is stored, because all of it passes
by itself. Each figure has a limit; what is red turns green only well inside it.
"""

from collections.abc import Callable, Iterator
from statistics import median_low
from typing import NoReturn

import trio
from attrs import define, evolve, field

from trio_copy.chain import rpc
from trio_copy.chain.clock_watch import ClockWatch
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import Armed, FeedItem, SeenLog
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.measured_skew import CALM, halt
from trio_copy.chain.shown import ShownBlocks
from trio_copy.chain.skew import SKEW_LIMIT_S
from trio_copy.chain.subscriptions import LOGS
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, MalformedFrame
from trio_copy.model.control import Instance
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Hash32
from trio_copy.model.watches import Light, Watch

_LOOK_EVERY_S = 1.0
_CLOCK_SKEW = "clock_skew_s"
_PATIENCES = 2
"""So many times a node may be silent, blocks may wait to be read."""
_FINALIZED_EVERY_S = 15.0
_FINALIZED_REFUSED_S = 150.0
"""A node that does not tell what is finalized is asked this rarely."""
_MISSED_BLOCKS = 1
"""Blocks with logs in a row that a subscription may miss."""
_SLACK_BLOCKS = 2
"""A subscription that is made at some head may stand a few blocks later."""


@define(eq=False)
class _Node:
    """What is known of an endpoint besides what it keeps itself."""

    subscribed: tuple[int, int, bool] = (0, 0, False)
    """The connection, the filters in force, and whether it refused them, when `first_block` was noted."""
    first_block: int = -1
    """Logs up to this block are older than its subscriptions."""
    finality: tuple[int, int] | None = None
    """Blocks and seconds from the newest finalized block to its head; None where it does not tell."""
    ask_finalized_at: float = 0.0


@define(eq=False, kw_only=True)
class Watchdogs:
    """One task runs it while the chain is read; otherwise nothing is red, because nothing is followed."""

    settings: ChainSettings
    pool: EndpointPool
    board: FilterBoard
    clock: ClockWatch
    on_trouble: Callable[[str, str], None]
    on_step: Callable[[str, str], None]
    watches: tuple[Watch, ...] = ()
    """What the last look found, the clock's first."""
    _running: bool = False
    _nodes: dict[str, _Node] = field(init=False)
    _shown: ShownBlocks = field(factory=ShownBlocks)
    _red: set[tuple[str, str]] = field(factory=set)
    _all_red: bool = False
    _read: tuple[Hash32 | None, float] = (None, 0.0)
    """The newest block that was read, and the Trio time up to which nothing newer was to be read."""
    _changed: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._nodes = {endpoint.name: _Node() for endpoint in self.pool.endpoints}

    async def run(self) -> NoReturn:
        """Look every second, and now and then ask what is finalized, until cancelled."""
        self._nodes = {name: _Node() for name in self._nodes}
        for endpoint in self.pool.endpoints:
            endpoint.advanced_at = trio.current_time()
        self.clock.start()
        self._running = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run_finality, name="finality")
                while True:
                    self.look()
                    await trio.sleep(_LOOK_EVERY_S)
        finally:
            self._running = self._all_red = False
            self._red.clear()
            self.watches = ()
            self.clock.stop()
            for endpoint in self.pool.endpoints:
                endpoint.red = frozenset()

    def note(self, item: FeedItem) -> None:
        """Hear what goes to the pipeline, before it is worked on."""
        match item:
            case SeenLog(log=log, source=source) if not log.removed:
                for endpoint in self.pool.endpoints:
                    # A node may send a block's logs before its head.
                    if endpoint.name == source and endpoint.head and log.block_number > endpoint.head.number:
                        endpoint.advanced_at = trio.current_time()
                self._note_subscriptions()
                self._shown.note(log.block_number, source, trio.current_time())
            case Armed():
                self.clock.skew.armed = True

    @property
    def ready(self) -> bool:
        """Whether the chain is followed and nothing is red."""
        return self.clock.skew.armed and not self._red and self.halted() is None

    def describe(self, me: Instance) -> Instance:
        """Add to a heartbeat what the watchdogs say, so that others see it through the store."""
        return evolve(me, ready=self.ready, halted=self.why_halted, watches=self.watches)

    def halted(self) -> Reason | None:
        """Return why no entry may leave now, or None. A halt is looked at again each time that it matters."""
        if not self._running:
            return None
        found = self.clock.halted()
        if found is None and self._all_red:
            self.look()
            if self._all_red:
                return halt("nodes", f"all are red: {self._causes}", "a green node")
        return found

    @property
    def why_halted(self) -> str:
        """What halts entries, in words; empty when nothing does."""
        reason = self.halted()
        return "" if reason is None else reason.because

    async def wait_changed(self) -> None:
        """Wait until something has turned red, green or unknown."""
        await self._changed.wait()

    def look(self) -> None:
        """Judge every figure once."""
        self.clock.look()
        self.clock.skew.weigh()
        self._note_subscriptions()
        was_red, were_all_red = set(self._red), self._all_red
        before = [watch.light for watch in self.watches]
        watches = [
            self._judge("", _CLOCK_SKEW, self.clock.skew.value_s, SKEW_LIMIT_S),
            self._judge("", "unread_s", self._unread_s(), _PATIENCES * self.settings.silence_s),
        ]
        for endpoint in self.pool.endpoints:
            away = endpoint.session is None
            watches += [self._judge(endpoint.name, *figure, away=away) for figure in self._figures(endpoint)]
            endpoint.red = frozenset(name for of, name in self._red if of == endpoint.name)
        self.watches = tuple(watches)
        self._all_red = bool(self.pool.endpoints) and all(endpoint.red for endpoint in self.pool.endpoints)
        for watch in watches:
            self._tell(watch, was_red)
        if self._all_red and not were_all_red:
            self.on_trouble("entries-halted", f"every node is red: {self._causes}")
        elif were_all_red and not self._all_red:
            self.on_step("entries", "go on: a node is green again")
        if [watch.light for watch in watches] != before:
            self._changed.set()
            self._changed = trio.Event()

    def _judge(self, endpoint: str, name: str, value: float | None, limit: float, *, away: bool = False) -> Watch:
        key = (endpoint, name)
        if value is not None and abs(value) > (limit * CALM if key in self._red else limit):
            self._red.add(key)
        elif not away:
            # A node that went away is not well again for that: it has to show it.
            self._red.discard(key)
        light = Light.RED if key in self._red else Light.UNKNOWN if value is None else Light.GREEN
        shown = None if value is None else round(value, 3)
        return Watch(name=name, endpoint=endpoint, light=light, value=shown, limit=round(limit, 2))

    def _unread_s(self) -> float | None:
        """Return for how long no block was read, though nodes show newer ones; None while none is connected."""
        now, followed = trio.current_time(), self.pool.followed
        heads = [one.head.number for one in self.pool.endpoints if one.session is not None and one.head is not None]
        if followed is None or not heads:
            self._read = (None, now)
            return None
        # What most nodes show: one that is ahead of all, or says so, is no reason to worry.
        if followed.hash != self._read[0] or median_low(heads) <= followed.number:
            self._read = (followed.hash, now)
        return now - self._read[1]

    def _figures(self, endpoint: Endpoint) -> Iterator[tuple[str, float | None, float]]:
        node, now, settings = self._nodes[endpoint.name], trio.current_time(), self.settings
        connected, head, followed = endpoint.session is not None, endpoint.head, self.pool.followed
        yield "head_age_s", now - endpoint.advanced_at, endpoint.patience_s(settings.silence_s)
        pongs = (pulse.pong_s(now, connected=connected) for pulse in endpoint.pulses)
        yield "pong_s", max((pong for pong in pongs if pong is not None), default=None), settings.ping_timeout_s
        # A lone subscription that sleeps is found by nobody, and the scan brings all the same.
        # One that the node refuses owes nothing: the scan reads its blocks.
        compared = connected and len(self.pool.endpoints) > 1 and LOGS not in endpoint.refuses
        missed = self._shown.missed(endpoint.name, node.first_block, patience_s=settings.silence_s, now=now)
        yield "missed_blocks", missed if compared else None, _MISSED_BLOCKS
        known = connected and head is not None and followed is not None
        yield "behind_blocks", max(0, followed.number - head.number) if known else None, settings.behind_blocks  # type: ignore[union-attr]
        blocks, seconds = node.finality if connected and node.finality else (None, None)
        yield "finality_blocks", blocks, settings.window_blocks
        yield "finality_s", seconds, settings.finality_s

    def _tell(self, watch: Watch, was_red: set[tuple[str, str]]) -> None:
        red = watch.light is Light.RED
        # Of the clock its own watch tells.
        if watch.name == _CLOCK_SKEW or red == ((watch.endpoint, watch.name) in was_red):
            return
        figure = "unknown" if watch.value is None else f"{watch.value:g}"
        detail = f"{watch.endpoint or 'the scan'}: {watch.name} is {figure}, limit {watch.limit:g}"
        (self.on_trouble if red else self.on_step)("watchdog", detail)

    @property
    def _causes(self) -> str:
        return ", ".join(f"{endpoint.name} {' '.join(sorted(endpoint.red))}" for endpoint in self.pool.endpoints)

    def _note_subscriptions(self) -> None:
        """Remember from where on each endpoint's subscriptions have to bring logs."""
        for endpoint in self.pool.endpoints:
            node, subscribed = self._nodes[endpoint.name], self._subscribed(endpoint)
            if subscribed != node.subscribed and endpoint.head is not None:
                node.subscribed = subscribed
                newest = max(one.head.number for one in self.pool.endpoints if one.head is not None)
                node.first_block = newest + _SLACK_BLOCKS

    def _subscribed(self, endpoint: Endpoint) -> tuple[int, int, bool]:
        return endpoint.connects, self.board.version, LOGS in endpoint.refuses

    async def _run_finality(self) -> NoReturn:
        while True:
            await trio.sleep(_FINALIZED_EVERY_S)
            for endpoint in self.pool.live:
                node = self._nodes[endpoint.name]
                now = trio.current_time()
                if now >= node.ask_finalized_at and not endpoint.pace.rest_s(now):
                    node.finality = await _ask_finality(endpoint)
                    if node.finality is None:
                        node.ask_finalized_at = trio.current_time() + _FINALIZED_REFUSED_S


async def _ask_finality(endpoint: Endpoint) -> tuple[int, int] | None:
    """Ask a node how far its newest finalized block is behind its head, in blocks and seconds."""
    if endpoint.session is None:
        return None
    try:
        finalized = rpc.decode_block(await endpoint.session.request("eth_getBlockByNumber", "finalized", False))
    except (ChainError, MalformedFrame):
        return None  # many nodes do not know the word; that is no failure of theirs
    head = endpoint.head
    # On a chain where nothing is ever finalized, some nodes answer with the genesis block.
    if finalized is None or head is None or finalized.number == 0:
        return None
    return max(0, head.number - finalized.number), max(0, head.time - finalized.time)
