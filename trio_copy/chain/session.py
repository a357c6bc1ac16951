"""One connection to a node: requests with their answers, and notifications in order.

The reader never waits for a slow consumer longer than `stall_ms`: a stalled reader would stop answering the node's
pings and look dead. It gives the connection up instead, and the block scanner fills the gap. A ping of our own finds
the socket that looks alive and is not. Everything ends in `ConnectionLost` or `IntakeStalled`, never in a hang.

A request fails as soon as its answer cannot be a success any more. Where a bad answer does not say which request it
belongs to, all that are open fail: asking again costs little, waiting for the timeout costs the copy.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf

import msgspec
import trio
from attrs import define, field

from trio_copy.chain import rpc
from trio_copy.chain.dial import Dial
from trio_copy.chain.groups import one_chain_error
from trio_copy.chain.handshake import handshake_of
from trio_copy.chain.notifications import EarlyNotifications, NotificationQueue, Tolerance
from trio_copy.chain.outbox import Outbox
from trio_copy.chain.timeouts import Timeouts
from trio_copy.chain.websocket import WebSocket
from trio_copy.config import ChainSettings
from trio_copy.errors import (
    AnswerTooLarge,
    ChainError,
    ConnectionLost,
    IntakeStalled,
    MalformedFrame,
    NoAnswer,
    RpcError,
)

CLOSE_TIMEOUT_S = 2.0
"""A frozen peer must not hold the exit."""
_ENDED = "the connection ended before the answer came"
_ENDED_KEPT = 1024

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

    notifications: NotificationQueue
    """(what was subscribed to, result), in the order of arrival."""
    _ws: WebSocket
    _outbox: Outbox
    _settings: ChainSettings
    _quarantine: Quarantine
    _on_read: Callable[[], None]
    _next_id: int = 1
    _closing: bool = False
    """Set when we end the connection ourselves: then its end is no failure."""
    _over: bool = False
    """Nothing leaves any more."""
    _waiting: dict[int, "_Waiting"] = field(factory=dict)
    _timeouts: Timeouts = field(init=False)
    _topics: dict[str, str] = field(factory=dict)
    """By the id of a subscription."""
    _ended: dict[str, None] = field(factory=dict)
    """Subscriptions that we gave up, oldest first: what they still bring is dropped quietly."""
    _late: set[int] = field(factory=set)
    """Requests for subscriptions that were given up before they were answered."""
    _early: EarlyNotifications = field(factory=EarlyNotifications)
    _tolerance: Tolerance = field(factory=Tolerance)
    pulse: Pulse = field(factory=Pulse)

    def __attrs_post_init__(self) -> None:
        self._timeouts = Timeouts(self._waiting, self._end_wait)

    async def request(self, method: str, *params: object, until: float = inf) -> msgspec.Raw:
        """Ask the node and return its undecoded result.

        A cancelled request leaves the connection usable: its late answer is dropped.

        Raises:
            RpcError: the node answered with an error, or with what cannot be a success.
            NoAnswer: no answer came in `request_timeout_s`, or `until` a moment of Trio's clock; the connection lives.
            AnswerTooLarge: the connection ended because a message was too large, perhaps this answer.
            ConnectionLost: the connection ended.
        """
        return await self._ask(method, params, None, until)

    async def subscribe(self, topic: str, *params: object) -> str:
        """Subscribe and return the subscription's id; its notifications arrive under `topic`. Raises as `request`."""
        return rpc.decode_subscription(await self._ask("eth_subscribe", params, topic))

    async def unsubscribe(self, subscription: str) -> None:
        """End a subscription; a node that refuses goes on sending, and is not listened to. Raises `ConnectionLost`."""
        self._topics.pop(subscription, None)
        self._forget(subscription)
        try:
            await self.request("eth_unsubscribe", subscription)
        except (RpcError, NoAnswer):
            return

    async def _ask(self, method: str, params: tuple[object, ...], topic: str | None, until: float = inf) -> msgspec.Raw:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._over:
            raise ConnectionLost(_ENDED)
        now = trio.current_time()
        if until <= now:
            raise NoAnswer(f"{method} was not asked: it is too late")
        request_id, self._next_id = self._next_id, self._next_id + 1
        waiting = self._waiting[request_id] = _Waiting(topic, trio.lowlevel.current_task())
        deadline = min(until, now + self._settings.request_timeout_s)
        self._timeouts.add(deadline, request_id)
        self._outbox.put(request_id, rpc.encode_request(request_id, method, params).decode())

        def give_up(_: object) -> trio.lowlevel.Abort:
            # Called in the moment of the cancellation: a turn of ours could come after the one in which it is written.
            self._outbox.take_back(request_id)
            waiting.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            await trio.lowlevel.wait_task_rescheduled(give_up)
        finally:
            del self._waiting[request_id]
            if topic is not None and waiting.answer is None:
                self._late.add(request_id)
        if waiting.answer is None:
            raise NoAnswer(f"{method} got no answer in {deadline - now:g} s")
        if isinstance(waiting.answer, ChainError):
            raise waiting.answer
        return waiting.answer

    def _end_wait(self, request_id: int) -> None:
        """Let somebody wait no longer for an answer; what has not left yet does not leave any more."""
        waiting = self._waiting.get(request_id)
        if waiting is not None and waiting.answer is None:
            self._outbox.take_back(request_id)
            waiting.wake()

    def _fail_open(self, failure: Callable[[str], ChainError], why: str) -> bool:
        """Fail every request that waits, each with an error of its own; False when none does."""
        unanswered = [waiting for waiting in self._waiting.values() if waiting.answer is None]
        for waiting in unanswered:
            waiting.tell(failure(why))
        return bool(unanswered)

    async def _run_writer(self) -> None:
        try:
            await self._outbox.run()
        except ConnectionLost as error:
            self._over = True
            self._fail_open(ConnectionLost, f"{_ENDED}: {error}")
            # Of every other end the reader hears as well, and in the node's words.
            if self._outbox.cut_off and not self._closing:
                raise

    async def _run_reader(self) -> None:
        while True:
            try:
                message = await self._ws.receive()
            except ConnectionLost as error:
                too_large = isinstance(error, AnswerTooLarge)
                self._fail_open(AnswerTooLarge if too_large else ConnectionLost, f"{_ENDED}: {error}")
                if self._closing:
                    return
                raise
            if not message.strip():
                # Some gateways keep a connection alive so. It answers nothing, and fails nothing.
                self._put_aside("empty-frame", "expected JSON-RPC, got nothing", len(message))
                continue
            try:
                frame = rpc.decode_frame(message)
            except MalformedFrame as error:
                # It may be the answer to anything, such as the plain words of a proxy in front of the node.
                words = message[:200].decode(errors="replace")
                self._fail_open(partial(RpcError, 0), f"no JSON-RPC: {words}")
                self._put_aside("malformed-frame", str(error), len(message))
            else:
                await self._dispatch(frame, len(message))

    async def _dispatch(self, frame: rpc.Frame, size: int) -> None:
        match frame:
            case rpc.Notification():
                await self._notified(frame, size)
            case rpc.SubscriptionEnded() if frame.subscription in self._topics:
                # Waiting for its silence to be noticed would cost every fill until then.
                raise ConnectionLost(f"the node ended a subscription: {frame.error.message}")
            case rpc.SubscriptionEnded():
                self._put_aside("unasked-notification", f"the end of subscription {frame.subscription}", size)
                return
            case rpc.Unreadable(detail=detail):
                self._put_aside("malformed-frame", detail, size)
                return
            case rpc.ErrorReply(id=request_id) if request_id is None or not 0 < request_id < self._next_id:
                if not self._fail_open(partial(RpcError, frame.error.code), frame.error.message):
                    self._put_aside("unasked-error", frame.error.message, size)
            case rpc.Reply(id=request_id) if not 0 < request_id < self._next_id:
                self._put_aside("unasked-answer", f"request {request_id} was never made", size)
            case rpc.Reply() | rpc.ErrorReply():
                await self._answered(frame)
        self._on_read()

    async def _answered(self, frame: rpc.Reply | rpc.ErrorReply) -> None:
        assert frame.id is not None
        waiting = self._waiting.get(frame.id)
        if waiting is None or waiting.answer is not None:
            if frame.id in self._late and isinstance(frame, rpc.Reply):
                self._late.discard(frame.id)
                with suppress(MalformedFrame):
                    self._forget(rpc.decode_subscription(frame.result))
            return  # cancelled meanwhile, or answered twice
        answer: msgspec.Raw | ChainError = frame.error if isinstance(frame, rpc.ErrorReply) else frame.result
        if waiting.topic is not None and isinstance(frame, rpc.Reply):
            try:
                await self._subscribed(rpc.decode_subscription(frame.result), waiting.topic)
            except MalformedFrame as error:
                answer = RpcError(0, str(error))
        waiting.tell(answer)
        if waiting.topic is not None and not self._subscribing:
            for notification in self._early.take_all():
                self._unasked(notification)

    async def _notified(self, notification: rpc.Notification, size: int) -> None:
        topic = self._topics.get(notification.subscription)
        if topic is not None:
            await self._notify(topic, notification.result.copy())  # the copy lets go of the rest of the message
        elif notification.subscription in self._ended:
            return
        elif self._subscribing:
            # Some nodes send the first notification before the answer that names its subscription.
            kept = rpc.Notification(notification.subscription, notification.result.copy())
            if not self._early.keep(kept):
                self._unasked(notification, size)
        else:
            self._unasked(notification, size)

    async def _subscribed(self, subscription: str, topic: str) -> None:
        self._topics[subscription] = topic
        self._ended.pop(subscription, None)
        for notification in self._early.take(subscription):
            await self._notify(topic, notification.result)

    @property
    def _subscribing(self) -> bool:
        return any(w.topic is not None and w.answer is None for w in self._waiting.values())

    def _forget(self, subscription: str) -> None:
        self._ended[subscription] = None
        if len(self._ended) > _ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def _unasked(self, notification: rpc.Notification, size: int = 0) -> None:
        self._put_aside("unasked-notification", f"of subscription {notification.subscription}", size)

    def _put_aside(self, kind: str, detail: str, size: int) -> None:
        self._quarantine(kind, detail)
        if not self._tolerance.bears(size, trio.current_time()):
            raise ConnectionLost(f"the node keeps sending what nobody can use: {kind}")

    async def _notify(self, topic: str, result: msgspec.Raw) -> None:
        if self.notifications.put_nowait(topic, result):
            return
        with trio.move_on_after(self._settings.stall_ms / 1000) as waiting:
            await self.notifications.put(topic, result)
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
            except ConnectionLost:
                if self._closing:
                    return
                raise
            self.pulse.asked_at, self.pulse.round_trip_s = None, trio.current_time() - asked_at


