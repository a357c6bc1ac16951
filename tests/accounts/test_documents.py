"""An account written down and read again is the same account, and what it told is told in the same words."""

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.accounts.played import FAILED, MINED, PENDING, SPOT, Played, entry, freeze, leave, resting_entry
from tests.accounts.states import derived, documents, kept
from tests.builders import ALICE, NOW, make_settings, make_signal, make_task, usd
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts.documents import PlainDocument, account_of, document_of, waiting_of
from trio_copy.accounts.facts import entry_in, fact_of, record_of
from trio_copy.accounts.names import MONEY
from trio_copy.accounts.plain import (
    PlainError,
    order_of,
    plain_order,
    plain_report,
    plain_task,
    report_of,
    task_of,
)
from trio_copy.accounts.telling import TaskEnd
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, Skip
from trio_copy.model.facts import Fact
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Status
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.units import Ratio, Shares, Usd
from trio_copy.records import read_plain, write_plain

WIDE = 10**24
NOWHERE = Outcome(end=End.EXPIRED)


def full() -> Played:
    """An account with one of everything in it."""
    played = Played()
    played.hold("10")
    played.fill(entry(1), **PENDING)
    played.answer(played.place(entry(2)), Status.UNKNOWN)
    played.answer(played.place(leave(3, shares="20")), Status.KILLED)
    undone = played.fill(leave(4, shares="20"), **PENDING)
    played.answer(undone, **FAILED)
    played.place(leave(5, shares="20"))
    played.place(entry(6, aggregates=True), resting=[entry(7, aggregates=True)])
    played.do(c.Park(task=entry(8), at=NOW))
    played.do(c.Try(task=entry(8).task_id, most=3, at=NOW))
    played.do(c.Retract(signal=entry(8).signal.signal_id, at=NOW))
    accumulates = make_settings(minimum_policy="accumulate", minimum_usd=usd("90"))
    played.offer(entry(9, token_id=TokenId(1), aggregates=True), settings=accumulates)
    played.do(c.Park(task=leave(10), at=NOW))
    played.do(c.Try(task=leave(10).task_id, most=0, at=NOW))
    unpriced = evolve(entry(11).signal, price=None, notional=None, order_hash=None)
    reason = Reason(code=Code.PRICE_UNKNOWN, control="filters.unpriced", value="no price", limit="a price")
    skip = Skip(signal_id=unpriced.signal_id, follower=ALICE, leader=unpriced.leader, reason=reason)
    played.do(c.Pass(skip=skip, signal=unpriced, at=NOW))
    order = played.place(entry(12))
    played.do(c.Escalate(key=order.key, outcome=NOWHERE, at=NOW))
    played.do(c.NotSent(key=played.place(entry(13)).key, outcome=NOWHERE, at=NOW))
    again = played.place(entry(14))
    played.do(c.NotSent(key=again.key, outcome=NOWHERE, at=NOW, waits_on=True, intent=entry(14).intent))
    played.do(c.NotSent(key=played.place(entry(15)).key, outcome=NOWHERE, at=NOW, waits_on=True))
    played.do(c.SetMode(mode=Mode.REDUCE_ONLY, why="a person's «words»", at=NOW))
    return played


def read(book: Account) -> Account:
    return account_of(ALICE, book.catalog, [PlainDocument(*part, body) for part, body in documents(book).items()])


def test_what_is_written_is_read_again() -> None:
    """Every field and everything derived; and the documents of what was read are the same ones."""
    book = full().account
    again = read(book)
    assert kept(again) == kept(book)
    assert derived(again) == derived(book)
    assert documents(again) == documents(book)
    assert {kind for kind, _ in documents(book)} == {"money", "order", "waits", "dead", "position"}


def test_a_new_account_has_no_documents_to_be_read_from() -> None:
    """Of nothing comes an account of nothing."""
    fresh = account_of(ALICE, Catalog(), ())
    assert kept(fresh) == kept(Account(ALICE, Catalog()))
    assert fresh.idle


def test_numbers_of_any_width_survive() -> None:
    """Also where 64 bits are not enough."""
    played = Played()
    huge = entry(1, token_id=TokenId(2**256 - 1))
    wide: dict[str, Any] = {"shares": Shares(WIDE), "leader_shares": Shares(WIDE), "max_cost": Usd(WIDE)}
    order = played.fill(evolve(huge, intent=evolve(huge.intent, **wide)))
    assert order.shares.micro == WIDE
    assert kept(read(played.account)) == kept(played.account)
    assert played.account.position((SPOT[0], huge.intent.token_id)).shares == order.shares


