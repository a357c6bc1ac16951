"""Carries out what people ask of the owner of their accounts."""

from collections.abc import Awaitable, Callable

from trio_copy.accounts.events import Waits
from trio_copy.engine.requests import REFUSED, command_of, follower_of, position_of, words_of
from trio_copy.engine.shard import Shard
from trio_copy.model.positions import PositionKey
from trio_copy.ports import Request

Leave = Callable[[Shard, PositionKey], Awaitable[str]]
"""Sells a position because a person says so, and returns the answer."""


async def carry_out_requests(shard: Shard, leave: Leave) -> None:
    """Carry out what is asked of a shard: the answer becomes durable together with what came of it.

    Raises:
        LeaseLost: the shard is somebody else's now, who is asked instead.
    """
    requests = await shard.store.accounts.requests(shard.number, shard.writer.token)
    await shard.load([follower for request in requests if (follower := follower_of(request)) is not None])
    # A market is asked for these, which takes its time; asked once more, each names the same task.
    left = {
        request.name: await leave(shard, position)
        for request in requests
        if (position := position_of(request)) is not None
    }
    batch = shard.writer.open
    for request in requests:
        # No waiting from here on: an answer and what came of it are one write.
        batch.answers[request.name] = left.get(request.name) or _carry_out(shard, request)
    if requests:
        shard.writer.tell()
        await batch.wait()


def _carry_out(shard: Shard, request: Request) -> str:
    follower = follower_of(request)
    if follower is None:
        return f"{REFUSED}expected a request about a follower, got {request.body[:80]}"
    account = shard.accounts[follower]
    command = command_of(request, account, shard.wall())
    if isinstance(command, str):
        return command
    words = words_of(command, account)
    for event in shard.act(follower, command).events:
        if isinstance(event, Waits):
            shard.queue_up(event.task, shard.wall())
    return words
