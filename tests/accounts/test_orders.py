"""An order's life: what may follow what, what each report does to the books, and what proves nothing."""

from itertools import product
from typing import Any

import pytest
from attrs import evolve

from tests.accounts.played import (
    FAILED,
    MARKET,
    MINED,
    PENDING,
    SPOT,
    Played,
    entry,
    freeze,
    leave,
    reason_of,
    report_on,
    resting_entry,
)
from tests.accounts.states import documents, held
from tests.builders import ALICE, NOW
from trio_copy.accounts import OrderState
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.accounts.facts import fact_of, record_of
from trio_copy.accounts.orders import LIFE, Said, Step, Unsent, outside, said, spent_by
from trio_copy.accounts.plain import plain_task, task_of
from trio_copy.accounts.telling import TaskEnd
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask, End, OrderIntent, Outcome
from trio_copy.model.facts import AMOUNTS
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, IntentKey, OrderId
from trio_copy.model.orders import ExecutionReport, Order, Status, Wallet
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Rounding, Shares, Usd
from trio_copy.records import read_plain, write_plain

SAYS: dict[Said, tuple[Status, dict[str, Any]]] = {
    Said.NOTHING: (Status.UNKNOWN, {}),
    Said.ABSENT: (Status.ABSENT, {}),
    Said.EMPTY: (Status.KILLED, {}),
    Said.MATCHED: (Status.FILLED, PENDING),
    Said.FIRM: (Status.FILLED, {}),
    Said.FAILED: (Status.FILLED, FAILED),
    Said.RESTS: (Status.RESTING, {}),
}
OPEN = [state for state in OrderState if state is not OrderState.ENDED]


def in_state(state: OrderState, task: CopyTask, played: Played) -> Order:
    order = played.place(task)
    if state is OrderState.UNKNOWN:
        played.do(c.Doubt(key=order.key, at=played.at))
    elif state is OrderState.MATCHED:
        played.answer(order, **PENDING)
    elif state is OrderState.RESTING:
        played.answer(order, Status.RESTING)
    return order


def test_every_state_has_an_answer_to_everything_that_can_be_said() -> None:
    """The table has no hole, keeps what is open open or ends it, and never leads from a booking back to a doubt."""
    assert set(LIFE) == set(product(OPEN, Said))
    for (state, _), (step, after) in LIFE.items():
        rests_on = (state, step) == (OrderState.RESTING, Step.REST)
        assert (after is state) == (rests_on or step in (Step.KEEP, Step.CORRECT, Step.REFUSE))
        assert not (state is OrderState.MATCHED and after is OrderState.UNKNOWN)


RESTS = resting_entry()
RESTING = {OrderState.RESTING, Said.RESTS}


@pytest.mark.parametrize(
    ("state", "what", "task"),
    # Only entries rest.
    [(*one, task) for one in LIFE for task in (RESTS, leave()) if task is RESTS or not RESTING & {*one}],
    ids=str,
)
def test_each_saying_in_each_state(state: OrderState, what: Said, task: CopyTask) -> None:
    """After each report the books are what its step says, and what it held ends exactly when its outcome is proven."""
    played = Played()
    played.hold("30")
    before = (played.shares, played.cost)
    order = in_state(state, task, played)
    step, after = LIFE[state, what]
    status, changes = SAYS[what]
    events = played.answer(order, status, **changes)

    filled = Shares.parse(10) if task.intent.side is Side.BUY else Shares(-10_000_000)
    booked = after is OrderState.MATCHED or step in (Step.BOOK_FIRM, Step.SETTLE)
    assert played.shares == (before[0] + filled if booked else before[0])
    assert (order.key in played.account.orders) == (after is not OrderState.ENDED)
    assert played.open(task) == (after in (OrderState.PLACED, OrderState.UNKNOWN, OrderState.RESTING))
    if step is Step.REFUSE:
        assert [type(event) for event in events] == [e.Contradicted]
    if after in (OrderState.ENDED, OrderState.MATCHED):
        assert not held(played.account)
        assert played.account.free(SPOT) == played.shares
    assert played.cost == played.account.position(SPOT).cost + Usd(
        sum(open_order.cost.micro for open_order in played.account.orders.values() if open_order.held)
    )
    assert played.answer(order, status, **changes) == (events if step is Step.REFUSE else ())


