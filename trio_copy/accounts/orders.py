"""An order's life: one table of what may follow what, and an arm that refuses."""

from enum import Enum

from trio_copy.model.decisions import Code, CopyTask, End, OrderIntent, Outcome, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, TaskId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import MICRO, Usd
from trio_copy.model.values import value

_BUY, _SELL = Side.BUY, Side.SELL
_FILLED, _PARTIAL, _UNKNOWN, _ABSENT = Status.FILLED, Status.PARTIAL, Status.UNKNOWN, Status.ABSENT
_RESTING, _FAILED = Status.RESTING, Settlement.FAILED
_FILLS = (_FILLED, _PARTIAL, _RESTING)
_ROUNDING = 10
"""Millionths by which two ways to add up the same trades may differ: one or so for each of them."""


class OrderState(Enum):
    PLACED = "placed"
    """Its body is frozen and durable; it may have been sent."""
    UNKNOWN = "unknown"
    """Nobody can say whether it was filled; what it may take stays held."""
    RESTING = "resting"
    """Open at the venue; what it filled so far is booked, and what it may still take stays held."""
    MATCHED = "matched"
    """Filled and booked; the chain has the last word."""
    ENDED = "ended"
    """Its outcome is proven, and booked for good."""

    __hash__ = object.__hash__


class Said(Enum):
    """What a report says about an order, as far as its life depends on it."""

    NOTHING = "nobody knows"
    ABSENT = "it never reached the venue, nor will"
    EMPTY = "it ended without a fill"
    RESTS = "it is open at the venue, and may be filled further"
    MATCHED = "it was filled, and the chain has not settled it"
    FIRM = "it was filled, for good"
    FAILED = "it was filled, and the chain has undone it"

    __hash__ = object.__hash__


class Step(Enum):
    """What an account does about it."""

    KEEP = "nothing new"
    DOUBT = "keep what it holds, and go on asking"
    VOID = "give back what it holds, as if it had never been"
    CLOSE = "give back what it holds; it was sent, and nothing came of it that is not firm already"
    REST = "book what it filled since, and hold the rest"
    LET_GO = "keep what is booked, and give back the rest"
    BOOK = "book it provisionally"
    BOOK_FIRM = "book it for good"
    CORRECT = "take back what of its booking is undone"
    SETTLE = "make its booking firm, with what the chain has"
    REVERSE = "take its booking back"
    REFUSE = "change nothing, and let a person look"

    __hash__ = object.__hash__


