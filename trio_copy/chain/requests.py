"""The connection of an endpoint that carries requests. It is made again by itself: an answer that is too large, or a node
that is tired of us, ends this connection, and must not end the one that brings the fills."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import trio

from trio_copy.chain import rpc
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.session import Session
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, ConnectionLost, MalformedFrame, WrongChain
from trio_copy.model.logs import BlockRef

NextWait = Callable[[float], float]
"""Takes how many seconds something went well, returns how many to wait before the next try."""
_PATIENCE_S = 60.0
"""An endpoint that cannot be asked for so long is given up as a whole; what it brings can be checked by nobody."""

_TELL_EVERY_S = 60.0
"""A connection that is lost again and again is one trouble, not many."""


async def keep_requests(
    endpoint: Endpoint,
    connect: Callable[[], AbstractAsyncContextManager[Session]],
    settings: ChainSettings,
    pool: EndpointPool,
    next_wait: NextWait,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Keep an endpoint available for requests; started once it is for the first time.

    Raises:
        WrongChain: the node serves another chain.
        ChainError: the first connection failed, or none could be had for a minute.
    """
    held = False
    lost, tell_at = 0, -float("inf")
    while True:
        began = trio.current_time()
        try:
            async with connect() as session:
                await check_chain(session, settings, endpoint.name)
                # The other one is the subscriptions' connection, which stays when this one is made anew.
                endpoint.pulses = (session.pulse, *endpoint.pulses[-1:])
                head = await _latest(session, endpoint, pool)
                with pool.connected(endpoint, session):
                    if not held or endpoint.head is None or head.number > endpoint.head.number:
                        pool.announce(endpoint, head)
                    if not held:
                        task_status.started()
                    held, good_at = True, trio.current_time()
                    try:
                        await trio.sleep_forever()
                    finally:
                        good_at = trio.current_time()
        except ChainError as error:
            if not held or isinstance(error, WrongChain):
                raise
            failure = error
        now = trio.current_time()
        if now - good_at > _PATIENCE_S:
            raise ConnectionLost(f"it could not be asked for {now - good_at:.0f} s: {failure}") from failure
        endpoint.failures += 1
        endpoint.last_error = str(failure)
        wait = failure.retry_after_s + next_wait(now - began)
        lost += 1
        if now >= tell_at:
            tell_at = now + _TELL_EVERY_S
            pool.on_trouble("requests-lost", f"{endpoint.name}: {failure}; again in {wait:.2f} s ({lost} so far)")
        await trio.sleep(wait)


async def check_chain(session: Session, settings: ChainSettings, name: str = "") -> None:
    """Raise `WrongChain` when a node serves another chain than configured; with its name, where nobody else tells that."""
    served = rpc.decode_quantity(await session.request("eth_chainId"))
    if served != settings.chain_id:
        whose = f"endpoint {name}: " if name else ""
        raise WrongChain(f"{whose}expected chain id {settings.chain_id}, the node serves {served}")


async def _latest(session: Session, endpoint: Endpoint, pool: EndpointPool) -> BlockRef:
    try:
        head = rpc.decode_block(await session.request("eth_getBlockByNumber", "latest", False))
    except MalformedFrame as error:
        pool.put_aside(endpoint, "malformed-block", str(error))
        raise ChainError(f"the node's latest block cannot be read: {error}") from error
    if head is None:
        raise ChainError("the node has no latest block")
    return head
