"""Money and shares as integers of one millionth.

`Shares`, `Price` (USD per share), `Usd` and `Ratio` are four different types, and only the operations that mean
something exist: adding shares to dollars is a type error for mypy and a `TypeError` at run time. Every division
names its rounding, and the engine always rounds against itself: fewer shares bought, more dollars counted as spent.
No float enters: `parse` takes text, `int` or `Decimal`, and refuses what a millionth cannot hold exactly.
"""

from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Final, Self

MICRO = 1_000_000
BPS = 10_000


class Rounding(Enum):
    """What happens to the part that a millionth cannot hold."""

    DOWN = "down"
    UP = "up"
    NEAREST = "nearest"  # halves go to the even neighbour; for facts that are shown, never for limits


_DOWN, _UP = Rounding.DOWN, Rounding.UP


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Divide two non-negative integers with a named rounding.

    Raises:
        ZeroDivisionError: `denominator` is zero.
    """
    if rounding is _DOWN:
        return numerator // denominator
    if rounding is _UP:
        return -(-numerator // denominator)
    quotient, rest = divmod(numerator, denominator)
    double = 2 * rest
    return quotient + (double > denominator or (double == denominator and quotient % 2 == 1))


def decimal_string(micro: int) -> str:
    """Write an integer of millionths as the shortest exact decimal: 480000 is "0.48"."""
    if micro < 0:
        return f"-{decimal_string(-micro)}"
    whole, part = divmod(micro, MICRO)
    return f"{whole}.{part:06d}".rstrip("0") if part else str(whole)


def parse_micro(value: str | int | Decimal) -> int:
    """Read a decimal as an integer of millionths, exactly.

    Raises:
        ValueError: not a finite decimal, or finer than a millionth.
    """
    try:
        scaled = Decimal(value).scaleb(6)
        whole = scaled.to_integral_value()
    except (InvalidOperation, ArithmeticError):
        raise ValueError(f'expected a decimal number, got "{value}"') from None
    if not scaled.is_finite() or scaled != whole:
        raise ValueError(f'expected a decimal number with at most 6 places, got "{value}"')
    return int(whole)


class Micro:
    """An integer of millionths that mixes with its own kind only, and is never changed."""

    __slots__ = ("micro",)

    micro: Final[int]

    def __init__(self, micro: int) -> None:
        if type(micro) is not int:
            raise TypeError(f"expected an int of millionths, got {micro!r}")
        self.micro = micro

    @classmethod
    def parse(cls, value: str | int | Decimal) -> Self:
        """Read a decimal exactly: `Usd.parse("12.5").micro` is 12_500_000.

        Raises:
            ValueError: not a finite decimal, or finer than a millionth.
        """
        return cls(parse_micro(value))

    def __eq__(self, other: object) -> bool:
        return self.__class__ is other.__class__ and self.micro == other.micro

    def __hash__(self) -> int:
        return hash((self.__class__, self.micro))

    def __lt__(self, other: Self) -> bool:
        return self.micro < other.micro if self.__class__ is other.__class__ else NotImplemented

    def __le__(self, other: Self) -> bool:
        return self.micro <= other.micro if self.__class__ is other.__class__ else NotImplemented

    def __gt__(self, other: Self) -> bool:
        return self.micro > other.micro if self.__class__ is other.__class__ else NotImplemented

    def __ge__(self, other: Self) -> bool:
        return self.micro >= other.micro if self.__class__ is other.__class__ else NotImplemented

    def __bool__(self) -> bool:
        return self.micro != 0

    def __str__(self) -> str:
        return decimal_string(self.micro)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({decimal_string(self.micro)})"

    def __reduce__(self) -> tuple[type[Self], tuple[int]]:
        return type(self), (self.micro,)


class _Summable(Micro):
    __slots__ = ()

    def __add__(self, other: Self) -> Self:
        return self.__class__(self.micro + other.micro) if self.__class__ is other.__class__ else NotImplemented

    def __sub__(self, other: Self) -> Self:
        return self.__class__(self.micro - other.micro) if self.__class__ is other.__class__ else NotImplemented


class Ratio(Micro):
    """A plain factor, such as the share of a leader's size that is copied."""

    __slots__ = ()


class Shares(_Summable):
    """Outcome shares."""

    __slots__ = ()

    def scaled(self, ratio: Ratio, rounding: Rounding) -> "Shares":
        return Shares(divide(self.micro * ratio.micro, MICRO, rounding))

    def part(self, numerator: "Shares", denominator: "Shares", rounding: Rounding) -> "Shares":
        """Return the part of these shares that `numerator` is of `denominator`."""
        return Shares(divide(self.micro * numerator.micro, denominator.micro, rounding))

    def at(self, price: "Price", rounding: Rounding) -> "Usd":
        """Return what these shares cost, or bring, at a price."""
        return Usd(divide(self.micro * price.micro, MICRO, rounding))


class Usd(_Summable):
    """US dollars of collateral: notional, cost, fee, PnL. May be negative."""

    __slots__ = ()

    def shares_at(self, price: "Price", rounding: Rounding) -> Shares:
        """Return the shares that this much money buys at a price.

        Raises:
            ZeroDivisionError: the price is zero.
        """
        return Shares(divide(self.micro * MICRO, price.micro, rounding))

    def per(self, shares: Shares, rounding: Rounding) -> "Price":
        """Return the price at which `shares` cost this much.

        Raises:
            ZeroDivisionError: no shares.
        """
        return Price(divide(self.micro * MICRO, shares.micro, rounding))

    def scaled(self, ratio: Ratio, rounding: Rounding) -> "Usd":
        return Usd(divide(self.micro * ratio.micro, MICRO, rounding))

    @property
    def cents(self) -> str:
        """The amount in cents, for people: two digits always, and nothing has no sign."""
        cents = divide(abs(self.micro), MICRO // 100, Rounding.NEAREST)
        return f"{'-' if self.micro < 0 and cents else ''}{cents // 100:,}.{cents % 100:02d}"


class Price(Micro):
    """US dollars per share."""

    __slots__ = ()

    def raised_bps(self, bps: int, rounding: Rounding) -> "Price":
        return Price(divide(self.micro * (BPS + bps), BPS, rounding))

    def lowered_bps(self, bps: int, rounding: Rounding) -> "Price":
        return Price(divide(self.micro * (BPS - bps), BPS, rounding))


class Count(_Summable):
    """A number of things, in millionths like everything that budgets add up."""

    __slots__ = ()


NO_SHARES = Shares(0)
NO_USD = Usd(0)
ONE = Count(MICRO)
NO_PRICE = Price(0)
ONE_USD_PER_SHARE = Price(MICRO)
