"""What was decided about a signal, and why not when it was not copied.

Every refusal carries a `Reason`: a stable code, the control that caused it, the value that was met and the limit it
broke. The same four words stand in the log, the JSON events and the summary.
"""

import re
from collections.abc import Sequence
from enum import Enum

from attrs import evolve, field, frozen

from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import Address, FollowerId, FollowKey, IntentKey, SignalId, TaskId, TokenId, intent_key
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_SHARES, Price, Shares, Usd
from trio_copy.model.values import sealed, value

_FIGURE = re.compile(r"(above |from )?\d")


class Code(Enum):
    """Why something was not copied. The names are an interface: they may be added to, never renamed."""

    SIDE_NOT_WANTED = "a filter does not want this side"
    TOKEN_NOT_ALLOWED = "the token is not on the allow list"
    TOKEN_DENIED = "the token is on the deny list"
    PRICE_TOO_LOW = "the leader's price is under the band"
    PRICE_TOO_HIGH = "the leader's price is over the band"
    WORTH_UNKNOWN = "nobody knows what some of the positions could be sold for, and a setting needs it"
    PRICE_UNKNOWN = "the log moves shares without a price"
    LEADER_TOO_SMALL = "the leader's trade is under the follow's minimum"
    LEADER_TOO_BIG = "the leader's trade is over the follow's maximum"
    ROLE_NOT_WANTED = "a filter does not want this side of the leader's match"
    KIND_NOT_WANTED = "the follow does not follow this kind of move"
    CONDITION_NOT_ALLOWED = "the question is not on the allow list"
    CONDITION_DENIED = "the question is on the deny list"
    KEYWORD_NOT_ALLOWED = "the question contains none of the wanted words"
    KEYWORD_DENIED = "the question contains an unwanted word"
    CATEGORY_NOT_ALLOWED = "the category is not on the allow list"
    CATEGORY_DENIED = "the category is on the deny list"
    ENDS_TOO_SOON = "the question ends too soon"
    ENDS_TOO_LATE = "the question ends too late"
    MARKET_UNKNOWN = "the catalog does not know the token, and a setting needs it"
    FOLLOW_PAUSED = "the follow is paused or being left"
    NOT_FOLLOWED = "the follow was removed meanwhile"
    EXIT_NOT_WANTED = "the follow does not copy the leader's exits"
    ALREADY_IN = "only the first entry per question is wanted"
    BOOK_TOO_THIN = "the best ask offers too little"
    BOOK_SHARED_OUT = "the book held too little for all who copied the trade, and others were before it"
    SPREAD_TOO_WIDE = "bid and ask are too far apart"
    PRICE_TOO_GOOD = "the ask is suspiciously far under the leader's price"
    TOO_OLD = "the signal arrived too late to be wanted"
    BELOW_MINIMUM = "the copy is under the minimum order"
    ABOVE_MAXIMUM = "the copy, raised to the minimum, breaks the cap per order"
    NOTHING_TO_COPY = "the size rounds to nothing"
    NOTHING_TO_SELL = "no copied position to sell"
    LEADER_LEFT = "the leader sold again before the copy was bought"
    EXIT_FIRST = "an exit of the same token goes before what still rests"
    CAP_REACHED = "a spending cap would be broken"
    LOSS_LIMIT = "a loss cap is broken"
    QUESTION_DECIDED = "the question was decided while the order rested"
    EXECUTOR_CHANGED = "the follower trades elsewhere by now"
    NO_BALANCE = "the wallet holds too little"
    GATHERED = "it went out as part of another task's order"
    NEVER_ENOUGH = "too little came together to reach the minimum"
    MODE_FORBIDS = "the mode of the engine forbids it"
    ENTRIES_HALTED = "a watchdog halts entries until what it watches is well again"
    QUEUE_FULL = "the inbox is full"
    EVICTED_BY_EXIT = "an exit needed the place of this entry"
    UNSETTLED = "what was bought did not settle before the time to sell it was over"
    DEADLINE_PASSED = "the deadline passed before the order could be sent"
    RETRACTED = "a reorg took the leader's fill back"
    VENUE_REFUSED = "the venue refused the order"
    SETTLEMENT_FAILED = "the venue matched it, the chain never settled it"
    NO_FILL = "nothing could be filled at the limit price"
    NOT_SENT = "the order could not be sent"
    GUARD_REFUSED = "the guard of the wallet's key did not let it be signed, or leave"
    CONTRACT_BROKEN = "the executor answered what it must not; nothing was sent"
    OUTCOME_UNPROVEN = "the outcome could not be proven in time; a person must look"
    GIVEN_UP = "a person gave up what could not be carried out"
    DRAINED = "the engine stopped before the task was started"

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Reason:
    code: Code
    control: str
    """The setting or mechanism that said no, by the name it has in the configuration."""
    value: str
    """What was met."""
    limit: str
    """What would have passed; of a mode and a pause, why it was set."""

    @property
    def because(self) -> str:
        """The control, what it met and its limit, in words for people."""
        if self.control == "venue":  # what it would have accepted, its own words say
            return f"{self.control}: {self.value}"
        if self.control == "pause" or self.control.startswith("mode"):
            word = "because"
        else:
            word = "limit" if _FIGURE.match(self.limit) else "expected"
        return f"{self.control}: {self.value}, {word} {self.limit}"

    @property
    def text(self) -> str:
        """The same behind its code."""
        return f"{self.code.name} ({self.because})"


