"""Why a connection did not come up, over real sockets and real TLS: one line each that says what to look at."""

import ssl
import subprocess
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx  # noqa: ASYNC127  as the plugin
import pytest
import trio

from trio_copy.chain.dial import dial_network
from trio_copy.errors import ConnectionLost
from trio_copy.ports import OpenSocket
from trio_copy.sockets import open_socket
from trio_copy.unreachable import why_unreachable
from trio_copy_clob.transport import H11Transport
from trio_copy_clob.websocket import Lost, hold
from trio_copy_onchain.relayer.http import Asker, NoReply
from trio_copy_redis.address import open_stream, read_place
from trio_copy_redis.answers import Broken

_CA = """
[ca]
default_ca = ours
[ours]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = policy
[policy]
commonName = supplied
"""
_LONG_AGO = ("-startdate", "20250101000000Z", "-enddate", "20250201000000Z")
_LONG = ("-days", "2")
Server = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority of our own, and what it has signed: good, expired, other; and one that it has not: own."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "ca.cnf").write_text(_CA)
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("1000")
    # From 3.13 on, Python does not accept an authority that does not say that it may sign certificates.
    authority = ("-subj", "/CN=ours", "-addext", "keyUsage=critical,keyCertSign")
    openssl(*new, "-x509", *_LONG, *authority, "-keyout", "ca.key", "-out", "ca.pem")
    for name, host, time in (
        ("good", "localhost", _LONG),
        ("expired", "localhost", _LONG_AGO),
        ("other", "other.example", _LONG),
    ):
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\nauthorityKeyIdentifier=keyid\n")
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signs = ("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key")
        openssl(*signs, "-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.ext", *time)
    own = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    openssl(*new, "-x509", *_LONG, *own, "-keyout", "own.key", "-out", "own.pem")
    return folder


def _tls(made: Path, name: str) -> Server:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made / f"{name}.pem", made / f"{name}.key")
    if name == "good":
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1

    async def serve(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await trio.SSLStream(stream, context, server_side=True).do_handshake()

    return serve


async def _speaks_http(stream: trio.SocketStream) -> None:
    came = bytes(await stream.receive_some())
    assert b"HTTP" not in came  # nothing of the request is told to whoever has not proven who he is
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def _hangs_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()


@asynccontextmanager
async def _listening(serve: Server) -> AsyncGenerator[int, None]:
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _node(port: int) -> str:
    with pytest.raises(ConnectionLost) as lost:
        await dial_network(f"wss://localhost:{port}")
    return str(lost.value)


async def _venue(port: int) -> str:
    async with httpx.AsyncClient(transport=H11Transport(open_socket=open_socket, timeout_s=5)) as client:
        with pytest.raises(httpx.ConnectError) as lost:
            await client.get(f"https://localhost:{port}/time")
    return str(lost.value)


async def _never(_: object) -> None:
    raise AssertionError("expected no connection")


async def _channel(port: int) -> str:
    with pytest.raises(Lost) as lost:
        await hold(
            f"wss://localhost:{port}/ws",
            _never,
            open_socket=open_socket,
            tls=ssl.create_default_context,
            timeout_s=5,
            most_bytes=1000,
        )
    return str(lost.value)


async def _relayer(port: int) -> str:
    asker = Asker(url=f"https://localhost:{port}", open_socket=open_socket)
    reply = await asker.ask("GET", "/", until=trio.current_time() + 5)
    assert isinstance(reply, NoReply)
    assert not reply.sent
    return reply.why


async def _redis(port: int) -> str:
    with pytest.raises(Broken) as broken:
        await open_stream(read_place(f"rediss://localhost:{port}").servers[0], open_socket, 5)
    return str(broken.value)


everybody = pytest.mark.parametrize("ask", [_node, _venue, _channel, _relayer, _redis])


@everybody
@pytest.mark.parametrize(
    ("server", "said"),
    [
        (
            "expired",
            "certificate has expired: it has to be renewed at the server, or the clock of this machine is wrong",
        ),
        ("other", "certificate is not valid for 'localhost': look at the host in the URL"),
        (
            "own",
            "of an authority that is not trusted here (self-signed certificate): of your own, name its file in SSL_",
        ),
        ("good", "TLS 1.2"),
        ("http", "what answers there speaks no TLS: look at scheme and port in the URL"),
        ("mute", "it hangs up in the TLS handshake: look at the port in the URL"),
        ("nobody", "Connection refused"),
    ],
)
async def test_a_failure_says_what_to_do(
    made: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], Awaitable[str]], server: str, said: str
) -> None:
    """Whoever dials says the same; the good one here is of an age before TLS 1.2."""
    monkeypatch.setenv("SSL_CERT_FILE", str(made / "ca.pem"))
    serve = {"http": _speaks_http, "mute": _hangs_up, "nobody": _hangs_up}.get(server) or _tls(made, server)
    async with _listening(serve) as port:
        if server != "nobody":
            assert said in await ask(port)
    if server == "nobody":
        assert said in await ask(port)


@everybody
async def test_a_file_of_authorities_that_is_not_there_is_named(
    made: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], Awaitable[str]]
) -> None:
    """OpenSSL passes over it, and trusts nobody then."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    async with _listening(_tls(made, "other")) as port:
        assert "SSL_CERT_FILE names /nowhere/ca.pem, where no file is" in await ask(port)


async def test_a_host_that_is_no_name_is_said_to_be_none() -> None:
    """DNS cannot be asked for it."""

    async def no_name(host: str, port: int) -> trio.abc.Stream:
        return await open_socket("a" * 70, port)

    opener: OpenSocket = no_name
    asker = Asker(url="https://localhost", open_socket=opener)
    reply = await asker.ask("GET", "/", until=trio.current_time() + 5)
    assert isinstance(reply, NoReply)
    assert reply.why.startswith("no such host: ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (trio.BrokenResourceError(), "the connection ended"),
        (ssl.SSLError(1, "something new"), "no TLS: "),
    ],
)
def test_what_nobody_foresaw_is_told_in_its_own_words(error: Exception, said: str) -> None:
    """Never an empty line."""
    assert why_unreachable(error).startswith(said)
