"""Asks the venue over HTTP: in turn, again where that helps, within `patience_s`; what is left is a `MarketsUnavailable`."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import httpx  # noqa: ASYNC127  over a transport of our own
import trio
from attrs import define, frozen

from trio_copy.clock import WallClock
from trio_copy.entropy import Entropy
from trio_copy.errors import MarketsUnavailable
from trio_copy_clob.pacing import Pace, Route, told_s
from trio_copy_clob.transport import REPEATABLE
from trio_copy_clob.troubles import Troubles
from trio_copy_clob.wire import clean

_T = TypeVar("_T")
_AGAIN = frozenset({408, 425, 429})
_LONGEST_WORDS = 200


@frozen
class _Failure:
    why: str
    again: bool = True
    told_s: float | None = None


@frozen
class Host:
    """One of the venue's servers."""

    url: str
    name: str
    pace: Pace


@define(eq=False, kw_only=True)
class Asker:
    client: httpx.AsyncClient
    hosts: Mapping[str, Host]
    patience_s: float
    """How long one question is asked again and again, rests included."""
    wall: WallClock
    entropy: Entropy
    troubles: Troubles

    async def ask(
        self,
        route: Route,
        read: Callable[[bytes], _T],
        *,
        below: str = "",
        params: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
    ) -> _T | None:
        """Ask, and return what `read` makes of the answer; None where the venue says 404.

        With `content` it is a POST that only asks. Cancelled, its connection is closed.

        Raises:
            MarketsUnavailable: no answer in time, a refusal, or an answer that `read` refuses with a `ValueError`.
        """
        host = self.hosts[route.host]
        # Where many ask at once, the wait for the first turn is nobody's failure.
        await trio.sleep(host.pace.take(route, trio.current_time()))
        give_up_at = trio.current_time() + self.patience_s
        while True:
            await self._rest(route, give_up_at)
            answer = await self._exchange(host, route, below, params, content)
            if isinstance(answer, httpx.Response):
                try:
                    result = None if answer.status_code == 404 else read(answer.content)
                except ValueError as error:
                    answer = _Failure(f"an answer that cannot be read: {clean(error)}")
                else:
                    host.pace.answered()
                    self.troubles.back(host.name, route.host)
                    return result
            now = trio.current_time()
            rest_s = host.pace.failed(now, answer.told_s, self.entropy)
            if not answer.again or now + rest_s > give_up_at:
                raise self._unavailable(route, answer.why)

    async def _rest(self, route: Route, give_up_at: float) -> None:
        host = self.hosts[route.host]
        while rest_s := host.pace.rest_s(trio.current_time()):
            if trio.current_time() + rest_s > give_up_at:
                # Somebody else's question was refused for longer than this one can wait.
                raise self._unavailable(route, f"left alone for another {rest_s:.0f} s, as it asked for")
            await trio.sleep(rest_s)

    async def _exchange(
        self, host: Host, route: Route, below: str, params: Sequence[tuple[str, str]], content: bytes | None
    ) -> httpx.Response | _Failure:
        try:
            response = await self.client.request(
                "GET" if content is None else "POST",
                f"{host.url}{route.path}{below}",
                params=[*params] or None,
                content=content,
                headers={"content-type": "application/json"} if content is not None else None,
                extensions={REPEATABLE: True},
            )
        except httpx.TransportError as error:
            return _Failure(clean(error))
        return self._judge(response)

    def _judge(self, response: httpx.Response) -> httpx.Response | _Failure:
        status = response.status_code
        if status in (200, 404) and not _is_page(response):
            return response
        if _is_page(response) and status == 403:
            # Cloudflare's page. Asking again only makes it last longer.
            return _Failure("region or datacentre is blocked (HTTP 403 with a page of Cloudflare)", again=False)
        words = "a page" if _is_page(response) else clean(response.content[:_LONGEST_WORDS].decode(errors="replace"))
        after_s = told_s(response.headers.get("retry-after", ""), self.wall())
        why = f"HTTP status {status}" + (f": {words}" if words else "")
        return _Failure(why, again=status in _AGAIN or status >= 500 or status < 300, told_s=after_s)

    def _unavailable(self, route: Route, why: str) -> MarketsUnavailable:
        name = self.hosts[route.host].name
        self.troubles.away(name, why, route.host)
        return MarketsUnavailable(f"{name}: {why}")


def _is_page(response: httpx.Response) -> bool:
    return "html" in response.headers.get("content-type", "") or response.content[:64].lstrip()[:1] == b"<"
