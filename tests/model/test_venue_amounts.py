"""The venue's rounding: what is left of an intent lies inside it, and next to nothing is left out."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market
from trio_copy.model.units import MICRO, NO_USD, Price, Rounding, Shares, Usd
from trio_copy.model.venue_amounts import LEAST_PURCHASE, Amounts, fit

TICKS = ("0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001")


def intent(side: Side, shares: str, limit: str, order_type: str = "FAK") -> OrderIntent:
    size, price = Shares.parse(shares), Price.parse(limit)
    cost = size.at(price, Rounding.UP) if side is Side.BUY else NO_USD
    made: dict[str, Any] = {"shares": size, "price": price, "limit_price": price, "max_cost": cost}
    return OrderIntent(side=side, token_id=TokenId(1), order_type=order_type, **made)


def market(tick: str) -> Market:
    known: dict[str, Any] = {"minimum": Shares.parse("5"), "least_cost": LEAST_PURCHASE, "fee_bps": 0}
    return Market(token_id=TokenId(1), tick=Price.parse(tick), **known)


def words(fitted: Amounts | Reason) -> tuple[str, ...]:
    if isinstance(fitted, Reason):
        return (fitted.code.name, fitted.control, fitted.value, fitted.limit)
    return (str(fitted.shares), str(fitted.limit_price), str(fitted.cash))


@pytest.mark.parametrize(
    ("side", "order_type", "tick", "shares", "limit", "left"),
    [
        # An instant BUY: cash in cents, shares in four decimals.
        (Side.BUY, "FAK", "0.01", "10", "0.519", ("10", "0.51", "5.1")),
        (Side.BUY, "FOK", "0.001", "9.876543", "0.519", ("9.8651", "0.519", "5.12")),
        (Side.BUY, "FAK", "0.001", "10.133333", "0.985", ("10.1319", "0.985", "9.98")),
        # Fewer shares than the market's minimum will do, where they cost a dollar.
        (Side.BUY, "FAK", "0.01", "2", "0.5", ("2", "0.5", "1")),
        (Side.BUY, "FAK", "0.01", "1.99", "0.5", ("BELOW_MINIMUM", "venue.minimum", "0.99 USD", "1 USD")),
        # An instant SELL: shares in hundredths, cash in four decimals.
        (Side.SELL, "FAK", "0.001", "19.699999", "0.2231", ("19.69", "0.224", "4.4105")),
        (Side.SELL, "FAK", "0.01", "4.99", "0.5", ("BELOW_MINIMUM", "venue.minimum", "4.99 shares", "5 shares")),
        # One that rests: the exact product.
        (Side.BUY, "GTC", "0.001", "19.699999", "0.2209", ("19.69", "0.22", "4.3318")),
        (Side.SELL, "GTD", "0.0025", "19.69", "0.2209", ("19.69", "0.2225", "4.381025")),
        (Side.BUY, "GTC", "0.01", "4", "0.5", ("BELOW_MINIMUM", "venue.minimum", "4 shares", "5 shares")),
        # No price outside [tick, 1 - tick], and never a worse one.
        (Side.BUY, "FAK", "0.01", "10", "1", ("10", "0.99", "9.9")),
        (Side.SELL, "FAK", "0.01", "10", "0.000001", ("10", "0.01", "0.1")),
        (Side.BUY, "FAK", "0.01", "900", "0.009", ("NOT_SENT", "venue.tick", "a limit of 0.009", "from 0.01 to 0.99")),
        (Side.SELL, "FAK", "0.01", "9", "0.995", ("NOT_SENT", "venue.tick", "a limit of 0.995", "from 0.01 to 0.99")),
    ],
)
def test_what_the_venue_takes_of_an_intent(
    side: Side, order_type: str, tick: str, shares: str, limit: str, left: tuple[str, ...]
) -> None:
    """As its messages say, and with a reason that says what was met and what would have passed."""
    assert words(fit(intent(side, shares, limit, order_type), market(tick))) == left


@given(
    side=st.sampled_from(Side),
    order_type=st.sampled_from(["FAK", "FOK", "GTC", "GTD"]),
    tick=st.sampled_from(TICKS),
    shares=st.integers(1, 10**12),
    limit=st.integers(1, MICRO),
)
def test_nothing_leaves_its_intent_and_little_is_left_out(
    side: Side, order_type: str, tick: str, shares: int, limit: int
) -> None:
    """Integers of the venue's decimals; two cents and a hundredth of a share at most are lost to them."""
    wanted, rules = intent(side, str(Shares(shares)), str(Price(limit)), order_type), market(tick)
    fitted = fit(wanted, rules)
    if isinstance(fitted, Reason):
        assert fitted.code in (Code.BELOW_MINIMUM, Code.NOT_SENT)
        return
    got, price, cash, step = fitted.shares.micro, fitted.limit_price.micro, fitted.cash.micro, rules.tick.micro
    assert 0 < got <= shares
    assert price % step == 0
    assert step <= price <= MICRO - step
    instant, buys = order_type in ("FAK", "FOK"), side is Side.BUY
    if buys:
        assert limit - step < price <= limit or price == MICRO - step
        assert cash <= wanted.max_cost.micro
        assert -(-got * price // MICRO) <= wanted.max_cost.micro
    else:
        assert limit <= price < limit + step or price == step
    if instant and buys:
        assert (cash % 10_000, got % 100) == (0, 0)
        assert cash >= LEAST_PURCHASE.micro
        # What it pays for a share, as the venue derives it: from the limit on, and not a ten-thousandth above.
        assert price * got <= cash * MICRO < (price + 100) * got
        assert shares * price // MICRO - cash < 20_000
        assert Usd(cash).shares_at(Price(price), Rounding.DOWN).micro - got < 10_000
    else:
        assert got % 10_000 == 0
        assert got >= rules.minimum.micro
        assert shares - got < 10_000
        assert cash == got * price // MICRO // 100 * 100 if instant else cash * MICRO == got * price


@pytest.mark.parametrize(
    ("order_type", "cash", "left"),
    [
        ("GTC", "9.999999", ("19.99", "0.5", "9.995")),
        ("GTD", "2.51", ("5.02", "0.5", "2.51")),
        ("GTC", "2.499999", ("BELOW_MINIMUM", "venue.minimum", "4.999998 shares", "5 shares")),
        ("FAK", "9.999999", ("19.98", "0.5", "9.99")),
        ("FOK", "0", ("BELOW_MINIMUM", "venue.minimum", "0 USD", "1 USD")),
    ],
)
def test_a_buy_never_names_more_cash_than_its_intent(order_type: str, cash: str, left: tuple[str, ...]) -> None:
    """Though its shares at the limit come to more: what an order may cost is what was promised, and held, for it."""
    wanted = evolve(intent(Side.BUY, "20", "0.5", order_type), max_cost=Usd.parse(cash))

    assert words(fit(wanted, market("0.01"))) == left
