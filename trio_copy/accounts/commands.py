"""What an account may be asked. Everything that an answer depends on is in the command, or in the account."""

from collections.abc import Callable, Container

from trio_copy.model.control import Mode
from trio_copy.model.decisions import CopyTask, OrderIntent, Outcome, Reason, Skip
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import IntentKey, SignalId, TaskId
from trio_copy.model.orders import ExecutionReport, Market, Order, Wallet
from trio_copy.model.positions import PositionKey
from trio_copy.model.sightings import Allotment
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Price, Usd
from trio_copy.model.values import value

Prepare = Callable[[IntentKey, OrderIntent], Order]
"""An executor's `prepare` for one wallet and one market: pure."""


@value(kw_only=True)
class EngineDay:
    """The budget of a day that all accounts share, as far as the account's shard may draw on it."""

    limit: Usd
    left: Usd
    """What the shard was granted and has neither spent nor set aside."""


@value
class Offer:
    """Place a task: a worker, its lane and a rate slot are in hand, and what is placed now is sent at once."""

    task: CopyTask
    settings: FollowSettings
    market: Market
    prepare: Prepare
    at: float
    """Unix seconds, as everywhere."""
    resting: tuple[CopyTask, ...] = ()
    """What else of its follower, leader and token is not placed, besides what the account knows to wait; oldest first."""
    day: EngineDay | None = None
    """None where there is no such budget."""
    crowded: bool = False
    """Whether exits alone fill the room for what waits: then those of one position go out as one order."""
    paper: Usd | None = None
    """What the follower's paper wallet began with; None where it never runs out."""
    unrealised: Usd | Reason = NO_USD
    """What the positions gained by their marks, or why that is unknown: for those whose caps count it."""
    allotment: Allotment | None = None
    """What it may take of a book that it shares; None where it shares none."""
    wallet: Wallet | None = None
    """What pays for the follower now: no order of another one goes again."""


@value(kw_only=True)
class Refuse:
    """End a task that shall not be placed: too old, halted, not wanted any more, no room."""

    task: CopyTask
    outcome: Outcome
    resting: tuple[CopyTask, ...] = ()
    at: float


@value(kw_only=True)
class Pass:
    """Note that the follow did not want a signal."""

    skip: Skip
    signal: Signal
    at: float


@value(kw_only=True)
class Park:
    """Let a task wait, durably: for its time, or for company."""

    task: CopyTask
    at: float


@value(kw_only=True)
class Try:
    """Take up, singly, a task that was waiting when the process before ended uncleanly: it may be what ended it."""

    task: TaskId
    most: int
    """How often it may be tried before it becomes a dead letter."""
    at: float


@value
class Answer:
    """Learn what the venue says about an order. A report that proves nothing is a doubt."""

    key: IntentKey
    report: ExecutionReport
    at: float
    again: bool = False
    """Whether another attempt is wanted, should this one have filled nothing, or its market be stale."""
    by_hand: bool = False
    """Whether a person answers for it, who has looked: then it is believed even where it leaves its order."""


@value(kw_only=True)
class Doubt:
    """Nobody can say what became of an order."""

    key: IntentKey
    at: float
    breached: bool = False
    """Whether its executor reported what cannot be: then no later report of it is believed, but a person's."""


@value(kw_only=True)
class NotSent:
    """An order was certainly not sent, nor will be."""

    key: IntentKey
    outcome: Outcome
    at: float
    waits_on: bool = False
    """Whether its task does not end: it waits behind an exit, or for whoever owns the account next."""
    intent: OrderIntent | None = None
    """What its order was made of, where that may go again: decided alike then, the same bytes do. None: it is made anew."""


@value(kw_only=True)
class Escalate:
    """End the tasks of an unproven order for a person to look at; what it holds stays held."""

    key: IntentKey
    outcome: Outcome
    at: float


@value(kw_only=True)
class CallOff:
    """Let an order rest no longer: what came of it is learned from the venue."""

    key: IntentKey
    why: Reason
    at: float


@value(kw_only=True)
class Retract:
    """Suspend what waits of a signal that a reorg took back."""

    signal: SignalId
    at: float


@value(kw_only=True)
class Resume:
    """Let what was suspended of a signal go on: it is there again."""

    signal: SignalId
    at: float


@value(kw_only=True)
class Resolve:
    """Turn a position into what its token pays; its question is decided for good."""

    position: PositionKey
    condition_id: str
    payout: Price
    at: float


@value(kw_only=True)
class Tick:
    """End what has waited in vain, and forget what nobody can ask about any more."""

    passed: int
    """The durable checkpoint."""
    met: Container[SignalId] | None = None
    """What the shard remembers by itself; None for everything at or below the checkpoint.

    A reorg may have taken a signal out of a block that an owner then passes without ever having heard of it. Nobody but the
    account remembers it then, and it may be mined again.
    """
    at: float


@value(kw_only=True)
class SetMode:
    """A person, or a loss cap, sets the follower's mode."""

    mode: Mode
    why: str
    at: float


@value(kw_only=True)
class SeeWorth:
    """What is held was looked at: its profit by mark, realised and not, may be higher than ever before."""

    unrealised: Usd
    at: float


@value(kw_only=True)
class ResetPeak:
    """Let the drawdown start over from today's total; a person asks for it."""

    at: float


@value(kw_only=True)
class Fund:
    """Put money into the follower's paper wallet, or take it out with an amount below zero; a person asks for it."""

    amount: Usd
    start: Usd
    """What the wallet began with: no more is taken out than is there."""
    why: str
    at: float


@value(kw_only=True)
class Replay:
    """Let a dead letter wait to be taken up again; a person asks for it."""

    task: TaskId
    at: float


@value(kw_only=True)
class Purge:
    """Give a dead letter up; a person asks for it."""

    task: TaskId
    outcome: Outcome
    at: float


Command = (
    Offer
    | Refuse
    | Pass
    | Park
    | Try
    | Answer
    | Doubt
    | NotSent
    | Escalate
    | CallOff
    | Retract
    | Resume
    | Resolve
    | Tick
    | SetMode
    | SeeWorth
    | ResetPeak
    | Fund
    | Replay
    | Purge
)
