"""How big a copy is. Every rounding goes against us: shares down, cost up, and never past a cap."""

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Kind, Side
from trio_copy.model.follow_settings import RESTING, FollowSettings, Sizing
from trio_copy.model.ids import TokenId
from trio_copy.model.signals import Signal
from trio_copy.model.units import (
    MICRO,
    NO_SHARES,
    NO_USD,
    ONE_USD_PER_SHARE,
    Price,
    Ratio,
    Rounding,
    Shares,
    Usd,
    divide,
)

_DOWN, _UP = Rounding.DOWN, Rounding.UP
_ANY_PRICE = Price(1)


def size(signal: Signal, settings: FollowSettings, facts: TokenFacts | None) -> OrderIntent | Reason:
    """Size a signal: a pure function, so that every instance comes to the same order.

    A signal without a price is sized at 1 USD per share, the most an outcome share can ever be worth, and leaves at any
    price. Entries obey the minimum and the cap, in that order; exits obey neither, they are bounded by what is held.
    """
    sizing, execution, own_exit = settings.size, settings.execution, signal.kind is Kind.EXIT
    token, price = signal.token_id, ONE_USD_PER_SHARE if signal.price is None else signal.price
    if sizing.direction == "reverse" and not own_exit:
        opposite = _opposite(signal, price, facts)
        if isinstance(opposite, Reason):
            return opposite
        token, price = opposite
    if not price:
        return Reason(code=Code.PRICE_UNKNOWN, control="signal.price", value="0", limit="above 0")
    sized = signal.side is Side.BUY or (settings.leaving.sell == "sized" and not own_exit)
    wanted = _wanted(signal, sizing, price) if sized else NO_SHARES
    if isinstance(wanted, Reason):
        return wanted
    slippage = settings.leaving.exit_slippage_bps if own_exit else execution.slippage_bps
    limit = _limit_price(signal.side, price, slippage)
    if signal.side is Side.SELL:
        return _exit(signal, settings, token, price, _ANY_PRICE if signal.price is None else limit, wanted)
    shares = _within_caps(wanted, price, limit, settings)
    if isinstance(shares, Reason):
        return shares
    if not shares:
        return Reason(code=Code.NOTHING_TO_COPY, control=f"size.{sizing.mode}", value="0 shares", limit="above 0")
    rests = execution.order_type in RESTING
    return OrderIntent(
        side=Side.BUY,
        token_id=token,
        shares=shares,
        price=price,
        limit_price=limit,
        max_cost=shares.at(limit, _UP),
        order_type=execution.order_type,
        leader_shares=signal.shares,
        rest_until=signal.block_time + execution.rest_s if rests else 0,
        post_only=rests and execution.post_only,
        leader_time=signal.leader_time,
    )


def _opposite(signal: Signal, price: Price, facts: TokenFacts | None) -> tuple[TokenId, Price] | Reason:
    if facts is None or facts.opposite is None:
        return Reason(
            code=Code.MARKET_UNKNOWN, control="size.direction", value="no opposite token", limit="one in the catalog"
        )
    return facts.opposite, price if signal.price is None else Price(max(0, MICRO - price.micro))


def _wanted(signal: Signal, sizing: Sizing, price: Price) -> Shares | Reason:
    match sizing.mode:
        case "fixed":
            return sizing.fixed_usd.shares_at(price, _DOWN)
        case "shares":
            return signal.shares.scaled(sizing.ratio, _DOWN)
        case "equity" if not sizing.leader_equity_usd:
            return Reason(code=Code.NOTHING_TO_COPY, control="size.leader_equity_usd", value="0", limit="above 0")
        case "equity":
            own = divide(sizing.equity_usd.micro * sizing.ratio.micro, sizing.leader_equity_usd.micro, _DOWN)
            return _dollars(signal, Ratio(own), price)
        case "tiers":
            notional = _notional(signal)
            reached = [tier for tier in sizing.tiers if tier.from_usd <= notional]
            if not reached:
                least = min((tier.from_usd for tier in sizing.tiers), default=None)
                return Reason(
                    code=Code.NOTHING_TO_COPY, control="size.tiers", value=str(notional), limit=f"from {least}"
                )
            return _dollars(signal, max(reached, key=lambda tier: tier.from_usd).ratio, price)
    shares = _dollars(signal, sizing.ratio, price)
    if sizing.mode == "range":
        if shares.at(price, _UP) > sizing.range_max_usd:
            return sizing.range_max_usd.shares_at(price, _DOWN)
        if shares.at(price, _DOWN) < sizing.range_min_usd:
            return sizing.range_min_usd.shares_at(price, _UP)
    return shares


def _notional(signal: Signal) -> Usd:
    return signal.shares.at(ONE_USD_PER_SHARE, _UP) if signal.notional is None else signal.notional


def _dollars(signal: Signal, ratio: Ratio, price: Price) -> Shares:
    """Return the shares that a part of the leader's dollars buys at a price; in one division, so nothing rounds twice."""
    if signal.price is None or price == signal.price:
        return signal.shares.scaled(ratio, _DOWN)
    return _notional(signal).scaled(ratio, _DOWN).shares_at(price, _DOWN)


def _limit_price(side: Side, price: Price, slippage_bps: int) -> Price:
    if side is Side.SELL:
        return price.lowered_bps(slippage_bps, _UP)
    limit = price.raised_bps(slippage_bps, _DOWN)
    # Nobody should ever pay more than a dollar for what can pay out a dollar at most.
    return min(limit, ONE_USD_PER_SHARE) if price <= ONE_USD_PER_SHARE else limit


def _exit(
    signal: Signal, settings: FollowSettings, token: TokenId, price: Price, limit: Price, wanted: Shares
) -> OrderIntent:
    sell = "all" if signal.kind is Kind.EXIT else settings.leaving.sell
    return OrderIntent(
        side=Side.SELL,
        token_id=token,
        shares=wanted if sell == "sized" else NO_SHARES,
        price=price,
        limit_price=limit,
        max_cost=NO_USD,
        order_type="FAK",
        leader_shares=signal.shares,
        sell=sell,
        leader_time=signal.leader_time,
    )


def _within_caps(shares: Shares, price: Price, limit: Price, settings: FollowSettings) -> Shares | Reason:
    sizing, cap = settings.size, settings.caps.max_order_usd
    raised = False
    # The notional is rounded up here: a dollar's worth of shares, rounded down, is still a dollar's worth.
    if shares.at(price, _UP) < sizing.minimum_usd and sizing.minimum_policy == "raise":
        shares, raised = sizing.minimum_usd.shares_at(price, _UP), True
    cost = shares.at(limit, _UP)
    if cap is not None and cost > cap:
        if raised:
            return Reason(code=Code.ABOVE_MAXIMUM, control="caps.max_order_usd", value=str(cost), limit=str(cap))
        shares = cap.shares_at(limit, _DOWN)
    notional = shares.at(price, _UP)
    if notional < sizing.minimum_usd and sizing.minimum_policy != "accumulate":
        return Reason(
            code=Code.BELOW_MINIMUM, control="size.minimum_usd", value=str(notional), limit=str(sizing.minimum_usd)
        )
    return shares
