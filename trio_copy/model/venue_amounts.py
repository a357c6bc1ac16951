"""What a venue lets an order be: prices on its ticks, amounts of so many decimals, minimums. Pure, and for every executor.

The rules are those of Polymarket's CLOB. What is left of an intent lies inside it: a price is never worse, cash and shares
are never more. What the rounding leaves out is less than two cents, and less than a hundredth of a share.
"""

from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.orders import Market
from trio_copy.model.units import MICRO, Price, Shares, Usd
from trio_copy.model.values import value

ANY_PRICE = Price(1)
"""The tick of a market of which nobody knows one."""
LEAST_PURCHASE = Usd(MICRO)
"""What an instant BUY has to cost at Polymarket; its shares may be fewer than the market's minimum."""
_INSTANT = ("FAK", "FOK")
_TWO_DECIMALS, _FOUR_DECIMALS = 10_000, 100


@value(kw_only=True)
class Amounts:
    """What an order may be."""

    shares: Shares
    limit_price: Price
    """On a tick."""
    cash: Usd
    """What a BUY may spend, or a SELL has to bring, before fees."""


def fit(intent: OrderIntent, market: Market) -> Amounts | Reason:
    """Fit an intent into the venue's rules, or say why nothing is left of it.

    An instant order names cash with two decimals and shares with four for a BUY, shares with two and cash with four for a
    SELL, at every tick. One that rests names shares with two decimals, and their exact product with the price.
    """
    limit = _on_tick(intent, market.tick.micro)
    if limit is None:
        band = f"from {market.tick} to {Price(MICRO - market.tick.micro)}"
        return Reason(code=Code.NOT_SENT, control="venue.tick", value=f"a limit of {intent.limit_price}", limit=band)
    buys, instant = intent.side is Side.BUY, intent.order_type in _INSTANT
    if buys and instant:
        cash = _floor(min(intent.shares.micro * limit // MICRO, intent.max_cost.micro), _TWO_DECIMALS)
        # Rounded down, or what it pays for a share is under the limit by a hair, and an offer at the limit is not met.
        shares = _floor(cash * MICRO // limit, _FOUR_DECIMALS)
        if cash < market.least_cost.micro:
            return _too_small(f"{Usd(cash)} USD", f"{market.least_cost} USD")
    else:
        # The cash of an intent is its promise, whatever its shares come to at the limit.
        most = min(intent.shares.micro, intent.max_cost.micro * MICRO // limit) if buys else intent.shares.micro
        shares = _floor(most, _TWO_DECIMALS)
        cash = shares * limit // MICRO
        if instant:
            cash = _floor(cash, _FOUR_DECIMALS)
        if shares < market.minimum.micro:
            return _too_small(f"{Shares(most)} shares", f"{market.minimum} shares")
    if not shares:
        return _too_small(f"{intent.shares} shares", "0.01 shares" if not buys else "0.01 USD")
    return Amounts(shares=Shares(shares), limit_price=Price(limit), cash=Usd(cash))


def _on_tick(intent: OrderIntent, tick: int) -> int | None:
    """Bring a limit to the tick, never to a worse price; None where nothing inside [tick, 1 - tick] is as good."""
    limit, least, most = intent.limit_price.micro, tick, (MICRO - tick) // tick * tick
    if intent.side is Side.BUY:
        limit = min(limit // tick * tick, most)
        return limit if limit >= least else None
    limit = max(-(-limit // tick) * tick, least)
    return limit if limit <= most else None


def _floor(amount: int, step: int) -> int:
    return amount - amount % step


def _too_small(value: str, limit: str) -> Reason:
    return Reason(code=Code.BELOW_MINIMUM, control="venue.minimum", value=value, limit=limit)
