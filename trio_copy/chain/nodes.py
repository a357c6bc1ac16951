"""The connections on which executors ask nodes: apart from those that bring the fills, so that neither waits for the other.

They come up at the first question: for executors that ask nothing, nobody connects.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn, TypeVar

import msgspec
import trio
from attrs import define, field

from trio_copy.chain.backfill import RangeReader
from trio_copy.chain.dial import Dial
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.fetch import LogFetcher, union
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.pacing import Pace
from trio_copy.chain.refusals import too_often
from trio_copy.chain.requests import NextWait, check_chain
from trio_copy.chain.session import Quarantine, open_session
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.entropy import Entropy
from trio_copy.errors import ChainError, ConnectionLost, NoAnswer, RpcError
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports import LogFilter

_T = TypeVar("_T")
_IN_FLIGHT = 32
"""Questions that one node may have open; those beyond wait for their turn."""
_BRIEF_S = 10.0
"""The end of a connection that was held for longer is no news: nodes end them now and then, and it is made again. Nor is one
that was brief, but two in a row."""
_STRAGGLES_S = 1.0
"""So much longer all others are waited for, once one of those that are asked together has answered."""
_SILENT_S, _SILENT_FOR_S = 0.1, 10.0
"""The same of one that straggled too long within so many seconds: a node that answers nothing takes up no other's time."""
_NO_SUCH_METHOD = -32601
_LOST = "requests-lost"


@define(eq=False)
class _Node:
    endpoint: Endpoint
    pool: EndpointPool
    """Of this node alone."""
    next_wait: NextWait
    turns: trio.Semaphore = field(factory=lambda: trio.Semaphore(_IN_FLIGHT))
    away: bool = False
    """Whether the last try did not reach it. One that was just lost is not away: it is dialled again in a moment."""
    silent_until: float = 0.0
    """Until when, by Trio's clock, it is waited for less than others."""

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def live(self) -> bool:
        return self.endpoint.session is not None

    async def take_turn(self, until: float) -> None:
        """Wait until one question more may be open; whoever has taken a turn releases it. Raises `NoAnswer` at a Trio time."""
        try:
            self.turns.acquire_nowait()
        except trio.WouldBlock:
            pass
        else:
            return
        with trio.move_on_at(until) as wait:
            await self.turns.acquire()
        if wait.cancelled_caught:
            raise NoAnswer(f"{self.name} has as many questions open as it may")


