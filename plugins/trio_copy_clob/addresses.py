"""Where the venue is: what an address may be, and how a connection to it comes up."""

import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import trio
from attrs import frozen

from trio_copy.ports import OpenSocket
from trio_copy.unreachable import why_unreachable
from trio_copy_clob.tls import client_tls

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_SECURE = frozenset({"https", "wss"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@frozen
class Origin:
    """Whom a connection leads to."""

    scheme: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """Names the host, as the header does: without a port that goes without saying."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Read the origin of an address that was checked before."""
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])


def address_of(*schemes: str) -> Callable[[object, object, str], None]:
    """Check that a setting is an address of one of these schemes; those without TLS are for this machine only."""

    def check(instance: object, attribute: object, url: str) -> None:
        expected = f"{schemes[0]}://HOST, or {schemes[1]}:// of this machine"
        try:
            parts = urlsplit(url)
            plain = parts.hostname in _LOOPBACK or parts.scheme in _SECURE
            good = parts.scheme in schemes and parts.hostname and plain and parts.port != 0
        except ValueError:
            good = False
        # What stands before an @ may be a password; it is not repeated, and there is nothing to log in to.
        if not good or "@" in url or parts.query or parts.fragment:
            raise ValueError(f"expected {expected}, without user, query and fragment, got another URL")

    return check


async def dial(
    origin: Origin, open_socket: OpenSocket, tls: Callable[[], ssl.SSLContext], *, in_turns: bool = False
) -> trio.abc.Stream:
    """Connect to an origin, with TLS where its scheme asks for it. Cancelled, nothing stays open.

    `in_turns` is for whoever asks and then reads the answer, in one task.

    Raises:
        OSError: nobody answers there, or the certificate is not good.
    """
    try:
        stream = await open_socket(origin.host, origin.port)
    except ValueError as error:  # of a host that cannot be a name
        raise OSError(why_unreachable(error)) from error
    if origin.scheme not in _SECURE:
        return stream
    secured = (
        client_tls(stream, tls(), origin.host)
        if in_turns
        else trio.SSLStream(stream, tls(), server_hostname=origin.host, https_compatible=True)
    )
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise OSError(why_unreachable(error)) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured
