"""An order that its venue certainly does not have: how long it is sent again, and who goes on with it."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, LEADER, NOW, OTHER_LEADER, make_follow
from tests.engine.rig import LEASE_S, Rig, buy, on_memory, open_rig, sell
from trio_copy.accounts.commands import Answer
from trio_copy.engine.shards.taking_in import resume
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Kind, Side
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import NO_SHARES, Rounding, Shares

Clock = trio.testing.MockClock


async def test_an_exit_that_is_not_accepted_is_sent_until_its_own_deadline(clock: Clock) -> None:
    """The same bytes, about once a second: a venue that restarts takes a minute. Of an entry the moment is over by then."""
    async with open_rig() as rig:
        await rig.hold("alice")
        await rig.hold("bob", number=901)
        rig.executor.script = ["refuse connection"] * 30
        task, began = sell(2, deadline=rig.wall() + 60), trio.current_time()
        assert await rig.end_of(task) == [(End.FILLED, None)]
        assert len(rig.executor.sent) == 31
        assert 15 <= trio.current_time() - began <= 30
        assert len({order.body for order in rig.executor.sent}) == 1

        rig.executor.sent.clear()
        rig.executor.script = ["refuse connection"] * 500
        task = sell(3, "bob", deadline=rig.wall() + 60)
        assert await rig.end_of(task) == [(End.REJECTED, Code.NOT_SENT)]
        assert task.deadline - 1 <= rig.wall() <= task.deadline
        assert len(rig.executor.sent) <= 125
        assert await rig.end_of(buy(4, deadline=rig.wall() + 60)) == [(End.REJECTED, Code.NOT_SENT)]


async def test_exits_that_are_not_accepted_leave_workers_to_others(clock: Clock) -> None:
    """One wallet that nobody signs for any more has more exits than there are workers."""
    async with open_rig(workers=11) as rig:
        _bound_workers(rig, 10)
        for number in range(12):
            await rig.hold("alice", token=100 + number, number=900 + number)
        await rig.hold("bob", token=50, number=950)
        submit = rig.executor.submit

        async def signed_for_bob(order: Order) -> ExecutionReport:
            if order.wallet.follower == ALICE:
                raise OrderNotSent("nobody signs for her")
            report: ExecutionReport = await submit(order)
            return report

        rig.executor.submit = signed_for_bob
        late = rig.wall() + 60
        await rig.take_in(*(sell(200 + number, "alice", token=100 + number, deadline=late) for number in range(12)))
        await trio.sleep(1)
        began = trio.current_time()
        assert await rig.end_of(sell(300, "bob", token=50)) == [(End.FILLED, None)]
        assert trio.current_time() - began < 1


async def test_sends_of_one_wallet_that_take_long_leave_workers_to_others(clock: Clock) -> None:
    """Of a wallet whose transactions wait for a block, more are under way than there are workers for entries."""
    async with open_rig(workers=9) as rig:
        _bound_workers(rig, 8)
        submit, busy = rig.executor.submit, list[str]()

        async def slow_for_alice(order: Order) -> ExecutionReport:
            if order.wallet.follower == ALICE:
                busy.append(order.wallet.follower)
                await trio.sleep(1.9)
            report: ExecutionReport = await submit(order)
            return report

        rig.executor.submit = slow_for_alice
        hers = [buy(200 + number, token=100 + number, deadline=rig.wall() + 60) for number in range(20)]
        await rig.take_in(*hers)
        await trio.sleep(0.1)
        assert len(busy) == 6, "three quarters of the workers for entries, and not all that there are"
        for number, other in enumerate(("bob", "carol")):
            began = trio.current_time()
            assert await rig.end_of(buy(300 + number, other, token=50)) == [(End.FILLED, None)]
            assert trio.current_time() - began < 1
        assert await rig.wait_ends(*hers) == [(End.FILLED, None)] * 20, "none of hers is forgotten"


def _bound_workers(rig: Rig, entry_workers: int) -> None:
    """Let the execution know how many workers the rig has: so many that may have entries, and a tenth more."""
    rig.execution.settings = evolve(rig.execution.settings, workers=entry_workers)
    patience = rig.execution.submitting.patience
    patience.workers, patience.entry_workers = rig.execution.workers, entry_workers


NOT_YET = OrderNotSent("not yet ready to process new orders", not_yet=True)


async def test_an_entry_that_its_venue_takes_in_a_moment_is_sent_until_its_deadline(clock: Clock) -> None:
    """The same bytes, about once a second, while it restarts; one that is away for no such reason has three sends."""
    async with open_rig() as rig:
        rig.executor.script = [NOT_YET] * 30
        task, began = buy(1, deadline=rig.wall() + 60), trio.current_time()
        assert await rig.end_of(task) == [(End.FILLED, None)]
        assert len(rig.executor.sent) == 31
        assert 15 <= trio.current_time() - began <= 30
        assert len({order.body for order in rig.executor.sent}) == 1

        rig.executor.sent.clear()
        rig.executor.script = [NOT_YET] * 500
        task = buy(2, "bob", deadline=rig.wall() + 60)
        assert await rig.end_of(task) == [(End.REJECTED, Code.NOT_SENT)]
        assert task.deadline - 1 <= rig.wall() <= task.deadline
        assert len(rig.executor.sent) <= 125
        rig.executor.sent.clear()
        rig.executor.script = [NOT_YET] * 9 + ["refuse connection"] * 500
        assert await rig.end_of(buy(3, "carol", deadline=rig.wall() + 60)) == [(End.REJECTED, Code.NOT_SENT)]
        assert len(rig.executor.sent) == 10
        assert rig.execution.submitting.patience.entries == 0


def _refuse(rig: Rig, error: OrderNotSent, follower: str, after_s: float = 0.0, side: Side | None = None) -> None:
    """Let a venue take no order of a follower, or none of a side; each call takes so long."""
    submit = rig.executor.submit

    async def answer(order: Order) -> ExecutionReport:
        if order.wallet.follower == follower and side in (None, order.side):
            await trio.sleep(after_s)
            raise error
        report: ExecutionReport = await submit(order)
        return report

    rig.executor.submit = answer


async def test_entries_that_are_not_accepted_leave_workers_to_others(clock: Clock) -> None:
    """One market that is not ready has more of them than there are workers, and each call takes its time: others are bought
    all the same."""
    async with open_rig(workers=11) as rig:
        _bound_workers(rig, 10)
        await rig.hold("bob", token=50, number=950)
        _refuse(rig, NOT_YET, "alice", 1.5)
        late = rig.wall() + 60
        await rig.take_in(*(buy(200 + number, "alice", token=100 + number, deadline=late) for number in range(12)))
        await trio.sleep(8)
        assert rig.execution.submitting.patience.entries == 3
        for task in (sell(300, "bob", token=50, deadline=late), buy(301, "bob", token=51, deadline=late)):
            began = trio.current_time()
            assert await rig.end_of(task) == [(End.FILLED, None)]
            assert trio.current_time() - began < 1
        await trio.sleep(60)
        assert (rig.execution.submitting.patience.entries, rig.execution.submitting.patience.exits) == (0, 0)


async def test_exits_that_wait_inside_their_calls_leave_workers_to_others(clock: Clock) -> None:
    """An executor that tries by itself for seconds holds its worker for so long."""
    async with open_rig(workers=11) as rig:
        _bound_workers(rig, 10)
        for number in range(12):
            await rig.hold("alice", token=100 + number, number=900 + number)
        await rig.hold("bob", token=50, number=950)
        _refuse(rig, OrderNotSent("restarting"), "alice", 1.9)
        late = rig.wall() + 60
        for number in range(12):
            await rig.take_in(sell(200 + number, "alice", token=100 + number, deadline=late))
            await trio.sleep(0.7)
        await trio.sleep(2)
        began = trio.current_time()
        assert await rig.end_of(sell(300, "bob", token=50, deadline=late)) == [(End.FILLED, None)]
        assert trio.current_time() - began < 1


@pytest.mark.parametrize(("kind", "code"), [(Kind.TRADE, Code.LEADER_LEFT), (Kind.EXIT, Code.EXIT_FIRST)])
async def test_an_entry_that_is_not_accepted_keeps_no_exit_waiting(clock: Clock, kind: Kind, code: Code) -> None:
    """Nor is it bought after its leader has sold: it ends as one that was called off."""
    async with open_rig() as rig:
        await rig.hold("alice", number=901)
        _refuse(rig, NOT_YET, "alice", side=Side.BUY)
        entry = buy(1, deadline=rig.wall() + 60)
        await rig.take_in(entry)
        await trio.sleep(10)
        leave = sell(8, decided_at=rig.wall(), deadline=rig.wall() + 60)
        leave, began = evolve(leave, signal=evolve(leave.signal, kind=kind)), trio.current_time()
        await rig.take_in(leave)
        assert await rig.wait_ends(entry, leave) == [(End.SKIPPED, code), (End.FILLED, None)]
        assert trio.current_time() - began <= 1
        assert rig.open_orders() == []


def _by_another(task: CopyTask) -> CopyTask:
    """Return a task that copies somebody else."""
    return evolve(task, signal=evolve(task.signal, leader=OTHER_LEADER))


async def _holds_by_another(rig: Rig, token: int = 7) -> None:
    """Let alice hold shares that somebody else has bought before her."""
    rig.book.replace_all(make_follow("alice", leader, sell="sized") for leader in (LEADER, OTHER_LEADER))
    assert await rig.end_of(_by_another(buy(900, token=token))) == [(End.FILLED, None)]
    rig.recorder.finished.clear()


@pytest.mark.parametrize("lane", ["of a token", "of a wallet"])
async def test_an_entry_that_is_not_accepted_goes_on_behind_an_exit_that_is_no_news_of_its_leader(
    clock: Clock, lane: str
) -> None:
    """One of another market in the lane of their wallet, or of the same shares by another leader: he has not left it."""
    async with open_rig() as rig:
        token = 7
        if lane == "of a wallet":
            token, rig.executor.lane = 77, lambda intent, wallet: (wallet.follower,)
        await _holds_by_another(rig, token)
        submit = rig.executor.submit
        _refuse(rig, NOT_YET, "alice", side=Side.BUY)
        entry = buy(1, deadline=rig.wall() + 60)
        await rig.take_in(entry)
        await trio.sleep(10)
        leave, began = sell(8, token=token, decided_at=rig.wall(), deadline=rig.wall() + 60), trio.current_time()
        leave = _by_another(leave)
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        assert trio.current_time() - began <= 1
        await trio.sleep(10)
        rig.executor.submit = submit
        assert await rig.wait_ends(entry) == [(End.FILLED, None)]
        assert rig.executor.sent[-1].key == entry.key
        assert rig.position(entry).shares == Shares.parse(10)
        assert rig.open_orders() == []
        assert (rig.lanes.turns.entries_out, rig.execution.submitting.patience.entries) == (0, 0)


async def test_an_entry_that_waited_has_all_its_attempts(clock: Clock) -> None:
    """One is used by a refusal, and none by a venue that takes nothing yet."""
    async with open_rig() as rig:
        rig.book.replace_all(
            make_follow("alice", leader, sell="sized", attempts=2) for leader in (LEADER, OTHER_LEADER)
        )
        assert await rig.end_of(_by_another(buy(900))) == [(End.FILLED, None)]
        submit = rig.executor.submit
        _refuse(rig, NOT_YET, "alice", side=Side.BUY)
        entry = buy(1, deadline=rig.wall() + 60)
        await rig.take_in(entry)
        await trio.sleep(5)
        leave = _by_another(sell(8, decided_at=rig.wall(), deadline=rig.wall() + 60))
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        rig.executor.submit, rig.executor.script = submit, ["kill"]
        assert await rig.wait_ends(entry) == [(End.FILLED, None)]
        assert [order.key for order in rig.executor.sent[-2:]] == [entry.key, evolve(entry, attempt=1).key]


async def test_an_entry_that_went_on_behind_an_exit_ends_at_its_deadline(clock: Clock) -> None:
    """Once, however often it was made anew."""
    async with open_rig() as rig:
        await _holds_by_another(rig)
        _refuse(rig, NOT_YET, "alice")
        entry = buy(1, deadline=rig.wall() + 30)
        await rig.take_in(entry)
        await trio.sleep(10)
        leave = _by_another(sell(8, decided_at=rig.wall(), deadline=rig.wall() + 60))
        await rig.take_in(leave)
        ends = await rig.wait_ends(entry, leave)
        assert ends == [(End.EXPIRED, Code.DEADLINE_PASSED), (End.REJECTED, Code.NOT_SENT)]
        await trio.sleep(60)
        assert len(rig.ends()) == 2
        assert (rig.open_orders(), len(rig.lanes.unplaced)) == ([], 0)


async def test_an_entry_that_is_not_accepted_is_not_sent_again_once_nobody_wants_it(clock: Clock) -> None:
    """Its follow was removed meanwhile: nothing of it would be sent now."""
    async with open_rig() as rig:
        rig.executor.script = [NOT_YET] * 500
        task = buy(1, deadline=rig.wall() + 60)
        await rig.take_in(task)
        await trio.sleep(10)
        sends = len(rig.executor.sent)
        rig.book.replace_all([])
        assert await rig.wait_ends(task) == [(End.SKIPPED, Code.NOT_FOLLOWED)]
        assert len(rig.executor.sent) == sends
        assert rig.open_orders() == []


async def test_what_a_person_settled_is_not_sent_again_where_it_was_not_accepted(clock: Clock) -> None:
    """He has written down that it sold: sent again, it would sell once more."""
    async with open_rig() as rig:
        await rig.hold("alice")
        rig.executor.script = ["refuse connection"] * 500
        task = sell(2, deadline=rig.wall() + 60)
        await rig.take_in(task)
        await trio.sleep(10)
        (placed,) = rig.open_orders()
        sends, order = len(rig.executor.sent), placed.order
        notional = order.shares.at(order.limit_price, Rounding.DOWN)
        report = ExecutionReport(order_id=order.order_id, status=Status.FILLED, shares=order.shares, notional=notional)
        rig.shard.act(task.follower, Answer(key=order.key, report=report, at=NOW))
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
        await trio.sleep(60)
        assert len(rig.executor.sent) == sends
        assert rig.position(task).shares == NO_SHARES


async def test_an_exit_is_not_sent_again_while_its_sale_is_taken_back(clock: Clock) -> None:
    """What was placed goes on, but nobody sells for a sale that never was; mined again, it is sent again."""
    async with open_rig() as rig:
        await rig.hold("alice")
        rig.executor.script = ["refuse connection"] * 8
        task = sell(2, deadline=rig.wall() + 60)
        rig.shard.met.meet(task.signal, rig.wall(), whole=True)
        await rig.take_in(task)
        await trio.sleep(3)
        sends = len(rig.executor.sent)
        rig.take_back(task)
        await trio.sleep(10)
        assert len(rig.executor.sent) == sends
        rig.shard.met.meet(task.signal, rig.wall(), whole=True)
        assert await rig.wait_ends(task) == [(End.FILLED, None)]


@pytest.mark.parametrize("comes_back", [True, False])
async def test_an_entry_that_is_not_accepted_is_suspended_while_its_signal_is_taken_back(
    clock: Clock, *, comes_back: bool
) -> None:
    """As what waits is: it is nowhere yet. Mined again, it goes on; else it ends at its deadline."""
    async with open_rig() as rig:
        rig.executor.script = [NOT_YET] * 16
        task = buy(2, deadline=rig.wall() + 60)
        rig.shard.met.meet(task.signal, rig.wall(), whole=True)
        await rig.take_in(task)
        await trio.sleep(5)
        rig.take_back(task)
        await trio.sleep(2)
        sends = len(rig.executor.sent)
        await trio.sleep(10)
        assert len(rig.executor.sent) == sends
        assert (rig.open_orders(), rig.lanes.unplaced.suspended, rig.execution.submitting.patience.entries) == (
            [],
            1,
            0,
        )
        if comes_back:
            rig.shard.met.meet(task.signal, rig.wall(), whole=True)
            resume(rig.shard, task.signal.signal_id)
        ends = await rig.wait_ends(task)
        assert ends == [(End.FILLED, None) if comes_back else (End.RETRACTED, Code.RETRACTED)]
        assert len(rig.lanes.unplaced) == 0


async def test_an_entry_that_waits_with_its_order_does_not_leave_while_the_breaker_is_open(clock: Clock) -> None:
    """It was prepared before its executor broke its contract; that is no reason to send it now."""
    async with open_rig() as rig:
        rig.executor.script = [NOT_YET] * 500
        task = buy(2, deadline=rig.wall() + 60)
        rig.shard.met.meet(task.signal, rig.wall(), whole=True)
        await rig.take_in(task)
        await trio.sleep(5)
        rig.take_back(task)
        await trio.sleep(2)
        rig.executor.script, prepare, sends = [], rig.executor.prepare, len(rig.executor.sent)
        rig.executor.prepare = lambda *asked: evolve(prepare(*asked), shares=Shares(1 << 50))
        for number in (11, 12, 13):
            other = buy(number, "bob", token=number, deadline=rig.wall() + 60)
            assert await rig.end_of(other) == [(End.DENIED, Code.CONTRACT_BROKEN)]
        rig.executor.prepare = prepare
        rig.shard.met.meet(task.signal, rig.wall(), whole=True)
        resume(rig.shard, task.signal.signal_id)
        assert await rig.wait_ends(task) == [(End.DENIED, Code.CONTRACT_BROKEN)]
        assert len(rig.executor.sent) == sends
        assert rig.open_orders() == []


@pytest.mark.parametrize("how", ["cancelled", "handed over", "handed over, and cancelled"])
async def test_an_exit_that_is_not_accepted_holds_no_end_up(clock: Clock, how: str) -> None:
    """Whoever stops, or gives its shard to another instance, waits no longer than for one send; what came of it is recorded."""
    async with open_rig(at_work=False) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.execution.run_worker)
        await rig.hold("alice")
        rig.executor.script = ["refuse connection"] * 500
        await rig.take_in(sell(2, deadline=rig.wall() + 300))
        await trio.sleep(20)
        assert len(rig.executor.sent) > 15
        assert rig.lanes.sending[0] == 1
        began = trio.current_time()
        if how == "cancelled":
            nursery.cancel_scope.cancel()
        else:
            rig.holder.hand_over(0)
            if how == "handed over, and cancelled":  # the time of a drain is over
                nursery.cancel_scope.cancel()
            with trio.fail_after(2, shield=True):
                while rig.lanes.sending[0]:  # noqa: ASYNC110  virtual time
                    await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
    assert trio.current_time() - began <= 2
    await trio.sleep(1)
    # How it ends, whoever has it next says: another owner, or the next process.
    assert rig.ends() == []


async def _hand_over(rig: Rig) -> None:
    """Give the shard up in good order, as an instance does that has too many."""
    rig.holder.hand_over(0)
    with trio.fail_after(2):
        while rig.holder.works_on(0):  # noqa: ASYNC110  virtual time
            await trio.sleep(0.1)
    await rig.holder.end(0)
    await rig.store.control.release(rig.lease)


@pytest.mark.parametrize("side", list(Side))
async def test_the_next_process_goes_on_with_what_was_not_accepted(clock: Clock, side: Side) -> None:
    """Where the one before was stopped while its venue took nothing: once, within the deadline, by the same bytes."""
    books = on_memory()
    async with open_rig(open_store=books, at_work=False) as first, trio.open_nursery() as nursery:
        nursery.start_soon(first.execution.run_worker)
        await first.hold("alice", number=901)
        task = buy(2, side=side, deadline=first.wall() + 60)
        first.executor.script = [NOT_YET] * 500
        await first.take_in(task)
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    sent = {order.body for order in first.executor.sent}
    await trio.sleep(LEASE_S)
    async with open_rig(open_store=books) as second:
        assert await second.wait_ends(task) == [(End.FILLED, None)]
        assert [order.body for order in second.executor.sent] == list(sent)


@pytest.mark.parametrize("in_time", [True, False])
@pytest.mark.parametrize("side", list(Side))
async def test_the_next_owner_goes_on_with_what_was_not_accepted(clock: Clock, side: Side, *, in_time: bool) -> None:
    """Within the deadline that it had, by the same bytes: whoever guards the key has counted them."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False) as first:
        await first.hold("alice", number=901)
        task = buy(2, side=side, deadline=first.wall() + 60)
        first.executor.script = [NOT_YET] * 500
        await first.take_in(task)
        await trio.sleep(20)
        await _hand_over(first)
        assert first.ends() == []
        assert await first.store.history.documents("order") == []
        sent = {order.body for order in first.executor.sent}
        await trio.sleep(5 if in_time else 60)
        async with open_rig(open_store=books, owner="another", alone=False) as second:
            ends = await second.wait_ends(task)
            assert ends == ([(End.FILLED, None)] if in_time else [(End.EXPIRED, Code.DEADLINE_PASSED)])
            assert [order.body for order in second.executor.sent] == list(sent) * in_time
            held = 10 + 10 * (in_time and side is Side.BUY) - 10 * (in_time and side is Side.SELL)
            assert second.position(task).shares == Shares.parse(held)
            assert await second.store.history.documents("waits") == []


