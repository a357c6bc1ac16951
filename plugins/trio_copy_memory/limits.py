"""Budgets that never give out more than they have."""

from collections import OrderedDict
from collections.abc import Sequence

from attrs import define, field

from trio_copy.model.budgets import Claim
from trio_copy.model.ids import IntentKey
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import Refused, Reserved


@define(eq=False, kw_only=True)
class MemoryLimits:
    settled_max: int
    _used: dict[str, Usd] = field(factory=dict)
    _reserved: dict[IntentKey, tuple[Claim, ...]] = field(factory=dict)
    _settled: OrderedDict[IntentKey, None] = field(factory=OrderedDict)

    async def reserve(self, key: IntentKey, claims: Sequence[Claim]) -> Reserved | Refused:
        if key in self._reserved or key in self._settled:
            return Reserved()
        for claim in claims:
            used = self._used.get(claim.counter, NO_USD)
            if used + claim.amount > claim.limit:
                return Refused(claim=claim, used=used)
        for claim in claims:
            self._used[claim.counter] = self._used.get(claim.counter, NO_USD) + claim.amount
        if claims:
            self._reserved[key] = tuple(claims)
        return Reserved()

    async def commit(self, key: IntentKey, spent: Usd) -> None:
        for claim in self._reserved.pop(key, ()):
            self._used[claim.counter] = self._used[claim.counter] - claim.amount + spent
            self._settle(key)

    async def release(self, key: IntentKey) -> None:
        for claim in self._reserved.pop(key, ()):
            left = self._used[claim.counter] - claim.amount
            if left:
                self._used[claim.counter] = left
            else:
                del self._used[claim.counter]

    async def used(self, counter: str) -> Usd:
        return self._used.get(counter, NO_USD)

    def _settle(self, key: IntentKey) -> None:
        self._settled[key] = None
        if len(self._settled) > self.settled_max:
            self._settled.popitem(last=False)