ENDS: dict[str, tuple[Status, dict[str, Any], tuple[End, str | None, str | None]]] = {
    "filled": (Status.FILLED, {}, (End.FILLED, None, None)),
    "partial": (
        Status.PARTIAL,
        {"shares": Shares.parse(4), "notional": Usd.parse(2)},
        (End.PARTIAL, None, None),
    ),
    "partial of nothing": (
        Status.PARTIAL,
        {"shares": NO_SHARES, "notional": NO_USD},
        (End.KILLED, "NO_FILL", "execution.slippage_bps"),
    ),
    "killed": (Status.KILLED, {"detail": "empty book"}, (End.KILLED, "NO_FILL", "execution.slippage_bps")),
    "rejected": (Status.REJECTED, {"detail": "no balance"}, (End.REJECTED, "VENUE_REFUSED", "venue")),
    "absent": (Status.ABSENT, {}, (End.REJECTED, "NOT_SENT", "executor")),
    "never settled": (Status.FILLED, FAILED, (End.REJECTED, "SETTLEMENT_FAILED", "venue.settlement")),
}


@pytest.mark.parametrize("how", ENDS)
def test_how_a_task_ends_by_what_the_venue_says(how: str) -> None:
    """Each report ends its task once, with its reason, and what was filled is told together with it."""
    status, changes, expected = ENDS[how]
    played, task = Played(), entry()
    played.answer(played.place(task), status, **changes)
    assert reason_of(played.end_of(task)) == expected
    assert played.account.knows(task)
    assert played.offer(task) == ()


BUY_COST = {"shares": Shares.parse(10), "notional": Usd.parse("5.1")}
OUTSIDE: dict[str, tuple[bool, Status, dict[str, Any]]] = {
    "about another order": (True, Status.FILLED, {"order_id": OrderId("other")}),
    "shares below zero": (True, Status.FILLED, {"shares": Shares(-1)}),
    "cost below zero": (True, Status.FILLED, {"notional": Usd(-1)}),
    "fee below zero": (True, Status.FILLED, {"fee": Usd(-1)}),
    "killed with shares": (True, Status.KILLED, BUY_COST),
    "rejected with shares": (True, Status.REJECTED, BUY_COST),
    "absent with shares": (True, Status.ABSENT, BUY_COST),
    "filled without shares": (True, Status.FILLED, {"shares": NO_SHARES, "notional": NO_USD}),
    "paid for nothing": (True, Status.KILLED, {"notional": Usd(1)}),
    "a fee for nothing": (True, Status.KILLED, {"fee": Usd(1)}),
    "dearer than the limit": (True, Status.PARTIAL, {"shares": Shares.parse(5), "notional": Usd.parse("5.1")}),
    "more than was set aside": (True, Status.FILLED, {"shares": Shares.parse(20), "notional": Usd.parse("10.2")}),
    "a fee over what was set aside": (True, Status.FILLED, {"fee": Usd(1)}),
    "enormous": (True, Status.FILLED, {"shares": Shares(1 << 70), "notional": Usd(1 << 70)}),
    "more sold than ordered": (False, Status.FILLED, {"shares": Shares.parse(11), "notional": Usd.parse(11)}),
    "cheaper than the limit": (False, Status.FILLED, {"notional": Usd.parse("4.899998")}),
    "over a dollar a share": (False, Status.FILLED, {"notional": Usd.parse("10.000001")}),
    "a fee that eats more than all": (False, Status.FILLED, {"fee": Usd.parse("4.900001")}),
}


@pytest.mark.parametrize("how", OUTSIDE)
def test_a_report_outside_its_order_proves_nothing(how: str) -> None:
    """It is never booked: the order stays open and keeps what it holds; no later one is believed, but a person's."""
    buying, status, changes = OUTSIDE[how]
    played = Played()
    played.hold("10")
    before, task = (played.shares, played.cost), entry() if buying else leave()
    order = played.place(task)
    held = played.cost
    assert outside(played.account.orders[order.key], report_on(order, status, **changes)) is not None
    played.answer(order, status, **changes)
    assert played.account.orders[order.key].state is OrderState.UNKNOWN
    assert (played.shares, played.cost) == (before[0], held)
    assert played.open(task)
    assert played.answer(order, status, **changes) == ()
    assert played.answer(order) == ()
    played.do(c.Answer(key=order.key, report=report_on(order), by_hand=True, at=NOW))
    assert played.end_of(task).end is End.FILLED


