"""What people are told of the books: page by page, and every task as far as it got."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.accounts.played import SPOT, Played, entry
from tests.builders import ALICE, LEADER, NOW, TOKEN, make_signal, make_task
from tests.cli.filled import Owner
from tests.engine.people.test_requests import open_memory, owned
from trio_copy.accounts.commands import Answer, Doubt, Escalate, Park, Pass, Refuse, Retract
from trio_copy.accounts.documents import documents_of
from trio_copy.engine.books import books
from trio_copy.engine.books.books import (
    NotCopied,
    Trade,
    earned_positions,
    held,
    open_orders,
    positions,
    tell_not_copied,
    tell_trades,
    walk,
)
from trio_copy.engine.books.stories import Story, stories
from trio_copy.engine.shards.stored import booked_by, stored_account, told_by
from trio_copy.errors import StoreError
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, End, Outcome, Reason, Skip, aggregated_in
from trio_copy.model.facts import Fact, FactQuery
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Settlement, Status
from trio_copy.model.units import Price
from trio_copy.ports import Changes, Document, Store
from trio_copy.records import write_plain

REASON = Reason(code=Code.PRICE_TOO_HIGH, control="filters.price_max", value="0.99", limit="0.9")
UNPROVEN = Outcome(
    end=End.ESCALATED, reason=Reason(code=Code.OUTCOME_UNPROVEN, control="engine", value="120", limit="0")
)
EVERYTHING = FactQuery(kinds=())


def fact(number: int, at: float) -> Fact:
    return Fact(key=str(number), kind="skip", at=at, follower=ALICE, leader=LEADER, token_id=TOKEN, body=b"[]")


@asynccontextmanager
async def open_owner() -> AsyncGenerator[tuple[Store, Owner], None]:
    async with open_memory() as store, owned(store) as owner:
        yield store, owner


@pytest.mark.parametrize(
    "at",
    [lambda n: n, lambda n: n // 3, lambda n: n // 700, lambda n: 0],
    ids=["all apart", "three at once", "700 at once", "all at once"],
)
async def test_every_fact_is_told_once(
    at: Callable[[int], float], autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many were told within one moment, and however many pages it takes."""
    monkeypatch.setattr(books, "_PAGE", 500)
    async with open_owner() as (store, owner):
        facts = [fact(number, NOW + at(number)) for number in range(1700)]
        await store.accounts.write(0, owner.token, 1, Changes(facts=facts))
        for limit in (1, 50, 100_000):
            told: list[Fact] = []
            moments: list[float] = []

            def take(page: Sequence[Fact], told: list[Fact] = told, moments: list[float] = moments) -> bool:
                told.extend(page)
                moments.extend({one.at for one in page})
                return True

            await walk(store.history, FactQuery(kinds=("skip",), limit=limit), take)
            assert sorted(int(one.key) for one in told) == list(range(1700))
            assert [one.at for one in told] == sorted((one.at for one in told), reverse=True)
            assert len(moments) == len(set(moments))


async def trades_of(store: Store, **wanted: Any) -> list[Trade]:
    told: list[Trade] = []
    await tell_trades(store.history, FactQuery(kinds=(), **wanted), told.append)
    return told


async def test_a_trade_says_whether_it_is_settled(autojump_clock: trio.testing.MockClock) -> None:
    """Also where it was asked about a time before that was known, within one moment, and on another page."""
    async with open_owner() as (store, owner):
        tasks = [make_task(make_signal(number)) for number in range(1200)]
        orders = [owner.fill(task, at=NOW + number, settlement=Settlement.PENDING) for number, task in enumerate(tasks)]
        owner.answer(orders[0], "10", "5", "", NOW + 5000)
        owner.answer(orders[1], "10", "5", "", NOW + 5001, Settlement.FAILED)
        owner.answer(orders[2], "10", "5", "", NOW + 2)
        await owner.write()

        expected = ["provisional"] * 1197 + ["firm", "reversed", "firm"]
        whole = await trades_of(store, limit=5000)
        assert [trade.settlement for trade in whole] == expected
        assert [trade.entry.booked_at for trade in whole] == [NOW + number for number in reversed(range(1200))]
        assert [trade.settlement for trade in await trades_of(store, until=NOW + 3)] == expected[-3:]
        assert len(await trades_of(store, limit=7)) == 7
        assert len(await trades_of(store, since=NOW + 1190)) == 10


