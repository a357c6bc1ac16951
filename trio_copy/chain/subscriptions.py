"""What an endpoint is subscribed to, and what is done where it refuses: heads are asked for, and the block scanner reads
the logs of each of them anyway. A refusal is no reason to dial again; it is tried again now and then."""

from collections.abc import Sequence
from math import inf
from typing import NoReturn

import trio

from trio_copy.chain import rpc
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.session import Session
from trio_copy.errors import ChainError, MalformedFrame, NoAnswer, RpcError
from trio_copy.ports import LogFilter

HEADS = "newHeads"
LOGS = "logs"
_AGAIN_S = 60.0
_POLL_S, _SHORTEST_POLL_S, _LONGEST_POLL_S = 1.0, 0.5, 2.0
"""Half a block time, within reason: a polled head is late by half of this, and each costs a request."""


async def subscribe_heads(endpoint: Endpoint, session: Session, pool: EndpointPool) -> bool:
    """Subscribe to heads; False where the node refuses. Raises `ConnectionLost`."""
    refusal = await _subscribe(session, HEADS, HEADS)
    pool.subscribed(endpoint, HEADS, refusal)
    return refusal is None


async def poll_heads(endpoint: Endpoint, session: Session, pool: EndpointPool) -> None:
    """Ask for the newest block in place of a subscription, until the node takes one after all. Raises `ConnectionLost`."""
    while True:
        with trio.move_on_after(_AGAIN_S):
            await _poll(endpoint, pool)
        if await subscribe_heads(endpoint, session, pool):
            return


async def _poll(endpoint: Endpoint, pool: EndpointPool) -> NoReturn:
    others = [other for other in pool.endpoints if other is not endpoint]
    while True:
        usual_s = endpoint.usual_block_s
        await trio.sleep(_POLL_S if usual_s is None else min(max(usual_s / 2, _SHORTEST_POLL_S), _LONGEST_POLL_S))
        try:
            head, _ = await pool.block("eth_getBlockByNumber", "latest", avoid=others)
        except ChainError:
            continue  # the watchdog ends what shows no head for long
        if endpoint.head is None or head.hash != endpoint.head.hash:
            pool.announce(endpoint, head)


async def run_filters(endpoint: Endpoint, session: Session, board: FilterBoard, pool: EndpointPool) -> NoReturn:
    """Keep the log subscriptions equal to the filters in force; new ones stand before old ones fall."""
    held: dict[LogFilter, str] = {}
    while True:
        version, filters = board.version, board.filters
        refusal = await _hold(session, filters, held)
        old = [log_filter for log_filter in held if log_filter not in filters]
        for log_filter in old:
            subscription = held.pop(log_filter)
            # A node may have one name for several: the end of one would be the end of all.
            if subscription not in held.values():
                await session.unsubscribe(subscription)
        if refusal is not None and old:
            # A node may have few places for subscriptions: those that fell have made room.
            refusal = await _hold(session, filters, held)
        pool.subscribed(endpoint, LOGS, refusal)
        # Whatever was mined before the subscriptions stood is in the window.
        pool.want_rescan()
        with trio.move_on_after(inf if refusal is None else _AGAIN_S):
            await board.wait_newer(version)


async def _hold(session: Session, filters: Sequence[LogFilter], held: dict[LogFilter, str]) -> ChainError | None:
    """Subscribe to what is not held yet, up to the first refusal, which is returned."""
    for log_filter in filters:
        if log_filter in held:
            continue
        try:
            held[log_filter] = await session.subscribe(LOGS, LOGS, rpc.filter_params(log_filter))
        except (RpcError, NoAnswer, MalformedFrame) as error:
            return error
    return None


async def _subscribe(session: Session, topic: str, *params: object) -> ChainError | None:
    """Subscribe; returns the refusal where there is one."""
    try:
        await session.subscribe(topic, *params)
    except (RpcError, NoAnswer, MalformedFrame) as error:
        return error
    return None
