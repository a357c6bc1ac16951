"""How the orders of one signal share what a book holds: in proportion to what each wants, and never less than makes an order. Pure.

Where there is too little even for that, those first in the row get the least that makes an order, and those behind them nothing.
Amounts are millionths: of USD where shares are bought, for a purchase spends cash; of shares where they are sold.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction

from attrs import define, frozen

from trio_copy.model.books import Level
from trio_copy.model.fills import Side
from trio_copy.model.sightings import Allotment
from trio_copy.model.units import MICRO, Micro, Price, Rounding, divide


@frozen
class Claim:
    """What an order wants of a book."""

    limit: Price
    amount: int
    least: int
    """What it has to be at least, to be an order."""
    whole: bool = False
    """Whether it is filled whole or not at all: FOK."""

    def may_get(self, offered: int) -> bool:
        """Tell whether what is offered within its limit makes an order of it."""
        return self.least <= self.amount and (self.amount if self.whole else self.least) <= offered


def allot(row: Sequence[Claim], side: Side, levels: Sequence[Level]) -> list[Allotment]:
    """Share the levels of one side, the best first, among orders in the row in which they are sent.

    An order that wants more than the book holds within its limit shares it with all others. One within whose limit there is less than
    makes an order has nothing to share, and is not held back: it may take what comes.
    """
    limits = sorted({claim.limit for claim in row}, reverse=side is Side.SELL)
    steps = {limit: step for step, limit in enumerate(limits)}
    offered = [_offered(levels, side, limit) for limit in limits]
    sharing = _Sharing(row, [steps[claim.limit] for claim in row], offered)
    parts, book = sharing.parts(), _Walk(levels, side)
    wanted = Micro(sum(row[number].amount for number in parts))
    return [
        Allotment(
            place=number + 1,
            of=len(row),
            wanted=wanted,
            offered=Micro(offered[sharing.steps[number]]),
            own=Micro(claim.amount),
            most=None if parts.get(number, claim.amount) == claim.amount else Micro(parts[number]),
            price=book.take(parts.get(number, 0), claim.limit),
        )
        for number, claim in enumerate(row)
    ]


def _offered(levels: Sequence[Level], side: Side, limit: Price) -> int:
    """Return what a book holds within a limit."""
    buys = side is Side.BUY
    within = [level for level in levels if (level.price <= limit if buys else level.price >= limit)]
    return sum(one.shares.at(one.price, Rounding.DOWN).micro if buys else one.shares.micro for one in within)


@frozen
class _Sharing:
    row: Sequence[Claim]
    steps: Sequence[int]
    """Of each claim, the number of its limit: the higher, the more of the book it may take, and all that those below it may."""
    offered: Sequence[int]
    """Within each limit."""

    def parts(self) -> Mapping[int, int]:
        """Return what each order may take, by its place from 0 on; those are left out that have nothing to share."""
        row = self.row
        some = [number for number, claim in enumerate(row) if claim.may_get(self.offered[self.steps[number]])]
        wholes = [number for number in some if row[number].whole]

        def without(count: int) -> dict[int, int]:
            out = set(wholes[count:])
            return self._share([number for number in some if number not in out])

        def is_short(count: int) -> bool:
            parts = without(count)
            return any(parts[number] < row[number].amount for number in wholes[:count])

        # As many of those that are whole or nothing as get all they want, the first of them first: what the others would have
        # taken is there for the rest.
        served = bisect_left(range(1, len(wholes) + 1), True, key=is_short)
        return dict.fromkeys(some, 0) | without(served)

    def _share(self, some: Sequence[int]) -> dict[int, int]:
        row, steps, room = self.row, self.steps, list(self.offered)
        served: list[int] = []
        for number in some:
            step, least = steps[number], row[number].least
            if least <= min(room[step:]):
                room[step:] = [left - least for left in room[step:]]
                served.append(number)
        more = [0] * len(room)
        for number in served:
            more[steps[number]] += row[number].amount - row[number].least
        # What is wanted beyond the least, from the most careful limit on: where there is less, all up to there get the same part.
        fits: list[tuple[int, int]] = []
        total = 0
        for wanted, left in zip(more, room, strict=True):
            total += wanted
            fits.append((min(total, left), total))
            total = min(total, left)
        # Exact: a purchase of a millionth less would be rounded down to the cent.
        part, part_of = Fraction(1), [Fraction(1)] * len(room)
        for step in reversed(range(len(room))):
            there, total = fits[step]
            part_of[step] = part = part * Fraction(there, total) if total else part
        parts = dict.fromkeys(some, 0)
        for number in served:
            claim, of = row[number], part_of[steps[number]]
            parts[number] = claim.least + (claim.amount - claim.least) * of.numerator // of.denominator
        return parts


@define(eq=False)
class _Walk:
    """Takes out of a book what one order after the other may take."""

    levels: Sequence[Level]
    side: Side
    _at: int = 0
    _gone: int = 0
    """Of the level that is the best now."""

    def take(self, amount: int, limit: Price) -> Price | None:
        """Return at which price an order takes an amount, on average; None where it takes nothing."""
        buys, shares, worth = self.side is Side.BUY, 0, 0
        while amount and self._at < len(self.levels):
            level = self.levels[self._at]
            if level.price > limit if buys else level.price < limit:
                break
            price, there = level.price.micro, level.shares.micro - self._gone
            part = min(there, amount * MICRO // price if buys else amount)
            shares, worth, self._gone = shares + part, worth + part * price, self._gone + part
            if part < there:
                break
            self._at, self._gone = self._at + 1, 0
            amount -= part * price // MICRO if buys else part
        return Price(divide(worth, shares, Rounding.NEAREST)) if shares else None