async def test_a_correction_is_a_line_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    """With what it changes, as firm as what it corrects, also where only the fee differs; the lines add up to the sums."""
    async with open_owner() as (store, owner):
        tasks = [make_task(make_signal(number)) for number in range(3)]
        orders = [owner.fill(task, at=NOW + number, settlement=Settlement.PENDING) for number, task in enumerate(tasks)]
        owner.answer(orders[0], "7", "3.5", "", NOW + 10)
        owner.answer(orders[1], "10", "5", "0.01", NOW + 11)
        owner.answer(orders[2], "7", "3.5", "", NOW + 12, Settlement.PENDING)
        await owner.write()
        told = await trades_of(store)
        expected = [
            ("correct", "-3", "-1.5", "0", "provisional"),
            ("correct", "0", "0", "0.01", "firm"),
            ("correct", "-3", "-1.5", "0", "firm"),
            ("fill", "10", "5", "0", "provisional"),
            ("fill", "10", "5", "0", "firm"),
            ("fill", "10", "5", "0", "firm"),
        ]
        lines = [(one.entry.kind.value, one.entry, one.settlement) for one in told]
        assert [(kind, str(of.shares), str(of.notional), str(of.fee), how) for kind, of, how in lines] == expected
        assert {one.entry.price for one in told} == {Price.parse("0.5"), None}
        assert len(await trades_of(store, limit=2)) == 2
        (sums,) = (await store.history.sums(FactQuery(kinds=books.BOOKINGS), ())).values()
        assert sums == (3, 12_000_000, 0, 10_000, 0, 0)


async def test_what_was_not_copied_is_told_newest_first(autojump_clock: trio.testing.MockClock) -> None:
    """What a filter did not want, and what ended without a fill, in one list of at most so many."""
    async with open_owner() as (store, owner):
        for number in range(4):
            task = make_task(make_signal(number))
            skip = Skip(signal_id=task.signal.signal_id, follower=ALICE, leader=LEADER, reason=REASON)
            if number % 2:
                owner.do("alice", Pass(skip=skip, signal=task.signal, at=NOW + number))
            else:
                outcome = Outcome(end=End.EXPIRED, reason=evolve(REASON, code=Code.DEADLINE_PASSED))
                owner.do("alice", Refuse(task=task, outcome=outcome, at=NOW + number))
        await owner.write()
        told: list[NotCopied] = []
        await tell_not_copied(store.history, evolve(EVERYTHING, limit=3), told.append)
        assert [(one.at - NOW, one.reason.code) for one in told] == [
            (3, Code.PRICE_TOO_HIGH),
            (2, Code.DEADLINE_PASSED),
            (1, Code.PRICE_TOO_HIGH),
        ]


TASK = make_task(make_signal(1), decided_at=NOW)


def placed(owner: Owner) -> None:
    owner.place(TASK)


def unknown(owner: Owner) -> None:
    owner.do("alice", Doubt(key=owner.place(TASK).key, at=NOW))


def escalated(owner: Owner) -> None:
    unknown(owner)
    owner.do("alice", Escalate(key=TASK.key, outcome=UNPROVEN, at=NOW + 1))


def proven_late(owner: Owner) -> None:
    escalated(owner)
    (order,) = [one.order for one in owner.account("alice").orders.values()]
    owner.answer(order, "10", "5", "", NOW + 2)


def matched(owner: Owner) -> None:
    owner.fill(TASK, settlement=Settlement.PENDING)


def filled(owner: Owner) -> None:
    owner.fill(TASK)


def parked(owner: Owner) -> None:
    owner.do("alice", Park(task=TASK, at=NOW))


def suspended(owner: Owner) -> None:
    parked(owner)
    owner.do("alice", Retract(signal=TASK.signal.signal_id, at=NOW))


def buried(owner: Owner) -> None:
    owner.bury(TASK, "killed three")


def again(owner: Owner) -> None:
    order = owner.place(TASK)
    report = ExecutionReport(order_id=order.order_id, status=Status.KILLED)
    owner.do("alice", Answer(key=order.key, report=report, again=True, at=NOW))