LIFE: dict[tuple[OrderState, Said], tuple[Step, OrderState]] = {
    (OrderState.PLACED, Said.NOTHING): (Step.DOUBT, OrderState.UNKNOWN),
    (OrderState.PLACED, Said.ABSENT): (Step.VOID, OrderState.ENDED),
    (OrderState.PLACED, Said.EMPTY): (Step.CLOSE, OrderState.ENDED),
    (OrderState.PLACED, Said.RESTS): (Step.REST, OrderState.RESTING),
    (OrderState.PLACED, Said.MATCHED): (Step.BOOK, OrderState.MATCHED),
    (OrderState.PLACED, Said.FIRM): (Step.BOOK_FIRM, OrderState.ENDED),
    (OrderState.PLACED, Said.FAILED): (Step.CLOSE, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.NOTHING): (Step.KEEP, OrderState.UNKNOWN),
    (OrderState.UNKNOWN, Said.ABSENT): (Step.VOID, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.EMPTY): (Step.CLOSE, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.RESTS): (Step.REST, OrderState.RESTING),
    (OrderState.UNKNOWN, Said.MATCHED): (Step.BOOK, OrderState.MATCHED),
    (OrderState.UNKNOWN, Said.FIRM): (Step.BOOK_FIRM, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.FAILED): (Step.CLOSE, OrderState.ENDED),
    (OrderState.RESTING, Said.NOTHING): (Step.KEEP, OrderState.RESTING),
    # It was there once: what is booked stays, and nothing more comes. It is never sent again.
    (OrderState.RESTING, Said.ABSENT): (Step.LET_GO, OrderState.ENDED),
    (OrderState.RESTING, Said.EMPTY): (Step.CLOSE, OrderState.ENDED),
    (OrderState.RESTING, Said.RESTS): (Step.REST, OrderState.RESTING),
    (OrderState.RESTING, Said.MATCHED): (Step.BOOK, OrderState.MATCHED),
    (OrderState.RESTING, Said.FIRM): (Step.BOOK_FIRM, OrderState.ENDED),
    # What was firm before stays booked, what was not is taken back, and what came last is not booked at all.
    (OrderState.RESTING, Said.FAILED): (Step.CLOSE, OrderState.ENDED),
    (OrderState.MATCHED, Said.NOTHING): (Step.KEEP, OrderState.MATCHED),
    (OrderState.MATCHED, Said.MATCHED): (Step.CORRECT, OrderState.MATCHED),
    (OrderState.MATCHED, Said.FIRM): (Step.SETTLE, OrderState.ENDED),
    (OrderState.MATCHED, Said.FAILED): (Step.REVERSE, OrderState.ENDED),
    # What was filled cannot turn out never to have been there: only the chain can undo it, and says so.
    (OrderState.MATCHED, Said.ABSENT): (Step.REFUSE, OrderState.MATCHED),
    (OrderState.MATCHED, Said.EMPTY): (Step.REFUSE, OrderState.MATCHED),
    (OrderState.MATCHED, Said.RESTS): (Step.REFUSE, OrderState.MATCHED),
}
"""An order that has ended is not in an account any more: whatever is said of it changes nothing."""


_SAID_BY_A_FILL = {
    Settlement.FIRM: Said.FIRM,
    Settlement.MINED: Said.MATCHED,
    Settlement.PENDING: Said.MATCHED,
    Settlement.FAILED: Said.FAILED,
}
_RESTS, _MATCHED, _DOUBTED = OrderState.RESTING, OrderState.MATCHED, OrderState.UNKNOWN


def said(report: ExecutionReport | None) -> Said:
    """Say what a report means for an order's life."""
    if report is None or report.status is _UNKNOWN:
        return Said.NOTHING
    if report.status is _RESTING:
        return Said.RESTS
    if report.shares.micro:
        return _SAID_BY_A_FILL[report.settlement]
    return Said.ABSENT if report.status is _ABSENT else Said.EMPTY


def spent_by(report: ExecutionReport | None) -> int:
    """Return what an entry has used of a day's budgets, in millionths of a USD; what the chain undoes was spent as well."""
    if report is None or report.status is _UNKNOWN or never_came(report):
        return 0
    return report.notional.micro + report.fee.micro


def never_came(report: ExecutionReport) -> bool:
    """Tell whether a report says that its order never reached the venue: ABSENT, in the words of `Said`."""
    return report.status is _ABSENT and not report.shares.micro


@value(kw_only=True)
class Unsent:
    """An order that its venue certainly does not have, and what it was made of: of the same it goes again, as it is.

    Its bytes may have left, so they count with whoever guards the key: another order of their key would never be signed.
    """

    order: Order
    intent: OrderIntent


