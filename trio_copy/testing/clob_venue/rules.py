"""What the venue lets an order be, apart from who sends it: price, size, decimals, expiration. Integers of millionths."""

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.units import MICRO, decimal_string
from trio_copy.testing.clob_venue.posted import Posted
from trio_copy.testing.clob_venue.refusals import INVALID_PAYLOAD, Refused, invalid

_NEAR = 100
"""How far a price made of rounded amounts may lie off its tick: 0.0001 USD."""
_LEAST_LIFE_S = 180
_LEAST_PURCHASE = MICRO
_CENT, _FOUR = 10_000, 100
"""The steps of amounts with two decimals, and with four."""
_DECIMALS = {100_000: 3, 10_000: 4, 5_000: 5, 2_500: 6, 1_000: 5, 100: 6}
"""Of a resting order's cash, by tick."""


def check_order(order: Posted, order_id: str, fact: TokenFacts, now_s: float) -> int:
    """Return an order's limit on its tick, in millionths of a USD a share. Refuses by 400 what breaks a rule."""
    assert fact.tick is not None
    assert fact.minimum is not None
    _check_life(order, now_s)
    if not order.maker_amount or not order.taker_amount:
        raise invalid(order_id, "Size (0) lower than the minimum: " + str(fact.minimum))
    limit = _limit(order, order_id, fact.tick.micro)
    # An instant BUY names cash: its shares may be fewer than the minimum.
    if order.shares < fact.minimum.micro and not (order.buys and order.instant):
        raise invalid(order_id, f"Size ({decimal_string(order.shares)}) lower than the minimum: {fact.minimum}")
    _check_decimals(order, limit, fact.tick.micro)
    return limit


def check_purchase(cash: int) -> None:
    """Refuse a BUY that takes what is offered, for less than a dollar."""
    if cash < _LEAST_PURCHASE:
        raise Refused(400, f"invalid amount for a marketable BUY order (${decimal_string(cash)}), min size: 1")


def _check_life(order: Posted, now_s: float) -> None:
    if order.post_only and order.instant:
        raise Refused(400, INVALID_PAYLOAD)
    if order.order_type == "GTD":
        if order.expiration < now_s + _LEAST_LIFE_S:
            raise Refused(400, "invalid expiration")
    elif order.expiration:
        raise Refused(400, "invalid expiration")


def _limit(order: Posted, order_id: str, tick: int) -> int:
    """Return the tick next to the price that the amounts make, or refuse where there is none."""
    exact, rest = divmod(order.cash * MICRO, order.shares)
    below = exact - exact % tick
    near = below if 2 * (exact - below) <= tick else below + tick
    if abs(exact - near) > _NEAR or not tick <= near <= MICRO - tick:
        told = order.cash / order.shares if rest else decimal_string(exact)  # the venue writes a float here
        raise invalid(order_id, f"Price ({told}) breaks minimum tick size rule: {decimal_string(tick)}")
    return near


def _check_decimals(order: Posted, limit: int, tick: int) -> None:
    side = "buy" if order.buys else "sell"
    if order.instant:
        if order.maker_amount % _CENT or order.taker_amount % _FOUR:
            raise _accuracy(f"market {side}", 2, 4)
        return
    decimals = _DECIMALS.get(tick, 6)
    if order.shares % _CENT or order.cash % 10 ** (6 - decimals):
        maker, taker = (decimals, 2) if order.buys else (2, decimals)
        raise _accuracy(side, maker, taker)
    due = order.shares * limit // MICRO
    if order.cash != due:
        which = "maker" if order.buys else "taker"
        told = f"for a ${decimal_string(limit)} order of size {decimal_string(order.shares)}"
        wrong = f"should be '{decimal_string(due)}' but the value submited is '{decimal_string(order.cash)}'"
        raise Refused(400, f"invalid amounts, the {which} amount {told} {wrong}")


def _accuracy(what: str, maker: int, taker: int) -> Refused:
    return Refused(
        400,
        f"invalid amounts, the {what} orders maker amount supports a max accuracy of {maker} decimals, "
        f"taker amount a max of {taker} decimals",
    )
