"""What a URL becomes in the handshake, and what a refusal of it asks for."""

from base64 import b64decode

import pytest

from trio_copy.chain.dial import dial_network
from trio_copy.chain.handshake import handshake_of, moved_to, retry_after_s
from trio_copy.config import EndpointSettings
from trio_copy.errors import ConnectionLost, HandshakeRefused


@pytest.mark.parametrize(
    ("url", "host", "target", "words"),
    [
        ("ws://node.test", "node.test", "/", None),
        ("wss://node.test:443/v2/KEY?a=1&b=%2F", "node.test", "/v2/KEY?a=1&b=%2F", None),
        ("ws://node.test:80/", "node.test", "/", None),
        ("ws://node.test:443/", "node.test:443", "/", None),
        ("wss://node.test:8546", "node.test:8546", "/", None),
        ("ws://[::1]:8546/x", "[::1]:8546", "/x", None),
        ("wss://[2001:db8::1]", "[2001:db8::1]", "/", None),
        ("ws://alice:s3cret@127.0.0.1:18546/ws", "127.0.0.1:18546", "/ws", "alice:s3cret"),
        ("wss://alice:s3cret@[::1]:8546", "[::1]:8546", "/", "alice:s3cret"),
        ("wss://alice@node.test", "node.test", "/", "alice:"),
        ("wss://alice:@node.test", "node.test", "/", "alice:"),
        ("wss://:s3cret@node.test", "node.test", "/", ":s3cret"),
        ("wss://@node.test", "node.test", "/", None),
        ("wss://a%40b:p%3A%2Fw%25@node.test", "node.test", "/", "a@b:p:/w%"),
        ("wss://%C3%A9:\u00fc@node.test", "node.test", "/", "\u00e9:\u00fc"),
        ("wss://alice:p@ss@node.test", "node.test", "/", "alice:p@ss"),
        ("wss://node.test/\u00e9 x?q=\u00e9 y#part", "node.test", "/%C3%A9%20x?q=%C3%A9%20y", None),
    ],
)
def test_a_url_becomes_a_handshake(url: str, host: str, target: str, words: str | None) -> None:
    """User and password go into Authorization, percent-decoded; Host is the bare host."""
    handshake = handshake_of(url)

    assert (host, target) == (handshake.host, handshake.target)
    if words is None:
        assert handshake.headers == []
    else:
        ((name, value),) = handshake.headers
        assert (name, value[:6], b64decode(value[6:]).decode()) == (b"Authorization", b"Basic ", words)


def test_secrets_are_not_shown() -> None:
    """Neither the handshake nor the settings it comes from show more than the host."""
    url = "wss://alice:s3cret@node.test/v2/KEY"
    shown = repr(handshake_of(url)) + repr(EndpointSettings(name="one", url=url))

    assert not any(secret in shown for secret in ("alice", "s3cret", "KEY", "YWxpY2U6"))


@pytest.mark.parametrize(
    "url", ["ws://alice:s3/cret@node.test", "ws://alice:s3cret@127.0.0.1:1/KEY", "ws://alice:s3cret@127.0.0.1:x"]
)
async def test_a_failed_dial_shows_no_secret(url: str) -> None:
    """A password with a slash makes half of it the port: its words are not repeated."""
    with pytest.raises(ConnectionLost) as caught:
        await dial_network(url)
    assert not any(secret in str(caught.value) for secret in ("s3", "cret", "KEY"))


NOW = b"Wed, 25 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {b"Retry-After": b"30"}, 30.0),
        (503, {b"RETRY-AFTER": b" 30 "}, 30.0),
        (429, {b"Retry-After": b"0"}, 0.0),
        (429, {b"Retry-After": b"999999999999999999999"}, 900.0),
        (429, {b"Retry-After": b"Wed, 25 Nov 2026 12:02:00 GMT", b"Date": NOW}, 120.0),
        (429, {b"Retry-After": b"Thu, 26 Nov 2026 12:02:00 GMT", b"Date": NOW}, 900.0),
        (429, {b"Retry-After": b"Wed, 25 Nov 2026 11:00:00 GMT", b"Date": NOW}, 0.0),
        (429, {b"Retry-After": b"Wed, 25 Nov 2026 12:02:00 GMT"}, 0.0),
        (429, {b"Retry-After": b"Wed, 25 Nov 2026 12:02:00", b"Date": NOW}, 0.0),
        (429, {b"Retry-After": b"-5"}, 0.0),
        (429, {b"Retry-After": b"1.5"}, 0.0),
        (429, {b"Retry-After": b"\xb2"}, 0.0),
        (429, {b"Retry-After": b"soon"}, 0.0),
        (429, {}, 0.0),
        (500, {b"Retry-After": b"30"}, 0.0),
        (200, {b"Retry-After": b"30"}, 0.0),
    ],
)
def test_how_long_a_node_wants_to_be_left_alone(status: int, headers: dict[bytes, bytes], seconds: float) -> None:
    """Seconds, or a date by the server's own clock; never longer than a quarter of an hour."""
    assert seconds == retry_after_s(status, headers.items())


@pytest.mark.parametrize(
    ("status", "location", "place"),
    [
        (301, "wss://other.test/v2/KEY", "wss://other.test"),
        (308, "https://alice:s3cret@other.test:444/KEY?k=KEY", "https://other.test:444"),
        (302, "/v2/ws/KEY", "another path"),
        (307, "//other.test/KEY", "another path"),
        (307, "http://[::1/KEY", ""),
        (303, "", "another path"),
        (404, "wss://other.test/", ""),
    ],
)
def test_a_redirection_says_where_to(status: int, location: str, place: str) -> None:
    """Scheme and host only: the rest may be a key. It is not followed, because our own key would go along."""
    assert moved_to(status, [(b"Location", location.encode())]) == place
    refusal = HandshakeRefused(status, 0.0, place)
    assert ("put that URL in its place" in str(refusal)) == bool(place)
