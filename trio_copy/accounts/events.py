"""What happened to an account: facts that `Account.apply` turns into its new state."""

from attrs import field

from trio_copy.accounts.orders import OrderState, Unsent
from trio_copy.model.control import ModeChange
from trio_copy.model.decisions import CopyTask, OrderIntent, Outcome, Reason, Skip
from trio_copy.model.fundings import Funding
from trio_copy.model.ids import IntentKey, SignalId, TaskId
from trio_copy.model.orders import ExecutionReport, Order, Settlement
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Usd
from trio_copy.model.values import value


@value
class Placed:
    """An order's body is frozen and what it may take is held: once this is durable, it may be sent."""

    order: Order
    task: CopyTask
    """As it stands now: its intent covers those that go out with it."""
    at: float
    cost: Usd = NO_USD
    """The most that a BUY may cost, fees included."""
    members: tuple[TaskId, ...] = ()
    intent: OrderIntent | None = None
    """What the order was made of, with fees, and as far as it is sold now; None where nobody says."""


@value
class Learned:
    """The venue has said something about an order."""

    key: IntentKey
    state: OrderState
    """Where the order stands from now on."""
    report: ExecutionReport | None
    at: float
    outcome: Outcome | None = None
    """How its task ends; None while nobody knows, or when it goes on with another attempt."""
    entry: LedgerEntry | None = None
    """The booking of what was filled, or of an order that rested was filled since."""


@value(kw_only=True)
class Breached:
    """An executor reported of an unproven order what cannot be: from now on only a person is believed."""

    key: IntentKey
    at: float


@value(kw_only=True)
class CalledOff:
    """An order shall rest no longer; what it holds stays held until it is proven what came of it."""

    key: IntentKey
    why: Reason
    at: float


@value(kw_only=True)
class HandedOver:
    """Nobody could prove what came of calling an order off whose task had ended before: a person has to look."""

    key: IntentKey
    at: float


@value(kw_only=True)
class Contradicted:
    """A venue took back what it had proven: nothing changes, and a person has to look."""

    key: IntentKey
    report: ExecutionReport
    at: float


@value(kw_only=True)
class Waits:
    """A task waits, or waits on under other terms."""

    task: CopyTask
    until: float | None = None
    """When it has waited for company in vain; None for what waits for its time only."""
    suspended: bool = False
    tries: int = 0
    unsent: Unsent | None = None
    at: float


@value(kw_only=True)
class Ended:
    """A task reached its end."""

    task: CopyTask
    outcome: Outcome
    key: IntentKey | None = None
    """Its order, when that stays open for a person to look at."""
    at: float


@value(kw_only=True)
class Buried:
    """A task became a dead letter."""

    task: CopyTask
    why: str
    at: float


@value(kw_only=True)
class Passed:
    """The follow did not want a signal."""

    skip: Skip
    signal: Signal
    at: float


@value(kw_only=True)
class Missed:
    """The leader sold and this follower did not: only what the leader still holds changes."""

    entry: LedgerEntry


@value(kw_only=True)
class Redeemed:
    """A position became what its token pays."""

    entry: LedgerEntry


@value(kw_only=True)
class OnChain:
    """What an order had matched reached the chain, where a reorg may still undo it, or is off it again."""

    key: IntentKey
    settlement: Settlement
    """MINED or PENDING."""
    at: float


@value(kw_only=True)
class Settled:
    """What an order had matched is on the chain for good."""

    key: IntentKey
    report: ExecutionReport
    at: float


@value(kw_only=True)
class Reversed:
    """What an order had matched never reached the chain: it did not happen."""

    key: IntentKey
    report: ExecutionReport
    at: float


@value(kw_only=True)
class Corrected:
    """What an order had matched is not, or not all, what settles: its bookings are corrected, never changed."""

    key: IntentKey
    task: CopyTask
    report: ExecutionReport
    """What is booked of it from now on."""
    entries: tuple[LedgerEntry, ...]
    """A CORRECT for each booking that has other amounts, a REVERSE for each of which nothing is left."""
    at: float
    spent: Usd = NO_USD
    """By how much more a purchase has cost than was told; what it cost less is not given back."""


@value(kw_only=True)
class ModeSet:
    change: ModeChange


@value(kw_only=True)
class PeakSeen:
    """Profit by mark was never as high since the last reset."""

    worth: Usd
    at: float


@value(kw_only=True)
class PeakReset:
    at: float


@value(kw_only=True)
class Funded:
    """A person has put money into the paper wallet, or taken some out."""

    funding: Funding


@value(kw_only=True)
class Forgot:
    """What nobody can ask about any more."""

    signals: tuple[SignalId, ...] = ()
    windows: tuple[str, ...] = field(default=())


Event = (
    Placed
    | Learned
    | Breached
    | CalledOff
    | HandedOver
    | Contradicted
    | Waits
    | Ended
    | Buried
    | Passed
    | Missed
    | Redeemed
    | OnChain
    | Settled
    | Reversed
    | Corrected
    | ModeSet
    | PeakSeen
    | PeakReset
    | Funded
    | Forgot
)
