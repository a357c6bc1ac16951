"""What an account tells people about what happened to it."""

from attrs import frozen

from trio_copy.accounts.orders import OpenOrder
from trio_copy.model.decisions import CopyTask, Outcome, Skip
from trio_copy.model.facts import NO_AMOUNTS, Amounts
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TaskId, TokenId
from trio_copy.model.orders import ExecutionReport
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.signals import Signal
from trio_copy.model.units import Price, Shares, Usd


@frozen(kw_only=True)
class OrderEnd:
    """What is remembered of an order: everything but its body."""

    key: IntentKey
    order_id: OrderId
    executor: str
    side: Side
    token_id: TokenId
    shares: Shares
    limit_price: Price
    cost: Usd
    members: tuple[TaskId, ...]
    report: ExecutionReport | None
    """What was learned last; None when it was certainly not sent, or nobody ever answered."""
    state: str
    placed_at: float
    at: float
    """When it entered its state."""

    @classmethod
    def of(cls, open_order: OpenOrder) -> "OrderEnd":
        order = open_order.order
        return cls(
            key=order.key,
            order_id=order.order_id,
            executor=order.executor,
            side=order.side,
            token_id=order.token_id,
            shares=order.shares,
            limit_price=order.limit_price,
            cost=open_order.cost,
            members=open_order.members,
            report=open_order.report,
            state=open_order.state.value,
            placed_at=open_order.placed_at,
            at=open_order.at,
        )


@frozen(kw_only=True)
class TaskEnd:
    """How a task ended, or one attempt of it."""

    task: CopyTask
    outcome: Outcome | None
    """None for an attempt after which the task went on."""
    order: OrderEnd | None = None
    entry: LedgerEntry | None = None
    """The booking of what was filled."""
    at: float
    """Unix seconds."""


@frozen(kw_only=True)
class SkipTold:
    """A signal that a follow did not want."""

    skip: Skip
    signal: Signal
    at: float
    """Unix seconds."""


@frozen(kw_only=True)
class Told:
    """One thing to be written down for people, together with the change that made it true."""

    record: TaskEnd | SkipTold | LedgerEntry
    amounts: Amounts = NO_AMOUNTS
    """By how much it changed what `model.facts.AMOUNTS` names."""


def amounts_of(entry: LedgerEntry, realised: int, provisional: int, sign: int = 1) -> Amounts:
    """Return what a booking adds to the sums, or takes back with a sign of -1."""
    if not entry.shares:
        return (0, 0, 0, 0, realised, provisional)
    bought, sold = (entry.notional.micro, 0) if entry.side is Side.BUY else (0, entry.notional.micro)
    return (sign, sign * bought, sign * sold, sign * entry.fee.micro, realised, provisional)