@pytest.mark.parametrize("cost", [None, "5.1", "5.09", "5.100392"])
def test_an_order_is_read_with_its_greatest_cost(cost: str | None) -> None:
    """Written only where it is not what its shares cost at their limit, so that those of before mean what they meant."""
    order = freeze(entry().key, entry().intent)
    order = order if cost is None else evolve(order, max_cost=Usd.parse(cost))
    written = read_plain(write_plain(plain_order(order)))
    assert order_of(written) == order
    assert len(written) == (11 if cost in (None, "5.1") else 12)
    assert order_of(written[:11]).max_cost == Usd.parse("5.1")


def test_a_sale_has_no_greatest_cost() -> None:
    order = freeze(leave().key, evolve(leave().intent, shares=Shares.parse(3)))
    assert order.max_cost == Usd(0)
    assert order_of(read_plain(write_plain(plain_order(order)))) == order


@pytest.mark.parametrize(("kind", "late"), [(Kind.TRADE, 0), (Kind.EXIT, 17)])
def test_the_leaders_time_is_that_of_the_signal_in_every_document(kind: Kind, late: int) -> None:
    """It stands nowhere else, so that tasks of earlier versions have it too; an own exit has the turn that names it."""
    signal = make_signal(1, side=Side.SELL, kind=kind, block_time=int(NOW) // 30 * 30 + 17)
    task = make_task(signal)
    assert task.intent.leader_time == signal.block_time - late
    assert task_of(read_plain(write_plain(list(plain_task(task))))) == task


@pytest.mark.parametrize("task", [entry(), resting_entry(), evolve(entry(), attempt=3, unsent=1)])
def test_a_version_that_knew_of_no_order_that_goes_again_makes_the_next_one(task: CopyTask) -> None:
    """As the owner after a newer one does in a rolling upgrade: it reads five parts, and the first two of what follows an intent."""
    played = Played()
    order = played.place(task)
    played.do(c.NotSent(key=order.key, outcome=NOWHERE, at=NOW, waits_on=True, intent=task.intent))
    (waits,) = [body for (kind, _), body in documents(played.account).items() if kind == "waits"]
    assert len(waits) == 5
    plain = waits[1]
    assert plain[6] == task.attempt + 1
    _, _, _, _, _, _, _, _, _, _, rest_until, post_only, *_ = plain[4]
    assert (rest_until, post_only) == (task.intent.rest_until, 0)
    plain[4] = plain[4][:12]
    assert waiting_of(waits).task == task.anew()
    assert waiting_of(waits).unsent is None


@pytest.mark.parametrize("post_only", [False, True])
@pytest.mark.parametrize("rest_until", [0, int(NOW) + 600])
def test_an_intent_is_read_as_it_was(rest_until: int, *, post_only: bool) -> None:
    """Written only where it rests; what is only to rest, says so."""
    task = entry()
    wish = evolve(task.intent, rest_until=rest_until, post_only=post_only and rest_until > 0)
    task = evolve(task, intent=wish)
    assert task_of(read_plain(write_plain(list(plain_task(task))))) == task


def test_names_tell_what_a_person_may_ask_for() -> None:
    """An order and what waits are found by each of their ids; no name is longer than a store takes."""
    book = full().account
    for kind, name in documents(book):
        assert len(name) <= 300
        ids = name.split("/")
        if kind == "order":
            (order,) = [one for key, one in book.orders.items() if key == ids[0]]
            assert ids == [order.order.key, order.task.task_id, order.task.signal.signal_id, order.order.order_id]
        if kind == "waits":
            (waits,) = [one.task for one in book.waiting.values() if one.task.task_id == ids[0]]
            assert ids == [waits.task_id, waits.signal.signal_id]


@pytest.mark.parametrize("kind", ["money", "order", "waits", "dead", "position"])
def test_a_document_that_is_none_is_refused(kind: str) -> None:
    """Cut off, of another version or of another shape: one error that names it, whatever is wrong."""
    (name, body), *_ = [(name, body) for (of, name), body in documents(full().account).items() if of == kind]
    wrong: list[Any] = [[], [2, *body[1:]], body[:-1], [*body, 1], [1, *("x" for _ in body[1:])], [1, *([[]] * 9)]]
    for one in wrong:
        with pytest.raises(PlainError, match=f"expected a stored {kind} {name}"):
            account_of(ALICE, Catalog(), [PlainDocument(kind, name, one)])


def test_what_others_keep_by_a_follower_is_left_alone() -> None:
    """A kind that no account has is somebody else's."""
    assert account_of(ALICE, Catalog(), [PlainDocument("mark", "x", [1])]).idle
    with pytest.raises(PlainError, match="expected a part of an account, was mark"):
        document_of(Account(ALICE, Catalog()), ("mark", "x"))


def test_what_changed_is_said_once_and_whole() -> None:
    """A document that is gone is to be deleted; what did not change is not written again."""
    played = Played()
    order = played.place(entry())
    assert played.account.take_changes() == ((), ())
    played.account.apply(played.account.decide(c.Doubt(key=order.key, at=NOW)))
    changed, told = played.account.take_changes()
    assert ([kind for kind, _ in changed], told) == (["order"], ())
    played.account.apply(played.account.decide(c.NotSent(key=order.key, outcome=Outcome(end=End.EXPIRED), at=NOW)))
    changed, told = played.account.take_changes()
    assert {kind: document_of(played.account, (kind, name)) is None for kind, name in changed} == {
        "order": True,
        "money": False,
    }
    assert (MONEY in changed, len(told)) == (True, 1)


def test_what_was_told_is_read_again() -> None:
    """Every kind of fact, through JSON; a key names one fact."""
    told = full().told
    kinds: dict[str, int] = {}
    keys: set[str] = set()
    for one in told:
        fact = fact_of(one, write_plain)
        assert record_of(fact, read_plain(fact.body)) == one.record
        assert fact.key not in keys
        assert len(fact.key) <= 300
        keys.add(fact.key)
        kinds[fact.kind] = kinds.get(fact.kind, 0) + 1
    assert set(kinds) == {"filled", "ended", "skip", "entry"}


def test_a_task_that_changed_is_written_as_it_is_now() -> None:
    """It is written once; another attempt, and another size, are another task."""
    task = entry()
    before = plain_task(task)
    again = evolve(task, attempt=1)
    assert plain_task(task) is before
    assert task_of(read_plain(write_plain(list(plain_task(again))))) == again != task
    moved = evolve(task.signal, block_number=task.signal.block_number + 1)
    assert task_of(read_plain(write_plain(list(plain_task(evolve(task, signal=moved)))))).signal == moved


def test_an_attempt_is_a_fact_of_its_own() -> None:
    """A task that went on after an order tells of that order under its attempt."""
    played, task = Played(), entry()
    played.answer(played.place(task), Status.KILLED, again=True)
    (fact,) = [fact_of(one, write_plain) for one in played.told]
    assert (fact.kind, fact.key) == ("attempt", f"{task.task_id}:0")
    assert record_of(fact, read_plain(fact.body)) == played.told[0].record


FORMS = json.loads((Path(__file__).parents[1] / "data" / "facts_in_both_forms.json").read_text())


def booking_in(fact: Fact, body: Any) -> LedgerEntry | None:
    return entry_in(fact, body, lambda part: part)


def stored(columns: dict[str, Any]) -> Fact:
    said = {name: value for name, value in columns.items() if name not in ("first", "second")}
    return Fact(**{**said, "token_id": TokenId(int(said["token_id"]))}, body=b"")


@pytest.mark.parametrize("columns", FORMS, ids=[f"{number} {one['kind']}" for number, one in enumerate(FORMS)])
def test_what_was_told_in_the_first_form_is_still_read(columns: dict[str, Any]) -> None:
    """It says the same as the form of today, which holds each thing once."""
    fact = stored(columns)
    assert record_of(fact, columns["first"]) == record_of(fact, columns["second"])
    if fact.kind != "skip":
        assert booking_in(fact, columns["first"]) == booking_in(fact, columns["second"])
    assert len(write_plain(columns["second"])) < 0.85 * len(write_plain(columns["first"]))


def test_a_booking_can_be_read_alone() -> None:
    """Of every kind of fact that has one, and of no other."""
    for one in full().told:
        fact = fact_of(one, write_plain)
        record = one.record
        booking = record if isinstance(record, LedgerEntry) else record.entry if isinstance(record, TaskEnd) else None
        if fact.kind != "skip":
            assert booking_in(fact, read_plain(fact.body)) == booking


def test_what_an_order_does_not_share_with_its_task_is_kept() -> None:
    """Another executor, side, token, time, or id in its report: none of it is taken for the same."""
    told = next(one for one in full().told if isinstance(one.record, TaskEnd) and one.record.order is not None)
    end = told.record
    assert isinstance(end, TaskEnd)
    assert end.order is not None
    assert end.order.report is not None
    other = evolve(
        end.order,
        executor="another",
        side=Side.SELL,
        token_id=TokenId(99),
        at=end.at + 1,
        report=evolve(end.order.report, order_id=OrderId("0x99")),
    )
    reverse = evolve(end.task, signal=evolve(end.task.signal, token_id=TokenId(98)))
    record = evolve(end, task=reverse, order=other, entry=None)
    fact = fact_of(evolve(told, record=record), write_plain)
    assert record_of(fact, read_plain(fact.body)) == record


@pytest.mark.parametrize("kind", ["filled", "ended", "attempt", "skip", "entry", "poem"])
def test_a_fact_that_is_none_is_refused(kind: str) -> None:
    """Cut off, of another form or of an unknown kind."""
    bodies: list[Any] = [
        *([], [1], [3, []], [True, []], "x"),
        *([1, [], [], [], [], []], [1, "x"]),
        *([2], [2, []], [2, "x"], [2, [], [], [], [], []], [2, [], [], [], [1], [2]], [2, "fill", "", "x"]),
    ]
    fact = stored({**FORMS[0], "kind": kind})
    for body in bodies:
        with pytest.raises(PlainError):
            record_of(fact, body)
    for body in bodies[:5]:
        with pytest.raises(PlainError):
            booking_in(fact, body)


def test_amounts_say_what_a_fact_changed() -> None:
    """Trades, what was bought and sold for, fees, and both kinds of profit; a reversal takes back the same."""
    played = Played()
    bought = played.place(entry())
    played.answer(bought, notional=usd("5"), fee=usd("0.1"), **MINED)
    sold = played.place(leave(shares="50"))
    played.answer(sold, notional=usd("3"), fee=usd("0.2"))
    played.answer(bought, notional=usd("5"), fee=usd("0.1"))
    told = [one.amounts for one in played.told]
    assert told == [
        (1, 5_000_000, 0, 100_000, 0, 0),
        (1, 0, 3_000_000, 200_000, 0, 250_000),
        (0, 0, 0, 0, 250_000, -250_000),
    ]


@pytest.mark.parametrize(
    ("fee", "written"),
    [
        ({"fee_bps": None}, None),
        ({"fee_bps": 30}, 30),
        ({"fee_bps": 0, "fee_rate": Ratio.parse("0.05"), "fee_exponent": 2}, [0, 50_000, 2]),
    ],
)
def test_an_order_keeps_the_fee_that_its_fills_are_judged_by(fee: dict[str, Any], written: Any) -> None:
    """One without a formula reads as it was written by earlier versions, and as they read it."""
    order = evolve(Played().place(entry()), **fee)
    plain = read_plain(write_plain(list(plain_order(order))))
    assert plain[-1] == written
    assert order_of(plain) == order


@pytest.mark.parametrize("flags", [{}, {"stale": True, "status": Status.REJECTED}, {"off_book": True}], ids=str)
def test_what_a_report_says_besides_is_read_again(flags: dict[str, Any]) -> None:
    """Written only where there is something: each copy writes one."""
    report = ExecutionReport(**{"order_id": OrderId("0x1"), "status": Status.RESTING, **flags})
    assert report_of(plain_report(report)) == report
    assert len(plain_report(report)) == 7 + bool(flags)


def test_only_an_account_of_which_nothing_is_left_may_be_put_away() -> None:
    """Whatever is open, held, waiting, remembered, or not written down and told yet, would be gone with it."""
    played, forget = Played(), c.Tick(passed=10**9, at=NOW)
    account = played.account

    def idle() -> bool:
        return account.idle

    assert idle()
    first = played.place(entry(1))
    assert not idle()  # an order is open
    played.answer(first)
    played.do(forget)
    assert not idle()  # its shares are held
    played.fill(leave(2))
    assert not idle()  # its signals are known
    played.do(forget)
    assert idle()
    played.do(c.Park(task=entry(3), at=NOW))
    assert not idle()  # a task waits
    played.do(c.Refuse(task=entry(3), outcome=Outcome(end=End.EXPIRED), at=NOW))
    played.do(forget)
    assert idle()
    account.apply(account.decide(c.SetMode(mode=Mode.HALT_NEW, why="lunch", at=NOW)))
    assert not idle()  # it is not written down
    account.take_changes()
    assert idle()
