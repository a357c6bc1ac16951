"""Budgets that never give out more than they have."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from attrs import define, field

from trio_copy.model.budgets import Claim, Credit
from trio_copy.model.ids import FollowerId, FollowKey, IntentKey
from trio_copy.model.positions import PositionKey
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import Refused, Reserved


@define(eq=False, kw_only=True)
class MemoryLimits:
    settled_max: int
    held: Callable[[PositionKey], Shares]
    """What a position holds now."""
    _used: dict[str, int] = field(factory=dict)
    """Millionths given out, by counter; nothing is kept at zero."""
    _until: dict[str, float] = field(factory=dict)
    """When a counter with a window may be forgotten."""
    _reserved: dict[IntentKey, tuple[Claim, ...]] = field(factory=dict)
    _settled: OrderedDict[str, None] = field(factory=OrderedDict)

    async def reserve(self, follow: FollowKey, key: IntentKey, claims: Sequence[Claim]) -> Reserved | Refused:
        if key in self._reserved or key in self._settled:
            return Reserved()
        used = self._used
        for claim in claims:
            given = used.get(claim.counter, 0)
            limit = claim.limit if claim.of is None else self.held(claim.of)
            if given + claim.amount.micro > limit.micro:
                return Refused(claim=claim, used=given)
        for claim in claims:
            used[claim.counter] = used.get(claim.counter, 0) + claim.amount.micro
            if claim.until is not None:
                self._until[claim.counter] = claim.until
        if claims:
            self._reserved[key] = tuple(claims)
        return Reserved()

    async def commit(self, follow: FollowKey, key: IntentKey, spent: Usd) -> None:
        self.settle(key, spent)

    def settle(self, key: IntentKey, spent: Usd) -> None:
        """Turn a reservation into spending, without giving way to another task."""
        claims = self._reserved.pop(key, ())
        for claim in claims:
            self._add(claim.counter, claim.kept(spent) - claim.amount.micro)
        if claims:
            self._settle(key)

    async def release(self, follow: FollowKey, key: IntentKey) -> None:
        for claim in self._reserved.pop(key, ()):
            self._add(claim.counter, -claim.amount.micro)

    def credit(self, credits: Sequence[Credit]) -> None:
        """Give back to budgets what a booking freed, in the same step."""
        for credit in credits:
            self._add(credit.counter, -credit.amount.micro)

    async def restate(self, prefix: str, used: Mapping[FollowerId, Mapping[str, int]]) -> None:
        for counter in [counter for counter in self._used if counter.startswith(prefix)]:
            del self._used[counter]
        for budgets in used.values():
            self._used.update({counter: micro for counter, micro in budgets.items() if micro > 0})
        for claims in self._reserved.values():
            for claim in claims:
                if claim.counter.startswith(prefix):
                    self._add(claim.counter, claim.amount.micro)

    async def used(self, follower: FollowerId, counter: str) -> int:
        return self._used.get(counter, 0)

    def forget(self, now: float) -> None:
        """Drop the counters of windows that are over."""
        for counter in [counter for counter, until in self._until.items() if until < now]:
            del self._until[counter]
            self._used.pop(counter, None)

    def _add(self, counter: str, micro: int) -> None:
        left = self._used.get(counter, 0) + micro
        if left > 0:
            self._used[counter] = left
        else:
            self._used.pop(counter, None)

    def _settle(self, key: str) -> None:
        self._settled[key] = None
        if len(self._settled) > self.settled_max:
            self._settled.popitem(last=False)
