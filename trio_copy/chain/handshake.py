"""What the handshake with a node says, and what a refusal of it asks for. Sync, and nothing here is ever shown: the host
of a URL may be, its path and its user information are secrets."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from attrs import field, frozen

_DEFAULT_PORTS = {"ws": 80, "wss": 443}
_LONGEST_RETRY_S = 900.0
"""A node that asks for a longer pause is dialled again all the same: it may be the only one."""
_MOVED_STATUSES = frozenset({301, 302, 303, 307, 308})
_RETRY_STATUSES = frozenset({429, 503})


@frozen
class Handshake:
    host: str
    """The Host header: without user information, with a port where it is not the usual one."""
    target: str = field(repr=False)
    authorization: bytes | None = field(repr=False)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [] if self.authorization is None else [(b"Authorization", self.authorization)]


def handshake_of(url: str) -> Handshake:
    """Read what a ws or wss URL asks for; user and password become basic authentication (RFC 7617)."""
    parts = urlsplit(url)
    # Characters that a request line cannot hold are escaped, escapes stay as they are.
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    return Handshake(_host(parts), target, _authorization(parts))


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def _authorization(parts: SplitResult) -> bytes | None:
    if not parts.username and not parts.password:
        return None
    words = unquote_to_bytes(parts.username or ""), unquote_to_bytes(parts.password or "")
    return b"Basic " + b64encode(b":".join(words))


def retry_after_s(status: int, headers: Iterable[tuple[bytes, bytes]]) -> float:
    """Return how long a refusing server asks to be left alone, at most a quarter of an hour; 0 where it does not say.

    A date is measured by the server's own clock, from its Date header; without one it says nothing.
    """
    if status not in _RETRY_STATUSES:
        return 0.0
    said = {name.lower(): value.decode("latin-1").strip() for name, value in headers}
    text = said.get(b"retry-after", "")
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), _LONGEST_RETRY_S))
    until, now = _date(text), _date(said.get(b"date", ""))
    if until is None or now is None:
        return 0.0
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_RETRY_S)


def moved_to(status: int, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return scheme and host of where a server sends whoever asks; the rest may hold a key. "" where it says none."""
    if status not in _MOVED_STATUSES:
        return ""
    said = next((value for name, value in headers if name.lower() == b"location"), b"").decode("latin-1")
    try:
        parts = urlsplit(said)
        return f"{parts.scheme}://{_host(parts)}" if parts.scheme and parts.hostname else "another path"
    except ValueError:
        return ""


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else None  # only times in a known zone can be compared