async def test_what_was_taken_back_when_its_shard_was_handed_over_waits_for_the_next_owner(clock: Clock) -> None:
    """Suspended, as whatever a reorg took back: nobody sells for a sale that never was."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False) as first:
        await first.hold("alice", number=901)
        task = sell(2, deadline=first.wall() + 60)
        first.executor.script = [NOT_YET] * 500
        first.shard.met.meet(task.signal, first.wall(), whole=True)
        await first.take_in(task)
        await trio.sleep(5)
        first.take_back(task)
        await trio.sleep(2)
        await _hand_over(first)
        async with open_rig(open_store=books, owner="another", alone=False) as second:
            await trio.sleep(5)
            assert second.executor.sent == []
            second.shard.met.meet(task.signal, second.wall(), whole=True)
            resume(second.shard, task.signal.signal_id)
            assert await second.wait_ends(task) == [(End.FILLED, None)]


async def test_what_the_next_owner_leaves_for_later_of_an_exit_is_sold_too(clock: Clock) -> None:
    """Divided once more, because less is on the chain by then: each rest waits by itself, and nothing of them is forgotten."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False) as first:
        submit = first.executor.submit

        async def not_settled(order: Order) -> ExecutionReport:
            await submit(order)
            return _settle(first, Settlement.PENDING)

        first.executor.submit = not_settled
        for number in (901, 902, 903, 904):
            await first.end_of(buy(number))
        _settle(first, Settlement.MINED, 0)
        _settle(first, Settlement.MINED, 1)
        _settle(first, Settlement.MINED, 2)
        await trio.sleep(2)
        first.executor.submit, first.executor.script = submit, [NOT_YET] * 500
        task = sell(905, decided_at=first.wall(), deadline=first.wall() + 300)
        await first.take_in(evolve(task, intent=evolve(task.intent, sell="sized", shares=Shares.parse(40))))
        await trio.sleep(5)
        assert first.executor.sent[-1].shares == Shares.parse(30)
        _settle(first, Settlement.PENDING, 1)
        await trio.sleep(5)
        await _hand_over(first)
        async with open_rig(open_store=books, owner="another", alone=False) as second:
            second.executor.filled = dict(first.executor.filled)
            await trio.sleep(5)
            assert _sold(second) == Shares.parse(20)
            for number in (1, 3):
                _settle(second, Settlement.MINED, number)
            await trio.sleep(10)
            assert _sold(second) == Shares.parse(40)
            assert second.position(task).shares == NO_SHARES


def _settle(rig: Rig, state: Settlement, number: int = -1) -> ExecutionReport:
    """Let the chain have an order that was filled, or not, or not any more."""
    order_id = [*rig.executor.filled][number]
    report: ExecutionReport = evolve(rig.executor.filled[order_id], settlement=state)
    rig.executor.filled[order_id] = report
    return report


def _sold(rig: Rig) -> Shares:
    return sum((order.shares for order in rig.executor.sent), NO_SHARES)
