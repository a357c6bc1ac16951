"""Between the units that a chain counts in and the millionths of the books, by the decimals of both sides of a market."""

from attrs import Attribute, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.model.units import MICRO, Price, Rounding, Shares, Usd, divide
from trio_copy.transactions.calls import Call
from trio_copy_onchain.venues.abi import function, words
from trio_copy_onchain.venues.seam import Exchanged

_DECIMALS = function("decimals")
_MOST_DECIMALS = 24
"""With more, not every price has a square root that a pool can hold."""


def _few(instance: object, attribute: "Attribute[int]", decimals: int) -> None:
    if not 0 <= decimals <= _MOST_DECIMALS:
        raise ValueError(f"decimals of {attribute.name}: expected 0 to {_MOST_DECIMALS}, got {decimals}")


def decimals_call(token: Address) -> Call:
    """Return what asks a token, or the collateral of shares, how many decimals it has."""
    return Call(to=token, data=_DECIMALS())


def read_decimals(answer: bytes) -> int:
    """Read the answer. Raises `ValueError`."""
    (decimals,) = words(answer, 1)
    return decimals


@frozen(kw_only=True)
class Booked:
    """A trade as reports and ledgers hold it."""

    shares: Shares
    notional: Usd
    """Before the fee."""
    fee: Usd


@frozen(kw_only=True)
class Decimals:
    """How many decimals the outcome and the collateral of a market have, as their contracts tell.

    Raises:
        ValueError: more than any token of money has.
    """

    shares: int = field(validator=_few)
    cash: int = field(validator=_few)

    @property
    def share(self) -> int:
        """Return the units of one whole share."""
        return int(10**self.shares)

    @property
    def coin(self) -> int:
        """Return the units of one whole of the collateral."""
        return int(10**self.cash)

    def shares_units(self, shares: Shares) -> int:
        """Return the units of some shares; what is less than a unit is left out."""
        return shares.micro * self.share // MICRO

    def cash_units(self, cash: Usd) -> int:
        """Return the units of some cash; what is less than a unit is left out."""
        return cash.micro * self.coin // MICRO

    def shares_at(self, cash: int, limit: Price, rounding: Rounding) -> int:
        """Return the units of shares that some units of cash are at a price."""
        return divide(cash * MICRO * self.share, limit.micro * self.coin, rounding)

    def cash_at(self, shares: int, limit: Price, rounding: Rounding) -> int:
        """Return the units of cash that some units of shares are at a price."""
        return divide(shares * limit.micro * self.coin, MICRO * self.share, rounding)

    def booked(self, side: Side, exchanged: Exchanged) -> Booked:
        """Return a trade in millionths: what came is rounded down, what left is rounded up.

        So the books never hold more than the chain does, and what they hold can be sold.
        """
        come, left = Rounding.DOWN, Rounding.UP
        fee = Usd(divide(exchanged.fee * MICRO, self.coin, left))
        if side is Side.BUY:
            shares, cash = self._micro(exchanged, come, left)
            return Booked(shares=shares, notional=cash - fee, fee=fee)
        shares, cash = self._micro(exchanged, left, come)
        return Booked(shares=shares, notional=cash + fee, fee=fee)

    def _micro(self, exchanged: Exchanged, of_shares: Rounding, of_cash: Rounding) -> tuple[Shares, Usd]:
        return (
            Shares(divide(exchanged.shares * MICRO, self.share, of_shares)),
            Usd(divide(exchanged.cash * MICRO, self.coin, of_cash)),
        )
