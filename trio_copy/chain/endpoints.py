"""Which nodes are alive, how far each has come, and whom to ask how often.

First wins, union completes: every live endpoint feeds the same pipeline. Requests go to the healthiest endpoint and to
the next one when it fails. A negative answer (an empty block, a reorg) needs a second endpoint's word where there is one.
An endpoint is asked at its own pace; one that says "too often" rests, and what it was asked is then the others' at theirs.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from statistics import median
from typing import TypeVar

import msgspec
import trio
from attrs import define, field

from trio_copy.chain import rpc
from trio_copy.chain.manners import Manners
from trio_copy.chain.pacing import Pace
from trio_copy.chain.refusals import Refusal, told_s, too_often
from trio_copy.chain.session import Pulse, Quarantine, Session
from trio_copy.chain.troubles import Troubles
from trio_copy.chain.unreadable import Unreadable
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.entropy import Entropy
from trio_copy.errors import ChainError, ConnectionLost, MalformedFrame, NotConnected
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef

_T = TypeVar("_T")
_INTERVALS_KEPT = 16
_TOLD_KEPT = 64
_RATE_LIMITED = "rate-limited"
_LOST = "endpoint-lost"


@define(eq=False)
class Endpoint:
    """One node and what is known of it."""

    settings: EndpointSettings
    session: Session | None = None
    """Where requests go; None while it is not connected."""
    head: BlockRef | None = None
    heads_seen: int = 0
    head_at: float = -float("inf")
    """Trio time at which its last head arrived."""
    advanced_at: float = 0.0
    """Trio time at which it last showed something newer than before."""
    connects: int = 0
    failures: int = 0
    """Consecutive failed requests and connections; health, with the best first."""
    last_error: str = ""
    pace: Pace = field(factory=Pace)
    manners: Manners = field(factory=Manners)
    numbers_repeat: bool = False
    """Whether it numbers different logs of a block alike: then its numbers tell nothing about equal ones."""
    unreadable: Unreadable = field(factory=Unreadable)
    """While anything stands here the endpoint is as good as away: others are asked first."""
    refuses: set[str] = field(factory=set)
    """What it gives no subscriptions to."""
    red: frozenset[str] = frozenset()
    """What its watchdogs have against it: then it is asked last."""
    pulses: tuple[Pulse, ...] = ()
    """Of its connections, or of the last ones that it had."""
    given_up: trio.Event = field(factory=trio.Event)
    """Set when its connections are known to be dead before they show it."""
    why_given_up: str = ""
    disputed: Hash32 | None = None
    """A head of it that nobody else knows, as long as it is its newest."""
    _intervals: deque[float] = field(factory=lambda: deque(maxlen=_INTERVALS_KEPT))
    _told: OrderedDict[Hash32, int] = field(factory=OrderedDict)
    """Its newest heads, with their numbers."""

    @property
    def name(self) -> str:
        return self.settings.name

    def saw_head(self, head: BlockRef, now: float) -> None:
        """Note a new head; `now` is Trio time."""
        if self.heads_seen:
            self._intervals.append(now - self.head_at)
        if self.head is None or head.hash != self.head.hash:
            self.advanced_at = now
        self.head, self.head_at, self.heads_seen = head, now, self.heads_seen + 1
        self._told[head.hash] = head.number
        if len(self._told) > _TOLD_KEPT:
            self._told.popitem(last=False)

    def announced(self, block: BlockRef) -> bool:
        """Tell whether it has announced a block lately."""
        return block.hash in self._told

    @property
    def told(self) -> Mapping[Hash32, int]:
        """The blocks that it announced lately, with their numbers."""
        return self._told

    @property
    def is_disputed(self) -> bool:
        return self.disputed is not None and self.head is not None and self.disputed == self.head.hash

    def start_over(self) -> None:
        """Begin a connection. How often heads came is forgotten: the time without one says nothing about blocks."""
        self.connects += 1
        self.heads_seen = 0
        self._intervals.clear()
        self.manners.start_over()
        self.given_up = trio.Event()

    def give_up(self, why: str) -> None:
        """Let it be dialled again, if it is connected."""
        self.why_given_up = why
        self.given_up.set()

    @property
    def usual_block_s(self) -> float | None:
        """How long its blocks take; None until two of them were seen."""
        return median(self._intervals) if self._intervals else None

    def patience_s(self, silence_s: float) -> float:
        """Return how long its silence is normal: the setting, or five of its usual block times."""
        return max(silence_s, 5 * (self.usual_block_s or 0.0))


@define(eq=False)
class EndpointPool:
    endpoints: Sequence[Endpoint]
    quarantine: Quarantine
    settings: ChainSettings
    entropy: Entropy
    on_trouble: Callable[[str, str], None]
    """Takes the kind and detail of something worth a log line."""
    on_head: Callable[[Endpoint, BlockRef], None] = lambda endpoint, head: None
    """Hears each head right before the endpoint keeps it."""
    troubles: Troubles = field(init=False)
    _heads: dict[str, BlockRef] = field(factory=dict)
    _news: trio.Event = field(factory=trio.Event)
    _live_changed: trio.Event = field(factory=trio.Event)
    followed: BlockRef | None = None
    """The newest block that the scanner has read: what an endpoint's head is measured by, for a claim alone proves nothing."""
    rescan_wanted: bool = False
    """Set when logs may have been missed: after a connect, or when the filters changed."""

    def __attrs_post_init__(self) -> None:
        self.troubles = Troubles(self.on_trouble)

    @property
    def live(self) -> list[Endpoint]:
        """The connected endpoints, healthiest first, those with something red last."""
        return sorted(
            (endpoint for endpoint in self.endpoints if endpoint.session is not None),
            key=lambda endpoint: (
                bool(endpoint.unreadable or endpoint.red or endpoint.is_disputed),
                endpoint.failures,
                -self._shown(endpoint),
            ),
        )

    def _shown(self, endpoint: Endpoint) -> int:
        """Return how far an endpoint has come; a claim beyond what was read is worth no more than that."""
        shown = endpoint.head.number if endpoint.head else 0
        return shown if self.followed is None else min(shown, self.followed.number)

    @property
    def newest_agreed(self) -> int | None:
        """Number of the newest block that two endpoints have announced; of the only one's, where it is alone."""
        if len(self.endpoints) == 1:
            head = self.endpoints[0].head
            return None if head is None or self.followed is None else min(head.number, self.followed.number)
        counted = Counter(block for endpoint in self.endpoints for block in endpoint.told.items())
        return max((number for (_, number), times in counted.items() if times > 1), default=None)

    @property
    def rest_s(self) -> float:
        """For how long no connected endpoint may be asked; 0 when one may be."""
        now = trio.current_time()
        return min((endpoint.pace.rest_s(now) for endpoint in self.live), default=0.0)

    @contextmanager
    def connected(self, endpoint: Endpoint, session: Session) -> Generator[None, None, None]:
        """Make an endpoint available for requests while the block runs."""
        endpoint.session = session
        self._live_changed.set()
        self._live_changed = trio.Event()
        try:
            yield
        finally:
            endpoint.session = None

    async def wait_live(self, count: int = 1) -> None:
        """Wait until so many endpoints are connected."""
        while sum(endpoint.session is not None for endpoint in self.endpoints) < count:
            await self._live_changed.wait()

    async def wait_connected(self) -> None:
        """Wait until one more endpoint is connected."""
        await self._live_changed.wait()

    def put_aside(self, endpoint: Endpoint, kind: str, detail: str) -> None:
        """Quarantine what an endpoint sent; while it cannot be read, one alert stands for all of a kind."""
        self.quarantine(kind, detail)
        if endpoint.unreadable.failed(kind, trio.current_time()):
            self.on_trouble("unreadable", f"{endpoint.name}: {kind}: {detail}")

    def could_read(self, endpoint: Endpoint, kind: str) -> None:
        """Note that something was read that might have been of a kind that cannot be."""
        times = endpoint.unreadable.went_well(kind, trio.current_time())
        if times:
            self.on_trouble("unreadable", f"{endpoint.name}: {kind}: over, after {times} of them")

    def subscribed(self, endpoint: Endpoint, what: str, refusal: ChainError | None) -> None:
        """Note whether an endpoint gives subscriptions to something; what it does not give is read block by block."""
        if refusal is not None and what not in endpoint.refuses:
            endpoint.refuses.add(what)
            self.on_trouble(
                "polled", f"{endpoint.name}: no subscription to {what}, its blocks are asked for: {refusal}"
            )
        elif refusal is None and what in endpoint.refuses:
            endpoint.refuses.discard(what)
            self.on_trouble("polled", f"{endpoint.name}: over, it gives subscriptions to {what} again")

    def announce(self, endpoint: Endpoint, head: BlockRef) -> None:
        """Note a head for the scanner. Only the newest of each endpoint is kept: the scanner walks the rest itself."""
        self.on_head(endpoint, head)
        endpoint.saw_head(head, trio.current_time())
        self.troubles.over(_LOST, endpoint.name, trio.current_time())
        self._heads[endpoint.name] = head
        self._news.set()

    def note_lost(self, endpoint: Endpoint, why: str) -> None:
        """Tell that a connection ended, or could not be made: at first, then with a count at growing times."""
        self.troubles.note(_LOST, endpoint.name, f"{endpoint.name}: {why}", trio.current_time())

    def announce_again(self) -> None:
        """Bring the known heads back: following them failed."""
        for endpoint in self.live:
            if endpoint.head is not None:
                self._heads.setdefault(endpoint.name, endpoint.head)
        self.wake()

    def want_rescan(self) -> None:
        """Ask the scanner to read its window again."""
        self.rescan_wanted = True
        self.wake()

    def wake(self) -> None:
        """Let the scanner look what there is to do."""
        self._news.set()

    async def wait_news(self) -> None:
        """Wait for a head, a wish to re-scan, or a call."""
        await self._news.wait()

    @property
    def announced(self) -> list[BlockRef]:
        """The heads that were announced since they were taken."""
        return list(self._heads.values())

    def take_heads(self) -> list[BlockRef]:
        """Return the announced heads, highest first, and forget them."""
        heads = sorted(self._heads.values(), key=lambda head: -head.number)
        self._heads.clear()
        self._news = trio.Event()
        return heads

    async def ask(self, endpoint: Endpoint, method: str, *params: object, until: float = inf) -> msgspec.Raw:
        """Ask one endpoint, at its pace; `until` is Trio time.

        Raises:
            ChainError: it is not connected, rests, or failed; as `NoAnswer`, it has not answered by then.
        """
        if rest_s := endpoint.pace.rest_s(trio.current_time()):
            raise ChainError(f"{endpoint.name} wants to be left alone for {rest_s:.1f} s more")
        wait_s = endpoint.pace.take(trio.current_time(), self.settings.requests_per_s)
        if wait_s > 0:
            await trio.sleep_until(min(until, trio.current_time() + wait_s))
        session = endpoint.session
        if session is None:
            raise NotConnected(f"{endpoint.name} is not connected")
        try:
            result = await session.request(method, *params, until=until)
        except ChainError as error:
            endpoint.failures += 1
            endpoint.last_error = str(error)
            self._note_refusal(endpoint, method, error)
            raise
        endpoint.failures = 0
        endpoint.pace.answered(method)
        if not endpoint.pace.refusing:
            self.troubles.over(_RATE_LIMITED, endpoint.name, trio.current_time())
        return result

    def _note_refusal(self, endpoint: Endpoint, method: str, error: ChainError) -> None:
        refusal, now = too_often(error), trio.current_time()
        if refusal is None:
            return
        clear = refusal is Refusal.TOO_OFTEN
        rest_s = endpoint.pace.refused(method, now, self.entropy, told_s=told_s(error), clear=clear)
        detail = f"{endpoint.name}: {method}: {error}; asked again in {rest_s:.1f} s"
        self.troubles.note(_RATE_LIMITED, endpoint.name, detail, now)

    async def first_of(
        self, ask: Callable[[Endpoint], Awaitable[_T]], avoid: Collection[Endpoint] = ()
    ) -> tuple[_T, Endpoint]:
        """Try the healthiest live endpoint, then the others; returns the first answer and who gave it.

        Raises:
            ChainError: nobody is connected, or everybody failed; the last failure.
        """
        failure: ChainError = ConnectionLost("no endpoint is connected")
        # Those that rest come first: they fail without being asked, and the failure of one that was asked says more.
        now = trio.current_time()
        for endpoint in sorted(self.live, key=lambda endpoint: endpoint.pace.rest_s(now) == 0):
            if endpoint.session is None or endpoint in avoid:
                continue
            try:
                return await ask(endpoint), endpoint
            except ChainError as error:
                failure = error
        raise failure

    async def request(
        self, method: str, *params: object, avoid: Collection[Endpoint] = ()
    ) -> tuple[msgspec.Raw, Endpoint]:
        """Ask the healthiest live endpoint, then the others. Raises `ChainError` as `first_of`."""
        return await self.first_of(lambda endpoint: self.ask(endpoint, method, *params), avoid)

    async def block(self, method: str, which: str, avoid: Collection[Endpoint] = ()) -> tuple[BlockRef, Endpoint]:
        """Fetch a header by hash or number; an endpoint that does not know the block is not the last word.

        Raises:
            ChainError: no endpoint knows it.
        """
        avoided = list(avoid)
        while True:
            result, endpoint = await self.request(method, which, False, avoid=avoided)
            try:
                block = rpc.decode_block(result)
            except MalformedFrame as error:
                self.put_aside(endpoint, "malformed-block", str(error))
                block = None
            else:
                self.could_read(endpoint, "malformed-block")
            if block is not None:
                return block, endpoint
            avoided.append(endpoint)
            if len(avoided) >= len(self.live):
                raise ChainError(f"no endpoint knows block {which}")
