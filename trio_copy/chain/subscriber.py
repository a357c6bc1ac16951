"""Follows one endpoint: two connections, the subscriptions, and the watchdogs that notice when they lie.

Subscriptions and requests use different connections: on one, a large `eth_getLogs` answer would stand in front of the
next fill (and Nagle's algorithm of the node would hold the fill back for 40 ms). Everything that goes wrong is raised
as a `ChainError`; reconnecting is the supervisor's business.
"""

from contextlib import suppress
from typing import NoReturn

import msgspec
import trio

from trio_copy.chain import rpc
from trio_copy.chain.dial import Dial
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem, SeenLog
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.groups import one_chain_error
from trio_copy.chain.session import Session, open_session
from trio_copy.clock import WallClock
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, IntakeStalled, MalformedFrame, SubscriptionStale, UndecodableLog, WrongChain
from trio_copy.model.logs import BlockRef
from trio_copy.ports import LogFilter

_HEADS = "newHeads"
_LOGS = "logs"
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
) -> NoReturn:
    """Connect, subscribe and pass on what comes, until something goes wrong.

    Raises:
        WrongChain: the node serves another chain.
        ChainError: the connection ended or went silent, stale or too far behind.
    """
    url = endpoint.settings.url
    with one_chain_error():
        async with (
            open_session(dial, url, settings, pool.quarantine) as requests,
            open_session(dial, url, settings, pool.quarantine) as subscriptions,
        ):
            for session in (requests, subscriptions):
                await _check_chain(session, settings)
            await subscriptions.subscribe(_HEADS, "newHeads")
            head = await _latest(requests)
            endpoint.pulses = (requests.pulse, subscriptions.pulse)
            with pool.connected(endpoint, requests):
                pool.announce(endpoint, head)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_run_filters, subscriptions, board, pool)
                    nursery.start_soon(_run_watchdog, endpoint, pool, settings)
                    await _pass_on(endpoint, subscriptions, settings, pool, send, wall)


async def _check_chain(session: Session, settings: ChainSettings) -> None:
    served = rpc.decode_quantity(await session.request("eth_chainId"))
    if served != settings.chain_id:
        raise WrongChain(f"expected chain id {settings.chain_id}, the node serves {served}")


async def _latest(session: Session) -> BlockRef:
    try:
        head = rpc.decode_block(await session.request("eth_getBlockByNumber", "latest", False))
    except MalformedFrame as error:
        raise ChainError(f"the node's latest block cannot be read: {error}") from error
    if head is None:
        raise ChainError("the node has no latest block")
    return head


async def _run_filters(session: Session, board: FilterBoard, pool: EndpointPool) -> NoReturn:
    """Keep the log subscriptions equal to the filters in force; new ones stand before old ones fall."""
    held: dict[LogFilter, str] = {}
    while True:
        version, filters = board.version, board.filters
        for log_filter in filters:
            if log_filter not in held:
                held[log_filter] = await session.subscribe(_LOGS, "logs", rpc.filter_params(log_filter))
        for log_filter in [old for old in held if old not in filters]:
            await session.unsubscribe(held.pop(log_filter))
        # Whatever was mined before the subscriptions stood is in the window.
        pool.want_rescan()
        await board.wait_newer(version)


async def _pass_on(
    endpoint: Endpoint,
    session: Session,
    settings: ChainSettings,
    pool: EndpointPool,
    send: trio.MemorySendChannel[FeedItem],
    wall: WallClock,
) -> NoReturn:
    async for topic, result in session.notifications:
        if topic == _HEADS:
            _pass_on_head(endpoint, result, pool)
            continue
        try:
            log = rpc.decode_log(result, settings.chain_id)
        except UndecodableLog as error:
            pool.quarantine(error.kind, str(error))
            continue
        await _send(SeenLog(log, endpoint.name, wall()), send, settings)
    raise SubscriptionStale("the notifications ended")


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
        pool.quarantine("malformed-head", str(error))
        return
    if head is not None:
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
