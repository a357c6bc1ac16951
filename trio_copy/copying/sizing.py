"""How big a copy is. Every rounding goes against us: shares down, cost up, and never past a cap."""

from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follows import Sizing
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, ONE_USD_PER_SHARE, Price, Rounding, Shares

_DOWN, _UP = Rounding.DOWN, Rounding.UP


def size(signal: Signal, sizing: Sizing) -> OrderIntent | Reason:
    """Size a signal: a pure function, so that every instance comes to the same order.

    A signal without a price is sized at 1 USD per share, the most an outcome share can ever be worth. Entries obey the
    minimum and the cap, in that order; exits obey neither, they are bounded by what is held.
    """
    price = ONE_USD_PER_SHARE if signal.price is None else signal.price
    if not price:
        return Reason(code=Code.PRICE_UNKNOWN, control="signal.price", value="0", limit="above 0")
    shares = _wanted(signal, sizing, price)
    limit = _limit_price(signal.side, price, sizing.slippage_bps)
    if signal.side is Side.BUY:
        capped = _within_caps(shares, price, limit, sizing)
        if isinstance(capped, Reason):
            return capped
        shares = capped
    if not shares:
        return Reason(code=Code.NOTHING_TO_COPY, control=f"size.{sizing.mode}", value="0 shares", limit="above 0")
    return OrderIntent(
        side=signal.side,
        token_id=signal.token_id,
        shares=shares,
        price=price,
        limit_price=limit,
        max_cost=shares.at(limit, _UP) if signal.side is Side.BUY else NO_USD,
    )


def _wanted(signal: Signal, sizing: Sizing, price: Price) -> Shares:
    if sizing.mode == "fixed":
        return sizing.fixed_usd.shares_at(price, _DOWN)
    shares = signal.shares.scaled(sizing.ratio, _DOWN)
    if sizing.mode == "range":
        if shares.at(price, _UP) > sizing.range_max_usd:
            return sizing.range_max_usd.shares_at(price, _DOWN)
        if shares.at(price, _DOWN) < sizing.range_min_usd:
            return sizing.range_min_usd.shares_at(price, _UP)
    return shares


def _limit_price(side: Side, price: Price, slippage_bps: int) -> Price:
    if side is Side.SELL:
        return price.lowered_bps(slippage_bps, _UP)
    limit = price.raised_bps(slippage_bps, _DOWN)
    # Nobody should ever pay more than a dollar for what can pay out a dollar at most.
    return min(limit, ONE_USD_PER_SHARE) if price <= ONE_USD_PER_SHARE else limit


def _within_caps(shares: Shares, price: Price, limit: Price, sizing: Sizing) -> Shares | Reason:
    raised = False
    # The notional is rounded up here: a dollar's worth of shares, rounded down, is still a dollar's worth.
    if shares.at(price, _UP) < sizing.minimum_usd and sizing.minimum_policy == "raise":
        shares, raised = sizing.minimum_usd.shares_at(price, _UP), True
    cost = shares.at(limit, _UP)
    if cost > sizing.max_order_usd:
        if raised:
            return Reason(
                code=Code.ABOVE_MAXIMUM, control="size.max_order_usd", value=str(cost), limit=str(sizing.max_order_usd)
            )
        shares = sizing.max_order_usd.shares_at(limit, _DOWN)
    notional = shares.at(price, _UP)
    if notional < sizing.minimum_usd:
        return Reason(
            code=Code.BELOW_MINIMUM, control="size.minimum_usd", value=str(notional), limit=str(sizing.minimum_usd)
        )
    return shares
