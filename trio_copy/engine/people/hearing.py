"""Carries out what people ask of the owner of their accounts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import trio
from attrs import define, field, frozen

from trio_copy.accounts import Account
from trio_copy.accounts.commands import Command
from trio_copy.accounts.events import Waits
from trio_copy.engine.people.act_requests import KINDS
from trio_copy.engine.people.acts import Acts, resolves
from trio_copy.engine.people.requests import REFUSED, carry_out, follower_of, position_of
from trio_copy.engine.shards.payouts import book
from trio_copy.engine.shards.shard import Shard
from trio_copy.errors import LeaseLost
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.orders import Market
from trio_copy.model.positions import PositionKey
from trio_copy.ports import Paid, Request

Leave = Callable[[Shard, PositionKey, Market | None], str]
"""Sells a position because a person says so, and returns the answer. Raises `LeaseLost`."""


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


@define(eq=False, kw_only=True)
class Hearing:
    """An answer becomes durable together with what came of it. Cancelled, what is open is asked of whoever owns it next."""

    shard_of: Callable[[FollowerId], int]
    acts: Acts
    """Answers what wallets are asked to do, which takes blocks."""
    look_for: Callable[[FollowerId, TokenId], Awaitable[Market | None]]
    """Asks a market before a position is left, which takes its time."""
    leave: Leave
    _exits: set[str] = field(factory=set)
    """The names of the requests for which a market is being asked."""
    _begun: tuple[
        trio.MemorySendChannel[tuple[Shard, Request, PositionKey]],
        trio.MemoryReceiveChannel[tuple[Shard, Request, PositionKey]],
    ] = field(factory=lambda: trio.open_memory_channel[tuple[Shard, Request, PositionKey]](float("inf")))

    async def hear(self, shard: Shard) -> None:
        """Carry out what is asked of a shard, or begin to. While it is handed over, whoever has it next is asked.

        Raises:
            LeaseLost: the shard is somebody else's now, who is asked instead.
        """
        if not shard.is_read():
            return
        begun = frozenset(self._exits)  # what is answered while the others are read may be among them still
        requests = await shard.store.accounts.requests(shard.number, shard.writer.token)
        await shard.load([follower for request in requests if (follower := follower_of(request)) is not None])
        batch, answered = shard.writer.open, 0
        for request in requests:
            # No waiting from here on: an answer and what came of it are one write.
            answer = None if request.name in begun else self._answer(shard, request)
            if answer is not None:
                batch.answers[request.name] = answer
                answered += 1
        if answered:
            shard.writer.tell()
            await batch.wait()

    async def run_exits(self) -> NoReturn:
        """Leave positions, each as soon as its market has answered: one that does not holds nothing else up."""
        async with trio.open_nursery() as nursery:
            while True:
                shard, request, position = await self._begun[1].receive()
                nursery.start_soon(self._leave, shard, request, position, name=f"exit {request.name}")

    def _answer(self, shard: Shard, request: Request) -> str | None:
        """Carry a request out; None while what comes of it is not known."""
        follower = follower_of(request)
        if follower is not None and self.shard_of(follower) != shard.number:
            # Of a configuration that is not ours: carried out here, it would change an account that nobody trades for.
            return f"{REFUSED}the engine that runs has {follower} in another shard: its configuration is not the one of this command"
        if request.kind in KINDS:
            return self.acts.take(ShardActs(shard), request)
        position = position_of(request)
        if position is not None:
            self._exits.add(request.name)
            self._begun[0].send_nowait((shard, request, position))
            return None

        def act(account: Account, command: Command) -> None:
            for event in shard.act(account.follower, command):
                if isinstance(event, Waits):
                    shard.queue_up(event.task, shard.wall())

        account = None if follower is None else shard.accounts[follower]
        return carry_out(request, account, shard.wall(), act)

    async def _leave(self, shard: Shard, request: Request, position: PositionKey) -> None:
        follower, _, token_id = position
        try:
            market = await self.look_for(follower, token_id)
            with suppress(LeaseLost):  # whoever has it now is asked
                await shard.load([follower])
                if shard.is_read():
                    # No waiting between: an answer and what came of it are one write.
                    batch = shard.writer.open
                    batch.answers[request.name] = self.leave(shard, position, market)
                    shard.writer.tell()
                    await batch.wait()
        finally:
            self._exits.remove(request.name)
