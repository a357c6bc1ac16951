"""Puts a person's request to the owner of a shard, and stands in for the owner where there is none."""

from collections.abc import Sequence

import trio
from attrs import frozen

from trio_copy.clock import WallClock
from trio_copy.engine.people.act_requests import KINDS
from trio_copy.engine.people.requests import REFUSED, carry_out, follower_of
from trio_copy.engine.people.visited import Visited
from trio_copy.engine.shards.writing import Batch
from trio_copy.errors import LeaseLost, Refused, StoreForgot, Unanswered
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Lease, shard_lease
from trio_copy.ports import Request, Store

_LOOK_EVERY_S = 0.1
_LEASE_S = 10.0


@frozen(kw_only=True)
class Asker:
    """A command that asks owners. It has no task of its own."""

    store: Store
    catalog: Catalog
    wall: WallClock
    name: str
    """Owns the shards that it stands in for; unique."""
    patience_s: float
    """How long an owner that lives may take."""

    async def ask(self, shard: int, request: Request) -> str:
        """Put a request to the owner of a shard and wait for what comes of it.

        Cancelled, or unanswered, the request stays: whoever owns the shard next carries it out.

        Raises:
            Refused: the owner would not, and changed nothing.
            Unanswered: the owner lives, and did not answer in time.
        """
        await self.store.accounts.ask(shard, request)
        answer, owner = None, None
        with trio.move_on_after(self.patience_s):
            while (answer := await self.store.accounts.answer(shard, request.name)) is None:
                owner = (await self.store.control.held([shard_lease(shard)])).get(shard_lease(shard))
                if owner is None:
                    await self._stand_in(shard)
                else:
                    await trio.sleep(_LOOK_EVERY_S)
        if answer is None:
            whom = "its shard changes hands" if owner is None else f"{owner.owner} owns its shard"
            raise Unanswered(
                f"no answer within {self.patience_s:g} s: {whom}; what was asked for stays, and is done as soon as it can be"
            )
        if answer.startswith(REFUSED):
            raise Refused([answer.removeprefix(REFUSED)])
        return answer

    async def _stand_in(self, shard: int) -> None:
        """Own a shard for as long as it takes to carry out what is asked of it; nothing where others were quicker."""
        lease = await self.store.control.acquire(shard_lease(shard), self.name, _LEASE_S)
        if lease is None:
            return
        try:
            await self._carry_out_all(shard, lease)
        except (LeaseLost, StoreForgot):
            # Whoever took it carries out what is left; the next look sees the answer.
            return
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self.store.control.release(lease)

    async def _carry_out_all(self, shard: int, lease: Lease) -> None:
        accounts = self.store.accounts
        heads = await accounts.take(shard, lease.token)
        visited, number = Visited.of(shard, self.store.control, self.catalog, heads.documents), 0
        # Acts of wallets take an executor: they wait for whoever has one.
        while requests := [one for one in await accounts.requests(shard, lease.token) if one.kind not in KINDS]:
            followers = {follower for request in requests if (follower := follower_of(request)) is not None}
            visited.put(await accounts.load(shard, lease.token, followers - visited.accounts.keys()))
            batch = Batch()
            for request in requests:
                follower = follower_of(request)
                account = None if follower is None else visited.accounts[follower]
                batch.answers[request.name] = carry_out(request, account, self.wall(), visited.act)
            visited.write_down(batch)
            number += 1
            await accounts.write(shard, lease.token, number, batch.changes)


async def ask_all(asker: Asker, requests: Sequence[tuple[int, Request]]) -> int:
    """Put requests to the owners of shards, all of them and then wait; count those that were not refused."""
    for shard, request in requests:
        await asker.store.accounts.ask(shard, request)
    done = 0
    for shard, request in requests:
        try:
            await asker.ask(shard, request)
        except Refused:
            continue
        done += 1
    return done
