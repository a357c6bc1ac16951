"""Nodes in front of a real one: they pass on what they are asked, and where a test says so, say something else."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing
import trio_websocket
from attrs import define, field

from tests.builders import POLYGON
from trio_copy.chain.nodes import NodeConnections, open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ConnectionLost
from trio_copy.testing.anvil import Node

SEND = "eth_sendRawTransaction"
_LARGEST = 1 << 26


@define(eq=False)
class Exchange:
    """One question, and the ways to answer it."""

    question: dict[str, Any]
    _down: trio_websocket.WebSocketConnection
    _up: trio_websocket.WebSocketConnection
    _answers: dict[int, tuple[trio.Event, list[Any]]]

    @property
    def params(self) -> Sequence[Any]:
        return list(self.question["params"])

    async def ask(self) -> dict[str, Any]:
        """Put it to the real node; return its frame, of which nothing is passed on."""
        answered, frames = self._answers[self.question["id"]] = trio.Event(), list[Any]()
        await self._up.send_message(msgspec.json.encode(self.question).decode())
        await answered.wait()
        (frame,) = frames
        return dict(frame)

    async def say(self, frame: object) -> None:
        """Send a frame: a text as it is, anything else as JSON."""
        await self._down.send_message(frame if isinstance(frame, str) else msgspec.json.encode(frame).decode())

    async def answer(self, result: object) -> None:
        await self.say({"jsonrpc": "2.0", "id": self.question["id"], "result": result})

    async def refuse(self, code: int, message: str) -> None:
        await self.say(
            {"jsonrpc": "2.0", "id": self.question["id"], "error": {"code": code, "message": message}},
        )

    async def hang_up(self) -> None:
        await self._down.aclose()


Rule = Callable[[Exchange], Awaitable[None]]
"""Answers a question, or does not."""


def refuses(message: str, code: int = -32000) -> Rule:
    """Say that the question is no good, and ask nobody."""
    return lambda exchange: exchange.refuse(code, message)


def says(result: object) -> Rule:
    """Give an answer of one's own, and ask nobody."""
    return lambda exchange: exchange.answer(result)


def takes_and(rule: Rule) -> Rule:
    """Let the real node have what is sent, and say something else."""

    async def apply(exchange: Exchange) -> None:
        await exchange.ask()
        await rule(exchange)

    return apply


async def hangs_up(exchange: Exchange) -> None:
    await exchange.hang_up()


async def hangs(exchange: Exchange) -> None:
    await trio.sleep_forever()


@define(eq=False)
class ScriptedNode:
    name: str
    rules: dict[str, Rule] = field(factory=dict)
    """By method; what has none is passed on."""
    asked: list[tuple[str, Sequence[Any]]] = field(factory=list)
    down: bool = False
    """Whether nobody can connect."""
    _connected: list[trio.CancelScope] = field(factory=list)

    def sent(self) -> Sequence[str]:
        """Return the raw transactions that it was given, in their order."""
        return [params[0] for method, params in self.asked if method == SEND]

    def go_down(self) -> None:
        self.down = True
        for scope in self._connected:
            scope.cancel()

    async def serve(self, stream: trio.abc.Stream, port: int) -> None:
        """Serve one connection until either side ends it."""
        with trio.CancelScope() as scope:
            self._connected.append(scope)
            async with trio.open_nursery() as nursery:
                request = await trio_websocket.wrap_server_stream(nursery, stream, max_message_size=_LARGEST)
                down = await request.accept()
                try:
                    async with await trio.open_tcp_stream("127.0.0.1", port) as tcp:
                        up = await trio_websocket.wrap_client_stream(
                            nursery, tcp, "127.0.0.1", "/", max_message_size=_LARGEST
                        )
                        answers = dict[int, tuple[trio.Event, list[Any]]]()
                        nursery.start_soon(self._pass_back, down, up, answers, nursery)
                        while True:
                            await self._take(await down.get_message(), down, up, answers, nursery)
                except (trio_websocket.ConnectionClosed, trio_websocket.HandshakeError, OSError):
                    nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)

    async def _take(self, message: str | bytes, down: Any, up: Any, answers: Any, nursery: trio.Nursery) -> None:
        question = msgspec.json.decode(message)
        self.asked.append((question["method"], question["params"]))
        rule = self.rules.get(question["method"])
        if rule is None:
            await up.send_message(message)
        else:
            nursery.start_soon(_apply, rule, Exchange(question, down, up, answers))

    async def _pass_back(self, down: Any, up: Any, answers: Any, nursery: trio.Nursery) -> None:
        try:
            while True:
                message = await up.get_message()
                frame = msgspec.json.decode(message)
                wanted = answers.pop(frame.get("id"), None)
                if wanted is None:
                    await down.send_message(message)
                else:
                    wanted[1].append(frame)
                    wanted[0].set()
        except trio_websocket.ConnectionClosed:
            nursery.cancel_scope.cancel()


async def _apply(rule: Rule, exchange: Exchange) -> None:
    try:
        await rule(exchange)
    except trio_websocket.ConnectionClosed:
        return


@asynccontextmanager
async def open_proxied(
    node: Node, *names: str, **settings: Any
) -> AsyncGenerator[tuple[NodeConnections, Mapping[str, ScriptedNode]], None]:
    """Let one real node be asked as several ones, each with its own script, over real frames."""
    proxies = {name: ScriptedNode(name) for name in names}
    chain, entropy = ChainSettings(chain_id=POLYGON, **{"requests_per_s": 10_000} | settings), seeded_entropy(1)
    async with trio.open_nursery() as nursery:

        async def dial(url: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            proxy = proxies[url.removeprefix("ws://")]
            if proxy.down:
                raise ConnectionLost(f"cannot connect to {proxy.name}")
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(proxy.serve, theirs, node.port)
            return ours

        async with open_nodes(
            dial=dial,
            endpoints=[EndpointSettings(name=name, url=f"ws://{name}") for name in names],
            paces={name: Pace() for name in names},
            chain=chain,
            entropy=entropy,
            quarantine=lambda kind, detail: None,
            on_trouble=lambda kind, detail: None,
            next_wait=lambda: Backoff(0.05, 1.0, entropy).next_wait,
        ) as nodes:
            yield nodes, proxies
        nursery.cancel_scope.cancel()