@frozen(kw_only=True)
class Skip:
    """A follow's filter or sizing did not want a signal: no task was made."""

    signal_id: SignalId
    follower: FollowerId
    leader: Address
    reason: Reason


@sealed
class OrderIntent:
    """What a task wants to do, sized and capped: a pure function of (signal, follow settings)."""

    side: Side
    token_id: TokenId
    shares: Shares
    price: Price
    """The leader's price, which slippage is measured against; 1 USD where the signal had none."""
    limit_price: Price
    """The worst price that is acceptable."""
    max_cost: Usd
    """Shares at the limit price, rounded up: the most a BUY may cost before fees. Zero for a SELL."""
    order_type: str = "FAK"
    """FAK takes what is there and kills the rest; FOK all or nothing; GTC and GTD let the rest stand, see `rest_until`."""
    leader_shares: Shares = NO_SHARES
    """The shares of the leader's own trade."""
    sell: str = "sized"
    """For an exit, how much of the position: proportional, all, or sized (`shares`)."""
    called_off: Shares = NO_SHARES
    """For an exit, the leader's shares by which it made entries smaller that still waited; done once, and not again."""
    rest_until: int = 0
    """Unix seconds up to which a GTC or GTD order may rest at its limit; 0 for one that does not. Derived from the leader's
    block, so that every instance freezes the same bytes."""
    post_only: bool = False
    """Whether it shall only rest, and be refused where it would take what is offered."""
    leader_time: int = 0
    """Unix seconds of the leader's block, the source of an order's timestamp: see `Signal.leader_time`."""
    written: Sequence[object] | None = field(default=None, init=False, eq=False, repr=False)
    """The intent as plain values, once somebody has written it: followers with equal settings share it."""

    def resized(self, shares: Shares) -> "OrderIntent":
        """Return the same wish for other shares; of an exit, which has no cost."""
        return OrderIntent(
            side=self.side,
            token_id=self.token_id,
            shares=shares,
            price=self.price,
            limit_price=self.limit_price,
            max_cost=self.max_cost,
            order_type=self.order_type,
            leader_shares=self.leader_shares,
            sell=self.sell,
            called_off=self.called_off,
            rest_until=self.rest_until,
            post_only=self.post_only,
            leader_time=self.leader_time,
        )


@sealed
class CopyTask:
    """One follower's share of one signal."""

    task_id: TaskId
    signal: Signal
    follower: FollowerId
    executor: str
    intent: OrderIntent
    deadline: float
    """Unix seconds; nothing is sent afterwards."""
    attempt: int = 0
    decided_at: float = 0.0
    """Unix seconds at which it was decided, right before the gate: where its time in the queue starts."""
    not_before: float = 0.0
    """Unix seconds until which nobody takes it up: a delay, or a window in which others gather."""
    aggregates: bool = False
    """Whether, as an entry, it goes out together with what waits of the same follower, leader and token."""
    reread: bool = False
    """Whether an attempt was refused because its market is not as it had been read: that is tried again once, never twice."""
    unsent: int = 0
    """How many attempts were over before their venue had them, and so used up none: what waits again is made anew where its order
    would be another one by then."""
    again: bool = False
    """Given out before, to somebody who did not end it: the journal may know an order of it."""
    written: Sequence[object] | None = field(default=None, init=False, eq=False, repr=False)
    """The task as plain values, once somebody has written it: it is written with its order and with its end."""

    @property
    def key(self) -> IntentKey:
        return intent_key(self.task_id, self.attempt)

    @property
    def counted_attempts(self) -> int:
        """How many attempts it is at: not counted are those for a market that was stale, and those that no venue had."""
        return self.attempt + 1 - self.reread - self.unsent

    def wanting(self, intent: OrderIntent) -> "CopyTask":
        """Return the task with another intent; itself where it is the very same."""
        return self if intent is self.intent else evolve(self, intent=intent)

    def anew(self) -> "CopyTask":
        """Return the task with a key of another order, after one that no venue had."""
        return evolve(self, attempt=self.attempt + 1, unsent=self.unsent + 1)

    @property
    def follow(self) -> FollowKey:
        """Whose copy of whom it is: what its order, budgets and bookings belong to."""
        return (self.follower, self.signal.leader)

    @property
    def lane(self) -> tuple[FollowerId, TokenId]:
        """Tasks of one lane run in order, one at a time."""
        return (self.follower, self.intent.token_id)


