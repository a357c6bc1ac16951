"""The transport and the channel over real sockets, with and without TLS."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial

import httpx  # noqa: ASYNC127  as the plugin
import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.clob.opened import Sized, listen, quote
from trio_copy.ports import MarketsContext
from trio_copy.sockets import open_socket
from trio_copy.testing.market_server import open_market_server
from trio_copy_clob import PolymarketSettings, open_polymarket
from trio_copy_clob.addresses import Origin
from trio_copy_clob.sending.calling import Caller, NoReply, Reply
from trio_copy_clob.transport import SENDING, Asked, H11Transport, Sending


async def test_the_source_works_over_loopback() -> None:
    """Real sockets carry the same as those in memory."""
    facts = Sized(2).facts()
    async with open_market_server(lambda: NOW) as server:
        server.venue.put(facts)
        for fact in facts:
            server.venue.set_quote(fact.token_id, quote("0.4", "0.6"))
        context = MarketsContext(name="m", settings=PolymarketSettings(**server.addresses), wall=lambda: NOW)
        with trio.fail_after(20):
            async with open_polymarket(context) as source:
                tokens = [fact.token_id for fact in facts]
                assert len(await source.facts(tokens)) == 4
                assert len(await source.books(tokens)) == 4
                async with listen(source, tokens) as listening:
                    await listening.until({token: quote("0.4", "0.6") for token in tokens})


@asynccontextmanager
async def serving(
    answer: bytes, *, then_close: bool = False
) -> AsyncGenerator[tuple[H11Transport, str, list[int]], None]:
    """Serve one answer for every request, on a loopback port."""
    served: list[int] = []
    connections = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some(65536):
                served.append(mine)
                await stream.send_all(answer)
                if then_close:
                    return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
        transport = H11Transport(open_socket=open_socket, timeout_s=5.0, connections=2, body_bytes=1 << 17)
        yield transport, url, served
        await transport.aclose()
        nursery.cancel_scope.cancel()


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (_OK, [1, 1, 1]),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + _OK, [1, 1, 1]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", [1, 2, 3]),
        (_OK + b"HTTP/1.1 200 OK\r\n", [1, 2, 3]),  # what came too much could be taken for the next answer
    ],
)
async def test_a_connection_is_used_again_where_nothing_is_left_of_the_last_answer(
    answer: bytes, connections: list[int]
) -> None:
    """Otherwise it is closed, and the next request has its own."""
    async with serving(answer) as (transport, url, served):
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            for _ in range(3):
                assert (await client.get(url)).text == "ok"
        assert served == connections


async def test_a_connection_that_the_server_closed_is_not_an_error() -> None:
    """It may do so at any time; whoever finds it closed takes another one, with an order as with a question."""
    async with (
        serving(_OK, then_close=True) as (transport, url, served),
        httpx.AsyncClient(transport=transport, trust_env=False) as client,
    ):
        for _ in range(3):
            assert (await client.get(url)).text == "ok"
            await trio.sleep(0.01)
            assert (await client.post(url, content=b"buy")).text == "ok"
            await trio.sleep(0.01)
        assert served == [1, 2, 3, 4, 5, 6]


async def test_what_is_no_question_is_not_sent_twice_by_itself() -> None:
    """A server that closes the connection instead of answering may have read it; its sender decides."""
    async with (
        serving(b"", then_close=True) as (transport, url, served),
        httpx.AsyncClient(transport=transport, trust_env=False) as client,
    ):
        sending = Sending()
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(url, content=b"buy", extensions={SENDING: sending})
        assert sending.began
        assert served == [1]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_request_says_whether_it_may_have_arrived(clock: trio.testing.MockClock, cancelled: bool) -> None:
    """Until its first byte it is nowhere, also where it is cancelled or given up while it waits for a connection."""
    silent, closed = [], []

    async def connect(host: str, port: int) -> trio.abc.Stream:
        if host == "nowhere":
            raise OSError("connection refused")
        if host == "slow":
            await trio.sleep(100)
        ours, theirs = trio.testing.memory_stream_pair()
        ours.send_stream.close_hook = lambda: closed.append(host)
        silent.append(theirs)
        return ours

    transport = H11Transport(open_socket=connect, timeout_s=5.0, connections=1)
    for host, began in (("nowhere", False), ("slow", False), ("silent", True)):
        sending = Sending()
        request = httpx.Request("POST", f"http://{host}/", content=b"buy", extensions={SENDING: sending})
        expected = pytest.raises(httpx.TransportError) if host == "nowhere" or not cancelled else nullcontext()
        with trio.move_on_after(3 if cancelled else 10), expected:
            await transport.handle_async_request(request)
        assert sending.began is began
    assert closed == ["silent"]


async def test_who_was_stopped_before_he_wrote_sends_nothing_when_he_wakes_up(clock: trio.testing.MockClock) -> None:
    """Between the last wait and the write nobody is cancelled, however late it is."""
    ours, theirs = trio.testing.memory_stream_pair()

    class Slow(bytes):
        """A body that is put together for longer than there is time."""

        def __radd__(self, head: bytes) -> bytes:
            clock.jump(60.0)
            return head + bytes(self)

    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    sending = Sending()
    asked = Asked(
        "POST", b"/order", [(b"Host", b"localhost"), (b"Content-Length", b"3")], Slow(b"buy"), sending=sending
    )
    with pytest.raises(httpx.TimeoutException):
        await H11Transport(open_socket=connect, timeout_s=5.0).carry(Origin("http", "localhost", 80), asked)
    assert not sending.began
    assert await theirs.receive_some() == b""  # closed, and nothing before that


async def test_a_look_at_an_idle_connection_that_is_cancelled_closes_it(clock: trio.testing.MockClock) -> None:
    """It was in nobody's hands but those of the request."""
    closed = []

    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, _ = trio.testing.memory_stream_pair()
        ours.send_stream.close_hook = lambda: closed.append(host)
        return ours

    transport = H11Transport(open_socket=connect, timeout_s=5.0)
    await transport.warm("http://venue/")
    with trio.CancelScope() as scope:
        scope.cancel()
        await transport.handle_async_request(httpx.Request("POST", "http://venue/", content=b"buy"))
    assert closed in ([], ["venue"])  # it may have been cancelled before it took one
    await transport.aclose()
    assert closed == ["venue"]