@define(eq=False)
class _Waiting:
    topic: str | None
    task: trio.lowlevel.Task | None
    """Until it has its answer, or has given up."""
    answer: msgspec.Raw | ChainError | None = None

    def tell(self, answer: msgspec.Raw | ChainError) -> None:
        """Wake whoever waits."""
        self.answer = answer
        self.wake()

    def wake(self) -> None:
        """Let whoever waits go on, with or without an answer."""
        if self.task is not None:
            trio.lowlevel.reschedule(self.task)
            self.task = None


@asynccontextmanager
async def open_session(
    dial: Dial,
    url: str,
    settings: ChainSettings,
    quarantine: Quarantine,
    on_read: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Session, None]:
    """Connect to a node; the body is cancelled when the connection ends. `on_read` is called for each good frame.

    Raises:
        ChainError: the connection could not be made, or ended; raised out of the body's block.
    """
    with trio.move_on_after(settings.connect_timeout_s) as connecting:
        stream = await dial(url)
        try:
            ws = WebSocket(stream, settings.max_message_mib << 20)
            await ws.shake_hands(handshake_of(url))
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
    if connecting.cancelled_caught:
        raise ConnectionLost(f"no connection in {settings.connect_timeout_s:g} s")
    session = Session(NotificationQueue(), ws, Outbox(ws), settings, quarantine, on_read)
    with one_chain_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session._run_reader, name="session reader")
            nursery.start_soon(session._run_writer, name="session writer")
            nursery.start_soon(session._run_pinger, name="session pinger")
            # What is asked before it runs waits in its heap.
            nursery.start_soon(session._timeouts.run, name="session timeouts")  # noqa: ASYNC113
            try:
                yield session
                # Only an undisturbed end says goodbye: in a cancellation the reader, which would hear the answer,
                # is cancelled too, and the wait would only hold up the exit.
                session._closing = True
                with trio.move_on_after(CLOSE_TIMEOUT_S):
                    await ws.aclose()
            finally:
                session._over = True
                session._fail_open(ConnectionLost, _ENDED)
                # First the reader, so that it does not mistake our own closing for a failure.
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)
