"""One connection to one Redis server: commands go out in the order of their calls, replies come back in that order.

Whoever calls while others wait shares their trip: what was written meanwhile goes out in one piece. A cancelled call leaves
its place in the line, and its reply is dropped when it comes, so that nobody ever reads somebody else's. A reply that is
overdue ends the connection, and every call that waits on it.
"""

import ssl
from collections import deque
from typing import Any

import hiredis
import outcome
import trio
from attrs import define, field

from trio_copy_redis.address import Address
from trio_copy_redis.answers import Broken, answer_error

_CHUNK = 65_536


@define(eq=False)
class _Call:
    sent_at: float
    task: trio.lowlevel.Task | None
    """Who waits for the reply; None when nobody does any more."""
    raw: bool = False
    """Whether the reply is wanted as bytes."""

    def leave(self, _: object) -> trio.lowlevel.Abort:
        """Wait no longer. The reply still comes, and is dropped."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def answer(self, answer: Any) -> None:  # noqa: ANN401  whatever Redis answers
        if self.task is not None:
            task, self.task = self.task, None
            failed = isinstance(answer, Exception)
            trio.lowlevel.reschedule(task, outcome.Error(answer) if failed else outcome.Value(answer))


@define(eq=False)
class Wire:
    """Runs as a task; calls may come from any task."""

    stream: trio.abc.Stream
    timeout_s: float
    """A reply that takes longer ends the connection."""
    address: Address
    facts: dict[str, str] = field(factory=dict)
    """What the server said of itself."""
    _reader: Any = field(factory=lambda: hiredis.Reader(encoding="utf-8", errors="replace", replyError=answer_error))
    _waiting: deque[_Call] = field(factory=deque)
    _unsent: list[bytes] = field(factory=list)
    _something: trio.Event = field(factory=trio.Event)
    client_id: int = 0
    """What the server calls this connection."""
    broken: Broken | None = None
    """Why it can be used no more."""
    # What is sent last of all is written down while everything around is cancelled already: only `end` ends it.
    _life: trio.CancelScope = field(factory=lambda: trio.CancelScope(shield=True))
    _handed_over: bool = False
    _ended: trio.Event = field(factory=trio.Event)

    async def call(self, *words: str | bytes | int | float, raw: bool = False) -> Any:  # noqa: ANN401  whatever Redis answers
        """Send a command and wait for its reply; with `raw` as bytes, else as text.

        Cancelled, the command may or may not have been carried out.

        Raises:
            Broken: the connection ended before the reply came.
            redis.exceptions.ResponseError: Redis refused, by the name it gave.
        """
        if self.broken is not None:
            raise self.broken
        # The task is parked here rather than on an event of its own, which would cost as much as the rest of the call.
        call = _Call(trio.current_time(), trio.lowlevel.current_task(), raw)
        self._waiting.append(call)
        self._unsent.append(hiredis.pack_command(words))  # type: ignore[arg-type]
        self._something.set()
        return await trio.lowlevel.wait_task_rescheduled(call.leave)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Move bytes until the connection ends or is closed, not when this is cancelled; then every call that waits is told."""
        why = "closed"
        try:
            with self._life:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send)
                    nursery.start_soon(self._watch)
                    task_status.started()
                    await self._receive()
        except* (Broken, trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError) as group:
            why = str(_first(group)) or type(_first(group)).__name__
        finally:
            self.end(f"{self.address.name}: {why}")
            self._ended.set()
            if not self._handed_over:
                await trio.aclose_forcefully(self.stream)

    def ask_first(self) -> None:
        """Announce to a server of a cluster that the next command was sent here by another one."""
        self._waiting.append(_Call(trio.current_time(), None))
        self._unsent.append(hiredis.pack_command(("ASKING",)))

    def close(self) -> None:
        """End the connection; whoever waits for a reply is told."""
        self.end(f"{self.address.name}: closed")

    async def hand_over(self) -> trio.abc.Stream:
        """Leave the stream to somebody else, who closes it. Cancelled, it is closed."""
        self._handed_over = True
        self.close()
        try:
            await self._ended.wait()
        except BaseException:
            await trio.aclose_forcefully(self.stream)
            raise
        return self.stream

    def end(self, why: str) -> None:
        """Use the connection no more."""
        self._life.cancel()
        if self.broken is None:
            self.broken = Broken(why)
            while self._waiting:
                self._waiting.popleft().answer(Broken(why))

    async def _send(self) -> None:
        while True:
            await self._something.wait()
            self._something = trio.Event()
            unsent, self._unsent = self._unsent, []
            await self.stream.send_all(b"".join(unsent))

    async def _receive(self) -> None:
        while True:
            data = await self.stream.receive_some(_CHUNK)
            if not data:
                raise Broken("the server closed the connection")
            self._reader.feed(data)
            try:
                # RESP2 knows no booleans: False means that nothing whole has come yet. A reply that comes in pieces is read
                # as its own call wants it, for that call stays the first until the reply is whole.
                while (answer := self._reader.gets(not self._waiting or not self._waiting[0].raw)) is not False:
                    if not self._waiting:
                        raise Broken("an answer that nobody asked for")
                    self._waiting.popleft().answer(answer)
            except hiredis.ProtocolError as error:
                raise Broken(f"not a Redis server: {error}") from None

    async def _watch(self) -> None:
        while True:
            waits = self._waiting[0].sent_at + self.timeout_s if self._waiting else trio.current_time() + self.timeout_s
            if waits <= trio.current_time():
                raise Broken(f"no answer for {self.timeout_s:g} s")
            await trio.sleep_until(waits)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