async def test_connections_are_kept_warm(clock: trio.testing.MockClock) -> None:
    """As many as are wanted, none older than half the time that one is kept."""
    opened: list[trio.abc.Stream] = []
    closed: list[int] = []

    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        number = len(opened)
        ours.send_stream.close_hook = lambda: closed.append(number)
        opened.append(theirs)
        return ours

    transport = H11Transport(open_socket=connect, timeout_s=5.0, connections=3, idle_s=10.0)
    await transport.warm("http://venue/", 2)
    await transport.warm("http://venue/", 2)
    assert (len(opened), closed) == (2, [])
    await trio.sleep(6)
    await transport.warm("http://venue/", 9)
    assert (len(opened), closed) == (5, [0, 1])
    await trio.aclose_forcefully(opened[3])  # as a server does that has had enough
    await transport.warm("http://venue/", 3)
    assert (len(opened), closed) == (6, [0, 1, 3])
    await transport.aclose()
    assert sorted(closed) == [0, 1, 2, 3, 4, 5]


async def test_an_old_connection_is_closed_once_a_new_one_is_open(clock: trio.testing.MockClock) -> None:
    """So there is one all the time; and those that requests have in hands are as good as open ones."""
    opened: list[trio.abc.Stream] = []
    closed: list[int] = []

    async def connect(host: str, port: int) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        number = len(opened)
        ours.send_stream.close_hook = lambda: closed.append(number)
        opened.append(theirs)
        await trio.sleep(1)
        return ours

    transport = H11Transport(open_socket=connect, timeout_s=5.0, connections=9, idle_s=10.0)
    await transport.warm("http://venue/", 6)
    assert trio.current_time() == pytest.approx(2.0)  # some at a time
    await trio.sleep(6)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.warm, "http://venue/", 6)
        await trio.sleep(0.5)
        assert (len(opened), closed) == (10, [])
        await trio.sleep(1)
        assert (len(opened), sorted(closed)) == (12, [0, 1, 2, 3])
    assert sorted(closed) == [0, 1, 2, 3, 4, 5]
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(transport.handle_async_request, httpx.Request("GET", "http://venue/"))
        await trio.testing.wait_all_tasks_blocked()
        await transport.warm("http://venue/", 6)
        await transport.warm("http://venue/", 1, 2)  # so many were needed at once
        assert len(opened) == 12
        await transport.warm("http://venue/", 1, 9)
        assert len(opened) == 12
        await transport.warm("http://venue/", 7)
        assert len(opened) == 13
        for stream in opened[-3:]:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        nursery.cancel_scope.cancel()


async def test_an_answer_without_end_is_given_up() -> None:
    """Whether it says how long it will be or not."""
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 60_000
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"
    for answer in (endless, long):
        async with serving(answer) as (transport, url, _):
            with pytest.raises(httpx.RemoteProtocolError, match="more than"):
                await transport.handle_async_request(httpx.Request("GET", url))


async def test_a_connection_opened_ahead_is_used() -> None:
    """The first request does not wait for a handshake."""
    async with serving(_OK) as (transport, url, served):
        await transport.warm(url)
        await transport.warm(url)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            await client.get(url)
        assert served in ([1], [2])


async def test_warming_up_nobody_is_no_error() -> None:
    """Whoever is away is found out by the first request."""
    transport = H11Transport(open_socket=open_socket, timeout_s=1.0)
    await transport.warm("http://127.0.0.1:1/")


async def test_a_request_that_gets_no_turn_in_time_is_nowhere(autojump_clock: trio.testing.MockClock) -> None:
    """One that had its turn may be there."""
    ends = trio.testing.memory_stream_pair()

    async def stalled(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ends[0]

    caller = Caller(
        transport=H11Transport(open_socket=stalled, timeout_s=100.0, connections=1), url="http://localhost:1"
    )
    replies: list[tuple[float, Reply | NoReply]] = []

    async def ask(until: float) -> None:
        reply = await caller.call("POST", "/order", headers={}, until=until)
        replies.append((trio.current_time(), reply))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 5.0)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, 2.0)
    why = "no whole answer in time"
    assert replies == [(2.0, NoReply(why=why, sent=False)), (5.0, NoReply(why=why, sent=True))]
