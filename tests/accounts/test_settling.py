"""An exit sells what is on the chain, and waits for the rest of what it wants to sell."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import evolve

from tests.accounts.played import FAILED, MARKET, MINED, PENDING, SPOT, Played, entry, freeze, leave, reason_of
from tests.accounts.states import documents
from tests.builders import ALICE, NOW
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.accounts.settling import in_two, late, unsettled
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask, End, OrderIntent, Outcome
from trio_copy.model.fills import Kind
from trio_copy.model.ids import IntentKey, TokenId
from trio_copy.model.orders import Order, Status
from trio_copy.model.sightings import Allotment
from trio_copy.model.units import NO_SHARES, Micro, Shares, Usd

FIRM: Mapping[str, Any] = {}


def played(ready: str, coming: str, minimum: str = "0", **settlement: Any) -> tuple[Played, Order]:
    """Hold so many shares that are settled, and so many that were bought just now."""
    book = Played(market=evolve(MARKET, minimum=Shares.parse(minimum)))
    if ready != "0":
        book.hold(ready)
    return book, book.fill(entry(3, str(int(coming) * 10)), **(settlement or PENDING))


def waiting(book: Played) -> list[CopyTask]:
    return [waits.task for waits in book.account.waiting.values()]


def sold(events: Sequence[e.Event]) -> list[str]:
    return [str(event.order.shares) for event in events if isinstance(event, e.Placed)]


@pytest.mark.parametrize(
    ("ready", "coming", "of_leader", "minimum", "now", "later"),
    [
        ("60", "40", "1000", "0", ["60"], ["40"]),
        ("60", "40", "500", "0", ["50"], []),
        ("60", "40", "800", "0", ["60"], ["20"]),
        ("0", "100", "1000", "0", [], ["100"]),
        ("0", "100", "300", "0", [], ["30"]),
        # Neither part is less than the venue sells.
        ("97", "3", "1000", "5", ["95"], ["5"]),
        ("4", "96", "1000", "5", [], ["100"]),
        ("6", "3", "90", "5", [], ["9"]),
        ("5", "5", "100", "5", ["5"], ["5"]),
        # What is there is just enough: none of it is left for later, however little the venue sells.
        ("60", "40", "600", "5", ["60"], []),
    ],
)
@pytest.mark.parametrize("sell", ["proportional", "sized"])
def test_what_is_there_is_sold_and_the_rest_later(
    sell: str, ready: str, coming: str, of_leader: str, minimum: str, now: list[str], later: list[str]
) -> None:
    """Together they are the part that would have been sold had all of it been there; offered too early, nothing changes."""
    book, bought = played(ready, coming, minimum)
    events = book.offer(leave(9, of_leader, sell=sell))
    assert sold(events) == now
    for event in [event for event in events if isinstance(event, e.Placed)]:
        book.answer(event.order)
    rests = waiting(book)
    assert len(rests) == len(later)
    for rest in rests:
        assert (rest.deadline, book.offer(rest)) == (rest.signal.block_time + 60, ())
    book.answer(bought, **MINED)
    assert [shares for rest in rests for shares in sold(book.offer(rest))] == later
    assert not waiting(book)


@pytest.mark.parametrize("settlement", [FIRM, MINED], ids=["firm", "mined"])
def test_what_is_on_the_chain_is_sold_at_once(settlement: Mapping[str, Any]) -> None:
    """For good or not: whoever has the shares can sell them."""
    book, _ = played("60", "40", **(settlement or {"status": Status.FILLED}))
    assert sold(book.offer(leave(9, "1000"))) == ["100"]
    assert not waiting(book)


def test_what_is_off_the_chain_again_is_waited_for() -> None:
    """A reorg took the block: until it is mined once more, the venue would refuse it."""
    book, bought = played("60", "40", **MINED)
    book.answer(bought, **PENDING)
    assert unsettled(book.account, SPOT) == Shares.parse(40)
    assert sold(book.offer(leave(9, "1000"))) == ["60"]


@pytest.mark.parametrize("sell", ["proportional", "all"])
def test_an_exit_of_what_never_came_ends_with_that(sell: str) -> None:
    """The purchase is undone: what was there is sold, and there is nothing else to sell."""
    book, bought = played("60", "40")
    book.fill(leave(9, "1000", sell=sell))
    (rest,) = waiting(book)
    book.answer(bought, **FAILED)
    book.offer(rest)
    assert reason_of(book.end_of(rest)) == (End.DENIED, "NOTHING_TO_SELL", "ledger.position")
    assert book.shares == NO_SHARES


def test_a_part_that_failed_leaves_less_to_sell() -> None:
    """Ten of forty never came: the rest sells the other thirty."""
    book, bought = played("60", "40")
    book.fill(leave(9, "1000"))
    (rest,) = waiting(book)
    book.answer(bought, Status.PARTIAL, shares=Shares.parse(30), notional=Usd.parse("15.3"), **MINED)
    assert sold(book.offer(rest)) == ["30"]


def test_each_of_several_exits_sells_its_part() -> None:
    """Whichever goes first: what he sold in two trades, all of what he held, is all of what is held."""
    for first in (0, 1):
        book, bought = played("60", "40")
        book.fill(leave(9, "800"))
        book.offer(leave(10, "200"))
        book.answer(bought, **MINED)
        rests = waiting(book)
        assert len(rests) == 2
        for rest in (rests[first], rests[1 - first]):
            (placed,) = [event for event in book.offer(rest) if isinstance(event, e.Placed)]
            book.answer(placed.order)
        assert book.shares == NO_SHARES


def test_what_waits_in_vain_says_for_what() -> None:
    """How many shares, and how long it waited; one that waits for something else is too late, as ever."""
    book, bought = played("60", "40")
    book.fill(leave(9, "1000"))
    (rest,) = waiting(book)
    outcome = late(book.account, rest, NOW + 61)
    assert outcome.reason is not None
    assert outcome.reason.because == "leaving.settle_s: 40 of 40 shares unsettled, expected settled within 60 s"
    book.do(c.Refuse(task=rest, outcome=outcome, at=NOW + 61))
    assert reason_of(book.end_of(rest)) == (End.EXPIRED, "UNSETTLED", "leaving.settle_s")
    assert (book.shares, book.account.position(SPOT).leader_shares) == (Shares.parse(40), NO_SHARES)
    plain = (End.EXPIRED, "DEADLINE_PASSED", "engine.deadline_s")
    # One that waits for nothing that settles: it never stood here, it buys, or all of it has settled.
    entry_that_waits, exit_that_waits = entry(11), leave(12, "1")
    for task in (entry_that_waits, exit_that_waits):
        book.do(c.Park(task=task, at=NOW))
    assert reason_of(late(book.account, leave(10, "1"), NOW + 61)) == plain
    assert reason_of(late(book.account, entry_that_waits, NOW + 61)) == plain
    assert reason_of(late(book.account, exit_that_waits, NOW + 61)) == (End.EXPIRED, "UNSETTLED", "leaving.settle_s")
    book.answer(bought, **MINED)
    assert reason_of(late(book.account, exit_that_waits, NOW + 61)) == plain


def test_an_exit_of_ones_own_waits_as_well() -> None:
    """Whoever wants it: a rule, a person, or the leader."""
    book, bought = played("60", "40")
    task = leave(9, "0", sell="all", kind=Kind.EXIT)
    assert sold(book.offer(task)) == ["60"]
    (rest,) = waiting(book)
    book.answer(bought, **MINED)
    # Of the first part nothing is known yet: it is not sold twice.
    assert sold(book.offer(rest)) == ["40"]


def test_a_refused_part_takes_the_rest_along() -> None:
    """Who does not sign a part does not sign the rest either: the exit ends once, with that reason."""
    book, _ = played("60", "40")
    task = leave(9, "1000")
    book.offer(task, prepare=lambda key, intent: evolve(freeze(key, intent), shares=NO_SHARES))
    assert reason_of(book.end_of(task)) == (End.DENIED, "BELOW_MINIMUM", "venue.minimum")
    assert not waiting(book)


def test_what_waits_is_read_again_as_it_was() -> None:
    """By another process, while the first part is under way; replayed, nothing of it happens twice."""
    book, bought = played("60", "40")
    task = leave(9, "1000")
    order = book.place(task)
    before = documents(book.account)
    again = Played(account=account_of(ALICE, Catalog(), [PlainDocument(*part, body) for part, body in before.items()]))
    assert again.offer(task) == ()
    again.answer(order)
    again.answer(bought, **MINED)
    assert again.offer(task) == ()
    (rest,) = waiting(again)
    assert sold(again.offer(rest)) == ["40"]


def test_an_exit_that_waits_is_to_blame_for_no_end() -> None:
    """Taken up and set aside, it has ended no process: it never becomes a dead letter, however many end while it waits."""
    book, bought = played("0", "40")
    task = leave(9, "1000")
    book.offer(task)
    for _ in range(4):
        for tries in (1, 2, 3):
            book.do(c.Try(task=task.task_id, most=3, at=book.at))
            assert book.account.waiting[task.task_id].tries == tries
        book.offer(task)
        assert book.account.waiting[task.task_id].tries == 0
        assert book.offer(task) == ()
    book.answer(bought, **MINED)
    assert sold(book.offer(task)) == ["40"]


def test_a_retracted_sale_suspends_what_waits_of_it() -> None:
    """A reorg took his sale back: what is not sold yet waits for that, and goes on when it is mined again."""
    book, bought = played("60", "40")
    task = leave(9, "1000")
    book.fill(task)
    book.answer(bought, **MINED)
    (rest,) = waiting(book)
    book.do(c.Retract(signal=task.signal.signal_id, at=NOW))
    assert book.offer(rest) == ()
    book.do(c.Resume(signal=task.signal.signal_id, at=NOW))
    assert sold(book.offer(rest)) == ["40"]


def test_a_shared_book_holds_back_what_is_sold_now_and_not_the_rest() -> None:
    """What is not there yet is sold by another book: how little of it this one holds says nothing of that."""
    book, bought = played("60", "40")
    shared = Allotment(
        place=1, of=2, wanted=Micro(90), offered=Micro(45), own=Micro(60), most=Micro(45_000_000), price=None
    )
    assert sold(book.offer(leave(9, "1000"), allotment=shared)) == ["45"]
    (rest,) = waiting(book)
    book.answer(bought, **MINED)
    assert sold(book.offer(rest)) == ["40"]


def test_an_exit_that_waits_again_and_is_divided_again_leaves_a_rest_of_its_own() -> None:
    """The rest is named by the key of its order: that of the first division waits still, and is not put in its place."""
    book = Played()
    book.fill(entry(1, "300"), **MINED)
    mined = book.fill(entry(2, "300"), **MINED)
    book.fill(entry(3, "400"), **PENDING)
    task = leave(9, "1000")
    made_of: list[OrderIntent] = []

    def prepare(key: IntentKey, intent: OrderIntent) -> Order:
        made_of.append(intent)
        return evolve(freeze(key, intent), fee_bps=MARKET.fee_bps)

    assert sold(book.offer(task, prepare=prepare)) == ["60"]
    outcome = Outcome(end=End.EXPIRED)
    book.do(c.NotSent(key=task.key, outcome=outcome, at=NOW, waits_on=True, intent=made_of[0]))
    book.answer(mined, **PENDING)
    assert sold(book.offer(task)) == ["30"]
    assert sorted(str(one.intent.shares) for one in waiting(book)) == ["30", "40"]


def test_only_what_it_sells_itself_holds_an_exit_up() -> None:
    """Not what of another token, or of another leader's, is on its way; nor what was sold and has not settled."""
    book, _ = played("60", "40")
    other = book.fill(entry(4, "500", token_id=TokenId(9)), **PENDING)
    assert unsettled(book.account, SPOT) == Shares.parse(40)
    sale = book.place(leave(9, "300"))
    book.answer(sale, **PENDING)
    assert unsettled(book.account, SPOT) == Shares.parse(40)
    assert unsettled(book.account, (SPOT[0], other.token_id)) == Shares.parse(50)


def test_both_parts_of_an_exit_are_the_leaders_whole_sale() -> None:
    """Of a number that does not divide, the later part has the millionth: what he sold is never less than he did."""
    task = leave(9, "1")
    task = evolve(task, intent=evolve(task.intent, leader_shares=Shares(1_000_001)))
    intent = evolve(task.intent, shares=Shares(2))
    now, later = in_two(task, intent, Shares(1))
    assert [part.intent.leader_shares.micro for part in (now, later)] == [500_000, 500_001]
    assert [part.intent.shares.micro for part in (now, later)] == [1, 1]
