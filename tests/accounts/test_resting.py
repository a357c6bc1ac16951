"""Orders that rest: what fills while they do is booked as it is learned, and an exit of their token goes first."""

from collections.abc import Sequence
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
from tests.accounts.states import documents, held, kept
from tests.builders import ALICE, NOW, OTHER_LEADER
from trio_copy.accounts import OrderState
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.accounts.orders import shrinks
from trio_copy.accounts.settling import unsettled
from trio_copy.accounts.telling import TaskEnd
from trio_copy.model.decisions import Code, End, OrderIntent, Outcome, Reason
from trio_copy.model.fills import Kind
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.units import Price, Rounding, Shares, Usd

ENDED = OrderState.ENDED
WHY = Reason(code=Code.NO_FILL, control="execution.rest_s", value="nothing", limit="600")


def so_far(order: Order, shares: str, status: Status = Status.RESTING, **changes: Any) -> ExecutionReport:
    """Say how much of an order is filled by now, at its limit, with a fee of a tenth of a dollar."""
    filled = Shares.parse(shares)
    paid = filled.at(order.limit_price, Rounding.DOWN)
    fee = Usd.parse("0.1") if filled and "fee" not in changes else Usd(0)
    return report_on(order, status, **{"shares": filled, "notional": paid, "fee": fee, **changes})


def rest(played: Played, *reports: ExecutionReport) -> Sequence[e.Event]:
    """Learn one report after the other; returns what the last one has changed."""
    events: Sequence[e.Event] = ()
    for report in reports:
        (key,) = [one.order.key for one in played.account.orders.values() if one.order.order_id == report.order_id]
        events = played.do(c.Answer(key=key, report=report, at=played.at))
    return events


def kinds(played: Played) -> list[EntryKind]:
    return [told.record.kind for told in played.told if isinstance(told.record, LedgerEntry)]


ENDS: dict[str, tuple[Status, str, dict[str, Any], End, str, list[str]]] = {
    # status, shares, changes, how its task ends, shares that are held, bookings apart from its end
    "filled": (Status.FILLED, "10", {}, End.FILLED, "10", ["fill", "fill", "fill"]),
    "in part": (Status.PARTIAL, "7", {}, End.PARTIAL, "7", ["fill", "fill", "fill"]),
    "no more": (Status.PARTIAL, "5", {}, End.PARTIAL, "5", ["fill", "fill"]),
    "not settled yet": (Status.FILLED, "10", PENDING, End.FILLED, "10", ["fill", "fill", "fill"]),
    "gone": (Status.ABSENT, "0", {}, End.PARTIAL, "5", ["fill", "fill"]),
}


@pytest.mark.parametrize("how", ENDS)
def test_what_fills_while_it_rests_is_booked_as_it_is_learned(how: str) -> None:
    """Each growth is a booking; its task ends once; nothing is held afterwards that nobody can still take."""
    status, shares, changes, end, held_at_end, bookings = ENDS[how]
    played, task = Played(market=evolve(MARKET, fee_bps=200)), resting_entry()
    order = played.place(task)
    cost = played.cost
    rest(played, so_far(order, "0"))
    assert (played.shares, played.cost, played.day(task)) == (Shares(0), cost, cost.micro)
    for filled in ("2", "5"):
        rest(played, so_far(order, filled))
        assert played.shares == Shares.parse(filled)
        # What was held for it has become what it cost: budgets and caps do not see the difference.
        assert (played.cost, played.day(task)) == (cost, cost.micro)
        assert played.open(task)
    assert rest(played, so_far(order, "5")) == ()
    rest(played, so_far(order, shares, status, **changes))
    assert played.shares == Shares.parse(held_at_end)
    assert [kind.value for kind in kinds(played)] == bookings
    assert played.end_of(task).end is end
    assert not held(played.account)
    assert played.cost == played.account.position(SPOT).cost
    assert played.day(task) == played.cost.micro
    # The leader's shares count once, whatever they are bought in.
    assert played.account.position(SPOT).leader_shares == task.intent.leader_shares


