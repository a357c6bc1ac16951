"""What a follower has lost and gained so far."""

from trio_copy.model.units import NO_USD, Usd
from trio_copy.model.values import value


@value
class Performance:
    """What a follower realised: profit and loss of what was sold and redeemed, fees included."""

    realised: Usd = NO_USD
    peak: Usd = NO_USD
    """The highest `realised` since the last reset."""
    day: str = ""
    """The UTC date of the last booking."""
    day_realised: Usd = NO_USD
    worth_peak: Usd | None = NO_USD
    """The highest that profit by mark, realised and not, was seen at since the last reset; None: not seen since."""

    def after(self, realised: Usd, day: str) -> "Performance":
        """Fold one booking in; `day` is its UTC date. What is booked late counts today: a day's loss is never forgotten."""
        total = Usd(self.realised.micro + realised.micro)
        same_day = day <= self.day
        return Performance(
            total,
            total if total.micro > self.peak.micro else self.peak,
            self.day if same_day else day,
            Usd(self.day_realised.micro + realised.micro) if same_day else realised,
            self.worth_peak,
        )

    def loss_on(self, day: str) -> Usd:
        """Return the loss of a day, zero when it is a profit."""
        return max(NO_USD, NO_USD - self.day_realised) if day <= self.day else NO_USD

    @property
    def drawdown(self) -> Usd:
        """How far the total stands under its peak."""
        return self.peak - self.realised

    def drawdown_by_mark(self, unrealised: Usd) -> Usd:
        """How far the total stands under its peak, with what is held at its marks."""
        return NO_USD if self.worth_peak is None else max(NO_USD, self.worth_peak - self.realised - unrealised)
