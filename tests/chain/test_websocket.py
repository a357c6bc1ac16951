"""The WebSocket itself: handshakes that go wrong, messages in crumbs, any bytes. Memory streams, virtual time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chain.peers import accepted
from trio_copy.chain.groups import one_chain_error
from trio_copy.chain.handshake import handshake_of
from trio_copy.chain.websocket import WebSocket
from trio_copy.errors import AnswerTooLarge, ChainError, ConnectionLost, HandshakeRefused

Clock = trio.testing.MockClock
_LIMIT = 1 << 16


def frame(payload: bytes, *, opcode: int = 1, last: bool = True) -> bytes:
    """Write a frame as a server does, unmasked."""
    length = len(payload)
    size = bytes([length]) if length < 126 else bytes([126]) + length.to_bytes(2, "big")
    if length > 0xFFFF:
        size = bytes([127]) + length.to_bytes(8, "big")
    return bytes([(0x80 if last else 0) | opcode]) + size + payload


@asynccontextmanager
async def connected(
    after: bytes = b"", *, close: bool = False
) -> AsyncGenerator[tuple[WebSocket, trio.abc.Stream], None]:
    """Connect to a acceptr that accepts, says some raw bytes, and perhaps hangs up."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def accept() -> None:
        await theirs.send_all(await accepted(theirs) + after)
        if close:
            await theirs.aclose()

    with one_chain_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            ws = WebSocket(ours, _LIMIT)
            await ws.shake_hands(handshake_of("ws://node.test"))
            yield ws, theirs
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"hello"),
        frame(b"hel", last=False) + frame(b"lo", opcode=0),
        frame(b"", last=False) + frame(b"hello", opcode=0),
        frame(b"hel", last=False) + frame(b"ping", opcode=9) + frame(b"pong", opcode=10) + frame(b"lo", opcode=0),
        frame(b"hello", opcode=2),
    ],
)
async def test_a_message_is_whole_in_whatever_pieces_it_comes(clock: Clock, sent: bytes) -> None:
    """Fragments are put together; control frames may stand between them."""
    async with connected(sent + frame(b"next")) as (ws, _):
        assert await ws.receive() == b"hello"
        assert await ws.receive() == b"next"


async def test_what_comes_in_one_piece_is_handed_out_in_one_turn(clock: Clock) -> None:
    """Whoever waits for it goes on together. Of thousands, others have their turn in between."""
    for count, turns in ((20, 0), (3_200, 90)):
        async with connected(b"".join(frame(b"%d" % number) for number in range(count))) as (ws, _):
            assert await ws.receive() == b"0"
            others = 0

            async def run_beside() -> None:
                nonlocal others
                while True:
                    await trio.lowlevel.checkpoint()
                    others += 1

            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_beside)
                assert [await ws.receive() for _ in range(count - 1)] == [b"%d" % one for one in range(1, count)]
                assert (others == 0) if not turns else (others >= turns)
                nursery.cancel_scope.cancel()


async def test_a_message_of_the_limit_is_taken_and_one_more_byte_is_not(clock: Clock) -> None:
    """The limit is the message's, not the fragments'; the node is told why we leave."""
    half = b"x" * (_LIMIT // 2)
    async with connected(frame(half, last=False) + frame(half, opcode=0)) as (ws, _):
        assert len(await ws.receive()) == _LIMIT
    async with connected(frame(half, last=False) + frame(half + b"x", opcode=0)) as (ws, theirs):
        with pytest.raises(AnswerTooLarge):
            await ws.receive()
        said = bytes(await theirs.receive_some(100))
    assert said[0] == 0x88
    mask, masked = said[2:6], said[6:8]
    assert int.from_bytes(bytes(a ^ b for a, b in zip(masked, mask, strict=False)), "big") == 1009


async def test_a_go_nodes_fragments_are_taken(clock: Clock) -> None:
    """Geth cuts its answers into fragments of a kilobyte, many of them."""
    piece = b"x" * 64
    fragments = [frame(piece, last=False)] + [frame(piece, opcode=0, last=False) for _ in range(1000)]
    async with connected(b"".join(fragments) + frame(b"", opcode=0)) as (ws, _):
        assert await ws.receive() == piece * 1001


async def test_crumbs_are_refused(clock: Clock) -> None:
    """Empty fragments would cost us time and memory and the sender two bytes each."""
    async with connected(frame(b"", last=False) + frame(b"", opcode=0, last=False) * 5000) as (ws, _):
        with pytest.raises(ConnectionLost, match="crumbs"):
            await ws.receive()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "abnormally"),
        (frame(b"cut")[:-1], "abnormally"),
        (frame(b"", opcode=8), "1005"),
        (frame((1001).to_bytes(2, "big") + b"bye", opcode=8), "1001 GOING_AWAY"),
        (frame((4444).to_bytes(2, "big"), opcode=8), "4444"),
        (frame(b"\xff\xfe"), "1007"),
        (frame(b"x", opcode=3), "1002"),
        (frame(b"x", opcode=0), "1002"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "1002"),
    ],
)
async def test_every_end_is_a_lost_connection(clock: Clock, sent: bytes, said: str) -> None:
    """Close frames, broken frames and silence for ever: one kind of error, and no hang."""
    async with connected(sent, close=True) as (ws, _):
        with pytest.raises(ConnectionLost, match=said):
            await ws.receive()


