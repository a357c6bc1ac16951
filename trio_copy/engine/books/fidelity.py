"""How far paper was from what the book allowed: added up while facts are read. Sync; memory grows with leaders alone.

Everything is counted in integers of millionths, against us when above zero: dearer where we bought, cheaper where we sold. What
nobody knew is left out of both what moved and what it is a part of.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

from attrs import define, field

from trio_copy.accounts.copied import Copied
from trio_copy.accounts.sighted import KIND as LOOKS
from trio_copy.accounts.sighted import looks_key
from trio_copy.engine.shards.stored import copied_by, looked_by
from trio_copy.model.books import Quote
from trio_copy.model.facts import Fact
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.model.sightings import LOOKS_S, Look, Looks
from trio_copy.model.units import BPS, MICRO, Price, Rounding, divide

KINDS = ("filled", "ended", "attempt", LOOKS)
"""Kinds of facts that tell it."""
SIZES = (10, 100, 1000)
"""In USD: where one size of copies ends and the next one begins."""
STEPS = ("seen", "decided", "filled")


@define
class Moved:
    """How far prices moved between two moments, over all copies of which both are known."""

    copies: int = 0
    worse: int = 0
    """Millionths of a USD."""
    traded: int = 0
    """What was paid or brought for the same shares, in millionths of a USD."""

    def add(self, worse: int, traded: int) -> None:
        self.copies += 1
        self.worse += worse
        self.traded += traded

    def merge(self, other: "Moved") -> None:
        self.copies += other.copies
        self.worse += other.worse
        self.traded += other.traded

    @property
    def bps(self) -> int | None:
        """What moved, of what was traded: weighed by money. None where nothing is known."""
        return in_bps(self.worse, self.traded)


@define
class After(Moved):
    """How much better paper was than what the book allowed at one moment after the answer."""

    looked: int = 0
    """Copies, filled or not, of which the book was known then."""
    short: int = 0
    """Of these, those whose shares it did not hold whole: only what it held is compared."""
    by_price: int = 0
    """Of these, those of which only the best price was known."""
    would_fill: int = 0
    """Of those that were killed, the ones that the book would have filled whole, within their limit."""

    def merge(self, other: "Moved") -> None:
        Moved.merge(self, other)
        if isinstance(other, After):
            self.looked += other.looked
            self.short += other.short
            self.by_price += other.by_price
            self.would_fill += other.would_fill


@define(eq=False)
class Group:
    """The copies of one leader, of one size, or all."""

    copies: int = 0
    """Orders that were filled, in whole or in part."""
    killed: int = 0
    """Orders that filled nothing."""
    known: int = 0
    """Of both, those of which a price was known at any moment."""
    traded: int = 0
    """Millionths of a USD, before fees."""
    steps: Sequence[Moved] = field(factory=lambda: [Moved() for _ in STEPS])
    """From the leader's price to the best one when it was seen; from there to when it was decided; from there to the fill."""
    whole: Moved = field(factory=Moved)
    """From the leader's price to the fill."""
    answer: Moved = field(factory=Moved)
    """From the fill to the best price at the answer."""
    shared: Moved = field(factory=Moved)
    """Of copies that shared a book: from what it said that they cost, or bring, in their place in the row, to the fill."""
    after: Sequence[After] = field(factory=lambda: [After() for _ in LOOKS_S])

    @classmethod
    def of(cls, parts: Iterable["Group"]) -> "Group":
        """Add up what has no copy in common."""
        group = cls()
        for part in parts:
            group.copies += part.copies
            group.killed += part.killed
            group.known += part.known
            group.traded += part.traded
            for mine, more in zip(group._moves(), part._moves(), strict=True):
                mine.merge(more)
        return group

    def _moves(self) -> Iterator[Moved]:
        return chain(self.steps, (self.whole, self.answer, self.shared), self.after)

    def add(self, copied: Copied, looks: Looks | None) -> None:
        """Take a copy in."""
        self.known += copied.sighting is not None or looks is not None
        filled = copied.shares.micro
        if filled:
            self.copies += 1
            self.traded += copied.notional.micro
            self._add_steps(copied)
        else:
            self.killed += 1
        for after, look in zip(self.after, () if looks is None else looks.after, strict=False):
            if look is not None:
                _add_look(after, copied, look)

    def _add_steps(self, copied: Copied) -> None:
        sighting, side, traded = copied.sighting, copied.side, copied.notional.micro
        seen = decided = answered = None
        if sighting is not None:
            seen, decided, answered = (_best(one, side) for one in (sighting.seen, sighting.decided, sighting.answered))
        at = [None if price is None else _worth(copied, price) for price in (copied.reference, seen, decided)]
        at.append(traded)
        for step, (before, later) in zip(self.steps, pairwise(at), strict=True):
            _add_step(step, before, later, traded, side)
        _add_step(self.whole, at[0], traded, traded, side)
        _add_step(self.answer, traded, None if answered is None else _worth(copied, answered), traded, side)
        if sighting is not None and sighting.allotment is not None and sighting.allotment.price is not None:
            _add_step(self.shared, _worth(copied, sighting.allotment.price), traded, traded, side)


