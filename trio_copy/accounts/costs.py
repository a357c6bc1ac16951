"""What an entry may cost at most, and whether it is too small."""

from attrs import evolve

from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings, Sizing
from trio_copy.model.units import BPS, MICRO, Price, Rounding, Shares, Usd

_DOWN, _UP = Rounding.DOWN, Rounding.UP
_SELL = Side.SELL


def with_fees(intent: OrderIntent, settings: FollowSettings, fee_bps: int) -> OrderIntent | Reason:
    """Shrink an entry until it fits its cap with the venue's fee on top; a reason when it is then too small."""
    cap = settings.caps.max_order_usd
    if intent.side is _SELL or cap is None or _worst(intent.shares, intent.limit_price, fee_bps) <= cap.micro:
        return intent
    unit = intent.limit_price.raised_bps(fee_bps, _UP)
    # Cost and fee are each rounded up: two millionths are kept for that.
    shares = min(intent.shares, Usd(max(0, cap.micro - 2)).shares_at(unit, _DOWN))
    notional = shares.at(intent.price, _UP)
    if notional < settings.size.minimum_usd or not shares:
        return Reason(
            code=Code.ABOVE_MAXIMUM,
            control="caps.max_order_usd",
            value=str(worst_cost(intent.shares, intent.limit_price, fee_bps)),
            limit=str(cap),
        )
    return evolve(intent, shares=shares, max_cost=shares.at(intent.limit_price, _UP))


def worst_cost(shares: Shares, limit_price: Price, fee_bps: int) -> Usd:
    """Return the most that an entry may cost, fees included."""
    return Usd(_worst(shares, limit_price, fee_bps))


def _worst(shares: Shares, limit_price: Price, fee_bps: int) -> int:
    # Cost and fee are each rounded up, as the venue may round them.
    cost = -(-shares.micro * limit_price.micro // MICRO)
    return cost - (-cost * fee_bps // BPS) if fee_bps else cost


def below_minimum(intent: OrderIntent, sizing: Sizing) -> bool:
    """Tell whether an entry is too small to be sent alone."""
    cost = -(-intent.shares.micro * intent.price.micro // MICRO)
    return intent.side is not _SELL and cost < sizing.minimum_usd.micro
