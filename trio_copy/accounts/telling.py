"""What an account tells people about what happened to it."""

from trio_copy.accounts.events import Learned
from trio_copy.accounts.orders import OpenOrder
from trio_copy.model.decisions import CopyTask, Outcome, Skip
from trio_copy.model.facts import NO_AMOUNTS, Amounts
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TaskId, TokenId
from trio_copy.model.orders import ExecutionReport
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.sightings import Sighting
from trio_copy.model.signals import Signal
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.model.values import value

_BUY, _CORRECT = Side.BUY, EntryKind.CORRECT


@value
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
    def of(cls, open_order: OpenOrder, learned: Learned | None = None) -> "OrderEnd":
        """Say how an order stands, or with what was learned about it comes to stand."""
        order, now = open_order.order, open_order if learned is None else learned
        return cls(
            order.key,
            order.order_id,
            order.executor,
            order.side,
            order.token_id,
            order.shares,
            order.limit_price,
            open_order.cost,
            open_order.members,
            now.report,
            now.state._value_,
            open_order.placed_at,
            now.at,
        )


@value
class TaskEnd:
    """How a task ended, or one attempt of it."""

    task: CopyTask
    outcome: Outcome | None
    """None for an attempt after which the task went on."""
    at: float
    """Unix seconds."""
    order: OrderEnd | None = None
    entry: LedgerEntry | None = None
    """The booking of what was filled."""
    sighting: Sighting | None = None
    """The prices that were known while its order was made; the account knows of none, whoever writes it down does."""


@value(kw_only=True)
class SkipTold:
    """A signal that a follow did not want."""

    skip: Skip
    signal: Signal
    at: float
    """Unix seconds."""


@value
class Told:
    """One thing to be written down for people, together with the change that made it true."""

    record: TaskEnd | SkipTold | LedgerEntry
    amounts: Amounts = NO_AMOUNTS
    """By how much it changed what `model.facts.AMOUNTS` names."""


def amounts_of(entry: LedgerEntry, realised: int, provisional: int, sign: int = 1) -> Amounts:
    """Return what a booking adds to the sums, or takes back with a sign of -1."""
    corrects = entry.kind is _CORRECT
    if not entry.shares.micro and not corrects:
        return (0, 0, 0, 0, realised, provisional)
    notional, fee = sign * entry.notional.micro, sign * entry.fee.micro
    bought, sold = (notional, 0) if entry.side is _BUY else (0, notional)
    # A trade that was corrected is one trade all the same.
    return (0 if corrects else sign, bought, sold, fee, realised, provisional)