def test_one_that_filled_nothing_gives_everything_back() -> None:
    """Its minute counts, for it was sent; its end says why it rested no longer."""
    played, task = Played(), resting_entry()
    order = played.place(task)
    rest(played, so_far(order, "0"))
    played.do(c.CallOff(key=order.key, why=WHY, at=NOW))
    rest(played, report_on(order, Status.KILLED, detail="expired"))
    assert played.end_of(task) == Outcome(end=End.KILLED, reason=WHY)
    assert (played.cost, played.day(task), played.account.orders) == (Usd(0), 0, {})
    assert any(name.startswith("minute ") for name in played.account.windows)


SETTLED: dict[str, tuple[list[tuple[str, dict[str, Any]]], dict[str, Any], str, list[str]]] = {
    # what fills, as what; the last word; shares that stay; bookings
    "at once": ([("2", {}), ("5", {})], {}, "5", ["fill", "fill"]),
    "later": ([("2", PENDING), ("5", PENDING)], {}, "5", ["fill", "fill", "confirm", "confirm"]),
    "one of two": ([("2", {}), ("5", PENDING)], {}, "5", ["fill", "fill", "confirm"]),
    "while it rests": ([("2", PENDING), ("2", {})], {}, "2", ["fill", "confirm"]),
    "never": ([("2", PENDING), ("5", PENDING)], FAILED, "0", ["fill", "fill", "reverse", "reverse"]),
    "the last one never": ([("2", {}), ("5", PENDING)], FAILED, "2", ["fill", "fill", "reverse"]),
}


@pytest.mark.parametrize("matched", [False, True], ids=["said at its end", "said after its end"])
@pytest.mark.parametrize("how", SETTLED)
def test_what_has_filled_settles_as_it_is_said(how: str, *, matched: bool) -> None:
    """What was firm stays, and the last word of the chain is about everything else."""
    fills, last, shares, bookings = SETTLED[how]
    played = Played()
    order = played.place(resting_entry())
    rest(played, *(so_far(order, filled, **settlement) for filled, settlement in fills))
    whole = fills[-1][0]
    if matched:
        rest(played, so_far(order, whole, Status.PARTIAL, **PENDING))
        # Where all of it is firm already, there is nothing that the chain could still say.
        assert (order.key in played.account.orders) == (fills[-1][1] == PENDING)
    if order.key in played.account.orders:
        rest(played, so_far(order, whole, Status.PARTIAL, **last))
    assert played.shares == Shares.parse(shares)
    assert [kind.value for kind in kinds(played)] == bookings
    assert played.account.orders == {}
    assert played.account.position(SPOT).firm_shares == Shares.parse(shares)


def test_what_is_firm_already_waits_for_nothing() -> None:
    """Its end is told as pending, and brings nothing more: the order is over."""
    played, task = Played(), resting_entry()
    order = played.place(task)
    rest(played, so_far(order, "5"), so_far(order, "5", Status.PARTIAL, **PENDING))
    assert played.end_of(task).end is End.PARTIAL
    assert played.account.orders == {}
    assert kinds(played) == [EntryKind.FILL]


LIES: dict[str, Any] = {
    "fewer shares": {"shares": Shares.parse(4), "notional": Usd.parse(2)},
    "less money": {"notional": Usd.parse(2)},
    "a smaller fee": {"fee": Usd(0)},
    "money for nothing more": {"fee": Usd.parse("0.11")},
    "eleven millionths less": {"notional": Usd.parse("2.549989")},
    "killed": {"status": Status.KILLED, "shares": Shares(0), "notional": Usd(0), "fee": Usd(0)},
    "ended with fewer": {"status": Status.PARTIAL, "shares": Shares.parse(4), "notional": Usd.parse(2)},
}


@pytest.mark.parametrize("how", LIES)
def test_what_is_booked_is_not_taken_back_by_a_word(how: str) -> None:
    """A report that shrinks changes nothing, and a person is told."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "5"))
    before = documents(played.account)
    (event,) = rest(played, evolve(so_far(order, "5"), **LIES[how]))
    assert isinstance(event, e.Contradicted)
    assert documents(played.account) == before


@pytest.mark.parametrize(
    "off", [{"notional": -1}, {"notional": -10, "fee": -1}, {"fee": 10}, {"notional": -3, "fee": 1}]
)
def test_what_another_version_rounds_otherwise_is_no_contradiction(off: dict[str, int]) -> None:
    """It says a few millionths less, or more, of what is booked for good: the order rests on, and ends with what is booked."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "5"))
    booked, before = played.account.orders[order.key].report, documents(played.account)
    assert booked is not None
    changes: dict[str, Any] = {name: Usd(getattr(booked, name).micro + by) for name, by in off.items()}
    assert rest(played, so_far(order, "5", **changes)) == ()
    assert documents(played.account) == before
    (event,) = rest(played, so_far(order, "5", Status.PARTIAL, **changes))
    assert isinstance(event, e.Learned)
    assert event.report is not None
    assert (event.report.notional, event.report.fee, event.entry) == (booked.notional, booked.fee, None)
    assert played.account.orders == {}
    assert kinds(played) == [EntryKind.FILL]


