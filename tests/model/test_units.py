"""Money is integers with named rounding, and the types do not mix."""

import pickle
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_copy.model.units import MICRO, Price, Ratio, Rounding, Shares, Usd, decimal_string, divide

AMOUNTS = st.integers(min_value=0, max_value=10**18)
PRICES = st.integers(min_value=1, max_value=MICRO)


@given(st.integers(min_value=-(10**24), max_value=10**24))
def test_a_decimal_string_reads_back_as_the_same_amount(micro: int) -> None:
    """Writing and reading an amount loses nothing."""
    assert Usd(micro) == Usd.parse(decimal_string(micro))


@given(AMOUNTS, PRICES)
def test_buying_never_overspends(budget: int, price: int) -> None:
    """Shares rounded down, at a cost rounded up, never cost more than the budget they were sized from."""
    shares = Usd(budget).shares_at(Price(price), Rounding.DOWN)

    assert shares.at(Price(price), Rounding.UP) <= Usd(budget)


@given(AMOUNTS, PRICES)
def test_the_roundings_enclose_the_exact_value(shares: int, price: int) -> None:
    """DOWN and UP are at most one millionth apart and the exact product lies between them."""
    down, up = Shares(shares).at(Price(price), Rounding.DOWN), Shares(shares).at(Price(price), Rounding.UP)

    assert down.micro * MICRO <= shares * price <= up.micro * MICRO
    assert up.micro - down.micro <= 1


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=1, max_value=10**6))
def test_nearest_agrees_with_decimal(numerator: int, denominator: int) -> None:
    """NEAREST is round-half-even, as the standard library's decimal does it."""
    expected = int((Decimal(numerator) / Decimal(denominator)).to_integral_value(rounding="ROUND_HALF_EVEN"))

    assert expected == divide(numerator, denominator, Rounding.NEAREST)


@pytest.mark.parametrize("text", ["1.0000001", "abc", "NaN", "Infinity", "", "1e-7", "--1"])
def test_what_a_millionth_cannot_hold_is_refused(text: str) -> None:
    """Parsing never rounds and never guesses."""
    with pytest.raises(ValueError, match="expected a decimal number"):
        Usd.parse(text)


@pytest.mark.parametrize(
    "micro, cents",
    [
        (0, "0.00"),
        (993_750, "0.99"),
        (-1, "0.00"),
        (-4_999, "0.00"),
        (-5_001, "-0.01"),
        (1, "0.00"),
        (1_234_567_890, "1,234.57"),
        (-2_500_000, "-2.50"),
    ],
)
def test_money_is_shown_in_cents(micro: int, cents: str) -> None:
    """Always two digits, so that amounts below each other compare; and nothing has no sign."""
    assert Usd(micro).cents == cents


@pytest.mark.parametrize("value", [1.5, "1", True, None])
def test_nothing_but_an_int_becomes_money(value: object) -> None:
    """A float, a text or a bool cannot slip into an amount."""
    with pytest.raises(TypeError):
        Usd(value)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("operation", ["+", "-", "<", ">=", "<=", ">"])
def test_units_do_not_mix(operation: str) -> None:
    """Shares and dollars neither add up nor compare."""
    with pytest.raises(TypeError):
        eval(f"left {operation} right", {"left": Shares(1), "right": Usd(1)})
    assert Shares(1) != Usd(1)


def test_prices_do_not_add_up() -> None:
    """A sum of prices means nothing, so it does not exist."""
    with pytest.raises(TypeError):
        Price(1) + Price(1)  # type: ignore[operator]  # the point of the test


def test_an_amount_cannot_be_changed() -> None:
    """The type checker refuses a change, and would complain of an ignore that it does not need; nothing can be added."""
    with pytest.raises(AttributeError):
        Usd(1).nano = 2  # type: ignore[attr-defined]  # the point of the test
    if TYPE_CHECKING:
        Usd(1).micro = 2  # type: ignore[misc]  # the point of the test


def test_amounts_hash_order_and_pickle_by_value() -> None:
    """Equal amounts are one key, sort by size and survive a trip to another process."""
    assert {Usd(1), Usd(1), Shares(1)} == {Usd(1), Shares(1)}
    assert [Usd(3), Usd(1)] != sorted([Usd(3), Usd(1)]) == [Usd(1), Usd(3)]
    assert pickle.loads(pickle.dumps(Usd(5))) == Usd(5)
    assert not Usd(0)
    assert repr(Ratio.parse("0.05")) == "Ratio(0.05)"


def test_slippage_moves_a_price_both_ways() -> None:
    """Two per cent of fifty cents is one cent."""
    assert Price.parse("0.51") == Price.parse("0.5").raised_bps(200, Rounding.DOWN)
    assert Price.parse("0.49") == Price.parse("0.5").lowered_bps(200, Rounding.UP)
