"""One WebSocket connection to a node: requests with their answers, and notifications in order.

The reader never waits for a slow consumer longer than `stall_ms`: a stalled reader would stop answering the node's
pings and look dead. It gives the connection up instead, and the block scanner fills the gap. A ping of our own finds
the socket that looks alive and is not. Everything ends in `ConnectionLost` or `IntakeStalled`, never in a hang.
"""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import msgspec
import trio
import trio_websocket
from attrs import define, field

from trio_copy.chain import rpc
from trio_copy.chain.dial import Dial
from trio_copy.chain.groups import one_chain_error
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, ConnectionLost, IntakeStalled, MalformedFrame

CLOSE_TIMEOUT_S = 2.0
"""A frozen peer must not hold the exit; trio-websocket would wait 60 s."""
_NOTIFICATION_CAPACITY = 1024
_EARLY_CAPACITY = 256

Quarantine = Callable[[str, str], None]
"""Takes the kind and the detail of something a node sent that cannot be used."""


@define(eq=False)
class Pulse:
    """What the pings of one connection found."""

    asked_at: float | None = None
    """Trio time of a ping that is not answered yet."""
    round_trip_s: float | None = None

    def pong_s(self, now: float, *, connected: bool) -> float | None:
        """Return how long the last pong took, or has been waited for; also where the connection ended over that."""
        if self.asked_at is not None:
            return now - self.asked_at
        return self.round_trip_s if connected else None


@define(eq=False)
class Session:
    """Requests may be made by any number of tasks; `notifications` has one reader."""

    notifications: trio.MemoryReceiveChannel[tuple[str, msgspec.Raw]]
    """(what was subscribed to, result), in the order of arrival."""
    _ws: trio_websocket.WebSocketConnection
    _settings: ChainSettings
    _quarantine: Quarantine
    _send_notifications: trio.MemorySendChannel[tuple[str, msgspec.Raw]]
    _next_id: int = 1
    _closing: bool = False
    """Set when we end the connection ourselves: then its end is no failure."""
    _waiting: dict[int, "_Waiting"] = field(factory=dict)
    _topics: dict[str, str] = field(factory=dict)
    _early: deque[rpc.Notification] = field(factory=lambda: deque(maxlen=_EARLY_CAPACITY))
    pulse: Pulse = field(factory=Pulse)

    async def request(self, method: str, *params: object) -> msgspec.Raw:
        """Ask the node and return its undecoded result.

        A cancelled request leaves the connection usable: its late answer is dropped.

        Raises:
            RpcError: the node answered with an error object.
            ConnectionLost: the connection ended, or no answer came in `request_timeout_s`.
        """
        return await self._ask(method, params, None)

    async def subscribe(self, topic: str, *params: object) -> str:
        """Subscribe and return the subscription's id; its notifications arrive under `topic`. Raises as `request`."""
        return rpc.decode_text(await self._ask("eth_subscribe", params, topic))

    async def unsubscribe(self, subscription: str) -> None:
        """End a subscription. Raises as `request`."""
        await self.request("eth_unsubscribe", subscription)
        self._topics.pop(subscription, None)

    async def _ask(self, method: str, params: tuple[object, ...], topic: str | None) -> msgspec.Raw:
        request_id, self._next_id = self._next_id, self._next_id + 1
        waiting = self._waiting[request_id] = _Waiting(topic)
        try:
            with trio.fail_after(self._settings.request_timeout_s):
                await self._ws.send_message(rpc.encode_request(request_id, method, params).decode())
                await waiting.answered.wait()
        except trio.TooSlowError:
            raise ConnectionLost(f"{method} got no answer in {self._settings.request_timeout_s:g} s") from None
        except trio_websocket.ConnectionClosed as error:
            raise ConnectionLost(f"closed while sending {method}: {_why(error)}") from error
        finally:
            del self._waiting[request_id]
        if isinstance(waiting.answer, ChainError):
            raise waiting.answer
        return waiting.answer

    def _give_up(self) -> None:
        """Fail every request that waits: nobody will answer it any more."""
        for waiting in self._waiting.values():
            if not waiting.answered.is_set():
                waiting.answer = ConnectionLost("the connection ended before the answer came")
                waiting.answered.set()

    async def _run_reader(self) -> None:
        while True:
            try:
                message = await self._ws.get_message()
            except trio_websocket.ConnectionClosed as error:
                if self._closing:
                    return
                raise ConnectionLost(f"closed: {_why(error)}") from error
            try:
                await self._dispatch(rpc.decode_frame(message))
            except MalformedFrame as error:
                self._quarantine("malformed-frame", str(error))

    async def _dispatch(self, frame: rpc.Reply | rpc.ErrorReply | rpc.Notification) -> None:
        match frame:
            case rpc.Notification(subscription=subscription):
                topic = self._topics.get(subscription)
                if topic is None:
                    # Some nodes send the first notification before the answer that names its subscription.
                    self._early.append(frame)
                else:
                    await self._notify(topic, frame.result)
            case rpc.Reply() | rpc.ErrorReply():
                waiting = self._waiting.get(frame.id)
                if waiting is None or waiting.answered.is_set():
                    return  # cancelled meanwhile, or answered twice
                waiting.answer = frame.error if isinstance(frame, rpc.ErrorReply) else frame.result
                if waiting.topic is not None and isinstance(frame, rpc.Reply):
                    await self._subscribed(rpc.decode_text(frame.result), waiting.topic)
                waiting.answered.set()

    async def _subscribed(self, subscription: str, topic: str) -> None:
        self._topics[subscription] = topic
        early = [notification for notification in self._early if notification.subscription == subscription]
        for notification in early:
            self._early.remove(notification)
            await self._notify(topic, notification.result)

    async def _notify(self, topic: str, result: msgspec.Raw) -> None:
        with suppress(trio.WouldBlock):
            self._send_notifications.send_nowait((topic, result))
            return
        with trio.move_on_after(self._settings.stall_ms / 1000) as waiting:
            await self._send_notifications.send((topic, result))
        if waiting.cancelled_caught:
            raise IntakeStalled(f"the pipeline took nothing for {self._settings.stall_ms} ms")

    async def _run_pinger(self) -> None:
        while True:
            await trio.sleep(self._settings.ping_every_s)
            asked_at = self.pulse.asked_at = trio.current_time()
            try:
                with trio.fail_after(self._settings.ping_timeout_s):
                    await self._ws.ping()
            except trio.TooSlowError:
                raise ConnectionLost(f"no pong in {self._settings.ping_timeout_s:g} s") from None
            except trio_websocket.ConnectionClosed as error:
                raise ConnectionLost(f"closed: {_why(error)}") from error
            self.pulse.asked_at, self.pulse.round_trip_s = None, trio.current_time() - asked_at


