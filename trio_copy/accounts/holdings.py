"""A position as a firm base and an unsettled tail, so that confirming a fill never folds a history.

`positions.fold` over all entries is the definition. Up to the first entry that is not settled, nothing can change any more:
that part is kept as the base. What came later is kept entry by entry, in order, because taking one back changes which lots
the later ones have sold.

The lots of a base are numbered as they are bought, and each sixteen of them are a bundle. New ones come at one end and are
sold at the other, so what lies in between does not change: it is written apart, once, and a copy costs the same however
often its token was bought before.
"""

from collections.abc import Iterable

from attrs import evolve, field

from trio_copy.model.positions import EMPTY, LedgerEntry, Position
from trio_copy.model.values import value

BUNDLE = 16
"""Lots; two bundles less one lot are written again with every copy."""
_NONE = range(0)


@value
class Holding:
    base: Position = EMPTY
    """What its settled entries add up to."""
    tail: tuple[LedgerEntry, ...] = ()
    """Its entries from the first unsettled one on."""
    now: Position = EMPTY
    """The base with the tail folded in."""
    oldest: int = field(default=0, eq=False)
    """The number of the base's oldest lot: it names bundles that are written apart, and says nothing where there are none."""

    @classmethod
    def of(cls, base: Position, tail: Iterable[LedgerEntry], oldest: int = 0) -> "Holding":
        """Make a holding of a base and a tail, whose first entries may be settled by now."""
        entries = list(tail)
        if not entries:
            return cls(base, (), base, oldest)
        while entries and entries[0].firm:
            before, base = base, base.after(entries.pop(0))
            oldest += _sold(before, base)
        now = base
        for entry in entries:
            now = now.after(entry)
        return cls(base, tuple(entries), now, oldest)

    @property
    def apart(self) -> range:
        """The bundles that are written apart: full ones, but for that of the oldest lot, which is the next to be sold."""
        return bundles_apart(self.oldest, len(self.base.lots))

    def after(self, entry: LedgerEntry) -> "Holding":
        """Fold an entry in."""
        now = self.now.after(entry)
        if self.tail or not entry.firm:
            return Holding(self.base, (*self.tail, entry), now, self.oldest)
        return Holding(now, (), now, self.oldest + _sold(self.base, now))

    def confirmed(self, key: str) -> "Holding":
        """Make one entry of the tail firm; an unknown one changes nothing."""
        return self._with(evolve(entry, firm=True) if entry.key == key else entry for entry in self.tail)

    def without(self, key: str) -> "Holding":
        """Take one entry of the tail back, as if it had never been; an unknown one changes nothing."""
        return self._with(entry for entry in self.tail if entry.key != key)

    def corrected(self, by: LedgerEntry) -> "Holding":
        """Let one entry of the tail count with other amounts, in its place; an unknown one changes nothing."""
        return self._with(entry.corrected(by) if entry.key == by.of else entry for entry in self.tail)

    def _with(self, tail: Iterable[LedgerEntry]) -> "Holding":
        return Holding.of(self.base, tail, self.oldest)

    @property
    def gone(self) -> bool:
        """Whether there is nothing left to remember."""
        return not (self.now.lots or self.tail or self.now.oversold.micro)


def bundles_apart(oldest: int, count: int) -> range:
    """Return which bundles are written apart of that many lots, the oldest of which has a number."""
    # Most positions have few lots, and each copy asks twice.
    return _NONE if count <= BUNDLE else range(oldest // BUNDLE + 1, (oldest + count) // BUNDLE)


def _sold(before: Position, after: Position) -> int:
    """Return how many lots an entry has sold: a purchase adds one, and nothing else does."""
    return max(0, len(before.lots) - len(after.lots))


NOTHING_HELD = Holding()
