"""One request over HTTP/1.1 and its whole answer, bounded in time and bytes, over a connection of its own.

The relayer is asked a few times a minute: a connection that is kept would only be one that may be dead.
"""

import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlencode, urlsplit

import h11
import trio
from attrs import define, field, frozen

from trio_copy.ports import OpenSocket
from trio_copy.unreachable import why_unreachable

_CHUNK = _MOST_HEAD = 1 << 14
_MOST_BODY = 1 << 18
_PORTS = {"http": 80, "https": 443}


@frozen(kw_only=True)
class Reply:
    status: int
    body: bytes
    retry_after: str = ""


@frozen(kw_only=True)
class NoReply:
    why: str
    sent: bool
    """Whether a byte of the request may have left."""


@define(eq=False, kw_only=True)
class Asker:
    url: str
    """Of the server; it was checked before."""
    open_socket: OpenSocket
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    _context: ssl.SSLContext | None = field(default=None, init=False)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        until: float,
        headers: Sequence[tuple[str, str]] = (),
        params: Sequence[tuple[str, str]] = (),
        content: bytes = b"",
    ) -> Reply | NoReply:
        """Ask, once, until a moment of Trio's clock. Cancelled, the connection is closed, and it may have arrived."""
        parts = urlsplit(self.url)
        target = f"{parts.path.rstrip('/')}{path}" + (f"?{urlencode(params)}" if params else "")
        head = [("Host", parts.netloc), ("Accept", "application/json"), ("Accept-Encoding", "identity"), *headers]
        head += [("User-Agent", "trio-copy"), ("Connection", "close"), ("Content-Length", str(len(content)))]
        if content:
            head.append(("Content-Type", "application/json"))
        stream: trio.abc.Stream | None = None
        sent = False
        try:
            request = h11.Request(method=method, target=target, headers=head)
            with trio.CancelScope(deadline=until):
                stream = await self._connect(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
                protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
                written = protocol.send(request) + (protocol.send(h11.Data(data=content)) if content else b"")
                sent = True
                await stream.send_all(written + protocol.send(h11.EndOfMessage()))
                return await _read(stream, protocol)
            return NoReply(why="no whole answer in time", sent=sent)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError, ValueError) as error:
            why = f"{type(error).__name__}: {str(error)[:100]}".rstrip(": ") if sent else why_unreachable(error)
            return NoReply(why=why, sent=sent)
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def _connect(self, scheme: str, host: str, port: int) -> trio.abc.Stream:
        stream = await self.open_socket(host, port)
        if scheme != "https":
            return stream
        try:
            if self._context is None:
                self._context = self.tls()
            secured = trio.SSLStream(stream, self._context, server_hostname=host, https_compatible=True)
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured


async def _read(stream: trio.abc.Stream, protocol: h11.Connection) -> Reply:
    """Read the answer. Raises `h11.ProtocolError` or `ValueError` where it is none, or too long."""
    response: h11.Response | None = None
    body, received = bytearray(), 0
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            chunk = bytes(await stream.receive_some(_CHUNK))
            received += len(chunk)
            protocol.receive_data(chunk)
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            break
        elif not isinstance(event, h11.InformationalResponse):
            raise ValueError("expected a whole answer")
        # Everything that came counts, also what h11 throws away, such as the frames of chunks.
        if received > _MOST_BODY:
            raise ValueError(f"expected an answer of at most {_MOST_BODY} bytes")
    told = {bytes(name): bytes(value) for name, value in response.headers}
    if told.get(b"content-encoding", b"identity").lower() != b"identity":
        raise ValueError("expected an answer without encoding")
    retry_after = told.get(b"retry-after", b"").decode("latin-1")
    return Reply(status=response.status_code, body=bytes(body), retry_after=retry_after)