def test_what_is_matched_is_asked_again_after_a_breach() -> None:
    """Only a fill inside its order can settle: nobody else could say it, and nothing else is believed."""
    played, task = Played(), entry()
    order = played.place(task)
    played.answer(order, **PENDING)
    assert played.answer(order, notional=Usd.parse("900")) == ()
    assert played.do(c.Doubt(key=order.key, breached=True, at=NOW)) == ()
    played.answer(order)
    assert order.key not in played.account.orders


@pytest.mark.parametrize(
    "changes",
    [
        {"shares": Shares.parse(20), "notional": Usd.parse("5.1")},
        {"notional": Usd.parse(1)},
        {"shares": Shares(1), "notional": NO_USD},
    ],
)
def test_a_better_book_than_the_limit_stays_inside(changes: dict[str, Any]) -> None:
    """A BUY is bounded in cash and price: it may bring more shares than asked, or cost less."""
    played, task = Played(), entry()
    played.answer(played.place(task), Status.FILLED, **changes)
    assert played.end_of(task).end is End.FILLED


WRONG_ORDERS: dict[str, dict[str, Any]] = {
    "more shares": {"shares": Shares.parse("10.000001")},
    "shares below zero": {"shares": Shares(-1)},
    "a worse limit": {"limit_price": Price.parse("0.510001")},
    "another key": {"key": "other"},
    "another token": {"token_id": 5},
    "the other side": {"side": Side.SELL},
    "another follower's wallet": {"wallet": Wallet(follower=FollowerId("bob"), address=None)},
}


@pytest.mark.parametrize("how", WRONG_ORDERS)
def test_a_prepared_order_outside_its_intent_is_never_placed(how: str) -> None:
    """Whatever an executor prepares: more, dearer or something else is not sent, and holds nothing."""
    played, task = Played(), entry()
    played.offer(task, prepare=lambda key, intent: evolve(freeze(key, intent), **WRONG_ORDERS[how]))
    assert reason_of(played.end_of(task)) == (End.REJECTED, "NOT_SENT", "executor.prepare")
    assert not played.account.orders
    assert not played.cost


def test_a_new_attempt_comes_after_the_proof_and_is_one_task() -> None:
    """Killed with another attempt wanted, a task waits on under its next key; only its last order ends it."""
    played, task = Played(), entry()
    first = played.place(task)
    played.answer(first, Status.KILLED, again=True)
    assert played.open(task)
    second = played.place(task)  # offered as it was: the account knows how far it is
    assert (first.key, second.key) == (task.key, evolve(task, attempt=1).key)
    played.answer(second, Status.KILLED)
    assert played.end_of(task).end is End.KILLED
    attempts = [told.record.outcome for told in played.told if isinstance(told.record, TaskEnd)]
    assert [outcome and outcome.end for outcome in attempts] == [None, End.KILLED]
    assert played.account.windows[f"minute {int(NOW) // 60}"].used == 2


def test_a_fill_wants_no_other_attempt() -> None:
    """Another attempt follows only an order that filled nothing."""
    for status in (Status.FILLED, Status.REJECTED, Status.ABSENT):
        played, task = Played(), entry()
        played.answer(played.place(task), status, again=True)
        assert not played.open(task)
        assert not played.account.waiting