@define(eq=False)
class _Waiting:
    topic: str | None
    answered: trio.Event = field(factory=trio.Event)
    answer: msgspec.Raw | ChainError = field(factory=msgspec.Raw)


@define
class _Guarded:
    """Starts trio-websocket's own task so that whatever a hostile peer makes it raise ends this connection only."""

    _nursery: trio.Nursery

    def start_soon(self, run: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._run, run, name="websocket reader")

    async def _run(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception as error:
            # Refused handshakes, and protocol errors of wsproto and h11 that the library lets through.
            raise ConnectionLost(f"the node does not speak WebSocket: {error!r}"[:200]) from error


@asynccontextmanager
async def open_session(
    dial: Dial, url: str, settings: ChainSettings, quarantine: Quarantine
) -> AsyncGenerator[Session, None]:
    """Connect to a node; the body is cancelled when the connection ends.

    Raises:
        ChainError: the connection could not be made, or ended; raised out of the body's block.
    """
    parts = urlsplit(url)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with one_chain_error():
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(settings.connect_timeout_s) as connecting:
                stream = await dial(url)
                try:
                    ws = await trio_websocket.wrap_client_stream(
                        _Guarded(nursery),  # type: ignore[arg-type]  # it only starts tasks
                        stream,  # type: ignore[arg-type]  # any stream works; the annotation names two
                        parts.netloc,
                        resource,
                        message_queue_size=64,
                        max_message_size=settings.max_message_mib << 20,
                        receive_buffer_size=None,
                    )
                except BaseException:
                    await trio.aclose_forcefully(stream)
                    raise
            if connecting.cancelled_caught:
                raise ConnectionLost(f"no connection in {settings.connect_timeout_s:g} s")
            if ws.closed is not None:
                raise ConnectionLost("the node refused the WebSocket handshake")
            send, receive = trio.open_memory_channel[tuple[str, msgspec.Raw]](_NOTIFICATION_CAPACITY)
            session = Session(receive, ws, settings, quarantine, send)
            nursery.start_soon(session._run_reader, name="session reader")
            nursery.start_soon(session._run_pinger, name="session pinger")
            try:
                yield session
                # Only an undisturbed end says goodbye: in a cancellation the reader, which would hear the answer,
                # is cancelled too, and the wait would only hold up the exit.
                session._closing = True
                with trio.move_on_after(CLOSE_TIMEOUT_S):
                    await ws.aclose()
            finally:
                session._give_up()
                # First the reader, so that it does not mistake our own closing for a failure.
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)


def _why(error: trio_websocket.ConnectionClosed) -> str:
    reason = error.reason
    return "abnormally" if reason is None else f"{reason.code} {reason.name}"