@value
class OpenOrder:
    """An order whose outcome is not proven and booked for good, and what it holds."""

    order: Order
    task: CopyTask
    cost: Usd
    """The most that a BUY may cost, fees included: set aside until its outcome is proven, less what it used while it rested."""
    members: tuple[TaskId, ...]
    placed_at: float
    at: float
    """When it entered its state; of one that is off the book, when it filled something last."""
    state: OrderState = OrderState.PLACED
    report: ExecutionReport | None = None
    """What was learned last; of one that rests, what is booked."""
    ended: bool = False
    """Whether its task has ended: matched, or handed to a person."""
    breached: bool = False
    """Whether its executor reported of it what cannot be: nothing that it says is believed, a person decides."""
    called_off: Reason | None = None
    """Why it shall rest no longer; None where nobody wants that."""
    handed_over: bool = False
    """Whether a person was asked what became of it: it holds nothing else up. Known again, or called off anew, it does."""

    @property
    def spot(self) -> tuple[Address, TokenId]:
        """Whose trades of which token it copies."""
        return (self.task.signal.leader, self.order.token_id)

    @property
    def held(self) -> bool:
        """Whether it still holds what it may take: until its outcome is proven."""
        return self.state is not _MATCHED

    @property
    def rests(self) -> bool:
        return self.state is _RESTS

    @property
    def off_book(self) -> bool:
        """Whether it rests no longer, and what it has filled may not be known whole."""
        return self.rests and self.report is not None and self.report.off_book

    @property
    def unproven(self) -> bool:
        """Whether nobody knows how it stands, or what came of calling it off: until that is proven, its lane stays closed.

        One that rests is known, and what comes behind it goes on; so it does behind one that is off the book.
        """
        if self.state is _RESTS:
            return self.breached or (self.called_off is not None and not self.off_book)
        return self.held

    @property
    def used(self) -> int:
        """What an entry that rests has used of its cost so far, in millionths of a USD: it is booked."""
        return spent_by(self.report) if self.state is _RESTS else 0

    def after(self, state: OrderState, report: ExecutionReport | None, at: float, *, ended: bool) -> "OpenOrder":
        """Return the order as it stands once something was learned about it."""
        off_book = state is _RESTS and report is not None and report.off_book
        as_before = state is self.state and off_book is self.off_book
        # Of one that is off the book, what more it has filled is news: how long nobody knows whether that is all counts anew.
        grown = off_book and self.report is not None and report is not None and report.shares != self.report.shares
        return OpenOrder(
            self.order,
            self.task,
            self.cost,
            self.members,
            self.placed_at,
            self.at if as_before and not grown else at,
            state,
            report,
            ended,
            self.breached,
            self.called_off,
            # What turns out to rest is known: whoever calls it off has to wait for what comes of that.
            self.handed_over and (as_before or off_book or state is _DOUBTED),
        )

    def booked_as(self, report: ExecutionReport) -> bool:
        """Tell whether a later report speaks of the very fill that is booked."""
        booked = self.report
        return booked is not None and (booked.shares, booked.notional, booked.fee) == (
            report.shares,
            report.notional,
            report.fee,
        )


def outside(open_order: OpenOrder, report: ExecutionReport) -> str | None:
    """Say how a report leaves its order, and so proves nothing; None when it stays inside.

    A SELL stays inside in shares and price; a BUY in cash and price: a book better than the limit brings more shares than
    asked. What was filled is told as a fill, and nothing else is.
    """
    order, status = open_order.order, report.status
    shares, notional, fee = report.shares.micro, report.notional.micro, report.fee.micro
    if report.order_id != order.order_id:
        return f"it is about order {report.order_id}"
    if shares < 0 or notional < 0 or fee < 0:
        return f"below zero: {_told(report)}"
    if status is _UNKNOWN:
        return None
    if status is _RESTING:
        if order.side is _SELL or not open_order.task.intent.rest_until:
            return "it rests, which nobody asked for"
        if report.settlement is _FAILED:
            return "it rests, and its fills are undone"
    if not shares:
        empty = status is not _FILLED and not notional and not fee
        return None if empty else f"{status.value}, with no shares for {report.notional}, fee {report.fee}"
    if status not in _FILLS:
        return f"{status.value}, with {report.shares} shares"
    limit = order.limit_price
    if order.side is _SELL:
        at_limit, highest = shares * limit.micro, shares * max(limit.micro, open_order.task.intent.price.micro, MICRO)
        if shares > order.shares.micro:
            return f"{report.shares} shares, of {order.shares}"
        if not at_limit // MICRO <= notional <= -(-highest // MICRO) or fee > notional:
            return f"{_told(report)}, at a limit of {limit}"
    elif notional > order.dearest(report.shares).micro or notional + fee > open_order.cost.micro:
        return f"{_told(report)}, at a limit of {limit} and a cost of {open_order.cost} at most"
    return None