def test_what_is_not_settled_yet_is_corrected_to_the_millionth() -> None:
    """There is no need to keep what was rounded otherwise."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "5", **PENDING))
    less = Usd(so_far(order, "5").notional.micro - 1)
    rest(played, so_far(order, "5", Status.PARTIAL, notional=less))
    assert played.account.orders == {}
    entries = [told.record for told in played.told if isinstance(told.record, LedgerEntry) and told.record.shares]
    assert kinds(played)[:2] == [EntryKind.FILL, EntryKind.CORRECT], entries


BREACHES: dict[str, tuple[Any, dict[str, Any]]] = {
    "an exit that rests": (leave(), {}),
    "an order that was not to rest": (entry(), {}),
    "undone while it rests": (resting_entry(), {"settlement": FAILED["settlement"]}),
    "over its cost": (resting_entry(), {"notional": Usd.parse(6)}),
}


@pytest.mark.parametrize("how", BREACHES)
def test_a_report_that_cannot_be_proves_nothing(how: str) -> None:
    """Nothing is booked, and no later report of it is believed."""
    played, (task, changes) = Played(), BREACHES[how]
    played.hold("30")
    order, before = played.place(task), played.shares
    rest(played, so_far(order, "5", **changes))
    assert played.account.orders[order.key].breached
    assert played.account.orders[order.key].unproven
    assert played.shares == before


def test_it_is_read_again_as_it_was() -> None:
    """What it used, why it was called off, and all that is derived."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "3"))
    played.do(c.CallOff(key=order.key, why=WHY, at=NOW))
    stored = [PlainDocument(*part, body) for part, body in documents(played.account).items()]
    again = account_of(ALICE, played.account.catalog, stored)
    assert kept(again) == kept(played.account)
    assert held(again) == held(played.account)
    assert again.orders[order.key].called_off == WHY


def test_what_comes_behind_it_goes_on() -> None:
    """A second entry of the same token is placed while the first rests; both count in every budget."""
    played = Played()
    first = played.place(resting_entry(1))
    rest(played, so_far(first, "2"))
    cost = played.cost
    assert not played.account.orders[first.key].unproven
    played.place(resting_entry(2))
    assert played.cost.micro == 2 * cost.micro


EXITS: dict[str, tuple[Any, str, str]] = {
    # the exit, why what rests is called off, and how many shares it sells
    "its leader sells": (leave(), "LEADER_LEFT", "6.5"),
    "a rule of the follower's own": (leave(kind=Kind.EXIT, sell="all"), "EXIT_FIRST", "13"),
    "another leader sells": (leave(leader=OTHER_LEADER), "EXIT_FIRST", "10"),
}


@pytest.mark.parametrize("how", EXITS)
def test_an_exit_calls_off_what_rests_of_its_token_and_sells_what_came_of_it(how: str) -> None:
    """It is not placed before that is proven, and asked again it changes nothing."""
    played, (task, code, sells) = Played(), EXITS[how]
    played.fill(evolve(entry(900, leader=task.signal.leader), decided_at=NOW - 1))
    order = played.place(resting_entry())
    rest(played, so_far(order, "2"))
    (event,) = played.offer(task)
    assert isinstance(event, e.CalledOff)
    assert event.why.code.name == code
    assert played.account.orders[order.key].unproven
    assert not played.offer(task)
    assert rest(played, so_far(order, "3"))  # what fills meanwhile is booked
    assert not played.offer(task)
    rest(played, so_far(order, "3", Status.PARTIAL))
    (placed,) = [one for one in played.offer(task) if isinstance(one, e.Placed)]
    assert placed.order.shares == Shares.parse(sells)