@define(eq=False)
class Fidelity:
    _cells: dict[tuple[Address, int], Group] = field(factory=dict)
    """By leader and size: each copy is taken in once, and added up to what is asked for."""

    @property
    def total(self) -> Group:
        return Group.of(self._cells.values())

    @property
    def sizes(self) -> Sequence[Group]:
        """The copies under each of `SIZES`, and those above."""
        numbers = range(len(SIZES) + 1)
        return [Group.of(cell for (_, size), cell in self._cells.items() if size == number) for number in numbers]

    @property
    def leaders(self) -> Mapping[Address, Group]:
        cells: dict[Address, list[Group]] = defaultdict(list)
        for (leader, _), cell in self._cells.items():
            cells[leader].append(cell)
        return {leader: Group.of(some) for leader, some in cells.items()}

    def take(self, page: Iterable[Fact]) -> None:
        """Take facts in; those of one moment have to come together."""
        looks: dict[str, Looks] = {}
        ends: list[Fact] = []
        for fact in page:
            if fact.kind == LOOKS:
                looks[fact.key] = looked_by(fact)
            elif fact.order_id:
                ends.append(fact)
        for fact in ends:
            copied = copied_by(fact)
            if copied is not None:
                self._add(fact, copied, looks)

    def _add(self, fact: Fact, copied: Copied, looks: Mapping[str, Looks]) -> None:
        asked = _worth(copied, copied.limit_price, copied.asked.micro)
        usd = (copied.notional.micro if copied.shares else asked) // MICRO
        key = (fact.leader, sum(usd >= bound for bound in SIZES))
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Group()
        cell.add(copied, looks.get(looks_key(fact.task_id, copied.attempt)))


def in_bps(part: int, whole: int) -> int | None:
    """Return a part in basis points, to the nearest; None of nothing."""
    if not whole:
        return None
    size = divide(abs(part) * BPS, whole, Rounding.NEAREST)
    return size if part >= 0 else -size


def _best(quote: Quote | None, side: Side) -> Price | None:
    if quote is None:
        return None
    return quote.ask if side is Side.BUY else quote.bid


def _worth(copied: Copied, price: Price, shares: int | None = None) -> int:
    """Return what the filled shares, or others, cost or bring at a price, rounded against us."""
    rounding = Rounding.UP if copied.side is Side.BUY else Rounding.DOWN
    return divide((copied.shares.micro if shares is None else shares) * price.micro, MICRO, rounding)


def _add_step(step: Moved, before: int | None, later: int | None, traded: int, side: Side) -> None:
    if before is not None and later is not None:
        step.add(later - before if side is Side.BUY else before - later, traded)


def _add_look(after: After, copied: Copied, look: Look) -> None:
    wanted = copied.shares.micro or copied.asked.micro
    there = look.shares.micro
    after.looked += 1
    after.short += there < wanted
    after.by_price += not look.by_book
    if not copied.shares:
        limit = _worth(copied, copied.limit_price, wanted)
        inside = look.notional.micro <= limit if copied.side is Side.BUY else look.notional.micro >= limit
        after.would_fill += there >= wanted and inside
    elif there:
        traded = copied.notional.micro * there // wanted
        _add_step(after, traded, look.notional.micro, traded, copied.side)
