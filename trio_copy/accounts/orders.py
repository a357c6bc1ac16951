"""An order's life: one table of what may follow what, and an arm that refuses."""

from enum import Enum

from attrs import frozen

from trio_copy.model.decisions import Code, CopyTask, End, OrderIntent, Outcome, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, TaskId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import NO_SHARES, ONE_USD_PER_SHARE, Rounding, Usd


class OrderState(Enum):
    PLACED = "placed"
    """Its body is frozen and durable; it may have been sent."""
    UNKNOWN = "unknown"
    """Nobody can say whether it was filled; what it may take stays held."""
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
    MATCHED = "it was filled, and the chain has not settled it"
    FIRM = "it was filled, for good"
    FAILED = "it was filled, and the chain has undone it"

    __hash__ = object.__hash__


class Step(Enum):
    """What an account does about it."""

    KEEP = "nothing new"
    DOUBT = "keep what it holds, and go on asking"
    VOID = "give back what it holds, as if it had never been"
    CLOSE = "give back what it holds; it was sent, and filled nothing"
    BOOK = "book it provisionally"
    BOOK_FIRM = "book it for good"
    SETTLE = "make its booking firm"
    REVERSE = "take its booking back"
    REFUSE = "change nothing, and let a person look"

    __hash__ = object.__hash__


LIFE: dict[tuple[OrderState, Said], tuple[Step, OrderState]] = {
    (OrderState.PLACED, Said.NOTHING): (Step.DOUBT, OrderState.UNKNOWN),
    (OrderState.PLACED, Said.ABSENT): (Step.VOID, OrderState.ENDED),
    (OrderState.PLACED, Said.EMPTY): (Step.CLOSE, OrderState.ENDED),
    (OrderState.PLACED, Said.MATCHED): (Step.BOOK, OrderState.MATCHED),
    (OrderState.PLACED, Said.FIRM): (Step.BOOK_FIRM, OrderState.ENDED),
    (OrderState.PLACED, Said.FAILED): (Step.CLOSE, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.NOTHING): (Step.KEEP, OrderState.UNKNOWN),
    (OrderState.UNKNOWN, Said.ABSENT): (Step.VOID, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.EMPTY): (Step.CLOSE, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.MATCHED): (Step.BOOK, OrderState.MATCHED),
    (OrderState.UNKNOWN, Said.FIRM): (Step.BOOK_FIRM, OrderState.ENDED),
    (OrderState.UNKNOWN, Said.FAILED): (Step.CLOSE, OrderState.ENDED),
    (OrderState.MATCHED, Said.NOTHING): (Step.KEEP, OrderState.MATCHED),
    (OrderState.MATCHED, Said.MATCHED): (Step.KEEP, OrderState.MATCHED),
    (OrderState.MATCHED, Said.FIRM): (Step.SETTLE, OrderState.ENDED),
    (OrderState.MATCHED, Said.FAILED): (Step.REVERSE, OrderState.ENDED),
    # What was filled cannot turn out never to have been there: only the chain can undo it, and says so.
    (OrderState.MATCHED, Said.ABSENT): (Step.REFUSE, OrderState.MATCHED),
    (OrderState.MATCHED, Said.EMPTY): (Step.REFUSE, OrderState.MATCHED),
}
"""An order that has ended is not in an account any more: whatever is said of it changes nothing."""


def said(report: ExecutionReport | None) -> Said:
    """Say what a report means for an order's life."""
    if report is None or report.status is Status.UNKNOWN:
        return Said.NOTHING
    if report.shares:
        match report.settlement:
            case Settlement.FIRM:
                return Said.FIRM
            case Settlement.PENDING:
                return Said.MATCHED
            case Settlement.FAILED:
                return Said.FAILED
    return Said.ABSENT if report.status is Status.ABSENT else Said.EMPTY


def spent_by(report: ExecutionReport | None) -> int:
    """Return what an entry has used of a day's budgets, in millionths of a USD; what the chain undoes was spent as well."""
    if report is None or said(report) in (Said.NOTHING, Said.ABSENT):
        return 0
    return report.notional.micro + report.fee.micro