def test_an_exit_that_is_not_placed_calls_off_all_the_same() -> None:
    """Too late or halted: its leader has left, and nothing more is bought."""
    played, task = Played(), leave()
    order = played.place(resting_entry())
    rest(played, so_far(order, "2"))
    events = played.do(c.Refuse(task=task, outcome=Outcome(end=End.EXPIRED, reason=WHY), at=NOW))
    assert [type(event) for event in events] == [e.CalledOff, e.Ended, e.Missed]
    assert played.account.orders[order.key].called_off is not None


def test_an_exit_does_not_wait_for_what_a_person_has_to_look_at() -> None:
    """What was called off and could not be proven is escalated: it holds what it holds, and nothing else up."""
    played = Played()
    played.hold("10")
    order = played.place(resting_entry())
    rest(played, so_far(order, "2"))
    played.do(c.CallOff(key=order.key, why=WHY, at=NOW))
    played.do(c.Escalate(key=order.key, outcome=Outcome(end=End.ESCALATED, reason=WHY), at=NOW))
    assert any(isinstance(event, e.Placed) for event in played.offer(leave()))
    # Its end is known; what comes of it still reaches the books.
    rest(played, so_far(order, "4", Status.PARTIAL))
    assert order.key not in played.account.orders
    assert played.shares == Shares.parse(14)


def escalated(played: Played, order: Order) -> Sequence[e.Event]:
    """Hand an order over to a person."""
    outcome = Outcome(end=End.ESCALATED, reason=WHY)
    return played.do(c.Escalate(key=order.key, outcome=outcome, at=NOW))


def test_what_turns_out_to_rest_after_a_person_was_asked_is_called_off_by_an_exit() -> None:
    """Its task has ended, and ends no second time; where nobody answers then, a person is asked once more."""
    played, task = Played(), resting_entry()
    played.hold("10")
    order = played.place(task)
    played.answer(order, Status.UNKNOWN)
    escalated(played, order)
    assert played.account.resting_before(leave()) == []
    rest(played, so_far(order, "2"))
    assert not escalated(played, order)  # known as it is
    (event,) = played.offer(leave())
    assert isinstance(event, e.CalledOff)
    assert not played.offer(leave())
    (event,) = escalated(played, order)
    assert isinstance(event, e.HandedOver)
    assert not escalated(played, order)
    assert any(isinstance(one, e.Placed) for one in played.offer(leave()))
    rest(played, so_far(order, "3", Status.PARTIAL))
    assert played.end_of(task).end is End.ESCALATED
    assert played.account.orders.keys() == {leave().key}


