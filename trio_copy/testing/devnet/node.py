"""A JSON-RPC node over WebSocket, in front of a `DevChain`, that can be told to misbehave."""

from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec
import trio
import trio_websocket
from attrs import define, field
from attrs.setters import frozen
from wsproto.utilities import LocalProtocolError

from trio_copy.chain.filters import passes
from trio_copy.model.ids import Address
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports import LogFilter
from trio_copy.testing.devnet.chain import DevBlock, DevChain
from trio_copy.testing.devnet.manners import NodeFaults, Subscriptions
from trio_copy.testing.devnet.shown import ShownChain, TooBig, Unanswered
from trio_copy.testing.devnet.wire import Refused, block_object, error_frame, log_object, numbered

_OUTBOX = 100_000
_TOO_BIG = 1009
_RANGES_KEPT = 1000
_HANDSHAKE = ("eth_chainId", "eth_subscribe")


class _Request(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: list[Any] = []


@define(eq=False)
class _Subscription:
    id: str
    log_filter: LogFilter | None
    """None for newHeads."""


@define(eq=False)
class _Client:
    send: trio.MemorySendChannel[bytes | int]
    """Frames to send, or the code to end the connection with."""
    scope: trio.CancelScope
    subscriptions: dict[str, _Subscription] = field(factory=dict)

    def push(self, message: object) -> None:
        self.push_raw(msgspec.json.encode(message))

    def push_raw(self, message: bytes | int) -> None:
        try:
            self.send.send_nowait(message)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.scope.cancel()

    def notify(self, subscription: str, result: object) -> None:
        params = {"subscription": subscription, "result": result}
        self.push({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})

    def notify_end(self, subscription: str) -> None:
        params = {"subscription": subscription, "error": "subscription lagged"}
        self.push({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


class DevContracts(Protocol):
    """What a test says is at addresses; the chain itself runs no code."""

    def code_at(self, address: str) -> bytes: ...

    def answer(self, to: str, data: bytes) -> bytes | None:
        """Return what a call returns; None where the contract reverts."""
        ...


@define(eq=False)
class DevNode:
    chain: DevChain
    faults: NodeFaults = field(factory=NodeFaults, on_setattr=frozen)
    contracts: DevContracts | None = None
    """Answers `eth_getCode` and `eth_call`; None for a node that does not know them."""
    requests: dict[str, int] = field(factory=dict)
    """Requests received, by method."""
    ranges: deque[tuple[int, int]] = field(factory=lambda: deque(maxlen=_RANGES_KEPT))
    """The ranges of blocks that logs were asked for last, with their last blocks."""
    handshakes: int = 0
    """Connections that were asked for, the refused ones included."""
    _clients: list[_Client] = field(factory=list)
    _ids: int = 0
    _metered: int = 0
    _second: tuple[int, int] = (-1, 0)
    """The second that runs, and the requests served in it."""
    _subscribed: trio.Event = field(factory=trio.Event)
    _shown: ShownChain = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._shown = ShownChain(self.chain, self.faults)
        self.chain.on_block.append(self._block_mined)
        self.chain.on_removed.append(self._block_removed)

    @property
    def log_filters(self) -> list[LogFilter]:
        """The filters of the live log subscriptions."""
        return [subscription.log_filter for _, subscription in self._subscriptions() if subscription.log_filter]

    async def wait_log_filters(self, count: int) -> None:
        """Wait until so many log subscriptions are live."""
        while len(self.log_filters) < count:
            await self._subscribed.wait()

    def drop_connections(self) -> None:
        """Cut every connection without a goodbye."""
        for client in list(self._clients):
            client.scope.cancel()

    def send_to_all(self, raw: bytes) -> None:
        """Send bytes as a frame to everybody: garbage, for instance."""
        for client in self._clients:
            client.send.send_nowait(raw)

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends. Takes the stream over and closes it."""
        try:
            await self._serve(stream)
        except* LocalProtocolError:
            pass  # the server of trio-websocket answers pings even while it is closing

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[bytes | int](_OUTBOX)
            client = _Client(send, nursery.cancel_scope)
            try:
                request = await trio_websocket.wrap_server_stream(
                    nursery, stream, max_message_size=1 << 24, receive_buffer_size=None
                )
                self.handshakes += 1
                if not await self._turned_away(request):
                    ws = await request.accept()
                    self._clients.append(client)
                    nursery.start_soon(self._run_writer, ws, receive)
                    while True:
                        self._answer(client, await ws.get_message())
            except (trio_websocket.ConnectionClosed, trio.BrokenResourceError):
                pass
            finally:
                if client in self._clients:
                    self._clients.remove(client)
                await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel()

    async def _turned_away(self, request: trio_websocket.WebSocketRequest) -> bool:
        faults, headers = self.faults, []
        status = faults.refuse_handshake
        if faults.auth is not None and dict(request.headers).get(b"authorization") != _basic(faults.auth):
            status = 401
            headers.append((b"WWW-Authenticate", b"Basic"))
        if status is None:
            return False
        if faults.retry_after_s is not None:
            headers.append((b"Retry-After", str(faults.retry_after_s).encode()))
        await request.reject(status, extra_headers=headers, body=b"not now")
        return True

    async def _run_writer(
        self, ws: trio_websocket.WebSocketConnection, receive: trio.MemoryReceiveChannel[bytes | int]
    ) -> None:
        try:
            async for message in receive:
                if isinstance(message, int):
                    await ws.aclose(message, "message too big")
                    return
                await ws.send_message(_text_or_bytes(message))
        except trio_websocket.ConnectionClosed:
            return

    def _answer(self, client: _Client, message: str | bytes) -> None:
        try:
            request = msgspec.json.decode(message, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError):
            client.push_raw(error_frame(None, Refused("expected a JSON-RPC request", -32700), self.faults))
            return
        method, params = request.method, request.params
        self.requests[method] = self.requests.get(method, 0) + 1
        if self.faults.deaf:
            return
        request_id = str(request.id) if self.faults.text_ids else request.id
        try:
            self._check_limits(method)
            result = self._asked(client, method, params)
        except Refused as refused:
            client.push_raw(error_frame(request_id, refused, self.faults))
        except Unanswered:
            return
        except TooBig:
            client.push_raw(_TOO_BIG)
        else:
            client.push({"jsonrpc": "2.0", "id": request_id, "result": result})
            if method == "eth_subscribe":
                self._subscribed.set()
                self._subscribed = trio.Event()

    def _check_limits(self, method: str) -> None:
        faults = self.faults
        if method in _HANDSHAKE:
            return
        if faults.error is not None:
            raise Refused(faults.error, -32000)
        if faults.rate_limited_method not in ("all", method):
            return
        self._metered += 1
        second = int(trio.current_time())
        served = self._second[1] if self._second[0] == second else 0
        too_many = faults.max_per_s is not None and served >= faults.max_per_s
        if too_many or (faults.rate_limited and self._metered % faults.rate_limited == 0):
            raise Refused("Too Many Requests", faults.rate_limit_code, faults.retry_after_s)
        self._second = second, served + 1

    def _asked(self, client: _Client, method: str, params: Sequence[Any]) -> object:
        try:
            return self._result(client, method, params)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # Whoever connects may ask anything in any shape: the node refuses it, and serves the others on.
            raise Refused(f"invalid argument: {type(error).__name__}", -32602) from error

    def _result(self, client: _Client, method: str, params: Sequence[Any]) -> object:
        match method:
            case "eth_chainId":
                return hex(self.faults.chain_id or self.chain.chain_id)
            case "eth_blockNumber":
                return hex(self._shown.head.number)
            case "eth_getBlockByNumber":
                return self._written(self._shown.by_number(params[0]))
            case "eth_getBlockByHash":
                return self._written(self._shown.by_hash(params[0]))
            case "eth_getLogs":
                if "blockHash" not in params[0]:
                    self.ranges.append(self._shown.range_of(params[0]))
                logs = self._shown.logs(params[0], _read_filter(params[0]))
                return None if self.faults.null_logs and not logs else logs
            case "eth_getCode" if self.contracts is not None:
                return f"0x{self.contracts.code_at(params[0].lower()).hex()}"
            case "eth_call" if self.contracts is not None:
                return self._called(self.contracts, params[0])
            case "eth_subscribe":
                return self._subscribe(client, *params)
            case "eth_unsubscribe":
                if self.faults.refuse_unsubscribe:
                    raise Refused("the method eth_unsubscribe is not available", -32601)
                return client.subscriptions.pop(params[0], None) is not None
            case _:
                raise Refused(f"the method {method} does not exist", -32601)

    def _called(self, contracts: DevContracts, call: dict[str, Any]) -> str:
        returned = contracts.answer(call["to"].lower(), bytes.fromhex(call["data"][2:]))
        if returned is None:
            raise Refused("execution reverted", 3)
        return f"0x{returned.hex()}"

    def _subscribe(self, client: _Client, topic: str, wanted: dict[str, Any] | None = None) -> str:
        refused = Subscriptions.HEADS if topic == "newHeads" else Subscriptions.LOGS
        if self.faults.refuse_subscriptions in (refused, Subscriptions.BOTH):
            raise Refused(f"no {topic} subscription here", -32601)
        self._ids += 1
        log_filter = None if topic == "newHeads" else _read_filter(wanted or {})
        subscription = _Subscription(hex(self._ids), log_filter)
        client.subscriptions[subscription.id] = subscription
        return subscription.id

    def _written(self, block: BlockRef | None) -> dict[str, Any] | None:
        return None if block is None else block_object(block, self.faults)

    def _block_mined(self, block: DevBlock) -> None:
        if self.faults.end_subscriptions > 0:
            self.faults.end_subscriptions -= 1
            self._end_subscriptions()
        if not self.faults.silent_logs:
            self._push_logs(block, removed=False)
        if not self.faults.silent_heads:
            self._push_head(self._shown.after(block))
        for _ in range(self.faults.removed_flood):
            self._push_logs(block, removed=True)
        self._push_unasked()

    def _block_removed(self, block: DevBlock) -> None:
        if not self.faults.without_removed:
            self._push_logs(block, removed=True)

    def _push_head(self, head: BlockRef | None) -> None:
        if head is not None:
            for client, subscription in self._subscriptions():
                if subscription.log_filter is None:
                    written = block_object(head, self.faults)
                    if self.faults.pending:
                        client.notify(subscription.id, {**written, "number": None, "hash": None})
                    client.notify(subscription.id, written)

    def _push_logs(self, block: DevBlock, *, removed: bool) -> None:
        faults = self.faults
        for client, subscription in self._subscriptions():
            log_filter = subscription.log_filter
            if log_filter is None:
                continue
            passing = [log for log in block.logs if passes(log, log_filter)]
            told: list[tuple[RawLog, int]] = list(numbered(block.logs, passing, faults.subscription_index))
            if removed:
                told.reverse()
            else:
                told = told[1 if faults.lose_log else 0 : faults.subscription_cut]
            for log, index in told:
                written = log_object(log, faults, index=index, removed=removed)
                if faults.pending and not removed:
                    client.notify(
                        subscription.id, {**written, "blockNumber": None, "blockHash": None, "logIndex": None}
                    )
                for _ in range(2 if faults.each_log_twice else 1):
                    client.notify(subscription.id, written)

    def _end_subscriptions(self) -> None:
        for client, subscription in list(self._subscriptions()):
            client.notify_end(subscription.id)
            del client.subscriptions[subscription.id]

    def _push_unasked(self) -> None:
        for client in list(self._clients):
            for number in range(self.faults.unasked):
                client.notify(f"0xdead{number:x}", {"logs": "x" * self.faults.unasked_bytes})

    def _subscriptions(self) -> Iterator[tuple[_Client, _Subscription]]:
        for client in list(self._clients):
            for subscription in list(client.subscriptions.values()):
                yield client, subscription


def _read_filter(wanted: dict[str, Any]) -> LogFilter:
    addresses = wanted.get("address", [])
    topics = [topic if topic is None or isinstance(topic, list) else [topic] for topic in wanted.get("topics", [])]
    return LogFilter(
        addresses=tuple(Address(a.lower()) for a in ([addresses] if isinstance(addresses, str) else addresses)),
        topics=tuple(None if topic is None else tuple(topic) for topic in topics),
    )


def _basic(user_and_password: str) -> bytes:
    return b"Basic " + b64encode(user_and_password.encode())


def _text_or_bytes(message: bytes) -> str | bytes:
    """Nodes send text; what is none goes out as a binary frame."""
    try:
        return message.decode()
    except UnicodeDecodeError:
        return message