def shrinks(open_order: OpenOrder, report: ExecutionReport) -> bool:
    """Tell whether a report takes back what an order that rests has filled, or asks money for nothing more.

    What is booked stays: it is no outcome, and what the venue means a person has to find out. An order that the venue has no
    more, or says nothing of, filled what it filled.
    """
    booked, what = open_order.report, said(report)
    if booked is None or not open_order.rests or what is Said.NOTHING or what is Said.ABSENT:
        return False
    more = (
        report.shares.micro - booked.shares.micro,
        report.notional.micro - booked.notional.micro,
        report.fee.micro - booked.fee.micro,
    )
    return min(more) < 0 or (not more[0] and max(more) > 0)


def rounded(open_order: OpenOrder, report: ExecutionReport) -> bool:
    """Tell whether a report says what is booked, but for what two ways to add up the same trades round off.

    So it may be of an order that rests while a version of an executor takes the place of an earlier one.
    """
    booked = open_order.report
    if booked is None:
        return False
    off = (
        report.shares.micro - booked.shares.micro,
        report.notional.micro - booked.notional.micro,
        report.fee.micro - booked.fee.micro,
    )
    return max(map(abs, off)) <= _ROUNDING


def _told(report: ExecutionReport) -> str:
    return f"{report.shares} shares for {report.notional}, fee {report.fee}"


def outside_intent(order: Order, key: IntentKey, follower: FollowerId, intent: OrderIntent) -> str | None:
    """Say how a prepared order leaves its intent, and so must not be sent; None when it stays inside."""
    if order.key != key or order.wallet.follower != follower:
        return "an order of something else"
    if order.side is not intent.side or order.token_id != intent.token_id:
        return f"{order.side.value} of token {order.token_id}, not {intent.side.value} of {intent.token_id}"
    if not 0 <= order.shares.micro <= intent.shares.micro:
        return f"{order.shares} shares, of {intent.shares}"
    if order.max_cost.micro > intent.max_cost.micro:
        return f"a cost of {order.max_cost}, of {intent.max_cost}"
    over = order.limit_price.micro - intent.limit_price.micro
    worse = over > 0 if order.side is _BUY else over < 0
    return f"a limit of {order.limit_price}, of {intent.limit_price}" if worse else None


_WHOLE, _PART = Outcome(end=End.FILLED), Outcome(end=End.PARTIAL)


def outcome_of(order: Order, report: ExecutionReport | None, called_off: Reason | None = None) -> Outcome:
    """Say how a task ends whose order ended with a report; with none, it was never sent.

    `called_off` is why it rested no longer: where nothing was filled, that is why.
    """
    if report is None:
        return not_sent("it was never sent")
    if report.settlement is _FAILED and report.shares:
        reason = Reason(
            code=Code.SETTLEMENT_FAILED, control="venue.settlement", value="undone", limit="settled on the chain"
        )
        return Outcome(end=End.REJECTED, reason=reason)
    if report.status is _FILLED:
        return _WHOLE
    if report.status is _PARTIAL and report.shares.micro > 0:
        return _PART
    match report.status:
        case Status.KILLED | Status.PARTIAL:
            reason = called_off or Reason(
                code=Code.NO_FILL, control="execution.slippage_bps", value=report.detail, limit=str(order.limit_price)
            )
            return Outcome(end=End.KILLED, reason=reason)
        case Status.ABSENT:
            return not_sent("it never reached the venue")
        case _:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue", value=report.detail, limit="accepted")
            return Outcome(end=End.REJECTED, reason=reason)


def not_sent(detail: str) -> Outcome:
    """Say how a task ends whose order could not be sent."""
    reason = Reason(code=Code.NOT_SENT, control="executor", value=detail, limit="a venue that answers")
    return Outcome(end=End.REJECTED, reason=reason)
