"""Positions as running folds; the entries themselves are not kept, only the keys that were booked."""

from collections import OrderedDict
from collections.abc import Mapping

from attrs import define, field

from trio_copy.model.ids import IntentKey
from trio_copy.model.positions import LedgerEntry, Position, PositionKey
from trio_copy.model.units import NO_USD

_EMPTY = Position()


@define(eq=False, kw_only=True)
class MemoryLedger:
    booked_max: int
    _booked: OrderedDict[IntentKey, None] = field(factory=OrderedDict)
    _positions: dict[PositionKey, Position] = field(factory=dict)

    async def book(self, entry: LedgerEntry) -> bool:
        if entry.key in self._booked:
            return False
        key = entry.position
        self._positions[key] = self._positions.get(key, _EMPTY).after(entry)
        self._booked[entry.key] = None
        if len(self._booked) > self.booked_max:
            self._booked.popitem(last=False)
        return True

    async def position(self, key: PositionKey) -> Position:
        return self._positions.get(key, _EMPTY)

    async def positions(self) -> Mapping[PositionKey, Position]:
        return {key: held for key, held in self._positions.items() if held.shares or held.realised != NO_USD}