@value
class Aggregate:
    """A task together with those that go out in its order."""

    task: CopyTask
    """Its identity names the order; its deadline holds; its intent covers everybody's."""
    members: tuple[TaskId, ...] = ()


class End(Enum):
    """The terminal states of a task; each task reaches exactly one."""

    FILLED = "filled"
    PARTIAL = "partial"
    KILLED = "killed"
    REJECTED = "rejected"
    DENIED = "denied"
    EXPIRED = "expired"
    SHED = "shed"
    HALTED = "halted"
    RETRACTED = "retracted"
    ESCALATED = "escalated"
    SKIPPED = "skipped"
    GATHERED = "gathered"

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Outcome:
    """How a task ended."""

    end: End
    reason: Reason | None = None
    """Present unless something was filled."""


@frozen(kw_only=True)
class Ended:
    """A task together with its end, as the store reports those that it ended itself."""

    task: CopyTask
    outcome: Outcome


def leader_left(intent: OrderIntent) -> Reason:
    """Say why there is nothing left to buy of an entry, or to sell by an exit: the one has called the other off."""
    value = f"{intent.called_off} called off" if intent.side is Side.SELL else "called off by his exit"
    return Reason(code=Code.LEADER_LEFT, control="leader", value=value, limit="bought before he sold")


def left_by(leaving: CopyTask, entry: CopyTask) -> Reason:
    """Say why an entry rests no longer: its leader sells, or an exit by somebody else's trade or rule goes first."""
    if leaving.signal.leader == entry.signal.leader and leaving.signal.kind is not Kind.EXIT:
        return Reason(
            code=Code.LEADER_LEFT, control="leader", value="called off by his exit", limit="filled before he sold"
        )
    return Reason(code=Code.EXIT_FIRST, control="exit", value=leaving.task_id, limit="filled before it")


def rested_out(task: CopyTask, now: float) -> Outcome:
    """Say how a task ends whose order would be over before it is sent."""
    return _expired(task, now, "execution.rest_s", task.intent.rest_until)


def too_late(task: CopyTask, now: float) -> Outcome:
    """Say how a task ends whose deadline has passed."""
    return _expired(task, now, "engine.deadline_s", task.deadline)


def never_settled(task: CopyTask, missing: str) -> Outcome:
    """Say how an exit ends that waited in vain for what it sells to settle."""
    limit = f"settled within {task.deadline - task.signal.block_time:g} s"
    return Outcome(
        end=End.EXPIRED,
        reason=Reason(code=Code.UNSETTLED, control="leaving.settle_s", value=missing, limit=limit),
    )


def _expired(task: CopyTask, now: float, control: str, until: float) -> Outcome:
    since = task.signal.block_time
    reason = Reason(code=Code.DEADLINE_PASSED, control=control, value=f"{now - since:.2f}", limit=f"{until - since:g}")
    return Outcome(end=End.EXPIRED, reason=reason)


def never_enough(task: CopyTask) -> Outcome:
    """Say how a task ends for which too little came together in time."""
    reason = Reason(
        code=Code.NEVER_ENOUGH,
        control="size.accumulate_s",
        value=str(task.intent.max_cost),
        limit="size.minimum_usd",
    )
    return Outcome(end=End.SKIPPED, reason=reason)


def aggregated_in(lead: TaskId, control: str) -> Outcome:
    """Say how a task ends that went out in another one's order, and what made it."""
    reason = Reason(code=Code.GATHERED, control=control, value=lead, limit="an order of its own")
    return Outcome(end=End.GATHERED, reason=reason)


def retracted(task: CopyTask) -> Outcome:
    """Say how a task ends whose fill did not come back after a reorg."""
    reason = Reason(code=Code.RETRACTED, control="chain", value=task.signal.block_hash, limit="a block that stays")
    return Outcome(end=End.RETRACTED, reason=reason)


def shed(capacity: int) -> Outcome:
    """Say how a task ends that finds the inbox full."""
    return _shed(Code.QUEUE_FULL, "engine.queue_capacity", capacity)


def evicted(capacity: int) -> Outcome:
    """Say how an entry ends whose place an exit takes."""
    return _shed(Code.EVICTED_BY_EXIT, "inbox.exits_first", capacity)


def _shed(code: Code, control: str, capacity: int) -> Outcome:
    return Outcome(
        end=End.SHED, reason=Reason(code=code, control=control, value=str(capacity), limit=f"under {capacity}")
    )