async def test_a_send_that_is_cut_off_ends_the_connection(clock: Clock) -> None:
    """Half a frame is on its way: whatever followed would be read as the rest of it."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await theirs.send_all(await accepted(theirs))

        nursery.start_soon(serve)
        ws = WebSocket(ours, _LIMIT)
        await ws.shake_hands(handshake_of("ws://node.test"))
        with trio.move_on_after(1):
            await ws.send("nobody reads this")
        with pytest.raises(ConnectionLost, match="cut off"):
            await ws.send("nor this")


async def test_a_send_that_had_not_begun_may_be_cancelled(clock: Clock) -> None:
    """A cancellation before the first byte leaves the connection usable."""
    async with connected(frame(b"hello")) as (ws, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await ws.send("never")
        await ws.send("something")
        assert await ws.receive() == b"hello"


@pytest.mark.parametrize(
    ("answer", "status", "retry_after_s"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 2\r\n\r\nno", 429, 60.0),
        (b"HTTP/1.1 503 Unavailable\r\nretry-after:  7 \r\n\r\n", 503, 7.0),
        (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n", 429, 900.0),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 1000000\r\nRetry-After: 5\r\n\r\npart", 429, 5.0),
        (b"HTTP/1.1 401 Unauthorized\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n", 401, 0.0),
        (b"HTTP/1.1 403\r\n\r\n", 403, 0.0),
        (b"HTTP/2 401\r\n\r\n", 401, 0.0),
        (b"HTTP/1.1 403 Forbidden\r\nX Y: not HTTP\r\n\r\n", 403, 0.0),
        (b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: identity\r\n\r\nno", 401, 0.0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0.0),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, 100, 0.0),
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://elsewhere\r\nContent-Length: 0\r\n\r\n", 301, 0.0),
    ],
)
async def test_a_refused_handshake_says_how(clock: Clock, answer: bytes, status: int, retry_after_s: float) -> None:
    """The status, and how long to stay away, without waiting for a body."""
    error = await _refusal(answer)

    assert isinstance(error, HandshakeRefused)
    assert (status, retry_after_s) == (error.status, error.retry_after_s)
    assert f"HTTP status {status}" in str(error)
    assert ("the API key of its URL" in str(error)) == (status in (401, 403))


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\x01 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
async def test_a_server_that_does_not_speak_websocket_is_told_apart_at_once(clock: Clock, answer: bytes) -> None:
    """No endless answer is read, and what it says is not repeated."""
    error = await _refusal(answer)

    assert type(error) is ConnectionLost
    assert "x" * 10 not in str(error)


async def _refusal(answer: bytes) -> ChainError:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(answer)
    if not answer.endswith(b"part"):
        await theirs.send_eof()
    started = trio.current_time()
    with pytest.raises(ChainError) as caught:
        await WebSocket(ours, _LIMIT).shake_hands(handshake_of("ws://node.test"))
    assert trio.current_time() == started
    return caught.value


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40) | st.sampled_from([frame(b"a"), frame(b"b", last=False), frame(b"", opcode=9)])))
def test_no_bytes_can_crash_it(pieces: list[bytes]) -> None:
    """Whatever follows a handshake is messages, and then a lost connection."""

    async def play() -> None:
        async with connected(b"".join(pieces), close=True) as (ws, _):
            with suppress(ConnectionLost):
                while True:
                    await ws.receive()

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))


@settings(deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 429 X\r\nRetry-After: "]),
)
def test_no_bytes_can_crash_a_handshake(answer: bytes, start: bytes) -> None:
    """Whatever a server answers is a refusal or a lost connection."""

    async def play() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(start + answer)
        await theirs.aclose()
        with pytest.raises(ConnectionLost):
            await WebSocket(ours, _LIMIT).shake_hands(handshake_of("ws://node.test"))

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
