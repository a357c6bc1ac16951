"""What is read at once is what h11 would have read."""

import random

import h11
import pytest

from trio_copy_clob.plain_answers import Answered, plain_answer

_MOST = 1 << 17
_BODY = b'{"success":true}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 16:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 16\r\n"
    b"Connection: keep-alive\r\nCF-RAY: 8c0\r\n\r\n" + _BODY
)


def by_h11(came: bytes) -> Answered | None:
    """Read an answer with h11; None where it is none, not whole, or leaves its connection of no use."""
    protocol = h11.Connection(h11.CLIENT)
    protocol.send(h11.Request(method="POST", target="/order", headers=[("Host", "venue"), ("Content-Length", "0")]))
    protocol.send(h11.EndOfMessage())
    response, body = None, bytearray()
    try:
        protocol.receive_data(came)
        while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return None
    except h11.RemoteProtocolError:
        return None
    if response is None or protocol.trailing_data[0] or protocol.their_state is not h11.DONE:
        return None
    return Answered(response.status_code, list(response.headers.raw_items()), bytes(body))


def test_a_plain_answer_is_read_at_once() -> None:
    answer = plain_answer(_ANSWER, _MOST)
    assert answer is not None
    assert (answer.status, answer.body) == (200, _BODY)
    assert answer == by_h11(_ANSWER)


_LENGTH = b"Content-Length: 16\r\n"


@pytest.mark.parametrize(
    "came",
    [
        b"",
        _ANSWER[:40],
        _ANSWER[:-1],
        _ANSWER + b"H",
        _ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0"),
        _ANSWER.replace(b"200 OK", b"103 Early Hints"),
        _ANSWER.replace(b"200 OK", b"204 No Content"),
        _ANSWER.replace(b"200 OK", b"304 Not Modified"),
        _ANSWER.replace(b"keep-alive", b"close"),
        _ANSWER.replace(b"keep-alive", b"Close, keep-alive"),
        _ANSWER.replace(_LENGTH, b""),
        _ANSWER.replace(_LENGTH, b"Transfer-Encoding: chunked\r\n"),
        _ANSWER.replace(_LENGTH, _LENGTH + b"Transfer-Encoding: chunked\r\n"),
        _ANSWER.replace(_LENGTH, _LENGTH * 2),
        _ANSWER.replace(_LENGTH, b"Content-Length: 16, 16\r\n"),
        _ANSWER.replace(_LENGTH, b"Content-Length: +16\r\n"),
        _ANSWER.replace(_LENGTH, b"Content-Length : 16\r\n"),
        _ANSWER.replace(_LENGTH, b"Content-Length: 16\r\n folded\r\n"),
        _ANSWER.replace(_LENGTH, _LENGTH + b"Content-Encoding: gzip\r\n"),
        _ANSWER.replace(_LENGTH, _LENGTH + b"X: a\nContent-Length: 1\r\n"),
        _ANSWER.replace(b"\r\n", b"\n"),
    ],
)
def test_what_is_odd_or_not_whole_is_left_to_h11(came: bytes) -> None:
    assert plain_answer(came, _MOST) is None


def test_what_is_longer_than_allowed_is_left_to_h11() -> None:
    assert plain_answer(_ANSWER, len(_BODY) - 1) is None


def test_it_never_says_anything_else_than_h11() -> None:
    """Whatever bytes are changed, left out or doubled; many of those answers are plain still."""
    dice, plain = random.Random(1), 0
    for _ in range(3_000):
        came = bytearray(_ANSWER)
        for _ in range(dice.choice((1, 1, 2))):
            at = dice.randrange(len(came))
            came[at : at + dice.randrange(3)] = dice.choice(
                (b"", b"\r\n", b": ", b" ", b"\x00", b"1", b"\xff", b"close")
            )
        answer = plain_answer(bytes(came), _MOST)
        if answer is not None:
            plain += 1
            assert answer == by_h11(bytes(came)), bytes(came)
    assert plain > 500
