"""A JSON-RPC node over WebSocket, in front of a `DevChain`, that can be told to misbehave."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import trio
import trio_websocket
from attrs import define, evolve, field

from trio_copy.chain.filters import passes
from trio_copy.model.ids import Address
from trio_copy.model.logs import RawLog
from trio_copy.ports import LogFilter
from trio_copy.testing.devnet.chain import DevBlock, DevChain
from trio_copy.testing.devnet.wire import block_object, log_object

_OUTBOX = 100_000


@define(eq=False)
class NodeFaults:
    """What this node does wrong; change it while it runs."""

    chain_id: int | None = None
    """Claims to serve this chain."""
    empty_logs: int = 0
    """Answers so many `eth_getLogs` with nothing, without an error."""
    max_range: int | None = None
    """Refuses wider `eth_getLogs` ranges."""
    hang_range: int | None = None
    """Never answers `eth_getLogs` for more blocks."""
    close_range: int | None = None
    """Ends the connection over `eth_getLogs` for more blocks."""
    rate_limited: bool = False
    """Refuses every `eth_getLogs` as one too many."""
    refuse_block_hash: bool = False
    """Does not take `eth_getLogs` by block hash."""
    ignore_block_hash: bool = False
    """Answers `eth_getLogs` by block hash for its newest block, whichever was asked for."""
    cut_logs: int | None = None
    """Answers `eth_getLogs` with so many logs at most, and leaves the others out without an error."""
    silent_heads: bool = False
    silent_logs: bool = False
    without_time: bool = False
    """Leaves `blockTimestamp` out."""
    without_removed: bool = False
    """Sends no `removed` logs at a reorg, like some real nodes."""
    deaf: bool = False
    """Reads requests and answers none."""
    error: str | None = None
    """Answers every request but the handshake ones with an error object."""
    behind: int = 0
    """Shows a chain this many blocks shorter."""
    each_log_twice: bool = False
    times_ahead_s: int = 0
    """Shows every block and log with a time that much later."""
    unfinalized: int | None = 4
    """Blocks from the newest finalized one to its head; None: it does not know the word."""


@define(eq=False)
class _Subscription:
    id: str
    log_filter: LogFilter | None
    """None for newHeads."""


@define(eq=False)
class _Client:
    send: trio.MemorySendChannel[bytes]
    scope: trio.CancelScope
    subscriptions: dict[str, _Subscription] = field(factory=dict)

    def push(self, message: object) -> None:
        try:
            self.send.send_nowait(msgspec.json.encode(message))
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.scope.cancel()


@define(eq=False)
class DevNode:
    chain: DevChain
    faults: NodeFaults = field(factory=NodeFaults)
    requests: dict[str, int] = field(factory=dict)
    """Requests answered, by method."""
    ranges: list[tuple[int, int]] = field(factory=list)
    """The ranges of blocks that logs were asked for, with their last blocks."""
    _clients: list[_Client] = field(factory=list)
    _ids: int = 0
    _subscribed: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.chain.on_block.append(self._block_mined)
        self.chain.on_removed.append(self._block_removed)

    @property
    def log_filters(self) -> list[LogFilter]:
        """The filters of the live log subscriptions."""
        return [
            subscription.log_filter
            for client in self._clients
            for subscription in client.subscriptions.values()
            if subscription.log_filter is not None
        ]

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
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[bytes](_OUTBOX)
            client = _Client(send, nursery.cancel_scope)
            try:
                request = await trio_websocket.wrap_server_stream(
                    nursery, stream, max_message_size=1 << 24, receive_buffer_size=None
                )
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

    async def _run_writer(
        self, ws: trio_websocket.WebSocketConnection, receive: trio.MemoryReceiveChannel[bytes]
    ) -> None:
        try:
            async for message in receive:
                await ws.send_message(_text_or_bytes(message))
        except trio_websocket.ConnectionClosed:
            return

    def _answer(self, client: _Client, message: str | bytes) -> None:
        request = msgspec.json.decode(message)
        method, params = request["method"], request.get("params", [])
        self.requests[method] = self.requests.get(method, 0) + 1
        if self.faults.deaf:
            return
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        subscribing = method not in ("eth_chainId", "eth_subscribe")
        if self.faults.error is not None and subscribing:
            client.push({**answer, "error": {"code": -32000, "message": self.faults.error}})
            return
        try:
            answer["result"] = self._result(client, method, params)
        except _Refused as refused:
            answer["error"] = {"code": refused.code, "message": str(refused)}
        except _Hung:
            return
        client.push(answer)
        if method == "eth_subscribe":
            self._subscribed.set()
            self._subscribed = trio.Event()

    def _result(self, client: _Client, method: str, params: Sequence[Any]) -> object:
        match method:
            case "eth_chainId":
                return hex(self.faults.chain_id or self.chain.chain_id)
            case "eth_blockNumber":
                return hex(self._head_number)
            case "eth_getBlockByNumber":
                number = self._number(params[0])
                block = self.chain.at(number) if number <= self._head_number else None
                return None if block is None else self._header(block)
            case "eth_getBlockByHash":
                block = self.chain.by_hash(params[0])
                return None if block is None else self._header(block)
            case "eth_getLogs":
                return self._logs(client, params[0])
            case "eth_subscribe":
                self._ids += 1
                log_filter = None if params[0] == "newHeads" else _read_filter(params[1])
                subscription = _Subscription(hex(self._ids), log_filter)
                client.subscriptions[subscription.id] = subscription
                return subscription.id
            case "eth_unsubscribe":
                return client.subscriptions.pop(params[0], None) is not None
            case _:
                raise _Refused(f"the method {method} does not exist")

    @property
    def _head_number(self) -> int:
        return max(0, self.chain.head.ref.number - self.faults.behind)

    def _number(self, which: str) -> int:
        match which:
            case "latest":
                return self._head_number
            case "finalized":
                if self.faults.unfinalized is None:
                    raise _Refused("finalized block not found")
                return max(0, self._head_number - self.faults.unfinalized)
            case _:
                return int(which, 16)

    def _header(self, block: DevBlock) -> dict[str, Any]:
        return block_object(evolve(block.ref, time=block.ref.time + self.faults.times_ahead_s))

    def _written(self, log: RawLog, *, removed: bool = False) -> dict[str, Any]:
        if log.block_time is not None:
            log = evolve(log, block_time=log.block_time + self.faults.times_ahead_s)
        return log_object(log, removed=removed, with_time=not self.faults.without_time)

    def _logs(self, client: _Client, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        if self.faults.rate_limited:
            raise _Refused("daily request count exceeded, request rate limited")
        if "blockHash" not in wanted:
            self._note_range(client, int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16))
        elif self.faults.refuse_block_hash:
            raise _Refused("invalid params: blockHash is not supported", code=-32602)
        if self.faults.empty_logs > 0:
            self.faults.empty_logs -= 1
            return []
        log_filter = _read_filter(wanted)
        logs = [self._written(log) for block in self._blocks(wanted) for log in block.logs if passes(log, log_filter)]
        return logs[: self.faults.cut_logs]

    def _note_range(self, client: _Client, start: int, stop: int) -> None:
        self.ranges.append((start, stop))
        blocks = stop - start + 1
        if self.faults.hang_range is not None and blocks > self.faults.hang_range:
            raise _Hung
        if self.faults.close_range is not None and blocks > self.faults.close_range:
            client.scope.cancel()
            raise _Hung

    def _blocks(self, wanted: dict[str, Any]) -> Iterator[DevBlock]:
        if "blockHash" in wanted:
            block = self.chain.head if self.faults.ignore_block_hash else self.chain.by_hash(wanted["blockHash"])
            if block is None:
                raise _Refused("unknown block")
            yield block
            return
        start, stop = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        if self.faults.max_range is not None and stop - start + 1 > self.faults.max_range:
            raise _Refused(f"block range is too wide, at most {self.faults.max_range}")
        yield from self.chain.blocks[start : min(stop, self._head_number) + 1]

    def _block_mined(self, block: DevBlock) -> None:
        if not self.faults.silent_logs:
            for log in block.logs:
                self._push_log(log, removed=False)
        if not self.faults.silent_heads:
            shown = self.chain.at(block.ref.number - self.faults.behind)
            if shown is not None:
                self._push(lambda log_filter: log_filter is None, self._header(shown))

    def _block_removed(self, block: DevBlock) -> None:
        if not self.faults.without_removed:
            for log in reversed(block.logs):
                self._push_log(log, removed=True)

    def _push_log(self, log: RawLog, *, removed: bool) -> None:
        written = self._written(log, removed=removed)
        for _ in range(2 if self.faults.each_log_twice else 1):
            self._push(lambda log_filter: log_filter is not None and passes(log, log_filter), written)

    def _push(self, wanted: Callable[[LogFilter | None], bool], result: object) -> None:
        for client in list(self._clients):
            for subscription in client.subscriptions.values():
                if wanted(subscription.log_filter):
                    client.push(
                        {
                            "jsonrpc": "2.0",
                            "method": "eth_subscription",
                            "params": {"subscription": subscription.id, "result": result},
                        }
                    )


class _Refused(Exception):
    """Becomes an error object."""

    def __init__(self, message: str, code: int = -32005) -> None:
        super().__init__(message)
        self.code = code


class _Hung(Exception):
    """Is never answered."""


def _read_filter(wanted: dict[str, Any]) -> LogFilter:
    addresses = wanted.get("address", [])
    topics = [topic if topic is None or isinstance(topic, list) else [topic] for topic in wanted.get("topics", [])]
    return LogFilter(
        addresses=tuple(Address(a.lower()) for a in ([addresses] if isinstance(addresses, str) else addresses)),
        topics=tuple(None if topic is None else tuple(topic) for topic in topics),
    )


def _text_or_bytes(message: bytes) -> str | bytes:
    """Nodes send text; what is none goes out as a binary frame."""
    try:
        return message.decode()
    except UnicodeDecodeError:
        return message
