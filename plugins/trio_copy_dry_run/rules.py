"""The rules that the simulated venue keeps: those of the real one, as far as they are known. Sync and pure.

Of a token of which nobody tells a tick, any price and any number of shares will do; of one of which nobody tells a fee,
`fee_bps` is taken.
"""

from trio_copy.model.books import Book
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fees import EXPONENT_MOST
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market, Order, Quote
from trio_copy.model.units import MICRO, NO_SHARES, NO_USD, Price, Ratio, Shares
from trio_copy.model.venue_amounts import ANY_PRICE, LEAST_PURCHASE, fit

_NO_FORMULA = Ratio(0)
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


def allowed(intent: OrderIntent, market: Market) -> tuple[Shares, Price, int]:
    """Return what the venue takes of an intent: shares and limit, and the step in which they are filled; see `step_of`.

    There are no shares where its rules leave nothing.
    """
    if market.tick == ANY_PRICE:
        return intent.shares, intent.limit_price, 1
    fitted = fit(intent, market)
    if isinstance(fitted, Reason):
        return NO_SHARES, intent.limit_price, 1
    return Shares(in_steps(fitted.shares.micro, _HUNDREDTH)), fitted.limit_price, _HUNDREDTH


def step_of(order: Order) -> int:
    """Return what an order's fills are whole numbers of, in millionths of a share: one, where the venue has no rules.

    It sells in hundredths, so whatever else is bought of a share can never be sold again: on paper, none of it is.
    """
    fields = order.body.split(b"|")
    return int(fields[-2]) if len(fields) == _FIELDS_WITH_STEP else 1


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