def test_a_proof_after_the_escalation_mends_the_books_only() -> None:
    """An escalated task has ended; what is proven later is booked and told apart, and gives back what was held."""
    escalated = Outcome(end=End.ESCALATED)
    for status, changes, shares in (
        (Status.FILLED, PENDING, "10"),
        (Status.FILLED, {}, "10"),
        (Status.KILLED, {}, "0"),
    ):
        played, task = Played(), entry()
        order = played.place(task)
        played.do(c.Doubt(key=order.key, at=NOW))
        played.do(c.Escalate(key=order.key, outcome=escalated, at=NOW))
        held = played.cost
        assert held == Usd.parse("5.1")
        assert played.do(c.Escalate(key=order.key, outcome=escalated, at=NOW)) == ()
        played.answer(order, status, again=True, **changes)
        assert played.end_of(task) == escalated
        assert played.shares == Shares.parse(shares)
        assert played.cost == played.account.position(SPOT).cost
        entries = [told for told in played.told if isinstance(told.record, LedgerEntry)]
        assert len(entries) == (shares != "0")
        assert not played.account.waiting


def test_what_never_settled_after_it_was_sold_on_is_oversold() -> None:
    """A purchase that is taken back leaves the sale as it was; the shares are missing, the profit is the proceeds."""
    played, task = Played(), entry()
    bought = played.fill(task, **MINED)
    sold = played.fill(leave())
    assert (played.shares, played.account.performance.realised) == (NO_SHARES, Usd.parse("-0.2"))
    played.answer(bought, **FAILED)
    position = played.account.position(SPOT)
    assert (position.oversold, position.realised) == (Shares.parse(10), sold.shares.at(sold.limit_price, Rounding.DOWN))
    assert played.account.performance.realised == Usd.parse("4.9")
    assert not played.cost
    assert [told.amounts[0] for told in played.told] == [1, 1, -1]


def test_an_exit_that_never_settled_counts_as_missed() -> None:
    """Its shares are there again, and the next exit knows what the leader still holds."""
    played = Played()
    played.hold("10")
    order = played.place(leave(shares="50"))
    played.answer(order, **PENDING)
    assert played.shares == Shares.parse(5)
    played.answer(order, **FAILED)
    position = played.account.position(SPOT)
    assert (position.shares, position.leader_shares) == (Shares.parse(10), Shares.parse(50))
    kinds = [told.record.kind for told in played.told if isinstance(told.record, LedgerEntry)]
    assert kinds == [EntryKind.REVERSE, EntryKind.MISSED]


STALE: dict[str, Any] = {"stale": True}


@pytest.mark.parametrize("task", [entry(), leave()], ids=["entry", "exit"])
def test_what_was_made_for_another_market_is_made_anew_once(task: CopyTask) -> None:
    """Under a new key, with nothing held meanwhile; refused so again, that is the end, also for whoever reads it from a store."""
    played = Played()
    played.hold("30")
    before = (played.shares, played.cost)
    first = played.place(task)
    played.answer(first, Status.REJECTED, again=True, **STALE)
    assert (played.shares, played.cost, played.account.orders) == (*before, {})
    assert played.open(task)
    (waits,) = played.account.waiting.values()
    assert (waits.task.attempt, waits.task.reread) == (1, True)
    again = task_of(read_plain(write_plain(list(plain_task(waits.task)))))
    assert again == waits.task
    second = played.place(again)
    assert second.key != first.key
    played.answer(second, Status.REJECTED, again=True, **STALE)
    assert reason_of(played.end_of(task)) == (End.REJECTED, "VENUE_REFUSED", "venue")
    assert not played.account.waiting
    kinds = [fact_of(told, write_plain) for told in played.told if isinstance(told.record, TaskEnd)]
    assert [fact.kind for fact in kinds][-2:] == ["attempt", "ended"]
    assert [record_of(fact, read_plain(fact.body)) for fact in kinds] == [
        told.record for told in played.told if isinstance(told.record, TaskEnd)
    ]


@pytest.mark.parametrize(("again", "changes"), [(False, STALE), (True, {})], ids=["not wanted", "not stale"])
def test_no_other_refusal_is_tried_again(again: bool, changes: dict[str, Any]) -> None:
    """What the venue does not want it does not want a second time."""
    played, task = Played(), entry()
    played.answer(played.place(task), Status.REJECTED, again=again, **changes)
    assert played.end_of(task).end is End.REJECTED
    assert not played.account.waiting


