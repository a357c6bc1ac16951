"""What copies came to, while a recording is played: money, risk and luck of one leader, or of all together. Sync, exact.

Everything is counted in integers of millionths from the bookings themselves, so that it is what the books say. Cash is what
was sold less what was bought, fees included; equity is cash and what is held at its mark; at risk is what was paid for what
is held. None of the three is ever added up twice.
"""

from collections.abc import Sequence

from attrs import define, field, frozen

from trio_copy.model.facts import Amounts
from trio_copy.model.fills import Side
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.units import BPS, MICRO

_BUY = Side.BUY
_TRADED = (EntryKind.FILL, EntryKind.CORRECT)


@frozen
class Point:
    """Equity in a stretch of time, in millionths of a USD."""

    at: float
    """Unix seconds of its end."""
    lowest: int
    highest: int
    last: int
    drawdown: int
    """The worst of it: how far equity was under the highest it had ever been."""


@define(eq=False)
class Curve:
    """Equity over time, in so many stretches at most, however long the time is and however often it changes."""

    start: float
    """Unix seconds."""
    end: float
    most: int = 1000
    _points: dict[int, list[int]] = field(factory=dict)

    def note(self, at: float, equity: int, drawdown: int) -> None:
        span = max(self.end - self.start, 1e-6)
        number = min(self.most - 1, max(0, int((at - self.start) / span * self.most)))
        known = self._points.get(number)
        if known is None:
            self._points[number] = [equity, equity, equity, drawdown]
        else:
            known[:] = min(known[0], equity), max(known[1], equity), equity, max(known[3], drawdown)

    @property
    def points(self) -> Sequence[Point]:
        """The stretches in which something changed, in their order."""
        width = (self.end - self.start) / self.most
        return [Point(self.start + (number + 1) * width, *self._points[number]) for number in sorted(self._points)]


@define(eq=False)
class Standing:
    """All amounts in millionths of a USD."""

    signals: int = 0
    """Trades of the leader that somebody follows."""
    tasks: int = 0
    """Copies that were wanted; those that went out in another one's order are none of their own."""
    orders: int = 0
    """Of these, those that went to the venue."""
    copies: int = 0
    """Of these, those that bought or sold something."""
    invested: int = 0
    """What entries cost, fees included."""
    fees: int = 0
    realised: int = 0
    """Provisional included: a simulated venue that has not settled yet will."""
    cash: int = 0
    value: int = 0
    """Of what is held, at its marks."""
    at_risk: int = 0
    """The most that was ever paid for what was held at the same time."""
    peak: int = 0
    drawdown: int = 0
    """The furthest that equity ever fell from its highest."""
    closed: int = 0
    """Positions that were opened and are sold out, or redeemed."""
    won: int = 0
    """Of these, those that brought more than they cost."""
    worse: int = 0
    """How much worse than at the leader's prices it was bought and sold."""
    at_leaders_price: int = 0
    """What the same shares cost and brought at the leader's prices."""
    curve: Curve | None = None

    def book(self, entry: LedgerEntry, amounts: Amounts, sign: int = 1) -> None:
        """Take a booking in; with a sign of -1, an earlier one that never happened: `amounts` has its own sign already."""
        _, bought, sold, fees, realised, provisional = amounts
        self.cash += sold - bought - fees
        self.fees += fees
        self.realised += realised + provisional
        if entry.side is _BUY:
            self.invested += bought + fees
        if entry.kind in _TRADED and entry.reference:
            at_leaders = entry.shares.micro * entry.reference.micro // MICRO
            worse = entry.notional.micro - at_leaders
            self.at_leaders_price += sign * at_leaders
            self.worse += sign * (worse if entry.side is _BUY else -worse)

    def close(self, gained: int) -> None:
        """Take note that a position was closed, and what it has brought."""
        self.closed += 1
        self.won += gained > 0

    def look(self, at: float) -> None:
        """See how much is at risk and how far equity has fallen; after each change."""
        self.at_risk = max(self.at_risk, self.realised - self.cash)
        self.peak = max(self.peak, self.equity)
        fallen = self.peak - self.equity
        self.drawdown = max(self.drawdown, fallen)
        if self.curve is not None:
            self.curve.note(at, self.equity, fallen)

    @property
    def equity(self) -> int:
        """What was made so far, with what is held at its marks; begins at 0."""
        return self.cash + self.value

    @property
    def unrealised(self) -> int:
        return self.equity - self.realised

    @property
    def fill_bps(self) -> int | None:
        """How many orders bought or sold something."""
        return _bps(self.copies, self.orders)

    @property
    def return_bps(self) -> int | None:
        """What was made, of the most that was ever at risk."""
        return _bps(self.equity, self.at_risk)

    @property
    def win_bps(self) -> int | None:
        return _bps(self.won, self.closed)

    @property
    def slippage_bps(self) -> int | None:
        return _bps(self.worse, self.at_leaders_price)


def _bps(part: int, whole: int) -> int | None:
    """Return a part in basis points, to the nearest; halves away from zero. None of nothing."""
    if not whole:
        return None
    size = (2 * abs(part) * BPS + whole) // (2 * whole)
    return size if part >= 0 else -size
