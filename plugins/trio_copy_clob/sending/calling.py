"""One request to the venue, with a hard deadline, and whether it may have arrived.

Straight to the transport: httpx's client would carry cookies from answer to request, and costs much more.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

import httpx  # noqa: ASYNC127  for its errors; over a transport of our own
from attrs import define, field, frozen

from trio_copy.clock import WallClock
from trio_copy.model.values import value
from trio_copy_clob.addresses import Origin, origin_of
from trio_copy_clob.sending.skew import VenueClock
from trio_copy_clob.transport import Asked, H11Transport, Sending
from trio_copy_clob.wire import clean

_HEADERS = ((b"Accept", b"application/json"), (b"Accept-Encoding", b"identity"), (b"User-Agent", b"trio-copy"))
_JSON = (b"Content-Type", b"application/json")


@value(kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    """Found by names in small letters."""
    body: bytes


@frozen(kw_only=True)
class NoReply:
    why: str
    sent: bool
    """Whether a byte of the request may have left."""


@define(eq=False, kw_only=True)
class Caller:
    transport: H11Transport
    url: str
    """The address of the CLOB, without a / at its end."""
    _origin: Origin = field(init=False)
    _host: tuple[bytes, bytes] = field(init=False)
    _below: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._origin = origin_of(self.url)
        self._host = (b"Host", self._origin.name.encode())
        self._below = urlsplit(self.url).path

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        until: float,
        params: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
        repeatable: bool = False,
    ) -> Reply | NoReply:
        """Ask, once, until a moment of Trio's clock. Cancelled, the connection is closed, and it may have arrived.

        `repeatable` lets the transport ask again over another connection, where the first one turns out to be dead.
        """
        sending = Sending()
        query = f"?{urlencode(params)}" if params else ""
        written = [self._host, *_HEADERS, *((name.encode(), text.encode()) for name, text in headers.items())]
        if content is not None or method == "POST":
            written += (_JSON, (b"Content-Length", b"%d" % len(content or b"")))
        target = f"{self._below}{path}{query}".encode()
        asked = Asked(method, target, written, content or b"", method == "GET" or repeatable, sending)
        try:
            answer = await self.transport.carry(self._origin, asked, until)
        except httpx.TransportError as error:
            return NoReply(why=clean(error), sent=sending.began)
        told = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in answer.headers}
        return Reply(status=answer.status, headers=told, body=answer.body)


async def take_time(caller: Caller, clock: VenueClock, wall: WallClock, until: float) -> str | None:
    """Learn what time the venue has; returns why that did not work, or None."""
    asked_at = wall()
    reply = await caller.call("GET", "/time", headers={}, until=until)
    if isinstance(reply, NoReply):
        return reply.why
    if reply.status != 200:
        return f"HTTP status {reply.status} of /time"
    try:
        clock.learn(reply.body, asked_at, wall())
    except ValueError as error:
        return str(error)
    return None