@define(eq=False)
class NodeConnections:
    """See `ports.Nodes`."""

    nodes: Sequence[_Node]
    settings: ChainSettings
    _wanted: trio.Event = field(factory=trio.Event)
    _changed: trio.Event = field(factory=trio.Event)

    @property
    def names(self) -> Sequence[str]:
        return [node.name for node in self.nodes]

    async def ask(self, method: str, params: Sequence[object], until: float) -> bytes:
        async def of(node: _Node, until: float) -> msgspec.Raw | RpcError:
            try:
                return await node.pool.ask(node.endpoint, method, *params, until=until)
            except RpcError as error:
                if not _is_answer(error):
                    raise
                node.endpoint.failures = 0
                return error

        (answer,) = await self._first(of, until)
        if isinstance(answer, RpcError):
            raise answer
        return bytes(answer)

    async def ask_all(self, method: str, params: Sequence[object], until: float) -> Mapping[str, bytes | ChainError]:
        if len(self.nodes) == 1:  # as most have
            return {self.nodes[0].name: await self._told(self.nodes[0], method, params, until)}
        answers: dict[str, bytes | ChainError] = {}
        waits: dict[str, trio.CancelScope] = {}

        def hurry() -> None:
            """Wait for nobody much longer: somebody has answered."""
            now = trio.current_time()
            for node in self.nodes:
                if node.name in waits:
                    left_s = _SILENT_S if now < node.silent_until else _STRAGGLES_S
                    waits[node.name].deadline = min(waits[node.name].deadline, now + left_s)

        async def of(node: _Node) -> None:
            answers[node.name] = NoAnswer(f"{node.name} did not answer {method} in time")
            with trio.CancelScope(deadline=until) as waits[node.name]:
                await self._wait(node)
                try:
                    async with node.turns:
                        answers[node.name] = bytes(await node.pool.ask(node.endpoint, method, *params))
                except ChainError as error:
                    answers[node.name] = error
            said = waits.pop(node.name)
            if said.cancelled_caught and trio.current_time() < until:
                node.silent_until = trio.current_time() + _SILENT_FOR_S
            elif isinstance(answers[node.name], bytes | RpcError):
                node.silent_until = 0.0
                hurry()

        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                nursery.start_soon(of, node)
        return answers

    async def _told(self, node: _Node, method: str, params: Sequence[object], until: float) -> bytes | ChainError:
        """Ask the only node, without a scope or a task of its own where it can be asked at once. Raises nothing."""
        if not node.live:
            with trio.move_on_at(until):
                await self._wait(node)
        try:
            await node.take_turn(until)
        except ChainError as error:
            return error
        try:
            return bytes(await node.pool.ask(node.endpoint, method, *params, until=until))
        except ChainError as error:
            return error
        finally:
            node.turns.release()

    async def block(self, which: str, until: float) -> BlockRef:
        async def of(node: _Node, limit: float) -> BlockRef:
            block, _ = await _by(
                limit, node, f"for block {which}", lambda: node.pool.block("eth_getBlockByNumber", which)
            )
            return block

        (block,) = await self._first(of, until)
        return block

    async def logs(self, log_filter: LogFilter, start: int, stop: int, until: float) -> Sequence[RawLog]:
        async def of(node: _Node, limit: float) -> Sequence[RawLog]:
            # Each node by itself: what one of them refuses must not hide that the other has shown too little.
            fetcher = LogFetcher(self.settings, node.pool, FilterBoard((log_filter,)))
            reader = RangeReader(node.pool, fetcher, self.settings.max_range_blocks)
            return await _by(limit, node, "eth_getLogs", lambda: reader.whole(start, stop))

        found = union(*await self._first(of, until, count=2))
        return sorted(found, key=lambda log: (log.block_number, log.log_index))

    async def keep(self, node: _Node, dial: Dial) -> NoReturn:
        """Stay connected to a node from the first question on. Cancelled, the connection is closed."""
        await self._wanted.wait()
        endpoint, put_aside = node.endpoint, partial(node.pool.put_aside, node.endpoint)
        brief = 0
        while True:
            began, reached = trio.current_time(), False
            try:
                async with open_session(dial, endpoint.settings.url, self.settings, put_aside) as session:
                    await check_chain(session, self.settings)
                    with node.pool.connected(endpoint, session):
                        reached = True
                        self._tell(node, away=False)
                        await trio.sleep_forever()
            except ChainError as error:
                failure = error
            if not reached:
                self._tell(node, away=True)
            now = trio.current_time()
            wait_s = failure.retry_after_s + node.next_wait(now - began)
            brief = brief + 1 if now - began < _BRIEF_S else 0
            if not reached or brief > 1:
                detail = f"{node.name}: the connection for executors: {failure}; again in {wait_s:.2f} s"
                node.pool.troubles.note(_LOST, node.name, detail, now)
            await trio.sleep(wait_s)

    async def _first(self, ask: Callable[[_Node, float], Awaitable[_T]], until: float, count: int = 1) -> Sequence[_T]:
        """Ask one node after the other until so many have answered, each for half of the time if there is another one.

        `ask` takes until when, by Trio's clock, it is to have an answer. What one of two shows is not taken for both: where
        fewer answer than are connected, nothing is said.

        Raises:
            ChainError: not so many answered; the last failure.
        """
        found = list[_T]()
        failure: ChainError = ConnectionLost("no node is connected")
        if not any(node.live for node in self.nodes):
            with trio.move_on_at(until):
                await self._wait()
        able = self._able()
        for place, node in enumerate(able, 1):
            now = trio.current_time()
            limit = until if place == len(able) else now + (until - now) / 2
            try:
                await node.take_turn(limit)
                try:
                    found.append(await ask(node, limit))
                finally:
                    node.turns.release()
            except ChainError as error:
                failure = error
            if len(found) == count:
                break
        if len(found) < max(1, min(count, len(able))):
            raise failure
        return found

    def _able(self) -> Sequence[_Node]:
        """Return the connected nodes, the healthiest first, those that want to be left alone last."""
        now = trio.current_time()
        live = [node for node in self.nodes if node.live]
        return sorted(live, key=lambda node: (node.endpoint.pace.rest_s(now) > 0, node.endpoint.failures))

    async def _wait(self, node: _Node | None = None) -> None:
        """Wait until a node, or any, is connected or known to be away."""
        self._wanted.set()
        nodes = self.nodes if node is None else (node,)
        while not (any(one.live for one in nodes) or all(one.away for one in nodes)):
            await self._changed.wait()

    def _tell(self, node: _Node, *, away: bool) -> None:
        node.away = away
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_nodes(
    *,
    dial: Dial,
    endpoints: Sequence[EndpointSettings],
    paces: Mapping[str, Pace],
    chain: ChainSettings,
    entropy: Entropy,
    quarantine: Quarantine,
    on_trouble: Callable[[str, str], None],
    next_wait: Callable[[], NextWait],
) -> AsyncGenerator[NodeConnections, None]:
    """Let nodes be asked while the block runs. `paces` are those of whoever else asks them, by name."""
    nodes = list[_Node]()
    for settings in endpoints:
        endpoint = Endpoint(settings, pace=paces[settings.name])
        pool = EndpointPool([endpoint], quarantine, settings=chain, entropy=entropy, on_trouble=on_trouble)
        nodes.append(_Node(endpoint, pool, next_wait()))
    connections = NodeConnections(nodes, chain)
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(connections.keep, node, dial, name=f"node {node.name}, for executors")
        yield connections
        nursery.cancel_scope.cancel()


async def _by(limit: float, node: _Node, what: str, ask: Callable[[], Awaitable[_T]]) -> _T:
    """Ask a node several things that together take until a Trio time at most. Raises `ChainError`."""
    began = trio.current_time()
    with trio.CancelScope(deadline=limit):
        return await ask()
    node.endpoint.failures += 1
    raise NoAnswer(f"{node.name}, asked {what}, did not answer in {trio.current_time() - began:.1f} s")


def _is_answer(error: RpcError) -> bool:
    """Tell whether a node has answered the question, and does not merely refuse to."""
    return error.code not in (0, _NO_SUCH_METHOD) and too_often(error) is None
