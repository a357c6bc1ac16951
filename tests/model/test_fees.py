"""What a venue takes: its own figures to the fifth decimal, and a bound that no fill inside its order breaks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_copy.model.fees import EXPONENT_MOST, Fee
from trio_copy.model.units import NO_USD, Price, Ratio, Rounding, Shares, Usd


@pytest.mark.parametrize(
    ("fee", "shares", "price", "taken"),
    [
        # As they were read from the chain.
        (Fee(rate=Ratio.parse("0.07")), "2.56", "0.92", "0.01318"),
        (Fee(rate=Ratio.parse("0.05")), "9451.729165", "0.48", "117.95757"),
        (Fee(rate=Ratio.parse("0.05")), "261", "0.899081", "1.18408"),
        # By hand.
        (Fee(rate=Ratio.parse("0.05")), "100", "0.5", "1.25"),
        (Fee(rate=Ratio.parse("0.25"), exponent=2), "100", "0.5", "1.5625"),
        (Fee(rate=Ratio.parse("0.05")), "0.0001", "0.5", "0"),
        (Fee(rate=Ratio.parse("0.05")), "10", "1", "0"),
        (Fee(bps=100), "10", "0.333333", "0.033334"),
        (Fee(bps=100, rate=Ratio.parse("0.05")), "100", "0.5", "1.75"),
        (Fee(), "100", "0.5", "0"),
    ],
)
def test_a_fee_is_the_venues_own(fee: Fee, shares: str, price: str, taken: str) -> None:
    """Of the average price; the formula's part cut after five decimals, a part of the notional rounded up."""
    size = Shares.parse(shares)
    assert fee.of(size, size.at(Price.parse(price), Rounding.DOWN)) == Usd.parse(taken)
    assert fee.of(Shares(0), NO_USD) == NO_USD


FEES = st.builds(
    Fee,
    st.sampled_from([0, 0, 37]),
    st.builds(Ratio, st.integers(0, 1_000_000)),
    st.integers(1, EXPONENT_MOST),
)
LEVELS = st.lists(st.tuples(st.integers(1, 999_999), st.integers(1, 10**10)), min_size=1, max_size=4)


@settings(max_examples=60)
@given(fee=FEES, levels=LEVELS)
def test_no_purchase_costs_more_than_was_set_aside(fee: Fee, levels: list[tuple[int, int]]) -> None:
    """Whether the venue takes it level by level or of the whole: for the same cash, at any prices up to the limit."""
    limit = Price(max(price for price, _ in levels))
    parts = [(Shares(shares), Shares(shares).at(Price(price), Rounding.UP)) for price, shares in levels]
    shares, cash = (Shares(sum(one.micro for one, _ in parts)), Usd(sum(one.micro for _, one in parts)))
    most = fee.most_of_purchase(cash, limit)
    assert fee.of(shares, cash) <= most
    formula = Fee(0, fee.rate, fee.exponent)
    assert sum(formula.of(*part).micro for part in parts) <= formula.most_of_purchase(cash, limit).micro
    assert most <= fee.most_of_purchase(Usd(cash.micro + 1), limit)


@settings(max_examples=60)
@given(fee=FEES, levels=LEVELS)
def test_no_sale_costs_more_than_it_is_judged_by(fee: Fee, levels: list[tuple[int, int]]) -> None:
    """At any prices from the limit up."""
    limit = Price(min(price for price, _ in levels))
    parts = [(Shares(shares), Shares(shares).at(Price(price), Rounding.DOWN)) for price, shares in levels]
    shares, brought = (Shares(sum(one.micro for one, _ in parts)), Usd(sum(one.micro for _, one in parts)))
    # Rounded down part by part, it may have brought a millionth of each less than the limit says.
    brought = max(brought, shares.at(limit, Rounding.DOWN))
    assert fee.of(shares, brought) <= fee.most_of_sale(shares, brought, limit)
