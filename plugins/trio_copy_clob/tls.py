"""TLS for whoever speaks in turns: a request, and then its answer.

Trio's `SSLStream` lets tasks read and write beside each other, and takes locks and rounds of the loop to keep them apart: a
fifth of what an order costs. Here one task at a time has the stream, so that there is nothing to keep apart.
"""

import ssl

import trio
from attrs import define

_CHUNK_BYTES = 1 << 16


@define(eq=False)
class TurnsStream(trio.abc.Stream):
    """A client's end of TLS, for one task at a time. A read that is cancelled loses nothing; cancelled while it sends, it is
    broken.

    An end without TLS's own end is an end, as HTTP has it: whoever needs more has to know how much is to come.
    """

    transport_stream: trio.abc.Stream
    _tls: ssl.SSLObject
    _came: ssl.MemoryBIO
    """What came, and TLS has not read."""
    _leaves: ssl.MemoryBIO
    """What TLS has written, and has not left."""
    _broken: bool = False
    """Whether a part of what TLS has written may be missing at the other end."""

    @property
    def unread(self) -> bool:
        """Whether something has come that nobody has read: no look at the socket shows it."""
        return self._came.pending > 0 or self._tls.pending() > 0

    async def do_handshake(self) -> None:
        """Agree on keys, and see that the certificate is good for the host. Raises `trio.BrokenResourceError`."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._hear()
            except ssl.SSLError as error:
                raise trio.BrokenResourceError from error
            else:
                return await self._flush()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            if data:  # nothing would be an end to OpenSSL
                self._tls.write(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error
        await self._flush()

    async def wait_send_all_might_not_block(self) -> None:
        await self.transport_stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        at_once = True
        while True:
            try:
                data = self._tls.read(max_bytes or _CHUNK_BYTES)
            except ssl.SSLWantReadError:
                at_once = False
                await self._hear()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                data = b""
                break
            except ssl.SSLError as error:
                raise trio.BrokenResourceError from error
            else:
                break
        if at_once:
            await trio.lowlevel.checkpoint()  # a long answer would hold up everybody
        return data

    async def aclose(self) -> None:
        """Close the connection. TLS's own end is left out: nobody waits for it, and what was said is whole."""
        await self.transport_stream.aclose()

    async def _hear(self) -> None:
        if self._leaves.pending:
            await self._flush()
        data = await self.transport_stream.receive_some(_CHUNK_BYTES)
        if data:
            self._came.write(data)
        else:
            self._came.write_eof()

    async def _flush(self) -> None:
        if self._broken:
            raise trio.BrokenResourceError
        self._broken = True
        await self.transport_stream.send_all(self._leaves.read())
        self._broken = False


def client_tls(stream: trio.abc.Stream, context: ssl.SSLContext, host: str) -> TurnsStream:
    """Speak TLS over a connection to a host; nothing is said before `do_handshake`."""
    came, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
    return TurnsStream(stream, context.wrap_bio(came, leaves, server_hostname=host), came, leaves)
