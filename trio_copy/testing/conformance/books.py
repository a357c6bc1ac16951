"""What every store promises about orders, budgets, the ledger and the history."""

import trio
from attrs import evolve

from trio_copy.errors import StoreError
from trio_copy.model.budgets import Claim, Credit, Per, Performance
from trio_copy.model.decisions import Code, End, Outcome, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.orders import ExecutionReport, JournalState, Status
from trio_copy.model.positions import Booking, EntryKind, Mark
from trio_copy.model.records import Query
from trio_copy.model.resolutions import Resolution
from trio_copy.model.units import ONE, Count, Price, Shares, Usd
from trio_copy.ports import Closing, Refused, Reserved
from trio_copy.testing.conformance.terms import FILLED, ME, START, OpenStoreForTest, StoreCheck, lease_all, open_with
from trio_copy.testing.samples import LEADER, sample_entry, sample_order, sample_signal, sample_task

_ALICE = FollowerId("alice")
_FOLLOW = (_ALICE, LEADER)


def claim(counter: str, amount: int, limit: int) -> Claim:
    return Claim(counter=counter, control="limit", amount=Usd(amount), limit=Usd(limit))


async def the_first_body_wins(open_store: OpenStoreForTest) -> None:
    """A key is frozen once: whoever comes second gets the stored order back, even after it ended."""
    async with open_with(open_store) as store:
        task = sample_task(sample_signal(1))
        first, second = sample_order(task, b"first"), sample_order(task, b"second")
        assert first == (await store.journal.freeze(first, task)).order
        assert first == (await store.journal.freeze(second, task)).order
        await store.journal.mark(task.follow, task.key, JournalState.ENDED)
        assert first == (await store.journal.freeze(second, task)).order


async def the_journal_lists_what_may_have_been_sent(open_store: OpenStoreForTest) -> None:
    """Every order that has not ended is listed with its state; an ended one never comes back."""
    async with open_with(open_store) as store:
        tasks = [sample_task(sample_signal(number)) for number in range(3)]
        for task in tasks:
            await store.journal.freeze(sample_order(task), task)
        await store.journal.mark(tasks[1].follow, tasks[1].key, JournalState.SENDING)
        await store.journal.mark(tasks[2].follow, tasks[2].key, JournalState.ENDED)
        await store.journal.mark(tasks[2].follow, tasks[2].key, JournalState.UNKNOWN)
        states = {entry.order.key: entry.state for entry in await store.journal.unresolved()}
        assert {tasks[0].key: JournalState.INTENT, tasks[1].key: JournalState.SENDING} == states


async def an_unknown_intent_cannot_be_marked(open_store: OpenStoreForTest) -> None:
    """Marking what was never frozen is a bug and says so."""
    async with open_with(open_store) as store:
        try:
            task = sample_task(sample_signal(1))
            await store.journal.mark(task.follow, task.key, JournalState.SENDING)
        except StoreError:
            return
        raise AssertionError("expected StoreError")


async def the_journal_knows_the_orders_of_a_task(open_store: OpenStoreForTest) -> None:
    """An order is found by the task that it is named after and by those that went out in it, with what was learned."""
    async with open_with(open_store) as store:
        task, member = (sample_task(sample_signal(number)) for number in (1, 2))
        order = sample_order(task)
        await store.journal.freeze(order, task, [member.task_id])
        await store.journal.mark(task.follow, order.key, JournalState.SENDING)
        report = ExecutionReport(order_id=order.order_id, status=Status.FILLED, shares=order.shares)
        await trio.sleep(3)
        await store.journal.mark(task.follow, order.key, JournalState.ENDED, report)
        for one in (task, member):
            (record,) = await store.journal.of_task(one.follow, one.task_id)
            assert (record.order, record.task.task_id, record.members) == (order, task.task_id, (member.task_id,))
            assert (record.state, record.report) == (JournalState.ENDED, report)
            assert record.sent_at is not None
            assert record.ended_at is not None
            assert round(record.ended_at - record.sent_at) == 3
        assert await store.journal.of_task(_FOLLOW, sample_task(sample_signal(3)).task_id) == ()


async def budgets_are_never_overdrawn(open_store: OpenStoreForTest) -> None:
    """All claims fit or none is taken, however many reserve at once."""
    granted: list[object] = []
    async with open_with(open_store) as store:

        async def reserve(number: int) -> None:
            key = sample_task(sample_signal(number)).key
            granted.append(
                await store.limits.reserve(_FOLLOW, key, [claim("wide", 10, 10_000), claim("narrow", 10, 55)])
            )

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(reserve, number)
        assert sum(isinstance(answer, Reserved) for answer in granted) == 5
        assert 50 == await store.limits.used(_ALICE, "narrow") == await store.limits.used(_ALICE, "wide")
        refused = next(answer for answer in granted if isinstance(answer, Refused))
        assert (refused.claim.counter, refused.used) == ("narrow", 50)


