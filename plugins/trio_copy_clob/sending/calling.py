"""One request to the venue, with a hard deadline, and whether it may have arrived.

Straight to the transport: httpx's client would carry cookies from answer to request, and costs twice as much.
"""

from collections.abc import Mapping, Sequence

import httpx  # noqa: ASYNC127  over a transport of our own
import trio
from attrs import define, frozen

from trio_copy.clock import WallClock
from trio_copy_clob.sending.skew import VenueClock
from trio_copy_clob.transport import REPEATABLE, SENDING, Sending
from trio_copy_clob.wire import clean

_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "trio-copy"}
_BODY = {"content-type": "application/json"}


@frozen(kw_only=True)
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
    transport: httpx.AsyncBaseTransport
    url: str
    """The address of the CLOB, without a / at its end."""

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
        request = httpx.Request(
            method,
            f"{self.url}{path}",
            params=list(params) or None,
            headers={**_HEADERS, **(_BODY if content is not None else {}), **headers},
            content=content,
            extensions={SENDING: sending, REPEATABLE: repeatable},
        )
        with trio.CancelScope(deadline=until):  # noqa: ASYNC912  the transport waits, or answers at once
            try:
                response = await self.transport.handle_async_request(request)
                return Reply(status=response.status_code, headers=response.headers, body=await response.aread())
            except httpx.TransportError as error:
                return NoReply(why=clean(error), sent=sending.began)
        return NoReply(why="no whole answer in time", sent=sending.began)


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