STORIES: Sequence[tuple[Callable[[Owner], None], str, list[str], int]] = (
    (placed, "placed", ["placed"], 0),
    (unknown, "placed", ["unknown"], 0),
    (escalated, "ended", ["unknown"], 0),
    (proven_late, "ended", ["ended"], 1),
    (matched, "ended", ["matched"], 1),
    (filled, "ended", ["ended"], 1),
    (parked, "waiting", [], 0),
    (suspended, "suspended", [], 0),
    (buried, "dead", [], 0),
    (again, "waiting", ["ended"], 0),
)


@pytest.mark.parametrize(("happen", "state", "orders", "entries"), STORIES, ids=[one[0].__name__ for one in STORIES])
async def test_a_story_tells_how_far_a_task_got(
    happen: Callable[[Owner], None],
    state: str,
    orders: list[str],
    entries: int,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """By the beginning of its own id and of its signal's, with its orders as they are now."""
    async with open_owner() as (store, owner):
        happen(owner)
        await owner.write()
        for name in (TASK.task_id, TASK.signal.signal_id[:10]):
            (story,) = await stories(store.history, name)
            assert (story.record.task.task_id, story.record.state) == (TASK.task_id, state)
            assert [order.state for order in story.orders] == orders
            assert len(story.entries) == entries
        assert await stories(store.history, "nothing") == []


async def test_a_gathered_task_shows_the_order_it_went_out_in(autojump_clock: trio.testing.MockClock) -> None:
    """Open or ended, and no other order of the one that took it along."""
    member = make_task(make_signal(2), decided_at=NOW)

    async with open_owner() as (store, owner):
        order = owner.place(TASK)
        account = owner.account("alice")
        account.orders[order.key] = evolve(account.orders[order.key], members=(member.task_id,))
        owner.do("alice", Refuse(task=member, outcome=aggregated_in(TASK.task_id, "aggregate"), at=NOW))
        await owner.write()
        for state in ("placed", "ended"):
            (story,) = await stories(store.history, member.task_id)
            assert [(one.order_id, one.state) for one in story.orders] == [(order.order_id, state)]
            owner.answer(order, "10", "5", "", NOW + 1)
            await owner.write()


async def test_a_name_that_is_nearly_nothing_finds_many(autojump_clock: trio.testing.MockClock) -> None:
    """Every follower's copy of one signal, in the order of their decisions."""
    async with open_owner() as (store, owner):
        for number, follower in enumerate(("carol", "bob", "alice")):
            task = make_task(TASK.signal, follower, decided_at=NOW + number)
            owner.fill(task)
        await owner.write()
        found: Sequence[Story] = await stories(store.history, TASK.signal.signal_id)
        assert [story.record.task.follower for story in found] == ["carol", "bob", "alice"]


async def test_what_is_closed_is_told_by_its_sums(autojump_clock: trio.testing.MockClock) -> None:
    """The document of a closed position is gone, what it earned is not."""
    async with open_owner() as (store, owner):
        owner.fill(TASK, dollars="5", fee="0.1")
        sell = make_task(make_signal(2, side=Side.SELL))
        owner.fill(evolve(sell, intent=evolve(sell.intent, sell="all")), dollars="7", fee="0.1", at=NOW + 1)
        await owner.write()
        assert await positions(store.history) == {}
        ((key, earned),) = (await earned_positions(store.history, EVERYTHING)).items()
        assert key == (ALICE, LEADER, TOKEN)
        assert (str(earned.realised), str(earned.fees), earned.shares.micro) == ("1.8", "0.2", 0)


async def test_a_document_that_is_none_is_told_by_its_name(autojump_clock: trio.testing.MockClock) -> None:
    """One clear error with the beginning of what stands there, and no traceback of somebody's parser."""
    async with open_owner() as (store, owner):
        owner.documents.append(Document(ALICE, "order", "a/b/c/d", b"[2]"))
        await owner.write()
        with pytest.raises(StoreError, match="expected a stored order a/b/c/d of alice, was b'\\[2\\]'"):
            await open_orders(store.history)
    with pytest.raises(StoreError, match="expected a stored fact of kind filled"):
        told_by(evolve(fact(1, NOW), kind="filled"))
    with pytest.raises(StoreError, match="expected a stored booking in a fact of kind filled"):
        booked_by(evolve(fact(1, NOW), kind="filled"))


@pytest.mark.parametrize("name", ["", "0xaa", "0xaa/x", "0xaa/7/x", "0xaa/7/1/1"])
async def test_a_position_whose_name_is_none_is_one_line(autojump_clock: trio.testing.MockClock, name: str) -> None:
    """For who lists positions, and for the engine that takes its account over."""
    async with open_memory() as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(puts=[Document(ALICE, "position", name, b"[1]")]))
        with pytest.raises(StoreError, match=f"expected a stored position of alice, was {name}: "):
            await positions(store.history)
        documents = (await store.accounts.load(0, 1, [ALICE]))[ALICE]
        with pytest.raises(StoreError, match=f"expected a stored position {name} of alice"):
            stored_account(ALICE, Catalog(), documents)


