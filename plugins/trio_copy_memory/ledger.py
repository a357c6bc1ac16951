"""Entries, positions and performance."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from attrs import define, evolve, field

from trio_copy.clock import utc_date
from trio_copy.model.budgets import Credit, Performance
from trio_copy.model.ids import FollowerId
from trio_copy.model.positions import EMPTY, Booking, EntryKind, LedgerEntry, Mark, Position, PositionKey, fold
from trio_copy.model.resolutions import Resolution
from trio_copy.model.units import Shares
from trio_copy.ports import Closing, Freed, nothing_freed

_FRESH = Performance()


@define(eq=False, kw_only=True)
class MemoryLedger:
    booked_max: int
    credit: Callable[[Sequence[Credit]], None] = lambda credits: None
    """Gives back to budgets, in the same step."""
    close: Callable[[Closing], None] = lambda closing: None
    """Settles an order's reservation and closes its journal entry, in the same step."""
    _booked: OrderedDict[str, tuple[LedgerEntry, Booking]] = field(factory=OrderedDict)
    _positions: dict[PositionKey, Position] = field(factory=dict)
    _open: dict[PositionKey, Position] = field(factory=dict)
    _entries: dict[PositionKey, list[LedgerEntry]] = field(factory=dict)
    """Of the positions that an entry may still be taken out of: those that are not all firm."""
    _performance: dict[FollowerId, Performance] = field(factory=dict)
    _resolutions: OrderedDict[str, Resolution] = field(factory=OrderedDict)
    _marks: dict[PositionKey, Mark] = field(factory=dict)

    async def book(self, entry: LedgerEntry, freed: Freed = nothing_freed, closing: Closing | None = None) -> Booking:
        if closing is not None:
            self.close(closing)  # first: an order that nobody knows books nothing
        return self._book(entry, freed)

    def _book(self, entry: LedgerEntry, freed: Freed) -> Booking:
        known = self._booked.get(entry.key)
        if known is not None:
            return evolve(known[1], first=False)
        key = entry.position
        before = self._positions.get(key, EMPTY)
        after = self._after(entry, before)
        booking = Booking.of(before, after)
        self._positions[key] = after
        if after.lots:
            self._open[key] = after
        else:
            self._open.pop(key, None)
            self._marks.pop(key, None)
        if booking.realised:
            performance = self._performance.get(entry.follower, _FRESH)
            self._performance[entry.follower] = performance.after(booking.realised, utc_date(entry.booked_at))
        self.credit(freed(booking))
        self._booked[entry.key] = (entry, booking)
        if len(self._booked) > self.booked_max:
            self._booked.popitem(last=False)
        return booking

    async def position(self, key: PositionKey) -> Position:
        return self._positions.get(key, EMPTY)

    async def positions(self) -> Mapping[PositionKey, Position]:
        return dict(self._positions)

    async def open_positions(self) -> Mapping[PositionKey, Position]:
        return dict(self._open)

    async def performance(self, follower: FollowerId) -> Performance:
        return self._performance.get(follower, _FRESH)

    async def reset_peak(self, follower: FollowerId) -> None:
        performance = self._performance.get(follower, _FRESH)
        self._performance[follower] = evolve(performance, peak=performance.realised)

    async def note_resolution(self, resolution: Resolution) -> None:
        self._resolutions[resolution.condition_id] = resolution
        if len(self._resolutions) > self.booked_max:
            self._resolutions.popitem(last=False)

    async def drop_resolution(self, condition_id: str) -> None:
        self._resolutions.pop(condition_id, None)

    async def resolutions(self, conditions: Collection[str]) -> Mapping[str, Resolution]:
        return {name: self._resolutions[name] for name in conditions if name in self._resolutions}

    async def note_marks(self, marks: Mapping[PositionKey, Mark]) -> None:
        self._marks.update(marks)

    async def marks(self) -> Mapping[PositionKey, Mark]:
        return dict(self._marks)

    def held(self, key: PositionKey) -> Shares:
        """Return what a position holds, without giving way to another task."""
        return self._positions.get(key, EMPTY).shares

    def entries(self) -> Iterator[LedgerEntry]:
        """Yield the entries that are remembered, oldest first."""
        return (entry for entry, _ in self._booked.values())

    def _after(self, entry: LedgerEntry, before: Position) -> Position:
        """Fold an entry in. Only a position with something provisional needs its history to do so."""
        key, history = entry.position, self._entries.get(entry.position)
        if history is None:
            if entry.firm and entry.kind not in (EntryKind.CONFIRM, EntryKind.REVERSE):
                return before.after(entry)
            history = self._entries[key] = [old for old in self.entries() if old.position == key]
        history.append(entry)
        after = fold(history) if entry.kind in (EntryKind.CONFIRM, EntryKind.REVERSE) else before.after(entry)
        if not after.lots and not after.provisional:
            del self._entries[key]
        return after
