"""HTTP/1.1 for httpx over Trio's streams: h11 speaks the protocol, and a small pool of connections per origin is kept.

An answer is read whole, within one deadline and one bound of bytes, before anybody sees it, so that a connection is either
in the pool, in the hands of one request, or closed. A request that is cancelled, cut off or answered wrongly closes its own:
what would come over it next could be the rest of somebody else's answer.
"""

import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from math import inf

import h11
import httpx  # noqa: ASYNC127  what it lacks is a good pool, and the pool is ours
import trio
from attrs import define, field

from trio_copy.model.values import value
from trio_copy.ports import OpenSocket
from trio_copy.unreachable import why_unreachable
from trio_copy_clob.addresses import Origin, dial, origin_of
from trio_copy_clob.peak import Peak
from trio_copy_clob.plain_answers import Answered, plain_answer
from trio_copy_clob.tls import TurnsStream

_CHUNK_BYTES = 1 << 16
_HEAD_BYTES = 1 << 16
_SENDABLE = re.compile(
    rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++: (?:(?! )[ -~]++(?<! ))?+\r\n)++\r\n"
)
"""A head in which nothing ends a row that should not. It never tries twice: nothing in it can be read in two ways."""
_TOO_LATE = "no whole answer in time"
_LOOK_S, _VIRTUAL_LOOK_S = 0.002, 1e-6
_HANDSHAKES = 4
"""At once, where connections are opened ahead: each keeps the processor busy for milliseconds, and a request may want it."""
REPEATABLE = "repeatable"
"""The extension of a request that may be sent again although the first one may have arrived: a POST that only asks."""


SENDING = "sending"
"""The extension of a request whose sender has to know whether it may have arrived: a `Sending`."""


@define(eq=False)
class Sending:
    """How far a request has come, however it ends: also where it is cancelled."""

    began: bool = False
    """Whether a byte of it may have left. Until then it is certainly nowhere."""


