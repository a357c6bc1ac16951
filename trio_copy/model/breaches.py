"""What an executor may answer: each function returns the rule that an answer breaks and how, or None.

Nothing here trusts a type: an answer may be built past its constructor, and an amount may be of any class. Roundings are
those against ourselves and no further: what a fill costs may be rounded up to the next millionth, what it brings
down, each once for the whole order. Whoever adds up several matches adds first and rounds last.

A report stays inside its order: a SELL in shares and price, a BUY in cash and price. For the same cash, a book better
than the limit brings more shares than were asked for.
"""

from collections.abc import Callable

from attrs import frozen

from trio_copy.model.books import Book, Level, Quote
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fees import EXPONENT_MOST
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Status, Wallet
from trio_copy.model.units import MICRO, NO_SHARES, NO_USD, Micro, Price, Ratio, Shares, Usd

_MOST = 1 << 62
"""Larger amounts do not fit into the stores, nor into the world."""
_ALL_BPS = 10_000
_LONGEST_WORD = 300
_LONGEST_ID = 512
_LONGEST_NAME = 50
_LONGEST_BODY = 1 << 20
_MOST_LEVELS = 10_000
_BUY, _RESTING = Side.BUY, Status.RESTING
_NOTHING_FILLED = (Status.KILLED, Status.REJECTED, Status.ABSENT)


@frozen
class Breach:
    """A part of the contract that an answer does not keep."""

    rule: str
    """The same for every breach of its kind, so that a person is told once."""
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


def breach_of_lane(lane: object) -> Breach | None:
    """Judge the name of a lane."""
    if type(lane) is tuple and lane:
        for word in lane:
            if type(word) is not str or len(word) > _LONGEST_WORD:
                break
        else:
            return None
    return Breach("a lane", f"expected a tuple of short texts, was {shown(lane)}")


def breach_of_market(market: object, token_id: TokenId) -> Breach | None:
    """Judge what `market` returned for a token."""
    if type(market) is not Market:
        return _wrong_type("a market", Market, market)
    if market.token_id != token_id or type(market.token_id) is not int:
        return _expected("another token's market", token_id, market.token_id)
    if not _amount(market.tick, Price) or not market.tick:
        return _expected("a market's tick", "a Price above 0", market.tick)
    if not _amount(market.minimum, Shares):
        return _expected("a market's minimum", "Shares from 0", market.minimum)
    if not _bps(market.fee_bps):
        return _expected("a market's fee", f"an int from 0 to {_ALL_BPS} basis points", market.fee_bps)
    if not _amount(market.fee_rate, Ratio) or market.fee_rate.micro > MICRO:
        return _expected("a market's fee rate", "a Ratio from 0 to 1", market.fee_rate)
    if type(market.fee_exponent) is not int or not 1 <= market.fee_exponent <= EXPONENT_MOST:
        return _expected("a market's fee exponent", f"an int from 1 to {EXPONENT_MOST}", market.fee_exponent)
    if not _amount(market.least_cost, Usd):
        return _expected("a market's least cost", "Usd from 0", market.least_cost)
    if type(market.exchange) is not str or len(market.exchange) > _LONGEST_NAME:
        return _expected("a market's exchange", f"a text of at most {_LONGEST_NAME} letters", market.exchange)
    if market.closed is not None and type(market.closed) is not str:
        return _expected("why a market is closed", "a text or None", market.closed)
    if market.quote is not None and (breach := _breach_of_quote(market.quote)) is not None:
        return breach
    return None if market.book is None else _breach_of_book(market.book, token_id)


