"""Carries out what people ask of the owner of their accounts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import frozen

from trio_copy.accounts.events import Waits
from trio_copy.engine.people.act_requests import KINDS
from trio_copy.engine.people.acts import Acts, resolves
from trio_copy.engine.people.requests import REFUSED, command_of, follower_of, position_of, words_of
from trio_copy.engine.shards.payouts import book
from trio_copy.engine.shards.shard import Shard
from trio_copy.model.ids import FollowerId
from trio_copy.model.positions import PositionKey
from trio_copy.ports import Paid, Request

Leave = Callable[[Shard, PositionKey], Awaitable[str]]
"""Sells a position because a person says so, and returns the answer."""


@frozen
class ShardActs:
    """A shard that is held here, as whoever carries out acts knows it; see `acts.ActOwner`. Those of one shard are equal."""

    shard: Shard

    @property
    def number(self) -> int:
        return self.shard.number

    @property
    def lost(self) -> bool:
        return self.shard.lost

    async def finish(self, follower: FollowerId, pays: Sequence[Paid], answers: Mapping[str, str]) -> None:
        shard = self.shard
        await shard.load([follower])
        if pays:
            for command in resolves(shard.accounts[follower], pays, shard.wall()):
                book(shard, command)
        # No waiting between: an answer and what came of it are one write.
        batch = shard.writer.open
        batch.answers.update(answers)
        shard.writer.tell()
        await batch.wait()


async def carry_out_requests(shard: Shard, leave: Leave, acts: Acts) -> None:
    """Carry out what is asked of a shard: the answer becomes durable together with what came of it.

    What wallets are asked to do takes its time, and is answered by `acts` when its end is known.

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
    batch, answered = shard.writer.open, 0
    for request in requests:
        # No waiting from here on: an answer and what came of it are one write.
        acted = request.kind in KINDS
        answer = acts.take(ShardActs(shard), request) if acted else left.get(request.name) or _carry_out(shard, request)
        if answer is not None:
            batch.answers[request.name] = answer
            answered += 1
    if answered:
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