async def reservations_settle_once(open_store: OpenStoreForTest) -> None:
    """Committing keeps what was spent, releasing gives everything back, and repeating either changes nothing."""
    async with open_with(open_store) as store:
        spent, unspent = (sample_task(sample_signal(number)).key for number in (1, 2))
        for key in (spent, unspent, spent):
            await store.limits.reserve(_FOLLOW, key, [claim("day", 40, 100)])
        assert await store.limits.used(_ALICE, "day") == 80
        for _ in range(2):
            await store.limits.commit(_FOLLOW, spent, Usd(25))
            await store.limits.release(_FOLLOW, unspent)
        assert await store.limits.used(_ALICE, "day") == 25
        await store.limits.reserve(_FOLLOW, spent, [claim("day", 40, 100)])
        assert await store.limits.used(_ALICE, "day") == 25


async def money_types_survive(open_store: OpenStoreForTest) -> None:
    """What was never used is zero dollars, not nothing."""
    async with open_with(open_store) as store:
        assert await store.limits.used(_ALICE, "never") == 0
        assert not (await store.ledger.position(sample_entry(sample_task(sample_signal(1))).position)).shares


async def a_reservation_becomes_what_its_claims_say(open_store: OpenStoreForTest) -> None:
    """Money shrinks to what was spent; a count of orders stays once one was sent; one of positions only if it filled."""
    claims = [
        claim("money", 40, 100),
        Claim(counter="sent", control="c", amount=ONE, limit=Count(10**9), per=Per.SENT),
        Claim(counter="opened", control="c", amount=ONE, limit=Count(10**9), per=Per.OPENED),
    ]
    async with open_with(open_store) as store:
        for number, spent in enumerate((30, 0)):
            key = sample_task(sample_signal(number)).key
            await store.limits.reserve(_FOLLOW, key, claims)
            await store.limits.commit(_FOLLOW, key, Usd(spent))
        used = [await store.limits.used(_ALICE, counter) for counter in ("money", "sent", "opened")]
        assert used == [30, 2 * ONE.micro, ONE.micro]


async def what_a_booking_frees_counts_once(open_store: OpenStoreForTest) -> None:
    """What an exit frees goes back together with its booking, once, and never below nothing."""
    async with open_with(open_store) as store:
        buy = sample_task(sample_signal(1))
        await store.ledger.book(sample_entry(buy))
        await store.limits.reserve(_FOLLOW, buy.key, [claim("open", 40, 100)])
        await store.limits.commit(_FOLLOW, buy.key, Usd(40))

        def freed(booking: Booking) -> list[Credit]:
            assert booking.first
            return [Credit(counter="open", amount=Usd(30))]

        sale = sample_entry(sample_task(sample_signal(2)), side=Side.SELL, shares=4, dollars=3)
        for _ in range(2):
            await store.ledger.book(sale, freed)
        assert await store.limits.used(_ALICE, "open") == 10
        await store.ledger.book(sample_entry(sample_task(sample_signal(3)), side=Side.SELL, shares=4, dollars=3), freed)
        assert await store.limits.used(_ALICE, "open") == 0


async def a_booking_closes_its_order(open_store: OpenStoreForTest) -> None:
    """Booked with its closing, an order is settled and ended in the same step, also when it was booked before; an order
    that nobody froze books nothing."""
    async with open_with(open_store) as store:
        task = sample_task(sample_signal(1))
        order, entry = sample_order(task), sample_entry(task)
        report = ExecutionReport(order_id=order.order_id, status=Status.FILLED, shares=order.shares)
        closing = Closing(key=order.key, spent=Usd(25), state=JournalState.ENDED, report=report)
        try:
            await store.ledger.book(entry, closing=closing)
        except StoreError:
            pass
        else:
            raise AssertionError("expected StoreError")
        assert not (await store.ledger.position(entry.position)).lots
        await store.limits.reserve(_FOLLOW, order.key, [claim("day", 40, 100)])
        await store.journal.freeze(order, task)
        await store.ledger.book(entry)
        assert await store.limits.used(_ALICE, "day") == 40
        for _ in range(2):
            assert not (await store.ledger.book(entry, closing=closing)).first
            assert await store.limits.used(_ALICE, "day") == 25
        (record,) = await store.journal.of_task(_FOLLOW, task.task_id)
        assert (record.state, record.report) == (JournalState.ENDED, report)
        assert await store.journal.unresolved() == ()
        assert len((await store.ledger.position(entry.position)).lots) == 1