def breach_of_order(order: object, executor: str, key: IntentKey, intent: OrderIntent, wallet: Wallet) -> Breach | None:
    """Judge what `prepare` returned for an intent: it lies inside, or it is never sent."""
    if type(order) is not Order:
        return _wrong_type("an order", Order, order)
    # What is the very thing that was asked for is right; what is another one is looked at.
    if order.key is not key and (type(order.key) is not str or order.key != key):
        return _expected("an order's key", key, order.key)
    if order.executor is not executor and (type(order.executor) is not str or order.executor != executor):
        return _expected("an order's executor", executor, order.executor)
    if order.wallet is not wallet and (type(order.wallet) is not Wallet or order.wallet != wallet):
        return _expected("an order's wallet", wallet, order.wallet)
    if order.side is not intent.side:
        return _expected("an order's side", intent.side, order.side)
    token: object = order.token_id
    if token is not intent.token_id and (type(token) is not int or token != intent.token_id):
        return _expected("an order's token", intent.token_id, token)
    order_id, body = order.order_id, order.body
    if type(order_id) is not str or not 0 < len(order_id) <= _LONGEST_ID or not _writable(order_id):
        return _expected("an order's id", f"a text of 1 to {_LONGEST_ID} letters", order_id)
    if type(body) is not bytes or len(body) > _LONGEST_BODY:
        return _expected("an order's body", f"at most {_LONGEST_BODY} bytes", type(body).__name__)
    if not _amount(order.shares, Shares) or (shares := order.shares.micro) > intent.shares.micro:
        return _expected("an order's shares", f"Shares from 0 to {intent.shares}", order.shares)
    if not _amount(order.limit_price, Price):
        return _expected("an order's limit price", "a Price", order.limit_price)
    limit, wanted, buys = order.limit_price.micro, intent.limit_price.micro, intent.side is _BUY
    if (limit > wanted) if buys else (limit < wanted):
        return _expected("an order's limit price", f"{intent.limit_price} or better", order.limit_price)
    if not _amount(order.max_cost, Usd) or (order.max_cost.micro != 0) is not (buys and shares != 0):
        return _expected("an order's greatest cost", "Usd above 0 for a purchase of shares, else 0", order.max_cost)
    if order.refused is not None and (type(order.refused) is not Reason or shares):
        return _expected("why an order is none", "a Reason, of an order of no shares", order.refused)
    # Whatever it says itself: what its shares cost at its limit, it may spend as well.
    if buys and (cost := max(-(-shares * limit // MICRO), order.max_cost.micro)) > intent.max_cost.micro:
        return _expected("an order's cost", f"at most {intent.max_cost}", Usd(cost))
    return None


def breach_of_report(report: object, order: Order) -> Breach | None:
    """Judge what `submit` or `find` returned about an order: it stays inside, or it is never booked."""
    if type(report) is not ExecutionReport:
        return _wrong_type("a report", ExecutionReport, report)
    if report.order_id is not order.order_id and (
        type(report.order_id) is not str or report.order_id != order.order_id
    ):
        return _expected("another order's report", order.order_id, report.order_id)
    status, settlement = report.status, report.settlement
    if type(status) is not Status:
        return _expected("a report's status", "a Status", status)
    if type(settlement) is not Settlement:
        return _expected("a report's settlement", "a Settlement", settlement)
    if type(report.detail) is not str:
        return _expected("a report's detail", "a text", report.detail)
    if report.stale is not False and (breach := _breach_of_stale(report.stale, status)) is not None:
        return breach
    if report.off_book is not False and (breach := _breach_of_off_book(report.off_book, status)) is not None:
        return breach
    if not _amount(report.shares, Shares):
        return _expected("a report's shares", "Shares from 0", report.shares)
    if not _amount(report.notional, Usd):
        return _expected("a report's notional", "Usd from 0", report.notional)
    if not _amount(report.fee, Usd):
        return _expected("a report's fee", "Usd from 0", report.fee)
    if status is _RESTING:
        if order.side is Side.SELL:
            return _expected("a sale that rests", "an exit that is over at once", status)
        if settlement is Settlement.FAILED:
            return _expected("undone while it rests", "FAILED at its end", settlement)
    if report.shares.micro:
        return _breach_of_fill(report, order)
    if status is Status.FILLED or status is Status.PARTIAL:
        return _expected(f"{status.value} without shares", "above 0", report.shares)
    if report.notional.micro or report.fee.micro:
        return _expected("money without shares", NO_USD, f"{report.notional} and a fee of {report.fee}")
    return None


def _breach_of_stale(stale: object, status: Status) -> Breach | None:
    if type(stale) is not bool:
        return _expected("whether a report's market is stale", "a bool", stale)
    if status is not Status.REJECTED:
        return _expected("made for another market", Status.REJECTED, status)
    return None


def _breach_of_off_book(off_book: object, status: Status) -> Breach | None:
    if type(off_book) is not bool:
        return _expected("whether an order is off the book", "a bool", off_book)
    return None if status is _RESTING else _expected("off the book", _RESTING, status)


def _breach_of_fill(report: ExecutionReport, order: Order) -> Breach | None:
    if report.status in _NOTHING_FILLED:
        return _expected(f"{report.status.value} with shares", NO_SHARES, report.shares)
    shares, notional, limit = report.shares.micro, report.notional.micro, order.limit_price.micro
    buys = order.side is _BUY
    if buys:
        if notional > order.max_cost.micro:
            return _expected("a purchase's cost", f"at most {order.max_cost}", report.notional)
        # A price is a millionth at least: shares that cost nothing are not there.
        least, most = -(-shares // MICRO), order.dearest(report.shares).micro
    else:
        if shares > order.shares.micro:
            return _expected("a sale's shares", f"at most {order.shares}", report.shares)
        # Proceeds out of nowhere would hide losses. What is priced like an outcome share pays a dollar at most.
        least, most = shares * limit // MICRO, shares if limit <= MICRO else _MOST
    if not least <= notional <= most:
        return _expected(
            "a fill's price", f"from {Usd(least)} to {Usd(most)} for {report.shares} shares", report.notional
        )
    if not report.fee.micro:
        return None
    # By the market's, known when the order was prepared, at whatever prices the fill was made of: only their sum is told.
    if buys:
        dearest = order.fee.most_of_purchase(report.notional, order.limit_price)
    else:
        dearest = order.fee.most_of_sale(report.shares, report.notional, order.limit_price)
    return _expected("a fill's fee", f"at most {dearest}", report.fee) if report.fee.micro > dearest.micro else None


def _breach_of_quote(quote: object) -> Breach | None:
    if type(quote) is not Quote:
        return _wrong_type("a quote", Quote, quote)
    for of, amount in (
        (Price, quote.bid),
        (Price, quote.ask),
        (Shares, quote.bid_shares),
        (Shares, quote.ask_shares),
    ):
        if amount is not None and not _amount(amount, of):
            return _expected("a quote", f"{of.__name__} from 0, or None", amount)
    return None


def _breach_of_book(book: object, token_id: TokenId) -> Breach | None:
    if type(book) is not Book:
        return _wrong_type("a book", Book, book)
    if book.token_id != token_id:
        return _expected("another token's book", token_id, book.token_id)
    for side, best_first in ((book.bids, -1), (book.asks, 1)):
        if type(side) is not tuple or len(side) > _MOST_LEVELS:
            return _expected("a side of a book", f"a tuple of at most {_MOST_LEVELS} levels", type(side).__name__)
        for level in side:
            if type(level) is not Level or not _amount(level.price, Price) or not _amount(level.shares, Shares):
                return _expected("a level of a book", "a Level of a Price and Shares", level)
            if not level.price.micro or not level.shares.micro:
                return _expected("a level of a book", "a price and shares above 0", level)
        prices = [best_first * level.price.micro for level in side]
        if sorted(set(prices)) != prices:
            return _expected("a side of a book", "each price once, the best first", side[:5])
    return None


def judged(judge: Callable[..., Breach | None], answer: object, *terms: object) -> Breach | None:
    """Judge an answer that may not even be readable."""
    try:
        return judge(answer, *terms)
    except Exception as error:  # a property, a comparison, a missing slot: all of it is the plugin's
        return Breach(f"an unreadable {type(answer).__name__[:60]}", type(error).__name__)


def shown(value: object) -> str:
    """Write a foreign value in a few words, whatever its `repr` does."""
    try:
        return repr(value)[:120]
    except Exception as error:
        return f"a {type(value).__name__[:60]} whose repr raises {type(error).__name__[:60]}"


def _amount(value: Micro, of: type[Micro]) -> bool:
    return type(value) is of and type(value.micro) is int and 0 <= value.micro <= _MOST


def _writable(text: str) -> bool:
    """Tell whether a text has no halves of characters."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _bps(value: object) -> bool:
    return type(value) is int and 0 <= value <= _ALL_BPS


def _expected(rule: str, expected: object, was: object) -> Breach:
    plain = isinstance(was, Micro) and type(was.micro) is int
    return Breach(rule, f"expected {expected}, was {was if plain else shown(was)}")


def _wrong_type(rule: str, expected: type, was: object) -> Breach:
    return Breach(rule, f"expected {expected.__name__}, was {shown(was)}")