@frozen(kw_only=True)
class OpenOrder:
    """An order whose outcome is not proven and booked for good, and what it holds."""

    order: Order
    task: CopyTask
    members: tuple[TaskId, ...] = ()
    cost: Usd
    """The most that a BUY may cost, fees included: set aside until its outcome is proven."""
    state: OrderState = OrderState.PLACED
    report: ExecutionReport | None = None
    """What was learned last."""
    ended: bool = False
    """Whether its task has ended: matched, or handed to a person."""
    placed_at: float
    at: float
    """When it entered its state."""

    @property
    def spot(self) -> tuple[Address, TokenId]:
        """Whose trades of which token it copies."""
        return (self.task.signal.leader, self.order.token_id)

    @property
    def held(self) -> bool:
        """Whether it still holds what it may take: until its outcome is proven."""
        return self.state is not OrderState.MATCHED

    def after(self, state: OrderState, report: ExecutionReport | None, at: float, *, ended: bool) -> "OpenOrder":
        """Return the order as it stands once something was learned about it."""
        return OpenOrder(
            order=self.order,
            task=self.task,
            members=self.members,
            cost=self.cost,
            state=state,
            report=report,
            ended=ended,
            placed_at=self.placed_at,
            at=at,
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
    order, limit = open_order.order, open_order.order.limit_price
    shares, notional, fee = report.shares, report.notional, report.fee
    if report.order_id != order.order_id:
        return f"it is about order {report.order_id}"
    if min(shares.micro, notional.micro, fee.micro) < 0:
        return f"below zero: {shares} shares for {notional}, fee {fee}"
    if report.status is Status.UNKNOWN:
        return None
    if not shares:
        empty = report.status is not Status.FILLED and not notional and not fee
        return None if empty else f"{report.status.value}, with no shares for {notional}, fee {fee}"
    if report.status not in (Status.FILLED, Status.PARTIAL):
        return f"{report.status.value}, with {shares} shares"
    if order.side is Side.SELL:
        highest = max(limit, open_order.task.intent.price, ONE_USD_PER_SHARE)
        if shares > order.shares:
            return f"{shares} shares, of {order.shares}"
        if not shares.at(limit, Rounding.DOWN) <= notional <= shares.at(highest, Rounding.UP) or fee > notional:
            return f"{shares} shares for {notional}, fee {fee}, at a limit of {limit}"
    elif notional > shares.at(limit, Rounding.UP) or notional + fee > open_order.cost:
        return (
            f"{shares} shares for {notional}, fee {fee}, at a limit of {limit} and a cost of {open_order.cost} at most"
        )
    return None


def outside_intent(order: Order, key: IntentKey, follower: FollowerId, intent: OrderIntent) -> str | None:
    """Say how a prepared order leaves its intent, and so must not be sent; None when it stays inside."""
    if (order.key, order.wallet.follower) != (key, follower):
        return "an order of something else"
    if (order.side, order.token_id) != (intent.side, intent.token_id):
        return f"{order.side.value} of token {order.token_id}, not {intent.side.value} of {intent.token_id}"
    if not NO_SHARES <= order.shares <= intent.shares:
        return f"{order.shares} shares, of {intent.shares}"
    worse = order.limit_price > intent.limit_price if order.side is Side.BUY else order.limit_price < intent.limit_price
    return f"a limit of {order.limit_price}, of {intent.limit_price}" if worse else None


def outcome_of(order: Order, report: ExecutionReport | None) -> Outcome:
    """Say how a task ends whose order ended with a report; with none, it was never sent."""
    if report is None:
        return not_sent("it was never sent")
    if report.shares and report.settlement is Settlement.FAILED:
        reason = Reason(
            code=Code.SETTLEMENT_FAILED, control="venue.settlement", value="undone", limit="settled on the chain"
        )
        return Outcome(end=End.REJECTED, reason=reason)
    match report.status:
        case Status.FILLED:
            return Outcome(end=End.FILLED)
        case Status.PARTIAL if report.shares > NO_SHARES:
            return Outcome(end=End.PARTIAL)
        case Status.KILLED | Status.PARTIAL:
            reason = Reason(
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