@pytest.mark.parametrize("state", OPEN)
def test_what_was_certainly_not_sent(state: OrderState) -> None:
    """It is as if it had never been: no minute, no day; what is booked was sent."""
    played, task = Played(), resting_entry()
    order = in_state(state, task, played)
    outcome = Outcome(end=End.EXPIRED)
    events = played.do(c.NotSent(key=order.key, outcome=outcome, at=NOW))
    if state in (OrderState.MATCHED, OrderState.RESTING):
        assert events == ()
    else:
        assert played.end_of(task) == outcome
        assert not played.account.windows
        assert not held(played.account)
        assert played.account.knows(task)


@pytest.mark.parametrize("goes_again", [True, False])
@pytest.mark.parametrize("state", OPEN)
def test_what_was_certainly_not_sent_may_wait_for_the_next_owner(state: OrderState, *, goes_again: bool) -> None:
    """Its order is as if it had never been, and its task has not ended: it waits, with its order or for another one. No
    attempt is used up, nor told."""
    played, task = Played(), resting_entry()
    order = in_state(state, task, played)
    outcome = Outcome(end=End.EXPIRED)
    intent = task.intent if goes_again else None
    told = len(played.told)
    events = played.do(c.NotSent(key=order.key, outcome=outcome, at=NOW, waits_on=True, intent=intent))
    if state in (OrderState.MATCHED, OrderState.RESTING):
        assert events == ()
    else:
        assert not played.account.orders
        assert not played.account.windows
        assert not held(played.account)
        (waits,) = played.account.waiting.values()
        assert waits.until is None
        assert waits.task == (task if goes_again else evolve(task, attempt=1, unsent=1))
        assert waits.unsent == (Unsent(order=order, intent=task.intent) if goes_again else None)
        assert waits.task.counted_attempts == 1
        assert len(played.told) == told


def _waits_again(played: Played, task: CopyTask, **changes: Any) -> Order:
    """Let a task be placed and come back, as one that its venue did not take; returns its order."""
    made_of: list[OrderIntent] = []

    def prepare(key: IntentKey, intent: OrderIntent) -> Order:
        made_of.append(intent)
        return evolve(freeze(key, intent), fee_bps=MARKET.fee_bps)

    order = played.place(task, prepare=prepare, **changes)
    outcome = Outcome(end=End.EXPIRED)
    played.do(c.NotSent(key=order.key, outcome=outcome, at=NOW, waits_on=True, intent=made_of[-1]))
    return order


def _nobody_prepares(key: IntentKey, intent: OrderIntent) -> Order:
    raise AssertionError(f"{key} for {intent}")


@pytest.mark.parametrize("task", [entry(), leave()], ids=["entry", "exit"])
def test_what_waits_again_and_is_decided_alike_goes_as_it_was_frozen(task: CopyTask) -> None:
    """The same bytes, which nobody signs anew, however often; suspended and resumed as well, and read from its store."""
    played = Played()
    if task.intent.side is Side.SELL:
        played.hold("100", number=90)
    order = _waits_again(played, task)
    for _ in range(3):
        played.do(c.Retract(signal=task.signal.signal_id, at=NOW))
        played.do(c.Resume(signal=task.signal.signal_id, at=NOW))
        written = [PlainDocument(*part, body) for part, body in documents(played.account).items()]
        played.account = account_of(ALICE, Catalog(), written)
        (waits,) = played.account.waiting.values()
        assert waits.unsent is not None
        assert played.place(task, prepare=_nobody_prepares) == order
        (open_order,) = played.account.orders.values()
        assert open_order.task.counted_attempts == 1
        over, intent = Outcome(end=End.EXPIRED), waits.unsent.intent
        played.do(c.NotSent(key=order.key, outcome=over, at=NOW, waits_on=True, intent=intent))


@pytest.mark.parametrize(
    ("sold", "changes"),
    [
        (True, {}),
        (False, {"market": evolve(MARKET, fee_bps=100)}),
        (False, {"wallet": Wallet(follower=ALICE, address=None, name="another")}),
    ],
    ids=["intent", "fee", "wallet"],
)
def test_what_waits_again_and_is_decided_otherwise_goes_under_another_key(
    changes: dict[str, Any], *, sold: bool
) -> None:
    """No second body for the key of one that may have left; an attempt of `execution.attempts` it is not."""
    played, task = Played(), entry()
    order = _waits_again(played, task)
    if sold:
        played.offer(leave(5, shares="50"))
    other = played.place(task, **changes)
    assert other.key != order.key
    (open_order,) = [one for one in played.account.orders.values() if one.order.key == other.key]
    assert (open_order.task.attempt, open_order.task.unsent, open_order.task.counted_attempts) == (1, 1, 1)


