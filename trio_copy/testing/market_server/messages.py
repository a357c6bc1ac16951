"""Requests as a server reads them, and answers as it sends them, rightly or wrongly."""

from collections.abc import Mapping

import h11
import trio
from attrs import define, field, frozen

from trio_copy.testing.market_server.faults import Body, VenueFaults

_CHUNK = 1 << 16
BLOCKED = (
    b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>blocked</body></html>"
)
JSON, PAGE = b"application/json", b"text/html; charset=UTF-8"
_HUGE = 9 << 20
_MOST_BODY = 4 << 20


@frozen
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes


@define
class Answer:
    status: int
    body: bytes
    kind: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(factory=list)


@define(eq=False)
class ServerSide:
    """The server's end of one connection: requests in, answers out, one after another."""

    _stream: trio.abc.Stream
    _protocol: h11.Connection = field(factory=lambda: h11.Connection(h11.SERVER))

    def feed(self, first: bytes) -> None:
        """Take what was read of the stream already."""
        self._protocol.receive_data(first)

    async def next_request(self) -> Request | None:
        """Return the next request; None when the client is gone, or sends more than anybody would read.

        Raises:
            h11.RemoteProtocolError: what came is no HTTP.
        """
        if self._protocol.our_state is h11.DONE:
            self._protocol.start_next_cycle()
        head, body = None, bytearray()
        while True:
            await trio.lowlevel.checkpoint()
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                self._protocol.receive_data(bytes(await self._stream.receive_some(_CHUNK)))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MOST_BODY:
                    return None
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
                return Request(head.method.decode(), head.target.decode("latin-1"), headers, bytes(body))
            else:
                return None

    async def send(self, answer: Answer, faults: VenueFaults) -> bool:
        """Send an answer; False when the connection is to end then."""
        if faults.stall:
            while await self._stream.receive_some(_CHUNK):  # until the client is gone
                pass
            return False
        if faults.drop:
            return False
        match faults.body:
            case Body.GARBAGE:
                answer.body = b"\xff\xfe not json"
            case Body.TRUNCATED:
                answer.body = answer.body[: len(answer.body) // 2]
            case Body.PAGE:
                answer.body, answer.kind = BLOCKED, PAGE
            case Body.CRUMBS:
                answer.body = b"[" + b"0," * 1_000_000 + b"0]"
            case Body.HUGE:
                answer.body += b" " * _HUGE
            case Body.PACKED:
                answer.headers.append((b"Content-Encoding", b"gzip"))
            case Body.ENDLESS_HEAD:
                await self._stream.send_all(b"HTTP/1.1 200 OK\r\n")
                while True:
                    await self._stream.send_all(b"X-More: " + b"x" * 1000 + b"\r\n")
            case Body.RIGHT | Body.CUT:
                pass
        headers = [(b"Content-Type", answer.kind), *answer.headers]
        headers.append((b"Content-Length", str(len(answer.body)).encode()))
        if faults.close_each:
            headers.append((b"Connection", b"close"))
        data = self._protocol.send(h11.Response(status_code=answer.status, headers=headers))
        if faults.body is Body.CUT:
            await self._stream.send_all(data + answer.body[: len(answer.body) // 2])
            return False
        data += self._protocol.send(h11.Data(data=answer.body)) or b""
        await self._stream.send_all(data + (self._protocol.send(h11.EndOfMessage()) or b""))
        return not faults.close_each