async def the_same_shares_are_promised_once(open_store: OpenStoreForTest) -> None:
    """However many exits of a position are under way at once, they never sell more than it holds at that moment."""
    async with open_with(open_store) as store:
        buy = sample_entry(sample_task(sample_signal(1)))
        await store.ledger.book(buy)
        granted: list[bool] = []

        async def leave(number: int) -> None:
            amount = Shares.parse("4")
            one = Claim(
                counter="exits", control="c", amount=amount, limit=amount, per=Per.UNTIL_PROVEN, of=buy.position
            )
            key = sample_task(sample_signal(number)).key
            granted.append(isinstance(await store.limits.reserve(_FOLLOW, key, [one]), Reserved))

        async with trio.open_nursery() as nursery:
            for number in range(2, 7):
                nursery.start_soon(leave, number)
        assert granted.count(True) == 2
        for number in range(2, 7):
            await store.limits.commit(_FOLLOW, sample_task(sample_signal(number)).key, Usd(3))
        assert await store.limits.used(_ALICE, "exits") == 0
        await store.ledger.book(sample_entry(sample_task(sample_signal(8)), side=Side.SELL, shares=7))
        await leave(9)
        assert not granted[-1]


async def budgets_can_be_restated(open_store: OpenStoreForTest) -> None:
    """What begins with the prefix becomes what is said, reservations on top; other budgets stay."""
    async with open_with(open_store) as store:
        spent, reserved = (sample_task(sample_signal(number)).key for number in (1, 2))
        await store.limits.reserve(
            _FOLLOW, spent, [claim("open:a", 40, 100), claim("open:b", 40, 100), claim("day", 40, 100)]
        )
        await store.limits.commit(_FOLLOW, spent, Usd(40))
        await store.limits.reserve(_FOLLOW, reserved, [claim("open:a", 7, 100)])
        await store.limits.restate("open:", {_ALICE: {"open:a": 30, "open:c": 5}})
        used = [await store.limits.used(_ALICE, counter) for counter in ("open:a", "open:b", "open:c", "day")]
        assert used == [37, 0, 5, 40]


async def an_entry_is_booked_once(open_store: OpenStoreForTest) -> None:
    """Booking the same key again changes nothing and tells the same; positions are the fold over what was booked."""
    async with open_with(open_store) as store:
        task = sample_task(sample_signal(1))
        assert (await store.ledger.book(sample_entry(task))).first
        assert not (await store.ledger.book(sample_entry(task, shares=99))).first
        sale = sample_task(sample_signal(2))
        sold = await store.ledger.book(sample_entry(sale, side=Side.SELL, shares=4, dollars=3))
        assert (sold.first, str(sold.released), str(sold.realised), sold.closed) == (True, "2", "1", False)
        assert evolve(sold, first=False) == await store.ledger.book(sample_entry(sale, side=Side.SELL, shares=9))
        key = sample_entry(task).position
        position = await store.ledger.position(key)
        assert (str(position.shares), str(position.cost), str(position.realised)) == ("6", "3", "1")
        assert {key: position} == dict(await store.ledger.positions()) == dict(await store.ledger.open_positions())
        await store.ledger.book(sample_entry(sample_task(sample_signal(3)), side=Side.SELL, shares=6))
        assert dict(await store.ledger.open_positions()) == {}
        assert key in await store.ledger.positions()


async def what_never_settled_is_taken_back(open_store: OpenStoreForTest) -> None:
    """A matched purchase is provisional until it is confirmed, and as if it had never been once it is reversed."""
    async with open_with(open_store) as store:
        fills = [evolve(sample_entry(sample_task(sample_signal(number))), firm=False) for number in (1, 2)]
        for fill in fills:
            await store.ledger.book(fill)
        position = await store.ledger.position(fills[0].position)
        assert (str(position.shares), str(position.firm_shares)) == ("20", "0")
        await store.ledger.book(evolve(fills[0], key="confirm", kind=EntryKind.CONFIRM, of=fills[0].key))
        reverse = evolve(fills[1], key="reverse", kind=EntryKind.REVERSE, of=fills[1].key)
        booking = await store.ledger.book(reverse)
        assert str(booking.released) == "5"
        position = await store.ledger.position(fills[0].position)
        assert (str(position.shares), str(position.firm_shares), str(position.cost)) == ("10", "10", "5")