def test_a_dead_letter_that_is_tried_again_goes_under_another_key() -> None:
    """What it was made of is not kept until somebody has looked."""
    played, task = Played(), entry()
    order = _waits_again(played, task)
    for _ in range(2):
        played.do(c.Try(task=task.task_id, most=1, at=NOW))
    (dead,) = played.account.dead.values()
    assert dead.task.key != order.key
    assert dead.task.counted_attempts == 1


def test_what_is_said_of_no_open_order_changes_nothing() -> None:
    """Neither of one that never was nor of one that has ended."""
    played = Played()
    order = played.fill(entry())
    report = ExecutionReport(order_id=order.order_id, status=Status.KILLED)
    for key in (order.key, type(order.key)("nobody's")):
        assert played.do(c.Answer(key=key, report=report, at=NOW)) == ()
        assert played.do(c.Doubt(key=key, at=NOW)) == ()
        assert played.do(c.NotSent(key=key, outcome=Outcome(end=End.EXPIRED), at=NOW)) == ()
        assert played.do(c.Escalate(key=key, outcome=Outcome(end=End.ESCALATED), at=NOW)) == ()


def test_what_a_report_says() -> None:
    """Shares count before the word, and a word that nobody knows what to make of ended without a fill."""
    for status in Status:
        found = said(ExecutionReport(order_id=OrderId("o"), status=status))
        assert found in (Said.NOTHING, Said.ABSENT, Said.EMPTY, Said.RESTS)
    assert said(None) is Said.NOTHING


@pytest.mark.parametrize(
    ("status", "shares", "spent"),
    [
        (Status.FILLED, 2, 7),
        (Status.KILLED, 0, 7),
        (Status.UNKNOWN, 2, 0),
        (Status.ABSENT, 0, 0),
        (Status.ABSENT, 2, 7),
    ],
)
def test_what_an_entry_has_spent_is_what_is_known_to_be_there(status: Status, shares: int, spent: int) -> None:
    """Nothing while nobody knows, or where it never came; fees and what came of it else."""
    report = ExecutionReport(order_id=OrderId("0x1"), status=status, shares=Shares(shares), notional=Usd(5), fee=Usd(2))
    assert spent_by(report) == spent
    assert spent_by(None) == 0


def test_a_lie_is_told_once() -> None:
    """Said of an order again and again, it changes nothing more."""
    played = Played()
    order = played.place(entry())
    assert played.do(c.Doubt(key=order.key, at=NOW, breached=True))
    assert not played.do(c.Doubt(key=order.key, at=NOW + 1, breached=True))


def test_a_task_that_was_handed_to_a_person_does_not_wait_for_another_owner() -> None:
    """It has ended: that its order was certainly not sent gives back what it held, and nothing is tried again."""
    played, task = Played(), entry()
    order = played.place(task)
    played.do(c.Doubt(key=order.key, at=NOW))
    played.do(c.Escalate(key=order.key, outcome=Outcome(end=End.ESCALATED), at=NOW))
    played.do(c.NotSent(key=order.key, outcome=Outcome(end=End.REJECTED), at=NOW, waits_on=True))
    assert (played.account.waiting, played.account.orders) == ({}, {})
    assert played.end_of(task).end is End.ESCALATED


def test_each_sale_tells_what_it_has_gained_itself() -> None:
    """Not what was gained before: the sums of the books are the sums of what was told."""
    played = Played()
    played.hold("10")
    for number in (2, 3):
        task = evolve(
            leave(number, "50"), intent=evolve(leave(number, "50").intent, sell="sized", shares=Shares.parse(5))
        )
        played.answer(played.place(task), shares=Shares.parse(5), notional=Usd.parse("3"))
    realised = [told.amounts[AMOUNTS.index("realised")] for told in played.told]
    assert [one for one in realised if one] == [450_000, 450_000]
    assert played.account.performance.realised == Usd.parse("0.9")