@value
class Asked:
    """A request as it leaves."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    """All of them, `Host` and `Content-Length` included; their names go out as they are written."""
    content: bytes = b""
    repeatable: bool = False
    """Whether it may be sent again although the first one may have arrived."""
    sending: Sending | None = None


class _NoAnswer(Exception):
    """The connection ended before a byte of the answer had come."""


@define(eq=False)
class _Connection:
    stream: trio.abc.Stream
    idle_since: float = 0.0


@define(eq=False)
class _Pool:
    origin: Origin
    turns: trio.Semaphore
    """Bounds the connections that are in hands: those that wait get a turn in the order in which they came."""
    idle: list[_Connection] = field(factory=list)
    in_hands: int = 0
    """Of requests."""
    peak: Peak = field(factory=Peak)
    """How many that were at once, lately."""


@define(eq=False, slots=False, kw_only=True)
class H11Transport(httpx.AsyncBaseTransport):
    """Carries requests; closed by `aclose`, as httpx does it.

    A request raises what httpx's own transport raises: `httpx.ConnectError`, `httpx.ReadTimeout`, `httpx.RemoteProtocolError`.
    """

    open_socket: OpenSocket
    timeout_s: float
    """From the moment that a request has its turn until the last byte of its answer."""
    connections: int = 4
    """Per origin."""
    body_bytes: int = 8 << 20
    """The longest answer that is read."""
    idle_s: float = 15.0
    """How long a connection is kept unused. Servers close theirs sooner or later, and a request over one of those is a wait lost."""
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    _made_tls: ssl.SSLContext | None = field(default=None, init=False)
    _pools: dict[Origin, _Pool] = field(factory=dict)
    _closed: bool = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, whole. Cancelled, its connection is closed."""
        content = await request.aread()
        sending = request.extensions.get(SENDING)
        asked = Asked(
            request.method,
            request.url.raw_path,
            request.headers.raw,
            content,
            request.method == "GET" or bool(request.extensions.get(REPEATABLE)),
            sending if isinstance(sending, Sending) else None,
        )
        answer = await self.carry(origin_of(str(request.url)), asked)
        return httpx.Response(answer.status, headers=list(answer.headers), content=answer.body, request=request)

    async def carry(self, origin: Origin, asked: Asked, until: float = inf) -> Answered:
        """Do the same for whoever needs no more of httpx than its errors: that costs a third less.

        It is over at `until` at the latest, a moment of Trio's clock, its wait for a turn included.
        """
        pool = self._pool(origin)
        await trio.lowlevel.checkpoint_if_cancelled()
        if pool.turns.value:
            pool.turns.acquire_nowait()  # a semaphore that is free lets others run all the same, and that costs a round
        else:
            with trio.CancelScope(deadline=until) as scope:
                await pool.turns.acquire()
            if scope.cancelled_caught:
                raise httpx.PoolTimeout(_TOO_LATE)
        now = trio.current_time()
        pool.in_hands += 1
        pool.peak.note(pool.in_hands, now)
        try:
            ends = now + self.timeout_s
            with trio.CancelScope(deadline=min(until, ends)):
                return await self._exchange(pool, asked)
        finally:
            pool.in_hands -= 1
            pool.turns.release()
        raise httpx.ReadTimeout(_TOO_LATE if until < ends else f"no whole answer within {self.timeout_s:g} s")

    async def warm(self, url: str, least: int = 1, most: int | None = None) -> None:
        """See to it that so many connections are open, all of them good; says nothing where that fails.

        At least so many, and up to `most` as many as were needed at once lately, those included that requests have in hands. Called
        again within `idle_s`, no request has to wait for a connection.
        """
        pool, now = self._pool(origin_of(url)), trio.current_time()
        count = least if most is None else min(most, max(least, pool.peak.lately(now)))
        old = await self._old(pool, now - self.idle_s / 2)
        lacking = min(count, self.connections) - pool.in_hands - (len(pool.idle) - len(old))
        at_once = trio.CapacityLimiter(_HANDSHAKES)
        async with trio.open_nursery() as nursery:
            for _ in range(lacking):
                nursery.start_soon(self._renew, pool, old, at_once)
        while old and pool.in_hands + len(pool.idle) > count:
            await _drop(pool, old.pop(0))

    async def _old(self, pool: _Pool, half: float) -> list[_Connection]:
        """Return the connections that will soon be too old, oldest first, and close those that are not good any more."""
        old = [connection for connection in pool.idle if connection.idle_since < half]
        for connection in list(pool.idle):
            if connection not in pool.idle or connection.idle_since < half or _is_silent(connection):
                continue  # taken meanwhile, or old, or good
            pool.idle.remove(connection)
            if await _is_open(connection):
                pool.idle.append(connection)
            else:
                await trio.aclose_forcefully(connection.stream)
        return sorted(old, key=lambda one: one.idle_since)

    async def _renew(self, pool: _Pool, old: list[_Connection], at_once: trio.CapacityLimiter) -> None:
        """Open one more connection, and only then close an old one that it stands for."""
        async with at_once, pool.turns:
            try:
                with trio.fail_after(self.timeout_s):
                    connection = await self._connect(pool.origin)
            except (OSError, trio.TooSlowError):
                return
            await self._put_back(pool, connection, clean=True)
            if old:
                await _drop(pool, old.pop(0))

    async def aclose(self) -> None:
        """Close every connection that is in nobody's hands; the others close with their requests."""
        self._closed = True
        # By force, which does not wait: cancelled after the first of them, the others would stay open.
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
            for pool in self._pools.values():
                while pool.idle:
                    await trio.aclose_forcefully(pool.idle.pop().stream)

    def _pool(self, origin: Origin) -> _Pool:
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _Pool(origin, trio.Semaphore(self.connections))
        return pool

    async def _connect(self, origin: Origin) -> _Connection:
        return _Connection(await dial(origin, self.open_socket, self._context, in_turns=True))

    def _context(self) -> ssl.SSLContext:
        # Reading the system's certificates takes 20 ms: once is enough, and not before somebody needs them.
        if self._made_tls is None:
            self._made_tls = self.tls()
        return self._made_tls

    async def _exchange(self, pool: _Pool, asked: Asked) -> Answered:
        while pool.idle:
            connection = pool.idle.pop()  # the one used last: the others grow old and go
            if trio.current_time() - connection.idle_since > self.idle_s:
                await trio.aclose_forcefully(connection.stream)
                continue
            # Of what must not be sent twice, it would never be known whether a server that had closed the connection has it.
            if not asked.repeatable and not await _is_open(connection):
                await trio.aclose_forcefully(connection.stream)
                continue
            try:
                return await self._talk(pool, connection, asked)
            except _NoAnswer as error:
                # The server closed it while nobody used it. Whether it has read the request, nobody knows.
                if not asked.repeatable:
                    raise httpx.RemoteProtocolError("the connection ended without an answer") from error
        try:
            connection = await self._connect(pool.origin)
        except OSError as error:
            raise httpx.ConnectError(why_unreachable(error)) from error
        try:
            return await self._talk(pool, connection, asked)
        except _NoAnswer as error:
            raise httpx.RemoteProtocolError("the connection ended without an answer") from error

    async def _talk(self, pool: _Pool, connection: _Connection, asked: Asked) -> Answered:
        try:
            answer, clean = await _ask(connection.stream, asked, self.body_bytes)
        except h11.RemoteProtocolError as error:
            await trio.aclose_forcefully(connection.stream)
            raise httpx.RemoteProtocolError(f"no HTTP/1.1: {error}"[:200]) from error
        except BaseException:
            await trio.aclose_forcefully(connection.stream)
            raise
        stream = connection.stream
        # What came too much, TLS may have already: it would be taken for the next answer.
        await self._put_back(pool, connection, clean=clean and not (isinstance(stream, TurnsStream) and stream.unread))
        return answer

    async def _put_back(self, pool: _Pool, connection: _Connection, *, clean: bool) -> None:
        if self._closed or not clean:
            await trio.aclose_forcefully(connection.stream)
            return
        connection.idle_since = trio.current_time()
        pool.idle.append(connection)


