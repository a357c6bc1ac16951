"""Which nodes are alive, how far each has come, and whom to ask.

First wins, union completes: every live endpoint feeds the same pipeline. Requests go to the healthiest endpoint and to
the next one when it fails. A negative answer (an empty block, a reorg) needs a second endpoint's word where there is one.
"""

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from statistics import median

import msgspec
import trio
from attrs import define, field

from trio_copy.chain import rpc
from trio_copy.chain.session import Quarantine, Session
from trio_copy.config import EndpointSettings
from trio_copy.errors import ChainError, ConnectionLost, MalformedFrame
from trio_copy.model.logs import BlockRef

_INTERVALS_KEPT = 16


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
    connects: int = 0
    failures: int = 0
    """Consecutive failed requests and connections; health, with the best first."""
    last_error: str = ""
    numbers_repeat: bool = False
    """Whether it numbers different logs of a block alike: then its numbers tell nothing about equal ones."""
    _intervals: deque[float] = field(factory=lambda: deque(maxlen=_INTERVALS_KEPT))

    @property
    def name(self) -> str:
        return self.settings.name

    def saw_head(self, head: BlockRef, now: float) -> None:
        """Note a new head; `now` is Trio time."""
        if self.heads_seen:
            self._intervals.append(now - self.head_at)
        self.head, self.head_at, self.heads_seen = head, now, self.heads_seen + 1

    def start_over(self) -> None:
        """Forget how often heads came: the time without a connection says nothing about blocks."""
        self.heads_seen = 0
        self._intervals.clear()

    def patience_s(self, silence_s: float) -> float:
        """Return how long its silence is normal: the setting, or five of its usual block times."""
        return max(silence_s, 5 * median(self._intervals)) if self._intervals else silence_s


@define(eq=False)
class EndpointPool:
    endpoints: Sequence[Endpoint]
    quarantine: Quarantine
    _heads: dict[str, BlockRef] = field(factory=dict)
    _news: trio.Event = field(factory=trio.Event)
    _live_changed: trio.Event = field(factory=trio.Event)
    followed: BlockRef | None = None
    """The newest block that the scanner has read: what an endpoint's head is measured by, for a claim alone proves nothing."""
    rescan_wanted: bool = False
    """Set when logs may have been missed: after a connect, or when the filters changed."""

    @property
    def live(self) -> list[Endpoint]:
        """The connected endpoints, healthiest first."""
        return sorted(
            (endpoint for endpoint in self.endpoints if endpoint.session is not None),
            key=lambda endpoint: (endpoint.failures, -(endpoint.head.number if endpoint.head else 0)),
        )

    @contextmanager
    def connected(self, endpoint: Endpoint, session: Session) -> Generator[None, None, None]:
        """Make an endpoint available for requests while the block runs."""
        endpoint.session = session
        endpoint.connects += 1
        endpoint.start_over()
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

    def announce(self, endpoint: Endpoint, head: BlockRef) -> None:
        """Note a head for the scanner. Only the newest of each endpoint is kept: the scanner walks the rest itself."""
        endpoint.saw_head(head, trio.current_time())
        self._heads[endpoint.name] = head
        self._news.set()

    def announce_again(self) -> None:
        """Bring the known heads back: following them failed."""
        for endpoint in self.live:
            if endpoint.head is not None:
                self._heads.setdefault(endpoint.name, endpoint.head)
        self.want_rescan()

    def want_rescan(self) -> None:
        """Ask the scanner to read its window again."""
        self.rescan_wanted = True
        self._news.set()

    async def wait_news(self) -> None:
        """Wait for a head or a wish to re-scan."""
        await self._news.wait()

    def take_heads(self) -> list[BlockRef]:
        """Return the announced heads, highest first, and forget them."""
        heads = sorted(self._heads.values(), key=lambda head: -head.number)
        self._heads.clear()
        self._news = trio.Event()
        return heads

    async def request(
        self, method: str, *params: object, avoid: Sequence[Endpoint] = ()
    ) -> tuple[msgspec.Raw, Endpoint]:
        """Ask the healthiest live endpoint, then the others.

        Raises:
            ChainError: nobody is connected, or everybody failed; the last failure.
        """
        failure: ChainError = ConnectionLost("no endpoint is connected")
        for endpoint in self.live:
            session = endpoint.session
            if session is None or endpoint in avoid:
                continue
            try:
                result = await session.request(method, *params)
            except ChainError as error:
                endpoint.failures += 1
                endpoint.last_error = str(error)
                failure = error
            else:
                endpoint.failures = 0
                return result, endpoint
        raise failure

    async def block(self, method: str, which: str, avoid: Sequence[Endpoint] = ()) -> tuple[BlockRef, Endpoint]:
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
                self.quarantine("malformed-block", str(error))
                block = None
            if block is not None:
                return block, endpoint
            avoided.append(endpoint)
            if len(avoided) >= len(self.live):
                raise ChainError(f"no endpoint knows block {which}")
