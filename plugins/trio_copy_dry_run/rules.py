"""The rules that the simulated venue keeps: those of the real one, as far as they are known. Sync and pure.

Of a token of which nobody tells a tick, any price and any number of shares will do; of one of which nobody tells a fee,
`fee_bps` is taken.
"""

from trio_copy.model.books import Book, Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fees import EXPONENT_MOST
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market, Order
from trio_copy.model.units import MICRO, NO_SHARES, NO_USD, Price, Ratio, Shares, Usd
from trio_copy.model.values import value
from trio_copy.model.venue_amounts import ANY_PRICE, LEAST_PURCHASE, fit

_NO_FORMULA = Ratio(0)
POST_ONLY = "post-only"
_POST_ONLY_IN_BODY = POST_ONLY.encode()
_BUY = Side.BUY
_HUNDREDTH = MICRO // 100
_FIELDS_WITH_STEP = 9
"""Of a body; without rules it is what it always was, and so is the luck that is drawn from it."""


def market_of(
    token_id: TokenId, facts: TokenFacts | None, book: Book | None, fee_bps: int, quote: Quote | None
) -> Market:
    """Put together what is known; a tick changes while a token is traded, and its book is the first to tell."""
    tick = (book and book.tick) or (facts and facts.tick)
    minimum = (book and book.minimum) or (facts and facts.minimum)
    rate, exponent = _formula(facts)
    return Market(
        token_id=token_id,
        tick=tick or ANY_PRICE,
        minimum=minimum or NO_SHARES,
        fee_bps=fee_bps if rate is None else 0,
        quote=quote,
        fee_rate=rate or _NO_FORMULA,
        fee_exponent=exponent,
        least_cost=LEAST_PURCHASE if tick else NO_USD,
        exchange=_exchange(facts),
    )


@value
class Allowed:
    """What the venue takes of an intent; there are no shares where its rules leave nothing."""

    shares: Shares
    limit_price: Price
    max_cost: Usd
    """What a BUY may spend."""
    step: int = 1
    """What its fills are whole numbers of, see `step_of`."""
    refused: Reason | None = None
    """Which rule left nothing."""


def allowed(intent: OrderIntent, market: Market) -> Allowed:
    """Fit an intent into the venue's rules, as far as they are known."""
    if market.tick.micro == ANY_PRICE.micro:
        return Allowed(intent.shares, intent.limit_price, intent.max_cost)
    fitted = fit(intent, market)
    if isinstance(fitted, Reason):
        return Allowed(NO_SHARES, intent.limit_price, NO_USD, refused=fitted)
    shares = Shares(in_steps(fitted.shares.micro, _HUNDREDTH))
    return Allowed(shares, fitted.limit_price, NO_USD if intent.side is Side.SELL else fitted.cash, _HUNDREDTH)


def step_of(order: Order) -> int:
    """Return what an order's fills are whole numbers of, in millionths of a share: one, where the venue has no rules.

    It sells in hundredths, so whatever else is bought of a share can never be sold again: on paper, none of it is.
    """
    body = order.body
    return int(body.split(b"|")[-2]) if body.count(b"|") + 1 == _FIELDS_WITH_STEP else 1


def kind_of_order(order: Order) -> str:
    """Return which kind an order is, with how long it may rest: see `resting.kind_of`."""
    return order.body.split(b"|")[3].decode()


def is_post_only(order: Order) -> bool:
    return _POST_ONLY_IN_BODY in order.body and kind_of_order(order).endswith(POST_ONLY)


def spends_cash(order: Order) -> bool:
    """Tell whether an order takes all the shares that its cash buys, as an instant BUY does where the venue has rules.

    Where nobody tells them, and of what may rest, it takes the shares that it names.
    """
    return order.side is _BUY and step_of(order) > 1 and kind_of_order(order) in ("FAK", "FOK")


def in_steps(shares: int, step: int) -> int:
    return shares - shares % step


def _formula(facts: TokenFacts | None) -> tuple[Ratio | None, int]:
    """Return the rate and exponent of a fee; no rate where nobody tells one that can be reckoned with."""
    if facts is None or facts.fee_rate is None:
        return None, 1
    rate, exponent = facts.fee_rate, 1 if facts.fee_exponent is None else facts.fee_exponent
    if not rate:
        return rate, 1
    known = rate.micro <= MICRO and 1 <= exponent <= EXPONENT_MOST
    return (rate, exponent) if known else (None, 1)


def _exchange(facts: TokenFacts | None) -> str:
    if facts is None or facts.exchange is None or (facts.exchange == 2 and facts.neg_risk is None):
        return ""
    return "v2-neg-risk" if facts.exchange == 2 and facts.neg_risk else f"v{facts.exchange}"
