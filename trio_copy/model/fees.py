"""What a venue takes of a trade, and the most that it may take of an order. Integers only; takers pay.

Some venues take a part of the notional. Polymarket takes shares x rate x (price x (1 - price)) to the power of an exponent,
of the whole fill at its average price, and lets what is below the fifth decimal go. A `Fee` is either, or both.
"""

from functools import lru_cache

from trio_copy.model.units import BPS, MICRO, NO_USD, Price, Ratio, Rounding, Shares, Usd, divide
from trio_copy.model.values import value

EXPONENT_MOST = 8
"""Of the formulas that are known here, from 1. A fee per share, whatever the price, has no bound for the cash of a purchase."""
_STEP = 10
"""Millionths of a USD: five decimals."""
_UP = Rounding.UP


@value
class Fee:
    bps: int = 0
    """Of the notional."""
    rate: Ratio = Ratio(0)
    """Of the formula; 0 for none."""
    exponent: int = 1

    def of(self, shares: Shares, notional: Usd) -> Usd:
        """Return what is taken of a fill."""
        if not (self.bps or self.rate.micro):
            return NO_USD
        fee = -(-notional.micro * self.bps // BPS)
        size, paid, power = shares.micro, notional.micro, self.exponent
        if self.rate.micro and 0 < paid < size:
            exact = size * self.rate.micro * (paid * (size - paid)) ** power // (MICRO * size ** (2 * power))
            fee += exact - exact % _STEP
        return Usd(fee)

    def most_of_purchase(self, cash: Usd, limit: Price) -> Usd:
        """Return the most that may be taken of a purchase for up to so much cash, at whatever price up to the limit.

        Cash and not shares: where a book is better than the limit, the same cash buys more of them.
        """
        most = -(-cash.micro * self.bps // BPS)
        if self.rate.micro:
            most -= -cash.micro * _of_cash(self.rate.micro, self.exponent, limit.micro) // MICRO
        return Usd(most)

    def most_of_sale(self, shares: Shares, notional: Usd, limit: Price) -> Usd:
        """Return the most that may be taken of a sale that brought so much, at whatever prices from the limit up."""
        most = -(-notional.micro * self.bps // BPS)
        if self.rate.micro and limit.micro < MICRO:
            # The formula is greatest at half a dollar, and falls towards a dollar.
            price = max(limit.micro, MICRO // 2)
            part = shares.micro * self.rate.micro * (price * (MICRO - price)) ** self.exponent
            most += divide(part, MICRO ** (2 * self.exponent + 1), _UP)
        return Usd(most)

    def on_top_of(self, limit: Price) -> Price:
        """Return what a share may cost at a limit, fee included, rounded up."""
        raised = BPS + self.bps
        if not self.rate.micro:
            return Price(divide(limit.micro * raised, BPS, _UP))
        parts = raised * MICRO + _of_cash(self.rate.micro, self.exponent, limit.micro) * BPS
        return Price(divide(limit.micro * parts, BPS * MICRO, _UP))


@lru_cache(maxsize=4096)
def fee_of(bps: int, rate_micro: int, exponent: int) -> Fee:
    """Return a fee; there are few, and each copy asks several times."""
    return Fee(bps, Ratio(rate_micro), exponent)


@lru_cache(maxsize=4096)
def _of_cash(rate: int, exponent: int, limit: int) -> int:
    """Return the greatest part of the cash, in millionths, that the formula takes at prices up to a limit.

    Cash buys cash / price shares, so it is rate x price^(exponent - 1) x (1 - price)^exponent: greatest at the price
    (exponent - 1) / (2 x exponent - 1), and below that the greater, the higher the price.
    """
    price, whole = exponent - 1, 2 * exponent - 1
    if limit * whole < price * MICRO:
        price, whole = limit, MICRO
    return divide(rate * price ** (exponent - 1) * (whole - price) ** exponent, whole ** (2 * exponent - 1), _UP)
