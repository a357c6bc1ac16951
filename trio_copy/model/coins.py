"""Amounts of a chain's own coin, in which gas is paid, as integers of its smallest part."""

from decimal import Decimal, InvalidOperation
from typing import Self

from attrs import frozen

_PLACES = 18
_WEI = 10**_PLACES
_MOST = 1 << 128


@frozen(order=True)
class Coins:
    """An amount of coins. It mixes with nothing: sums are made of its wei."""

    wei: int
    """10^18 of them are one coin."""

    @classmethod
    def parse(cls, value: str | int | Decimal) -> Self:
        """Read a decimal exactly: `Coins.parse("0.2").wei` is 2 * 10^17.

        Raises:
            ValueError: not a finite decimal, finer than 18 places, or more than there can be.
        """
        try:
            scaled = Decimal(value).scaleb(_PLACES)
        except (InvalidOperation, ArithmeticError):
            raise ValueError(f'expected a decimal number, got "{value}"') from None
        if not scaled.is_finite() or abs(scaled) >= _MOST or scaled != scaled.to_integral_value():
            raise ValueError(f'expected a decimal number with at most {_PLACES} places, got "{value}"')
        return cls(int(scaled))

    def __str__(self) -> str:
        sign, (whole, part) = "-" if self.wei < 0 else "", divmod(abs(self.wei), _WEI)
        return f"{sign}{whole}.{part:0{_PLACES}d}".rstrip("0") if part else f"{sign}{whole}"