@pytest.mark.parametrize("again", [False, True], ids=["first", "after it was called off"])
def test_what_lied_while_it_rested_is_in_doubt_from_then_on(*, again: bool) -> None:
    """A person is asked as late as of any other order that nobody can prove, counted from where nobody knew any more."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "2"))
    since = NOW + 300
    if again:
        played.do(c.CallOff(key=order.key, why=WHY, at=since))
    played.at = NOW + 400
    rest(played, so_far(order, "5", notional=Usd.parse(6)))
    found = played.account.orders[order.key]
    assert (found.breached, found.at) == (True, since if again else played.at)


def test_what_the_venue_has_lost_before_it_settled_stays_until_a_person_says_it() -> None:
    """It was there, and filled: no number of empty answers undoes that. Once somebody has looked, nothing is left open."""
    played, task = Played(), resting_entry()
    order = played.place(task)
    rest(played, so_far(order, "5", **PENDING))
    for _ in range(3):
        events = rest(played, report_on(order, Status.ABSENT))
    assert [type(event) for event in events] == [e.Contradicted]
    assert played.end_of(task).end is End.PARTIAL
    assert (played.shares, played.cost) == (Shares.parse(5), played.account.position(SPOT).cost)
    assert resolve(played) == ()
    played.do(c.Answer(key=order.key, report=so_far(order, "5", Status.PARTIAL), by_hand=True, at=NOW))
    assert played.account.orders == {}
    assert [type(event) for event in resolve(played)] == [e.Redeemed]


def resolve(played: Played) -> Sequence[e.Event]:
    return played.do(c.Resolve(position=(ALICE, *SPOT), condition_id="0xc0", payout=Price(1_000_000), at=NOW))


def test_nothing_is_redeemed_while_an_entry_of_the_token_may_still_fill() -> None:
    """All that was bought is redeemed at once, when it is known what that is."""
    played = Played()
    played.hold("10")
    order = played.place(resting_entry())
    rest(played, so_far(order, "2"))
    assert resolve(played) == ()
    rest(played, so_far(order, "3", Status.PARTIAL))
    (event,) = resolve(played)
    assert isinstance(event, e.Redeemed)
    assert (event.entry.shares, played.shares) == (Shares.parse(13), Shares(0))


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.RESTING])
def test_what_is_open_at_another_executor_holds_no_exit_up_and_is_not_sold_twice(status: Status) -> None:
    """His executor was changed meanwhile: what is in doubt elsewhere stays held, whatever he does here."""
    played = Played()
    played.hold("10")
    entry_there = played.place(resting_entry())
    rest(played, so_far(entry_there, "0", status))
    exit_there = played.place(leave(3, "25", executor="old", sell="sized"), prepare=at_old)
    played.answer(exit_there, Status.UNKNOWN)
    cost = played.cost
    (placed,) = [one for one in played.offer(leave(4, sell="all", executor="new")) if isinstance(one, e.Placed)]
    assert placed.order.shares == Shares.parse("7.5")
    assert played.cost == cost


def at_old(key: IntentKey, intent: OrderIntent) -> Order:
    return evolve(freeze(key, intent), executor="old")


def test_what_would_be_over_before_it_is_sent_is_not_sent() -> None:
    played, task = Played(), resting_entry()
    played.offer(task, at=float(task.intent.rest_until))
    assert reason_of(played.end_of(task)) == (End.EXPIRED, "DEADLINE_PASSED", "execution.rest_s")


def test_who_rests_is_not_doubted() -> None:
    """Nobody answering is no news of it, it was not "never sent", and it is never tried once more."""
    played, task = Played(), resting_entry()
    order = played.place(task)
    rest(played, so_far(order, "0"))
    assert not played.do(c.Doubt(key=order.key, at=NOW))
    assert played.do(c.NotSent(key=order.key, outcome=Outcome(end=End.EXPIRED), at=NOW)) == ()
    assert played.answer(order, Status.UNKNOWN) == ()
    played.answer(order, Status.KILLED, again=True)
    assert played.end_of(task).end is End.KILLED
    assert not played.account.waiting


@pytest.mark.parametrize(
    ("changes", "shrunk"),
    [
        ({}, False),
        ({"shares": Shares.parse("5"), "notional": Usd.parse("2.5")}, False),
        ({"shares": Shares.parse("5"), "notional": Usd.parse("2.5"), "fee": Usd.parse("0.09")}, True),
        ({"shares": Shares.parse("5"), "notional": Usd.parse("1.9")}, True),
        ({"shares": Shares.parse("3"), "notional": Usd.parse("2.5")}, True),
        ({"fee": Usd.parse("0.11")}, True),
    ],
)
def test_nothing_of_an_order_that_rests_is_taken_back(changes: dict[str, Any], shrunk: bool) -> None:
    """Neither shares nor money nor fees get less while it fills, and nothing more is asked for the same shares."""
    played = Played(market=evolve(MARKET, fee_bps=200))
    order = played.place(resting_entry())
    told: dict[str, Any] = {"shares": Shares.parse("4"), "notional": Usd.parse("2"), "fee": Usd.parse("0.1")}
    played.answer(order, Status.RESTING, **told)
    open_order = played.account.orders[order.key]
    assert shrinks(open_order, report_on(order, Status.RESTING, **told | changes)) == shrunk


def test_how_long_it_has_told_nothing_new_begins_with_the_last_that_it_filled() -> None:
    """Off the book, a person is asked once nothing more has come for a while: each growth begins that anew, and nothing else does."""
    played = Played()
    order = played.place(resting_entry())

    def since(at: float, shares: str, **changes: Any) -> float:
        played.at = at
        rest(played, so_far(order, shares, **changes))
        return played.account.orders[order.key].at

    assert since(NOW + 10, "2") == NOW + 10
    assert since(NOW + 20, "4") == NOW + 10  # as long as it rests, it is known whole
    assert since(NOW + 30, "4", off_book=True) == NOW + 30
    assert since(NOW + 40, "4", off_book=True) == NOW + 30
    assert since(NOW + 50, "6", off_book=True) == NOW + 50
    assert since(NOW + 60, "6", off_book=True, detail="asked once more") == NOW + 50


def test_that_it_is_off_the_book_is_news() -> None:
    """Also with nothing filled since: from then on nobody calls it off, and what comes behind it goes on."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "2"))
    assert not rest(played, so_far(order, "2"))
    assert rest(played, so_far(order, "2", off_book=True))
    assert played.account.orders[order.key].off_book