async def _drop(pool: _Pool, connection: _Connection) -> None:
    """Close an idle connection, unless somebody has taken it."""
    if connection in pool.idle:
        pool.idle.remove(connection)
        await trio.aclose_forcefully(connection.stream)


def _is_silent(connection: _Connection) -> bool:
    """Tell whether the system has nothing to be read on a connection; of one that is no socket, nobody knows."""
    socket = _socket(connection)
    return socket is not None and not socket.is_readable()


async def _is_open(connection: _Connection) -> bool:
    """Tell whether an idle connection is good for a request: nothing is to be heard on it, its end least of all."""
    if _is_silent(connection):
        return True
    try:
        with trio.CancelScope() as scope:  # noqa: ASYNC912  it gives up by itself
            # What is there may be of TLS alone, and an end takes some rounds of the loop to show. A stream that is no socket
            # is in memory, and under a virtual clock the shortest time is enough.
            look_s = _VIRTUAL_LOOK_S if _socket(connection) is None else _LOOK_S
            scope.deadline = trio.current_time() + look_s
            with suppress(trio.BrokenResourceError):
                await connection.stream.receive_some(1)
            return False
    except trio.Cancelled:  # it is in no pool any more
        await trio.aclose_forcefully(connection.stream)
        raise
    return True


def _socket(connection: _Connection) -> trio.socket.SocketType | None:
    stream = connection.stream
    while isinstance(stream, TurnsStream):
        stream = stream.transport_stream
    return stream.socket if isinstance(stream, trio.SocketStream) else None


def _written(asked: Asked) -> bytes:
    """Write a request as h11 does."""
    head = [b"%s %s HTTP/1.1\r\n" % (asked.method.encode(), asked.target)]
    head += [b"%s: %s\r\n" % row for row in asked.headers]
    written = b"".join([*head, b"\r\n"])
    if not _SENDABLE.fullmatch(written):
        _protocol_of(asked)  # says what is wrong with it
        raise h11.LocalProtocolError("a request that cannot be written")
    return written + asked.content


def _protocol_of(asked: Asked) -> h11.Connection:
    """Return h11's view of a connection over which a request has just left."""
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    protocol.send(h11.Request(method=asked.method, target=asked.target, headers=asked.headers))
    if asked.content:
        protocol.send(h11.Data(data=asked.content))
    protocol.send(h11.EndOfMessage())
    return protocol


async def _ask(stream: trio.abc.Stream, asked: Asked, body_bytes: int) -> tuple[Answered, bool]:
    """Return the answer, and whether the connection is good for another request."""
    data, chunk = _written(asked), b""
    # A process that was stopped on its way here has not been told yet that its time is over: Trio tells at the next wait,
    # and that comes after the write. Somebody else may have looked for the order meanwhile, and said that it is nowhere.
    if trio.current_time() >= trio.current_effective_deadline():
        raise httpx.PoolTimeout(_TOO_LATE)
    if asked.sending is not None:
        asked.sending.began = True
    try:
        await stream.send_all(data)
        chunk = bytes(await stream.receive_some(_CHUNK_BYTES))
        if not chunk:
            raise _NoAnswer
        plain = plain_answer(chunk, body_bytes)
        return await _read(stream, _protocol_of(asked), chunk, body_bytes) if plain is None else (plain, True)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        if not chunk:
            raise _NoAnswer from error
        raise httpx.RemoteProtocolError("the connection ended in the middle of an answer") from error


async def _read(
    stream: trio.abc.Stream, protocol: h11.Connection, chunk: bytes, body_bytes: int
) -> tuple[Answered, bool]:
    """Read an answer of which a part has come."""
    received = len(chunk)
    protocol.receive_data(chunk)
    response: h11.Response | None = None
    body = bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            chunk = bytes(await stream.receive_some(_CHUNK_BYTES))
            received += len(chunk)
            protocol.receive_data(chunk)
        elif isinstance(event, h11.Response):
            response = event
            declared = dict(event.headers).get(b"content-length", b"0")
            if int(declared) > body_bytes:
                raise httpx.RemoteProtocolError(f"an answer of more than {body_bytes >> 20} MiB")
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            break
        elif not isinstance(event, h11.InformationalResponse):
            raise httpx.RemoteProtocolError("it wants to speak something else than HTTP/1.1")
        # Everything that came counts, also what h11 throws away, such as the frames of chunks.
        if received > body_bytes + _HEAD_BYTES:
            raise httpx.RemoteProtocolError(f"an answer of more than {body_bytes >> 20} MiB")
    coding = [value for name, value in response.headers if name == b"content-encoding" and value.lower() != b"identity"]
    if coding:
        # We say that we take none; unpacked, a small answer could fill the memory.
        raise httpx.RemoteProtocolError("an answer in a coding that was not asked for")
    clean = protocol.our_state is h11.DONE and protocol.their_state is h11.DONE and not protocol.trailing_data[0]
    return Answered(response.status_code, list(response.headers.raw_items()), bytes(body)), clean
