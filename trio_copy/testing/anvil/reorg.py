"""A door to anvil which tells subscribers of what a reorg took back, as nodes do and anvil does not: `removed: true`.

Whoever connects here talks to anvil, frame by frame. During a reorg what anvil notifies is held; the logs of the dropped
blocks are asked for beforehand, by the filter of each subscription, and sent as removed before what is new.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import trio
import trio_websocket
from attrs import define, field

from trio_copy.testing.anvil.node import Node
from trio_copy.testing.anvil.sending import Chain, open_chain

_LARGEST = 1 << 26
_PASSED_S = 5.0
_MARK = "reorg"
"""The id of a question of our own, with a number behind it: its answer has everything before it that anvil had sent."""


@define(eq=False)
class _Client:
    """One connection from outside, and its own to anvil."""

    ws: trio_websocket.WebSocketConnection
    anvil: trio_websocket.WebSocketConnection
    scope: trio.CancelScope
    asked: dict[object, Mapping[str, Any]] = field(factory=dict)
    """Filters of subscriptions that are not answered yet, by the id of the request."""
    filters: dict[str, Mapping[str, Any]] = field(factory=dict)
    """By subscription."""
    held: list[dict[str, Any]] | None = None
    """Notifications during a reorg; None at other times."""
    passed: dict[str, trio.Event] = field(factory=dict)

    async def run_down(self) -> None:
        """Hand on what comes from outside."""
        while True:
            text = await self.ws.get_message()
            self._look(text)
            await self.anvil.send_message(text)

    def _look(self, text: str | bytes) -> None:
        for request in _objects(text):
            params = request.get("params")
            if request.get("method") == "eth_subscribe" and isinstance(params, list) and params[:1] == ["logs"]:
                self.asked[request.get("id")] = params[1] if len(params) > 1 else {}
            if request.get("method") == "eth_unsubscribe" and isinstance(params, list) and params:
                self.filters.pop(str(params[0]), None)

    async def run_up(self) -> None:
        """Hand on what comes from anvil, or hold it."""
        while True:
            text = await self.anvil.get_message()
            for answer in _objects(text):
                request = answer.get("id")
                if request in self.asked and isinstance(answer.get("result"), str):
                    self.filters[answer["result"]] = self.asked.pop(request)
                if request in self.passed:
                    self.passed.pop(request).set()
                    break
                if self.held is not None and answer.get("method") == "eth_subscription":
                    self.held.append(answer)
                    break
            else:
                await self.ws.send_message(text)

    async def wait_passed(self, mark: str) -> None:
        """Wait until everything that anvil has sent so far was read."""
        passed = self.passed[mark] = trio.Event()
        question = {"jsonrpc": "2.0", "id": mark, "method": "eth_chainId", "params": []}
        await self.anvil.send_message(msgspec.json.encode(question).decode())
        with trio.move_on_after(_PASSED_S):
            await passed.wait()

    async def tell(self, notification: Mapping[str, Any]) -> None:
        await self.ws.send_message(msgspec.json.encode(notification).decode())


@define(eq=False)
class ReorgDoor:
    """Serves anvil to whoever connects to `url`; a reorg is ordered here, and not of anvil."""

    node: Node
    url: str = ""
    _clients: list[_Client] = field(factory=list)
    _reorgs: int = 0

    async def reorg(self, depth: int, txs: Sequence[tuple[object, int]] = ()) -> int:
        """Drop the newest blocks and mine as many others, with `txs` in them; returns how many logs were told as removed.

        Each is (transaction, block): signed bytes in hex or fields of a transaction, and how many blocks behind the last
        common one, counted from 0. Raises `ChainError` where anvil refuses.
        """
        self._reorgs += 1
        async with open_chain(self.node) as chain:
            head = int(await chain.ask("eth_blockNumber"), 16)
            first = max(head - depth + 1, 0)
            dropped = {
                (await chain.ask("eth_getBlockByNumber", hex(number), False))["hash"]
                for number in range(first, head + 1)
            }
            clients = list(self._clients)
            for client in clients:
                client.held = []
            try:
                removed = [await _logs(chain, client, first, head) for client in clients]
                await chain.ask("anvil_reorg", depth, [list(one) for one in txs])
                for client, logs in zip(clients, removed, strict=True):
                    await self._tell(client, logs, dropped)
            finally:
                for client in clients:
                    client.held = None
        return sum(len(logs) for logs in removed)

    async def _tell(self, client: _Client, removed: Sequence[dict[str, Any]], dropped: set[str]) -> None:
        try:
            await client.wait_passed(f"{_MARK}-{self._reorgs}")
            held = client.held or []
            late = [one for one in held if _block_of(one) in dropped]
            for one in (*late, *removed):
                await client.tell(one)
            while held:
                one = held.pop(0)
                if _block_of(one) not in dropped:
                    await client.tell(one)
            client.held = None
        except trio_websocket.ConnectionClosed:
            return

    def drop_connections(self) -> None:
        """Cut every connection without a goodbye."""
        for client in self._clients:
            client.scope.cancel()

    async def handle(self, request: trio_websocket.WebSocketRequest) -> None:
        """Serve one connection until it, or the one to anvil, ends."""
        ws = await request.accept()
        try:
            async with (
                trio_websocket.open_websocket_url(self.node.url, max_message_size=_LARGEST) as anvil,
                trio.open_nursery() as nursery,
            ):
                client = _Client(ws, anvil, nursery.cancel_scope)
                self._clients.append(client)
                try:
                    nursery.start_soon(_until_closed, client.run_down, nursery.cancel_scope)
                    await _until_closed(client.run_up, nursery.cancel_scope)
                finally:
                    self._clients.remove(client)
        except trio_websocket.HandshakeError:
            return  # anvil is not there: neither are we


async def _until_closed(pump: Any, scope: trio.CancelScope) -> None:  # noqa: ANN401  a bound method without arguments
    try:
        await pump()
    except trio_websocket.ConnectionClosed:
        scope.cancel()


async def _logs(chain: Chain, client: _Client, first: int, last: int) -> list[dict[str, Any]]:
    """Return as notifications what each subscription of a client has heard, or will, of some blocks."""
    return [
        {
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": {"subscription": subscription, "result": {**log, "removed": True}},
        }
        for subscription, wanted in client.filters.items()
        for log in await chain.ask("eth_getLogs", {**wanted, "fromBlock": hex(first), "toBlock": hex(last)})
    ]


def _block_of(notification: Mapping[str, Any]) -> object:
    result = notification["params"]["result"]
    return result.get("blockHash") or result.get("hash") if isinstance(result, dict) else None


def _objects(text: str | bytes) -> list[dict[str, Any]]:
    """Return the JSON objects of a frame; none where it is no JSON."""
    try:
        decoded = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    return [one for one in (decoded if isinstance(decoded, list) else [decoded]) if isinstance(one, dict)]


@asynccontextmanager
async def open_reorg_door(node: Node) -> AsyncGenerator[ReorgDoor, None]:
    """Serve a node on a free port of its own while the block runs."""
    door = ReorgDoor(node)
    async with trio.open_nursery() as nursery:
        serve = partial(
            trio_websocket.serve_websocket, door.handle, "127.0.0.1", 0, ssl_context=None, max_message_size=_LARGEST
        )
        server = await nursery.start(serve)
        door.url = f"ws://127.0.0.1:{server.port}"
        yield door
        nursery.cancel_scope.cancel()
