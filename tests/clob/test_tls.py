"""TLS as the transport speaks it: whom it believes, and how it ends."""

import ssl
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx  # noqa: ASYNC127  as the plugin
import pytest
import trio
import trio.testing

from trio_copy.sockets import open_socket
from trio_copy_clob.addresses import dial, origin_of
from trio_copy_clob.tls import TurnsStream, client_tls
from trio_copy_clob.transport import H11Transport

Served = trio.SSLStream[trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]]
_LONG = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for localhost, and its key, in one file."""
    made = tmp_path_factory.mktemp("tls") / "both.pem"
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    new += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(made), "-out", "-"]
    written = subprocess.run(new, check=True, capture_output=True).stdout
    made.write_bytes(made.read_bytes() + written)
    return made


def _pair(certificate: Path, version: ssl.TLSVersion) -> tuple[TurnsStream, Served]:
    """Return both ends of a connection in memory, before their handshake."""
    ours, theirs = trio.testing.memory_stream_pair()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.maximum_version = version
    return (
        client_tls(ours, ssl.create_default_context(cafile=str(certificate)), "localhost"),
        trio.SSLStream(theirs, context, server_side=True, https_compatible=True),
    )


async def _says_its_end(stream: Served) -> None:
    await stream.aclose()


async def _hangs_up(stream: Served) -> None:
    await stream.transport_stream.aclose()


async def _talks_garbage(stream: Served) -> None:
    await stream.transport_stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("ends", "broken"), [(_says_its_end, False), (_hangs_up, False), (_talks_garbage, True)])
async def test_it_asks_and_reads_in_turns(
    certificate: Path, version: ssl.TLSVersion, ends: Callable[[Served], Awaitable[None]], broken: bool
) -> None:
    """Long questions and answers included; an end of either kind is an end, and what is no TLS is told as such."""
    ours, theirs = _pair(certificate, version)

    async def echo() -> None:
        for _ in range(2):
            came = b""
            while len(came) < len(_LONG):
                came += await theirs.receive_some()
            await theirs.send_all(came)
        await ends(theirs)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        await ours.do_handshake()
        for _ in range(2):
            await ours.send_all(b"")
            await ours.send_all(_LONG)
            came = b""
            while len(came) < len(_LONG):
                came += await ours.receive_some(50_000)
            assert came == _LONG
        if broken:
            with pytest.raises(trio.BrokenResourceError):
                await ours.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                await ours.send_all(_LONG)
        else:
            assert await ours.receive_some() == b""
    await ours.aclose()
    with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
        await ours.send_all(b"again")


async def test_a_send_that_is_cancelled_breaks_it_and_a_read_does_not(certificate: Path) -> None:
    """A part of a record may have left: nothing that follows could be read."""
    ours, theirs = _pair(certificate, ssl.TLSVersion.TLSv1_3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.do_handshake)
        await ours.do_handshake()
    with trio.CancelScope() as scope:
        scope.cancel()
        await ours.receive_some()
    await theirs.send_all(b"news")
    assert await ours.receive_some() == b"news"
    with trio.CancelScope() as scope:
        scope.cancel()
        await ours.send_all(b"half")
    with pytest.raises(trio.BrokenResourceError):
        await ours.send_all(b"whole")


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_without_tls_is_none(certificate: Path, said: bytes) -> None:
    """Whether it talks or ends."""
    ours, theirs = _pair(certificate, ssl.TLSVersion.TLSv1_3)
    if said:
        await theirs.transport_stream.send_all(said)
    await theirs.transport_stream.send_stream.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await ours.do_handshake()


async def test_tls_is_for_the_host_that_was_named(certificate: Path) -> None:
    """A certificate that is not good for it ends the connection; a good one is used."""
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some(100)
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_ssl_over_tcp, serve, 0, served, host="127.0.0.1", https_compatible=True)
        )
        port = listeners[0].transport_listener.socket.getsockname()[1]
        trusting = partial(ssl.create_default_context, cafile=str(certificate))
        transport = H11Transport(open_socket=open_socket, timeout_s=5.0, tls=trusting)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            assert (await client.get(f"https://localhost:{port}/")).text == "ok"
            with pytest.raises(httpx.ConnectError):
                await client.get(f"https://127.0.0.1:{port}/")
        with pytest.raises(OSError, match="certificate of an authority that is not trusted here"):
            await dial(origin_of(f"wss://localhost:{port}/"), open_socket, ssl.create_default_context)
        nursery.cancel_scope.cancel()


async def test_what_came_too_much_is_no_next_answer(certificate: Path) -> None:
    """Nor where TLS has it already, and the connection looks silent."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    connections: list[int] = []

    async def serve(stream: trio.abc.Stream, tls: ssl.SSLObject, came: ssl.MemoryBIO, leaves: ssl.MemoryBIO) -> None:
        theirs, mine = TurnsStream(stream, tls, came, leaves), len(connections)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await theirs.do_handshake()
            while await theirs.receive_some():
                connections.append(mine)
                for body in (b"mine", b"more"):
                    tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)
                await theirs.send_all(b"")  # both in one piece

    async with trio.open_nursery() as nursery:

        async def connect(host: str, port: int) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            came, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
            nursery.start_soon(serve, theirs, context.wrap_bio(came, leaves, server_side=True), came, leaves)
            return ours

        trusted = ssl.create_default_context(cafile=str(certificate))
        transport = H11Transport(open_socket=connect, timeout_s=5.0, tls=lambda: trusted)
        for _ in range(2):
            answer = await transport.handle_async_request(httpx.Request("GET", "https://localhost/"))
            assert answer.content == b"mine"
        assert connections == [0, 1]
        await transport.aclose()
