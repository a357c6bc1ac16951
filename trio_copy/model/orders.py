"""An intent bound to a venue, and what became of it."""

from enum import Enum, IntEnum

from attrs import Factory, frozen

from trio_copy.model.books import Book, Quote
from trio_copy.model.decisions import Reason
from trio_copy.model.fees import Fee, fee_of
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, OrderId, TokenId
from trio_copy.model.units import BPS, MICRO, NO_SHARES, NO_USD, Price, Ratio, Rounding, Shares, Usd
from trio_copy.model.values import sealed

_NO_FORMULA = Ratio(0)
_HAIR = 100
"""By so many millionths of a USD a price that follows from rounded amounts may be over the limit: the smallest tick."""


class SignatureType(IntEnum):
    """What kind of account an address is, and so how its orders are signed; the numbers are the venue's."""

    EOA = 0
    """The key's own address."""
    PROXY = 1
    SAFE = 2
    DEPOSIT = 3


@frozen(kw_only=True)
class Wallet:
    """What an executor trades with for a follower; nothing of it is secret."""

    follower: FollowerId
    address: Address | None
    """Holds the money and the shares: an order's maker. None on paper."""
    name: str = ""
    """Of the table [wallet.NAME] of a live one: `Signers.of` finds by it who signs. Empty on paper."""
    signature_type: SignatureType = SignatureType.EOA
    fleet: str = ""
    """Of the table [fleet.NAME] whose operators send what it does; empty where its own key does."""


@frozen(kw_only=True)
class Market:
    """What a venue says about one token right now."""

    token_id: TokenId
    tick: Price
    minimum: Shares
    """The smallest order, apart from what `least_cost` is about."""
    fee_bps: int
    """What a taker pays, of the notional; see `Fee`."""
    closed: str | None = None
    """Why it cannot be traded, or None when it can."""
    quote: Quote | None = None
    """The top of its book; None where nobody tells."""
    fee_rate: Ratio = _NO_FORMULA
    """Of the formula by which a taker pays, besides `fee_bps`; 0 for none."""
    fee_exponent: int = 1
    least_cost: Usd = NO_USD
    """What a BUY that takes and does not rest has to cost."""
    exchange: str = ""
    """Which of the venue's exchanges trades it, where it has several: v2, v2-neg-risk, v3."""
    book: Book | None = None
    """The book itself, where it was asked for: see `BookExecutor`."""
    terms: object = None
    """What else the executor itself has to know again in `prepare`, in a shape of its own. Never changed, and nobody else reads it."""

    @property
    def fee(self) -> Fee:
        """Return what a taker pays."""
        return fee_of(self.fee_bps, self.fee_rate.micro, self.fee_exponent)


def greatest_cost(side: Side, shares: Shares, limit_price: Price) -> Usd:
    """Return what shares cost at a limit at most, before fees; zero for a SELL."""
    return shares.at(limit_price, Rounding.UP) if side is Side.BUY else NO_USD


@sealed
class Order:
    """Frozen before it is sent: the same bytes go out on every retry."""

    key: IntentKey
    order_id: OrderId
    """Computed before sending; what the venue will know the order by."""
    executor: str
    wallet: Wallet
    side: Side
    token_id: TokenId
    shares: Shares
    limit_price: Price
    body: bytes
    """Everything that goes over the wire."""
    fee_bps: int | None = None
    """The market's fee when it was prepared: what its fills are judged by. The engine writes it, whatever the executor has."""
    fee_rate: Ratio = _NO_FORMULA
    """As `fee_bps`, with the exponent."""
    fee_exponent: int = 1
    max_cost: Usd = Factory(lambda order: greatest_cost(order.side, order.shares, order.limit_price), takes_self=True)
    """The most that a BUY may spend, before fees: a venue that takes cash gives all the shares that it buys. Zero for a SELL."""
    refused: Reason | None = None
    """Of an order of no shares, which is never sent, why there are none: a rule of the venue, or a guard that did not sign."""

    @property
    def fee(self) -> Fee:
        """Return what its fills may cost at most; orders of earlier versions do not tell it."""
        return fee_of(BPS if self.fee_bps is None else self.fee_bps, self.fee_rate.micro, self.fee_exponent)

    def dearest(self, shares: Shares) -> Usd:
        """Return the most that a BUY may have spent on so many shares, before fees: within its cash, and at its average price.

        Amounts of few decimals do not name every price. What the cash divided by the shares says may be a hair over the
        limit, and is what the order allows.
        """
        size, limit, cash = shares.micro, self.limit_price.micro, self.max_cost.micro
        at_limit = -(-size * limit // MICRO)
        if at_limit >= cash:
            return self.max_cost
        if not self.shares.micro:
            return Usd(at_limit)
        named = -(-size * cash // self.shares.micro)
        return Usd(min(cash, max(at_limit, min(named, -(-size * (limit + _HAIR) // MICRO)))))


class Status(Enum):
    FILLED = "filled"
    PARTIAL = "partial"
    RESTING = "resting"
    """Accepted, and open at the venue: what it filled so far is told, and more may follow."""
    KILLED = "killed"
    """Accepted, and ended without a fill."""
    REJECTED = "rejected"
    """Refused; nothing was filled, and nothing will be."""
    ABSENT = "absent"
    """Proven never to have reached the venue: the same bytes may be sent again."""
    UNKNOWN = "unknown"

    __hash__ = object.__hash__


class Settlement(Enum):
    """Whether what the venue matched is on the chain."""

    FIRM = "firm"
    """For good: these are the amounts that count, also where others were told while it was pending."""
    MINED = "mined"
    """It is on the chain, where a reorg may still undo it. What was bought can be sold from here on."""
    PENDING = "pending"
    """Matched, and not on the chain. What was bought cannot be sold yet."""
    FAILED = "failed"
    """It was matched and then undone: the fill did not happen."""

    __hash__ = object.__hash__


@sealed
class ExecutionReport:
    """What the executor learned about an order."""

    order_id: OrderId
    status: Status
    shares: Shares = NO_SHARES
    """Shares filled so far; of an order that rests they grow from report to report, and never shrink."""
    notional: Usd = NO_USD
    """Collateral paid or received before fees."""
    fee: Usd = NO_USD
    settlement: Settlement = Settlement.FIRM
    detail: str = ""
    """The venue's own words for a refusal; never a secret."""
    stale: bool = False
    """Of a REJECTED: it was made for another tick, or version, than its market has by now, or the venue remembered less of
    what it sells than there is. Made anew it may be taken."""
    off_book: bool = False
    """Of a RESTING: the venue says that it is over, and what it has filled is not proven to be all. No exit waits for it any
    more, for it can meet nothing; what it holds stays held."""

    @property
    def price(self) -> Price | None:
        return self.notional.per(self.shares, Rounding.NEAREST) if self.shares else None

    @property
    def proven(self) -> bool:
        """Whether the outcome is final; an UNKNOWN order keeps what it holds, a RESTING one what it may still take."""
        return self.status not in (Status.UNKNOWN, Status.RESTING)