async def performance_is_what_was_realised(open_store: OpenStoreForTest) -> None:
    """Profits and losses of what was sold add up by follower and by day; a reset starts the drawdown over."""
    async with open_with(open_store) as store:
        for number, (side, shares, dollars) in enumerate(
            ((Side.BUY, 10, 5), (Side.SELL, 4, 4), (Side.SELL, 4, 1)),
        ):
            entry = sample_entry(sample_task(sample_signal(number)), side=side, shares=shares, dollars=dollars)
            await store.ledger.book(evolve(entry, booked_at=START))
        performance = await store.ledger.performance(_ALICE)
        assert (str(performance.realised), str(performance.peak), str(performance.drawdown)) == ("1", "2", "1")
        assert performance.day_realised == performance.realised
        await store.ledger.reset_peak(_ALICE)
        assert not (await store.ledger.performance(_ALICE)).drawdown
        assert await store.ledger.performance(FollowerId("bob")) == Performance()


async def marks_and_resolutions_are_kept(open_store: OpenStoreForTest) -> None:
    """The last mark of an open position is remembered and goes with it; a resolution can be dropped again."""
    async with open_with(open_store) as store:
        entry = sample_entry(sample_task(sample_signal(1)))
        await store.ledger.book(entry)
        mark = Mark(price=Price(400_000), peak=Price(600_000), at=START)
        await store.ledger.note_marks({entry.position: mark})
        assert {entry.position: mark} == dict(await store.ledger.marks())
        await store.ledger.book(sample_entry(sample_task(sample_signal(2)), side=Side.SELL))
        assert dict(await store.ledger.marks()) == {}
        decided = Resolution(condition_id="0x01", payouts=(1, 0), block_number=7)
        await store.ledger.note_resolution(decided)
        assert {"0x01": decided} == dict(await store.ledger.resolutions(["0x01", "0x02"]))
        assert dict(await store.ledger.resolutions(["0x02"])) == {}
        await store.ledger.drop_resolution("0x01")
        assert dict(await store.ledger.resolutions(["0x01"])) == {}


async def the_history_tells_what_happened(open_store: OpenStoreForTest) -> None:
    """Tasks, skips and entries are found by follower, leader, token and time, and a task's whole story by its name."""
    async with open_with(open_store) as store:
        signal = sample_signal(1, now=START)
        filled, refused = (evolve(sample_task(signal, name), decided_at=START) for name in ("alice", "bob"))
        reason = Reason(code=Code.NO_FILL, control="c", value="v", limit="l")
        skip = Skip(signal_id=signal.signal_id, follower=FollowerId("carol"), leader=LEADER, reason=reason)
        await store.inbox.admit(signal, [filled, refused], None, [skip])
        await lease_all(store)
        order, entry = sample_order(filled), evolve(sample_entry(filled), booked_at=START)
        await store.journal.freeze(order, filled)
        await store.ledger.book(entry)
        await trio.sleep(1)
        await store.inbox.complete(filled.task_id, ME, FILLED)
        await store.inbox.complete(refused.task_id, ME, Outcome(end=End.KILLED, reason=reason))
        assert {"alice", "bob"} == {record.task.follower for record in await store.history.tasks(Query())}
        (record,) = await store.history.tasks(Query(follower=_ALICE, leader=LEADER, token_id=TokenId(7)))
        assert (record.state, record.outcome, record.ended_at) == ("ended", FILLED, START + 1)
        assert [skip.follower for skip in await store.history.skips(Query())] == ["bob", "carol"]
        assert [entry] == list(await store.history.entries(Query(since=START, until=START + 1)))
        assert await store.history.entries(Query(until=START)) == ()
        (story,) = await store.history.story(filled.task_id[:12])
        assert (story.entries, [one.order for one in story.orders]) == ((entry,), [order])
        assert [filled.task_id] == [one.record.task.task_id for one in await store.history.story(order.order_id)]
        assert await store.history.story("nothing") == ()


BOOK_CHECKS: tuple[StoreCheck, ...] = (
    the_first_body_wins,
    the_journal_lists_what_may_have_been_sent,
    an_unknown_intent_cannot_be_marked,
    the_journal_knows_the_orders_of_a_task,
    budgets_are_never_overdrawn,
    reservations_settle_once,
    money_types_survive,
    a_reservation_becomes_what_its_claims_say,
    what_a_booking_frees_counts_once,
    a_booking_closes_its_order,
    the_same_shares_are_promised_once,
    budgets_can_be_restated,
    an_entry_is_booked_once,
    what_never_settled_is_taken_back,
    performance_is_what_was_realised,
    marks_and_resolutions_are_kept,
    the_history_tells_what_happened,
)
