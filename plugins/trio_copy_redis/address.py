"""Where Redis is, as a URL says it.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]            rediss:// the same over TLS          unix:///path?db=N
    redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/NAME[/DB]       rediss+sentinel://
    redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT                  rediss+cluster://

TLS takes `?ssl_ca_certs=FILE`, `ssl_certfile=FILE`, `ssl_keyfile=FILE` and, for tests only, `ssl_cert_reqs=none`.
"""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import trio
from attrs import evolve, field, frozen
from redis.connection import parse_url

from trio_copy.errors import ConfigError
from trio_copy.ports import OpenSocket
from trio_copy.unreachable import why_unreachable
from trio_copy_redis.answers import Broken

_PORTS = {"sentinel": 26379, "cluster": 6379, "": 6379}
_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "db"})


_CUT_WRONGLY = "it cannot be read; in a password, / ? # @ : and % have to be percent-encoded"
"""Instead of the library's own words, which repeat what it took for a port: a piece of the password."""


class _Unusable(ValueError):
    """Says in our own words what is wrong with a URL."""


@frozen(kw_only=True)
class Address:
    """One server, and how to talk to it."""

    host: str
    port: int
    path: str = ""
    """Of a Unix socket; host and port are empty then."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """Names the server in messages, without a secret."""
        return self.path or f"{self.host}:{self.port}"


@frozen(kw_only=True)
class Place:
    """All that a URL says."""

    kind: str
    """"" for one server, sentinel, or cluster."""
    servers: tuple[Address, ...]
    master: str = ""
    """The name under which sentinels know the primary."""

    def at(self, host: str, port: int) -> Address:
        """Return the address of another server of the same place."""
        return evolve(self.servers[0], host=host, port=port)


def read_place(url: str) -> Place:
    """Read a URL.

    Raises:
        ValueError: it is none of the above; the message repeats no password.
    """
    try:
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        if scheme not in ("redis", "rediss", "unix") or kind not in _PORTS or (scheme == "unix" and kind):
            raise _Unusable("its scheme is none of them")
        if scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
            # Cut there, a password would name another server, and the rest would be taken for a database.
            raise _Unusable(_CUT_WRONGLY)
        credentials, at, hosts = parts.netloc.rpartition("@")
        path, master = parts.path, ""
        if kind == "sentinel":
            master, _, db = path.strip("/").partition("/")
            path = f"/{db}"
            if not master:
                raise _Unusable("it does not name the primary that the sentinels watch")
        _check_database("" if scheme == "unix" else path, parts.query)
        servers = (
            (_address(url, 0),)
            if scheme == "unix"
            else tuple(
                _address(urlunsplit((scheme, f"{credentials}{at}{host}", path, parts.query, "")), _PORTS[kind])
                for host in hosts.split(",")
            )
        )
        if kind == "cluster" and servers[0].db:
            raise _Unusable("a cluster has no databases by number")
    except (ValueError, OSError) as error:
        why = str(error) if isinstance(error, (_Unusable, OSError)) else _CUT_WRONGLY
        raise ValueError(
            "expected redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// with a host, got a URL that"
            f" cannot be used: {why}"
        ) from None
    return Place(kind=kind, servers=servers, master=master)


def _check_database(path: str, query: str) -> None:
    """Raise `_Unusable` unless the database is a number, told once, or not at all.

    The library takes another word for 0, 1/2 for 12, 1_0 for 10, and the first of several that contradict each other.
    """
    in_query = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "db"]
    in_path = path.removeprefix("/").removesuffix("/")
    told = {*in_query, *([in_path] if in_path else [])}
    if not all(number.isascii() and number.isdigit() for number in told):
        raise _Unusable("its database is no number")
    if len(told) > 1:
        raise _Unusable("it names several databases")


def place_of(url: str) -> Place:
    """Read a URL from the settings. Raises `ConfigError` when it is none."""
    try:
        return read_place(url)
    except ValueError as error:
        raise ConfigError([f"store.redis.url: {error}"]) from None


async def open_stream(address: Address, open_socket: OpenSocket, timeout_s: float) -> trio.abc.Stream:
    """Connect to a server, with TLS where the URL asks for it.

    Raises:
        Broken: nobody answers there, or the certificate is not good.
    """
    try:
        with trio.fail_after(timeout_s):
            tcp = await open_socket(address.path or address.host, address.port)
            return tcp if address.tls is None else await _secured(tcp, address.tls, address.host)
    except trio.TooSlowError:
        raise Broken(f"{address.name}: no connection within {timeout_s:g} s") from None
    except (OSError, ssl.SSLError, trio.BrokenResourceError) as error:
        raise Broken(f"{address.name}: {why_unreachable(error)}") from error


async def _secured(tcp: trio.abc.Stream, context: ssl.SSLContext, host: str) -> trio.abc.Stream:
    stream = trio.SSLStream(tcp, context, server_hostname=host)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(tcp)
        raise
    return stream


def _address(url: str, port: int) -> Address:
    options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
    tls = None
    if url.startswith("rediss"):
        tls = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if options.get("ssl_cert_reqs") == "none":
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        if "ssl_certfile" in options:
            tls.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    unknown = set(options) - _OPTIONS - {"host", "port", "path", "username", "password", "connection_class"}
    if unknown:
        raise _Unusable(f"it has unknown options: {', '.join(sorted(unknown))}")
    return Address(
        host=options.get("host", "127.0.0.1" if "path" not in options else ""),
        port=options.get("port", port),
        path=options.get("path", ""),
        username=options.get("username"),
        password=options.get("password"),
        db=options.get("db", 0),
        tls=tls,
    )
