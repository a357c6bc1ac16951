"""What an entry may cost at most, and whether it is too small."""

from attrs import evolve

from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fees import Fee
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings, Sizing
from trio_copy.model.sightings import Allotment
from trio_copy.model.units import MICRO, NO_SHARES, Price, Rounding, Shares, Usd

_DOWN, _UP = Rounding.DOWN, Rounding.UP
_SELL = Side.SELL


def with_fees(intent: OrderIntent, settings: FollowSettings, fee: Fee) -> OrderIntent | Reason:
    """Shrink an entry until it fits its cap with the venue's fee on top; a reason when it is then too small."""
    cap = settings.caps.max_order_usd
    if intent.side is _SELL or cap is None:
        return intent
    if worst_cost(intent.max_cost, intent.limit_price, fee).micro <= cap.micro:
        return intent
    # Cost and each part of the fee are rounded up: some millionths are kept for that.
    spare = 4 if fee.rate else 2
    most = Usd(max(0, cap.micro - spare)).shares_at(fee.on_top_of(intent.limit_price), _DOWN)
    shares = min(intent.shares, most)
    notional = shares.at(intent.price, _UP)
    if notional < settings.size.minimum_usd or not shares:
        return Reason(
            code=Code.ABOVE_MAXIMUM,
            control="caps.max_order_usd",
            value=str(worst_cost(intent.max_cost, intent.limit_price, fee)),
            limit=str(cap),
        )
    return evolve(intent, shares=shares, max_cost=shares.at(intent.limit_price, _UP))


def held_to(allotment: Allotment | None, intent: OrderIntent, least: Shares = NO_SHARES) -> OrderIntent:
    """Shrink an intent to what it may take of a book that it shares; a sale not below `least`, for it is sent all the same."""
    if allotment is None or allotment.most is None:
        return intent
    if intent.side is _SELL:
        return intent.resized(min(intent.shares, max(Shares(allotment.most.micro), least)))
    cash = min(intent.max_cost, Usd(allotment.most.micro))
    # Rounded up, or the shares would come to a millionth less than the cash, which the venue rounds down to the cent.
    return evolve(intent, shares=min(intent.shares, cash.shares_at(intent.limit_price, _UP)), max_cost=cash)


def worst_cost(cash: Usd, limit_price: Price, fee: Fee) -> Usd:
    """Return the most that an entry may cost that spends so much, fees included: at whatever price up to its limit."""
    return cash + fee.most_of_purchase(cash, limit_price) if fee.bps or fee.rate.micro else cash


def below_minimum(intent: OrderIntent, sizing: Sizing) -> bool:
    """Tell whether an entry is too small to be sent alone."""
    cost = -(-intent.shares.micro * intent.price.micro // MICRO)
    return intent.side is not _SELL and cost < sizing.minimum_usd.micro