_BOOKING = '["key", "fill", "", "task", "signal", "alice", "0x1", "7", "BUY", 1, 2, 0, 1, 5, 1, 9.5]'


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "[1]",
        "[2, {}]",
        "[1, []]",
        "[1, 7]",
        f"[1, {_BOOKING}, ]",
        f"[1, {_BOOKING.replace('fill', 'guess')}]",
        f"[1, {_BOOKING.replace('BUY', 'HOLD')}]",
        f"[1, {_BOOKING.replace('0, 1, 5', '0.5, 1, 5')}]",
        f"[1, {_BOOKING.replace('0, 1, 5', 'true, 1, 5')}]",
        f"[1, {_BOOKING.replace('0, 1, 5', 'null, 1, 5')}]",
        "{}",
        "",
    ],
)
def test_a_booking_that_is_none_is_refused(body: str) -> None:
    """No amount is guessed at, whatever stands in the file."""
    told = evolve(fact(1, NOW), kind="entry", body=f"[1, {_BOOKING}]".encode())
    entry = booked_by(told)
    assert entry is not None
    assert (entry.shares.micro, entry.booked_at, entry.side) == (1, 9.5, Side.BUY)
    with pytest.raises(StoreError, match="expected a stored"):
        booked_by(evolve(told, body=body.encode()))


async def test_positions_are_sorted_by_number_not_by_text(autojump_clock: trio.testing.MockClock) -> None:
    """Stores sort names of documents as texts; people look for token 9 before token 10."""
    body = b'[1, [[["lot", 5, 2, 1.5, 1]], 0, 0, 0, 0, 0], []]'
    async with open_memory() as store:
        await store.accounts.take(0, 1)
        names = [f"{LEADER}/{token}" for token in (10, 9, 100)]
        await store.accounts.write(0, 1, 1, Changes(puts=[Document(ALICE, "position", name, body) for name in names]))
        found = list(await held(store.history, EVERYTHING))
    assert [key[2] for key, _, _ in found] == [9, 10, 100]
    assert [(one.shares.micro, one.cost.micro, one.firm_shares.micro) for _, one, _ in found] == [(5, 2, 5)] * 3


async def test_a_position_of_many_lots_is_told_whole(autojump_clock: trio.testing.MockClock) -> None:
    """Most of them are written apart from it."""
    played = Played()
    for number in range(1, 101):
        played.fill(entry(number, "10"))
    documents = [Document(ALICE, one.kind, one.name, write_plain(one.body)) for one in documents_of(played.account)]
    async with open_memory() as store:
        await store.accounts.take(0, 1)
        await store.accounts.write(0, 1, 1, Changes(puts=documents))
        told = await positions(store.history)
        ((key, position, mark),) = await held(store.history, EVERYTHING)
        await store.accounts.write(0, 1, 2, Changes(deletes=[documents[-1].key]))
        with pytest.raises(StoreError, match=f"expected a stored position {LEADER}/{TOKEN} of alice"):
            await positions(store.history)
    assert told == {key: position} == {(ALICE, LEADER, TOKEN): played.account.position(SPOT)}
    assert len(position.lots) == 100
    assert mark is None
