"""Whether what a configuration names answers: each node, the market source and the store; each one line."""

from collections.abc import Awaitable, Callable, Sequence

import trio
from attrs import frozen

from trio_copy.chain import rpc
from trio_copy.chain.dial import Dial
from trio_copy.chain.requests import check_chain
from trio_copy.chain.session import open_session
from trio_copy.cli.opened import ask_as_guest
from trio_copy.clock import WallClock
from trio_copy.config import EndpointSettings
from trio_copy.engine.plan import Plan, PlannedMarkets
from trio_copy.errors import (
    ChainError,
    ConfigError,
    ConnectionLost,
    MalformedFrame,
    MarketsUnavailable,
    NotMadeYet,
    StoreError,
    leaves_of,
)
from trio_copy.model.counts import counted
from trio_copy.model.ids import TokenId
from trio_copy.ports import MarketsContext, OpenSocket, Store
from trio_copy.sockets import open_socket

_PATIENCE_S = 15.0
"""Longer than a connection and a request may take by default."""
_SOURCE_PATIENCE_S = 45.0
"""Longer than a market source asks again and again by default: only then it says what is wrong."""
_NOBODYS = TokenId(1 << 255 | 1 << 64)
"""A token that there is not: that nobody knows it is an answer, too."""


@frozen
class Tried:
    """What came of one connection."""

    name: str
    ok: bool
    told: str


async def try_connections(
    plan: Plan, dial: Dial, wall: WallClock, open_socket: OpenSocket = open_socket
) -> Sequence[Tried]:
    """Try every node, the market source, and the store where it is more than memory, all at once."""
    tries: list[tuple[str, Callable[[], Awaitable[str]], float]] = [
        (f"node {endpoint.name}", _Node(plan, endpoint, dial, wall).ask, _PATIENCE_S)
        for endpoint in plan.settings.endpoint
    ]
    if plan.markets is not None and plan.settings.devnet is None:  # a devnet has its venue in the process
        tries.append((f"markets {plan.markets.name}", _Source(plan.markets, wall, open_socket).ask, _SOURCE_PATIENCE_S))
    if plan.store.plugin.durable:
        tries.append((f"store {plan.settings.store.name}", _Stored(plan).ask, _PATIENCE_S))
    found: dict[str, Tried] = {}

    async def run(name: str, ask: Callable[[], Awaitable[str]], patience_s: float) -> None:
        found[name] = Tried(name, False, f"no answer in {patience_s:g} s")
        with trio.move_on_after(patience_s):
            await trio.lowlevel.checkpoint()
            try:
                found[name] = Tried(name, True, await ask())
            except* (ChainError, MarketsUnavailable, StoreError, ConfigError) as group:
                found[name] = Tried(name, False, "; ".join(dict.fromkeys(map(str, leaves_of(group)))))

    async with trio.open_nursery() as nursery:
        for name, ask, patience_s in tries:
            nursery.start_soon(run, name, ask, patience_s)
    return [found[name] for name, *_ in tries]


@frozen
class _Node:
    plan: Plan
    endpoint: EndpointSettings
    dial: Dial
    wall: WallClock

    async def ask(self) -> str:
        settings = self.plan.settings.chain
        async with open_session(self.dial, self.endpoint.url, settings, lambda kind, detail: None) as session:
            await check_chain(session, settings)
            asked_at = trio.current_time()
            try:
                head = rpc.decode_block(await session.request("eth_getBlockByNumber", "latest", False))
            except MalformedFrame as error:
                raise ConnectionLost(f"its newest block cannot be read: {error}") from error
            took_ms = 1000 * (trio.current_time() - asked_at)
        if head is None:
            raise ConnectionLost("it tells no newest block")
        age_s = max(0.0, self.wall() - head.time)
        return f"chain {settings.chain_id}, block {head.number}, {age_s:.0f} s old, answered in {took_ms:.0f} ms"


@frozen
class _Source:
    planned: PlannedMarkets
    wall: WallClock
    open_socket: OpenSocket

    async def ask(self) -> str:
        context = MarketsContext(
            name=self.planned.name, settings=self.planned.settings, wall=self.wall, open_socket=self.open_socket
        )
        try:
            async with self.planned.plugin.open(context) as source:
                asked_at = trio.current_time()
                await source.facts([_NOBODYS])
                await source.books([_NOBODYS])
                took_ms = 1000 * (trio.current_time() - asked_at)
        except* MarketsUnavailable as group:
            why = "; ".join(dict.fromkeys(map(str, leaves_of(group))))
            raise MarketsUnavailable(f"{why}; without it copies go on, without names, bids and decisions") from None
        return f"tells facts and books, answered in {took_ms:.0f} ms"


@frozen
class _Stored:
    plan: Plan

    async def ask(self) -> str:
        try:
            return await ask_as_guest(self.plan, self._look)
        except NotMadeYet:
            return "not there yet; the first run makes it"

    async def _look(self, store: Store) -> str:
        _, follows = await store.follows.load()
        return f"answers; {counted(len(follows), 'follow')} in it"
