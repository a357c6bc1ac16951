"""Whether a trade that stands in calldata is the one that was let go: side, money, price and receiver, to the unit. Pure."""

from collections.abc import Sequence
from math import isqrt

from attrs import frozen

from trio_copy.config.wallets import WalletPolicy
from trio_copy.model.fills import Side
from trio_copy.model.units import MICRO, NO_PRICE, ONE_USD_PER_SHARE, Usd
from trio_copy.ports.signing import Spending
from trio_copy.signing.effects import Approval, Effect, MakerTrade, RoutedTrade, Trade, told

_PIPS = 1_000_000
_Q192 = 1 << 192


@frozen
class Trouble:
    """What is wrong: the control, what was met, and what was expected."""

    control: str
    """A setting of the wallet's policy, or else a word of the call."""
    value: str
    limit: str
    of_policy: bool = False


def trouble_of_trade(policy: WalletPolicy, wanted: Spending, cost: Usd, effects: Sequence[Effect]) -> Trouble | None:
    """Say why these calls are not the trade that was let go for at most so much; None where they are.

    One trade, and before it at most an approval of exactly what it takes.
    """
    if not effects or len(effects) > 2:
        return Trouble("calls", str(len(effects)), "one trade, and at most an approval before it")
    trade = effects[-1]
    if not isinstance(trade, MakerTrade | RoutedTrade):
        return Trouble("call", told(trade), "a trade")
    contract = trade.maker if isinstance(trade, MakerTrade) else trade.router
    if contract != wanted.contract:
        return Trouble("contract", contract, wanted.contract)
    trouble = (
        _of_maker(policy, wanted, cost, trade)
        if isinstance(trade, MakerTrade)
        else _of_router(policy, wanted, cost, trade)
    )
    if trouble is not None or len(effects) == 1:
        return trouble
    return _of_approval(policy, trade, effects[0])


def _of_approval(policy: WalletPolicy, trade: Trade, approval: Effect) -> Trouble | None:
    if isinstance(trade, RoutedTrade):
        exact = approval == Approval(token=trade.token_in, spender=trade.router, units=trade.given)
    else:
        # A market maker takes shares by the approval of a whole ledger, which is no part of any trade.
        exact = trade.side is Side.BUY and approval in [
            Approval(token=token, spender=trade.maker, units=trade.cash) for token in policy.collateral
        ]
    return (
        None
        if exact
        else Trouble("approval", told(approval), "exactly what the trade takes, for the contract that takes it")
    )


def _of_maker(policy: WalletPolicy, wanted: Spending, cost: Usd, trade: MakerTrade) -> Trouble | None:
    if trade.side is not wanted.side:
        return Trouble("side", trade.side.value, wanted.side.value)
    return _of_price(policy, wanted) or _of_amounts(policy, wanted, cost, trade)


def _of_amounts(policy: WalletPolicy, wanted: Spending, cost: Usd, trade: MakerTrade) -> Trouble | None:
    """Shares have the decimals of the cash, so that one unit for one is a price of 1."""
    paid, at_limit = trade.cash * MICRO, trade.shares * wanted.limit_price.micro
    if trade.side is Side.BUY:
        return _of_cash(policy, trade.cash, cost) or (_worse(wanted, trade) if paid > at_limit else None)
    return _worse(wanted, trade) if paid < at_limit or not trade.cash else None


def _of_router(policy: WalletPolicy, wanted: Spending, cost: Usd, trade: RoutedTrade) -> Trouble | None:
    buys = wanted.side is Side.BUY
    outcome, cash = (trade.token_out, trade.token_in) if buys else (trade.token_in, trade.token_out)
    if int(outcome, 16) != wanted.token_id:
        return Trouble("outcome", outcome, f"the token 0x{wanted.token_id:040x}")
    if cash not in policy.collateral or cash == outcome:
        return Trouble("collateral", cash, ", ".join(policy.collateral) or "none", of_policy=True)
    if trade.recipient != wanted.maker:
        return Trouble("recipient", trade.recipient, wanted.maker)
    if not trade.given:  # what a router takes for all that lies on it
        return Trouble("amount", "0", "above 0")
    trouble = _of_price(policy, wanted) or (_of_cash(policy, trade.given, cost) if buys else None)
    if trouble is not None:
        return trouble
    coin, share = 10**policy.collateral_decimals, 10**policy.outcome_decimals
    if buys:
        holds = trade.given * MICRO * share <= trade.least * wanted.limit_price.micro * coin
    else:
        holds = trade.least * MICRO * share >= trade.given * wanted.limit_price.micro * coin
    return None if holds or _stops(policy, wanted, trade, outcome, cash) else _worse(wanted, trade)


def _stops(policy: WalletPolicy, wanted: Spending, trade: RoutedTrade, outcome: str, collateral: str) -> bool:
    """Tell whether the pool stops before any unit is worse than the limit, its fee included."""
    if not trade.stop_at:
        return False
    cash = wanted.limit_price.micro * 10**policy.collateral_decimals
    shares = MICRO * 10**policy.outcome_decimals
    kept = _PIPS - trade.fee
    buys, outcome_first = wanted.side is Side.BUY, outcome < collateral
    # A buyer pays the pool's price and the fee on it; a seller gets the pool's price for what the fee leaves of his shares.
    cash, shares = (cash * kept, shares * _PIPS) if buys else (cash * _PIPS, shares * kept)
    second, first = (cash, shares) if outcome_first else (shares, cash)
    # Buying what comes first drives the price up, and so does selling what comes second.
    if buys is outcome_first:
        return trade.stop_at <= isqrt(second * _Q192 // first)
    return trade.stop_at >= isqrt(-(-second * _Q192 // first) - 1) + 1


def _of_price(policy: WalletPolicy, wanted: Spending) -> Trouble | None:
    limit = wanted.limit_price
    if wanted.side is Side.BUY and not NO_PRICE < limit <= policy.max_price:
        return Trouble("max_price", str(limit), f"above 0, at most {policy.max_price}", of_policy=True)
    if wanted.side is Side.SELL and not policy.min_price <= limit <= ONE_USD_PER_SHARE:
        return Trouble("min_price", str(limit), f"at least {policy.min_price}, at most 1", of_policy=True)
    return None


def _of_cash(policy: WalletPolicy, units: int, cost: Usd) -> Trouble | None:
    if units and units * MICRO <= cost.micro * 10**policy.collateral_decimals:
        return None
    return Trouble("amount", f"{units} units", f"above 0, at most {cost} USD")


def _worse(wanted: Spending, trade: Trade) -> Trouble:
    return Trouble("limit", told(trade), f"{wanted.side.value} at {wanted.limit_price}, or better")