def test_what_has_reached_the_chain_is_not_in_doubt_because_one_answer_lags() -> None:
    """A node that is behind says pending again: its fills stay mined, and can be sold."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "2", **PENDING))
    assert rest(played, so_far(order, "2", **MINED))
    assert not rest(played, so_far(order, "2", **PENDING))
    assert unsettled(played.account, SPOT) == Shares(0)


def test_only_what_rests_on_the_book_is_called_off_and_once() -> None:
    """Not what nobody knows, what may not have been sent, what rests no longer, or what was called off for another reason."""
    played, other = Played(), Reason(code=Code.GIVEN_UP, control="orders cancel", value="by hand", limit="")
    unknown, placed = IntentKey("never heard of"), played.place(entry(2))
    matched, over = played.fill(entry(3), **PENDING), played.place(resting_entry(4))
    rest(played, so_far(over, "2", off_book=True))
    for key in (unknown, placed.key, matched.key, over.key):
        assert played.do(c.CallOff(key=key, why=WHY, at=NOW)) == ()
    order = played.place(resting_entry(5))
    rest(played, so_far(order, "2"))
    assert played.do(c.CallOff(key=order.key, why=WHY, at=NOW))
    assert played.do(c.CallOff(key=order.key, why=other, at=NOW + 1)) == ()
    assert played.account.orders[order.key].called_off == WHY


@pytest.mark.parametrize(
    ("status", "shares", "settlement"),
    [(Status.RESTING, "3", PENDING), (Status.KILLED, "0", {}), (Status.PARTIAL, "3", FAILED)],
    ids=["it rests with less", "it was killed", "a part of it was undone"],
)
def test_what_was_filled_and_not_settled_is_not_taken_back_by_a_word_either(
    status: Status, shares: str, settlement: dict[str, Any]
) -> None:
    """Of the rest nobody knows what became of it: a person has to look."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "4", **PENDING))
    before = documents(played.account)
    (event,) = rest(played, so_far(order, shares, status, **settlement))
    assert isinstance(event, e.Contradicted)
    assert documents(played.account) == before


def test_a_venue_that_does_not_answer_takes_nothing_back() -> None:
    """What was filled so far is known, and no contradiction."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "4"))
    assert played.answer(order, Status.UNKNOWN) == ()


def test_what_a_venue_has_lost_before_it_filled_anything_ends_with_that_word() -> None:
    """It is no part of an order that was filled: it was killed, and the books say why."""
    played, task = Played(), resting_entry()
    order = played.place(task)
    rest(played, so_far(order, "0"))
    played.answer(order, Status.ABSENT)
    reason = played.end_of(task).reason
    assert reason is not None
    assert (reason.code, reason.value) == (Code.NO_FILL, "the venue has it no more")


def test_what_an_order_filled_last_is_told_as_what_it_filled_before() -> None:
    """Each growth is a booking of its own, the one with which it ends as well: no end of a task brings one along."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "4", fee=Usd(0)), so_far(order, "10", Status.FILLED, fee=Usd(0)))
    (end,) = [told.record for told in played.told if isinstance(told.record, TaskEnd)]
    assert end.entry is None
    assert kinds(played) == [EntryKind.FILL, EntryKind.FILL]


def test_an_order_that_rested_until_it_was_filled_counts_no_more_once_its_shares_are_sold() -> None:
    """Its last word brings nothing new, neither shares nor money: all the same it is over, and its place is free."""
    played = Played()
    order = played.place(resting_entry())
    rest(played, so_far(order, "10", fee=Usd(0)), so_far(order, "10", Status.FILLED, fee=Usd(0)))
    assert (played.account.exposure.spots, played.account.orders) == (1, {})
    played.fill(leave(shares="100"))
    assert (played.account.exposure.spots, played.cost) == (0, Usd(0))
