"""Pieces of what may be spent, and what was lost so far."""

from enum import Enum

from attrs import frozen

from trio_copy.model.positions import PositionKey
from trio_copy.model.units import NO_USD, Count, Shares, Usd

Amount = Usd | Count | Shares


class Per(Enum):
    """What a claim turns into once its order's outcome is proven."""

    COST = "cost"
    """What was really spent."""
    OPENED = "opened"
    """Kept when anything was filled, else given back."""
    SENT = "sent"
    """Kept once the order was sent, filled or not."""
    UNTIL_PROVEN = "until-proven"
    """Given back, whatever came of the order."""

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Claim:
    """A piece of one budget."""

    counter: str
    """Which budget: follower, leader, token or engine, with its window in the name."""
    control: str
    """The setting that limits it."""
    amount: Amount
    limit: Amount
    per: Per = Per.COST
    until: float | None = None
    """Unix seconds after which the counter may be forgotten; None for budgets without a window."""
    shared: bool = False
    """Whether the budget is everybody's rather than one follower's."""
    of: PositionKey | None = None
    """For an exit: the limit is what this position holds at the moment of the reservation."""

    def kept(self, spent: Usd) -> int:
        """Return the millionths that stay taken after an order that cost `spent`, fees included."""
        match self.per:
            case Per.COST:
                return spent.micro
            case Per.OPENED:
                return self.amount.micro if spent else 0
            case Per.SENT:
                return self.amount.micro
            case Per.UNTIL_PROVEN:
                return 0


@frozen(kw_only=True)
class Credit:
    """What an exit gives back to a budget, never below zero; negative when an exit was undone."""

    counter: str
    amount: Amount


@frozen(kw_only=True)
class Performance:
    """What a follower realised: profit and loss of what was sold and redeemed, fees included."""

    realised: Usd = NO_USD
    peak: Usd = NO_USD
    """The highest `realised` since the last reset."""
    day: str = ""
    """The UTC date of the last booking."""
    day_realised: Usd = NO_USD

    def after(self, realised: Usd, day: str) -> "Performance":
        """Fold one booking in; `day` is its UTC date."""
        total = self.realised + realised
        return Performance(
            realised=total,
            peak=max(self.peak, total),
            day=day,
            day_realised=self.day_realised + realised if day == self.day else realised,
        )

    def loss_on(self, day: str) -> Usd:
        """Return the loss of a day, zero when it is a profit."""
        return max(NO_USD, NO_USD - self.day_realised) if day == self.day else NO_USD

    @property
    def drawdown(self) -> Usd:
        """How far the total stands under its peak."""
        return self.peak - self.realised
