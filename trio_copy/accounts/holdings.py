"""A position as a firm base and an unsettled tail, so that confirming a fill never folds a history.

`positions.fold` over all entries is the definition. Up to the first entry that is not settled, nothing can change any more:
that part is kept as the base. What came later is kept entry by entry, in order, because taking one back changes which lots
the later ones have sold.
"""

from collections.abc import Iterable

from attrs import evolve

from trio_copy.model.positions import EMPTY, LedgerEntry, Position
from trio_copy.model.values import value


@value
class Holding:
    base: Position = EMPTY
    """What its settled entries add up to."""
    tail: tuple[LedgerEntry, ...] = ()
    """Its entries from the first unsettled one on."""
    now: Position = EMPTY
    """The base with the tail folded in."""

    @classmethod
    def of(cls, base: Position, tail: Iterable[LedgerEntry]) -> "Holding":
        """Make a holding of a base and a tail, whose first entries may be settled by now."""
        entries = list(tail)
        while entries and entries[0].firm:
            base = base.after(entries.pop(0))
        now = base
        for entry in entries:
            now = now.after(entry)
        return cls(base, tuple(entries), now)

    def after(self, entry: LedgerEntry) -> "Holding":
        """Fold an entry in."""
        now = self.now.after(entry)
        if self.tail or not entry.firm:
            return Holding(self.base, (*self.tail, entry), now)
        return Holding(now, (), now)

    def confirmed(self, key: str) -> "Holding":
        """Make one entry of the tail firm; an unknown one changes nothing."""
        return Holding.of(self.base, (evolve(entry, firm=True) if entry.key == key else entry for entry in self.tail))

    def without(self, key: str) -> "Holding":
        """Take one entry of the tail back, as if it had never been; an unknown one changes nothing."""
        return Holding.of(self.base, (entry for entry in self.tail if entry.key != key))

    def corrected(self, by: LedgerEntry) -> "Holding":
        """Let one entry of the tail count with other amounts, in its place; an unknown one changes nothing."""
        return Holding.of(self.base, (entry.corrected(by) if entry.key == by.of else entry for entry in self.tail))

    @property
    def gone(self) -> bool:
        """Whether there is nothing left to remember."""
        return not (self.now.lots or self.tail or self.now.oversold.micro)


NOTHING_HELD = Holding()
