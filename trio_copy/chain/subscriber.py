"""Follows one endpoint: two connections, the subscriptions, and the watchdogs that notice when they lie.

Subscriptions and requests use different connections: on one, a large `eth_getLogs` answer would stand in front of the
next fill (and Nagle's algorithm of the node would hold the fill back for 40 ms). The one for requests is made again by
itself; everything else that goes wrong is raised as a `ChainError`, and reconnecting is the supervisor's business.
"""

from contextlib import suppress
from functools import partial
from typing import NoReturn

import msgspec
import trio

from trio_copy.chain import rpc
from trio_copy.chain.dial import Dial
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem, SeenLog
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.groups import one_chain_error
from trio_copy.chain.requests import NextWait, check_chain, keep_requests
from trio_copy.chain.session import Session, open_session
from trio_copy.chain.subscriptions import HEADS, poll_heads, run_filters, subscribe_heads
from trio_copy.clock import WallClock
from trio_copy.config import ChainSettings
from trio_copy.errors import IntakeStalled, MalformedFrame, SubscriptionStale, UndecodableLog

_CHECKS_PER_PATIENCE = 4


async def follow_endpoint(
    endpoint: Endpoint,
    *,
    dial: Dial,
    settings: ChainSettings,
    pool: EndpointPool,
    board: FilterBoard,
    send: trio.MemorySendChannel[FeedItem],
    wall: WallClock,
    next_wait: NextWait = lambda healthy_s: 1.0,
) -> NoReturn:
    """Connect, subscribe and pass on what comes, until something goes wrong.

    Args:
        next_wait: how long to wait before the connection for requests is made again.

    Raises:
        WrongChain: the node serves another chain.
        ChainError: the connection ended or went silent, stale or too far behind.
    """
    connect = partial(
        open_session,
        dial,
        endpoint.settings.url,
        settings,
        partial(pool.put_aside, endpoint),
        partial(pool.could_read, endpoint, "malformed-frame"),
    )
    with one_chain_error():
        async with connect() as subscriptions:
            await check_chain(subscriptions, settings, endpoint.name)
            endpoint.start_over()
            endpoint.pulses = (subscriptions.pulse,)
            # Before the newest block is asked for, so that none falls in between.
            polled = not await subscribe_heads(endpoint, subscriptions, pool)
            async with trio.open_nursery() as nursery:
                await nursery.start(keep_requests, endpoint, connect, settings, pool, next_wait)
                nursery.start_soon(run_filters, endpoint, subscriptions, board, pool)
                nursery.start_soon(_run_watchdog, endpoint, pool, settings)
                if polled:
                    nursery.start_soon(poll_heads, endpoint, subscriptions, pool)
                await _pass_on(endpoint, subscriptions, settings, pool, board, send, wall)


async def _pass_on(
    endpoint: Endpoint,
    session: Session,
    settings: ChainSettings,
    pool: EndpointPool,
    board: FilterBoard,
    send: trio.MemorySendChannel[FeedItem],
    wall: WallClock,
) -> NoReturn:
    while True:
        topic, result = await session.notifications.take()
        if topic == HEADS:
            _pass_on_head(endpoint, result, pool)
            continue
        try:
            log = rpc.decode_log(result, settings.chain_id)
        except UndecodableLog as error:
            pool.put_aside(endpoint, error.kind, str(error))
            continue
        pool.could_read(endpoint, "malformed-log")
        if not board.wants(log):
            continue  # before the feed, which everybody's logs would fill
        await _send(SeenLog(log, endpoint.name, wall()), send, settings)


async def _send(item: SeenLog, send: trio.MemorySendChannel[FeedItem], settings: ChainSettings) -> None:
    with suppress(trio.WouldBlock):
        send.send_nowait(item)
        return
    with trio.move_on_after(settings.stall_ms / 1000) as waiting:
        await send.send(item)
    if waiting.cancelled_caught:
        raise IntakeStalled(f"the feed was full for {settings.stall_ms} ms")


def _pass_on_head(endpoint: Endpoint, result: msgspec.Raw, pool: EndpointPool) -> None:
    try:
        head = rpc.decode_block(result)
    except MalformedFrame as error:
        pool.put_aside(endpoint, "malformed-head", str(error))
        return
    pool.could_read(endpoint, "malformed-head")
    if head is None:
        pool.quarantine("pending-head", f"{endpoint.name}: expected a block that is mined, got one that is not")
        return
    pool.announce(endpoint, head)


async def _run_watchdog(endpoint: Endpoint, pool: EndpointPool, settings: ChainSettings) -> NoReturn:
    """Notice heads that stop, and heads that fall behind the best endpoint's for long."""
    behind_since: float | None = None
    while True:
        patience = endpoint.patience_s(settings.silence_s)
        with trio.move_on_after(patience / _CHECKS_PER_PATIENCE):
            await endpoint.given_up.wait()
            raise SubscriptionStale(endpoint.why_given_up)
        now = trio.current_time()
        if now - endpoint.head_at > patience:
            raise SubscriptionStale(f"no new head for {now - endpoint.head_at:.1f} s")
        best = pool.followed
        if best is None or endpoint.head is None or endpoint.head.number >= best.number - settings.behind_blocks:
            behind_since = None
        elif behind_since is None:
            behind_since = now
        else:
            raise SubscriptionStale(f"head {endpoint.head.number} is behind {best.number}")
