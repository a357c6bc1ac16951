"""Budgets that never give out more than they have, on however many instances."""

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import define

from trio_copy.model.budgets import Claim
from trio_copy.model.ids import FollowerId, FollowKey, IntentKey
from trio_copy.model.positions import PositionKey
from trio_copy.model.units import Usd
from trio_copy.ports import Refused, Reserved
from trio_copy_redis.client import Words, load_script
from trio_copy_redis.desk import Desk

_RESERVE, _SETTLE, _RESTATE = (load_script("account", name) for name in ("reserve", "settle", "restate"))

SHARED_TOO = 2
"""What settling answers for an order that also drew on budgets that everybody shares."""


@define(eq=False)
class RedisLimits:
    """What everybody shares lives apart from the followers' own budgets: it is taken first, and given back last."""

    desk: Desk

    async def reserve(self, follow: FollowKey, key: IntentKey, claims: Sequence[Claim]) -> Reserved | Refused:
        shared = [claim for claim in claims if claim.shared]
        own = [claim for claim in claims if not claim.shared]
        if shared:
            answer = await self.desk.look_at(self.desk.common, _RESERVE, key, 0, *_words(shared))
            if answer:
                return Refused(claim=shared[int(answer[0])], used=int(answer[1]))
        answer = await self.desk.on_account(follow, _RESERVE, key, int(bool(shared)), *_words(own))
        if not answer:
            return Reserved()
        if shared:
            await self.settle_shared(key, "release")
        return Refused(claim=own[int(answer[0])], used=int(answer[1]))

    async def commit(self, follow: FollowKey, key: IntentKey, spent: Usd) -> None:
        await self._settle(follow, key, spent.micro)

    async def release(self, follow: FollowKey, key: IntentKey) -> None:
        await self._settle(follow, key, "release")
        await self.settle_shared(key, "release")  # also when its other half was never taken

    async def restate(self, prefix: str, used: Mapping[FollowerId, Mapping[str, int]]) -> None:
        everybody = dict.fromkeys([*await self.desk.followers(), *used])
        await self.desk.client.all(
            [
                partial(
                    self.desk.look_at,
                    self.desk.account(follower),
                    _RESTATE,
                    prefix,
                    *(word for pair in used.get(follower, {}).items() for word in pair),
                )
                for follower in everybody
            ]
        )

    async def used(self, follower: FollowerId, counter: str) -> int:
        for tag in (self.desk.account(follower), self.desk.common):
            used = await self.desk.ask(tag, "HGET", "used", counter)
            if used is not None:
                return int(used)
        return 0

    async def _settle(self, follow: FollowKey, key: IntentKey, spent: int | str) -> None:
        if await self.desk.on_account(follow, _SETTLE, key, spent, self.desk.keep_ms) == SHARED_TOO:
            await self.settle_shared(key, spent)

    async def settle_shared(self, key: IntentKey, spent: int | str) -> None:
        """Settle what an order drew from budgets that everybody shares."""
        await self.desk.look_at(self.desk.common, _SETTLE, key, spent, self.desk.keep_ms)


def position_name(key: PositionKey) -> str:
    """Name a position on its follower's account."""
    return f"{key[1]}:{key[2]}"


def _words(claims: Sequence[Claim]) -> list[Words]:
    return [
        word
        for claim in claims
        for word in (
            *(claim.counter, claim.amount.micro, claim.limit.micro, claim.per.value),
            *("" if claim.until is None else repr(claim.until), "" if claim.of is None else position_name(claim.of)),
        )
    ]
