"""From a lane to a recorded end: what may be sent, when, how often, and what is written down about it."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, NOW, make_signal, usd
from tests.engine.rig import LEASE_S, Rig, buy, on_memory, on_sqlite, open_rig, sell
from trio_copy.accounts import OrderState
from trio_copy.accounts.budgets import day_of
from trio_copy.accounts.commands import Answer, SetMode
from trio_copy.errors import LeaseLost, OrderNotSent
from trio_copy.model.budgets import Performance
from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes
from trio_copy.model.decisions import Code, CopyTask, End, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.units import NO_SHARES, NO_USD, Rounding, Shares
from trio_copy_memory.accounts import MemoryAccounts
from trio_copy_sqlite.accounts import SqliteAccounts

Clock = trio.testing.MockClock


GUARDED = Reason(code=Code.GUARD_REFUSED, control="max_order_usd", value="51", limit="50")


async def test_a_filled_order_is_booked_and_settled(clock: Clock) -> None:
    """One send, one booking, one end; nothing stays open, at hand or on the disk."""
    async with open_rig() as rig:
        task = buy()
        assert await rig.end_of(task) == [(End.FILLED, None)]
        assert Shares.parse(10) == rig.position(task).shares
        assert rig.open_orders() == []
        assert await rig.store.history.documents("order") == []
        assert len(await rig.store.history.documents("position")) == 1
    assert len(rig.executor.sent) == 1


@pytest.mark.parametrize("accounts", [MemoryAccounts, SqliteAccounts], ids=["memory", "sqlite"])
async def test_nothing_is_sent_before_it_is_durable(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, accounts: type[Any], tmp_path: Path
) -> None:
    """However long the store takes for the write that places an order: it is there when the first byte leaves."""
    write = accounts.write

    async def slowly(*words: Any) -> None:
        await trio.sleep(1)
        await write(*words)

    async with open_rig(open_store=on_memory() if accounts is MemoryAccounts else on_sqlite(tmp_path)) as rig:
        submit, found = rig.executor.submit, list[tuple[float, list[str]]]()

        async def look(order: Order) -> ExecutionReport:
            found.append((rig.wall(), [document.name for document in await rig.store.history.documents("order")]))
            answer: ExecutionReport = await submit(order)
            return answer

        monkeypatch.setattr(accounts, "write", slowly)
        rig.executor.submit = look
        began = rig.wall()
        assert await rig.end_of(buy()) == [(End.FILLED, None)]
        ((sent_at, durable),) = found
        assert sent_at >= began + 1
        assert len(durable) == 1


@pytest.mark.parametrize(
    ("script", "end", "code", "sends", "filled"),
    [
        (["reject"], End.REJECTED, Code.VENUE_REFUSED, 1, 0),
        (["kill"], End.KILLED, Code.NO_FILL, 1, 0),
        (["refuse connection"], End.FILLED, None, 2, 1),
        (["refuse connection"] * 3, End.REJECTED, Code.NOT_SENT, 3, 0),
        ([OrderNotSent("not so much", GUARDED)], End.DENIED, Code.GUARD_REFUSED, 1, 0),
        (["lose reply"], End.FILLED, None, 1, 1),
        (["hang"], End.FILLED, None, 1, 1),
        (["lose request"], End.ESCALATED, Code.OUTCOME_UNPROVEN, 1, 0),
    ],
)
async def test_each_outcome_of_a_send_ends_as_it_must(
    clock: Clock, script: list[str | Exception], end: End, code: Code | None, sends: int, filled: int
) -> None:
    """Refusals end at once, doubt is reconciled by the order's own id, and no doubt is ever resolved by a resend."""
    async with open_rig(terms={"max_day_usd": usd("100")}) as rig:
        rig.executor.script, task = list(script), buy()
        assert await rig.end_of(task) == [(end, code)]
        spends = "day 2025-11-24" in rig.account().windows
        assert spends == (end in (End.FILLED, End.ESCALATED))
    assert (sends, filled) == (len(rig.executor.sent), len(rig.executor.filled))
    assert len({order.body for order in rig.executor.sent}) == 1


async def test_an_unproven_outcome_keeps_what_it_holds_and_its_lane(clock: Clock) -> None:
    """Until the truth is known, the money stays held and nothing else is done in that token."""
    async with open_rig(terms={"max_day_usd": usd("6")}) as rig:
        rig.executor.script, rig.executor.hide = ["lose reply"], True
        first, second, other = buy(1), buy(2, deadline=NOW + 60), buy(3, token=8)
        await rig.take_in(first, second)
        await trio.testing.wait_all_tasks_blocked()
        await rig.take_in(other)
        await trio.sleep(3)
        assert rig.ends() == [("alice", End.DENIED, Code.CAP_REACHED)]
        assert rig.reconciler.unknown == 1
        rig.executor.hide = False
        assert await rig.wait_ends(first, second) == [(End.FILLED, None), (End.DENIED, Code.CAP_REACHED)]
    assert len(rig.executor.sent) == 1


async def test_nothing_is_sent_after_its_deadline(clock: Clock) -> None:
    """A task that waited too long expires unsent, with its age and its limit."""
    async with open_rig(workers=1) as rig:
        rig.executor.latency_s = 0.9
        tasks = [buy(number, token=number, deadline=NOW + 1.7) for number in range(1, 6)]
        ends = await rig.end_of(*tasks)
    assert [end for end, _ in ends] == [End.FILLED, End.FILLED] + [End.EXPIRED] * 3
    assert len(rig.executor.sent) == 2
    reasons = [one.outcome.reason for one in rig.recorder.finished if one.outcome.reason]
    assert [(reason.code, reason.limit) for reason in reasons] == [(Code.DEADLINE_PASSED, "1.7")] * 3


@pytest.mark.parametrize(
    ("mode", "entry", "exit_"),
    [
        (Mode.RUN, End.FILLED, End.FILLED),
        (Mode.REDUCE_ONLY, End.HALTED, End.FILLED),
        (Mode.HALT_NEW, End.HALTED, End.FILLED),
        (Mode.HALT_ALL, End.HALTED, End.HALTED),
    ],
)
async def test_a_mode_stops_entries_before_exits(clock: Clock, mode: Mode, entry: End, exit_: End) -> None:
    """A pause blocks entries only; halt-all alone blocks both, and says so."""
    async with open_rig(mode=mode) as rig:
        await rig.hold("carol")
        ends = await rig.end_of(buy(1), sell(2, "carol"))
    assert [end for end, _ in ends] == [entry, exit_]


async def test_an_exit_sells_at_most_what_was_copied(clock: Clock) -> None:
    """Shares copied from another leader, or bought by hand, are not ours to sell."""
    async with open_rig() as rig:
        await rig.hold("alice", "4")
        ends = await rig.end_of(sell(1), sell(2, "bob"))
    assert ends == [(End.FILLED, None), (End.DENIED, Code.NOTHING_TO_SELL)]
    assert [Shares.parse(4)] == [order.shares for order in rig.executor.sent]


async def test_a_budget_is_shared_by_everything_in_flight(clock: Clock) -> None:
    """Ten entries race for a budget of three; exactly three are sent and the refusals name the setting."""
    async with open_rig(workers=10, terms={"max_day_usd": usd("16")}) as rig:
        rig.executor.latency_s = 1
        ends = await rig.end_of(*(buy(number, token=number) for number in range(1, 11)))
    assert 3 == len(rig.executor.sent) == [end for end, _ in ends].count(End.FILLED)
    refusals = {one.outcome.reason.control for one in rig.recorder.finished if one.outcome.reason}
    assert refusals == {"caps.max_day_usd"}


async def test_a_paper_wallet_pays_for_everything_in_flight(clock: Clock) -> None:
    """Ten entries race for a wallet of three; a sale that fills it pays for one more."""
    async with open_rig(workers=10) as rig:
        followers = rig.execution.book.terms.followers
        followers.named[ALICE] = evolve(followers[ALICE], paper_usd=usd("16"))
        rig.executor.latency_s = 1
        ends = await rig.end_of(*(buy(number, token=number) for number in range(1, 11)))
        assert 3 == len(rig.executor.sent) == [end for end, _ in ends].count(End.FILLED)
        assert {code for _, code in ends if code} == {Code.NO_BALANCE}
        for task in (sell(11, token=rig.executor.sent[0].token_id), buy(12, token=12)):
            assert await rig.end_of(task) == [(End.FILLED, None)]


async def test_a_closed_market_is_refused_with_its_reason(clock: Clock) -> None:
    """The venue's own word for why a token cannot be traded reaches the record."""
    async with open_rig() as rig:
        rig.executor.closed = "resolved"
        assert await rig.end_of(buy()) == [(End.REJECTED, Code.VENUE_REFUSED)]
    reason = rig.recorder.finished[0].outcome.reason
    assert reason is not None
    assert reason.value == "resolved"


async def test_one_token_of_one_follower_is_traded_in_order(clock: Clock) -> None:
    """A lane never has two orders in flight, however many workers are free; other lanes do not wait for it."""
    async with open_rig(workers=8) as rig:

        def on_send(order: Order) -> None:
            assert order.wallet.follower != "alice" or not any(
                one.wallet.follower == "alice" and one.order_id not in rig.executor.filled
                for one in rig.executor.sent[:-1]
            )

        rig.executor.on_send, rig.executor.latency_s = on_send, 0.5
        tasks = [buy(number, deadline=NOW + 100) for number in range(1, 6)]
        await rig.end_of(*tasks, buy(6, "bob", deadline=NOW + 100))
    sent = [order.key for order in rig.executor.sent if order.wallet.follower == "alice"]
    assert [task.key for task in tasks] == sent
    assert "bob" in {order.wallet.follower for order in rig.executor.sent[:3]}


async def test_one_hung_venue_call_holds_one_lane_only(clock: Clock) -> None:
    """A follower whose order hangs does not delay twenty others."""
    async with open_rig(workers=4) as rig:
        rig.executor.script = ["hang"]
        await rig.take_in(buy(1), buy(2))
        await trio.testing.wait_all_tasks_blocked()
        await rig.take_in(*(buy(10 + number, "bob", token=100 + number) for number in range(20)))
        await trio.sleep(1)
        assert [follower for follower, _, _ in rig.ends()] == ["bob"] * 20


async def test_exits_do_not_wait_behind_twice_as_many_entries_as_can_be_sent(clock: Clock) -> None:
    """An exit waits for a send that is under way, and for no entry, however many come in all the time."""
    async with open_rig(workers=4, queue_capacity=60) as rig:
        exits = [sell(1_000 + number, "bob", token=number, deadline=NOW + 600) for number in range(1, 31)]
        for task in exits:
            await rig.hold("bob", token=task.intent.token_id, number=2_000 + task.intent.token_id)
        rig.executor.latency_s = 1.0
        for second, leave in enumerate(exits):
            await rig.take_in(
                *(buy(8 * second + number, token=100 + 8 * second + number, deadline=NOW + 600) for number in range(8))
            )
            await rig.take_in(evolve(leave, decided_at=rig.wall()))
            await trio.sleep(1)
        await rig.wait_ends(*exits)
        of_exits = [one for one in rig.recorder.finished if one.task.follower == "bob"]
        entries = [one for one in rig.recorder.finished if one.task.follower == "alice"]
    assert [one.outcome.end for one in of_exits] == [End.FILLED] * 30
    assert max(one.started_at - one.task.decided_at for one in of_exits) <= 1.0
    assert Code.EVICTED_BY_EXIT in {one.outcome.reason.code for one in entries if one.outcome.reason}


async def test_a_busy_lane_does_not_starve_the_others(clock: Clock) -> None:
    """Many tasks behind one hung order leave room for everybody else's."""
    async with open_rig(workers=2) as rig:
        rig.executor.script = ["hang"]
        await rig.take_in(*(buy(number, deadline=NOW + 60) for number in range(1, 12)))
        await trio.testing.wait_all_tasks_blocked()
        await rig.take_in(*(buy(100 + number, "bob", token=number) for number in range(5)))
        await trio.sleep(0.5)
        assert [follower for follower, _, _ in rig.ends()] == ["bob"] * 5


async def test_a_bug_in_an_executor_proves_nothing(clock: Clock) -> None:
    """An exception outside the contract is not retried around: the order may be there, and nothing else leaves its lane."""
    async with open_rig() as rig:
        rig.executor.script, rig.executor.hide = [ZeroDivisionError("plugin bug")], True
        await rig.take_in(buy(1), buy(2))
        await trio.sleep(3)
        assert (rig.ends(), rig.reconciler.unknown) == ([], 1)
    assert len(rig.executor.sent) == 1


@pytest.mark.parametrize("step", ["fill", "lose reply", "hang", "reject", "refuse connection"])
@pytest.mark.parametrize("cancel_after_s", [0.0, 0.01, 0.5, 1.0, 1.01, 1.5])
async def test_cancelling_anywhere_loses_nothing_and_sends_nothing_twice(
    clock: Clock, step: str, cancel_after_s: float
) -> None:
    """A cancelled worker either never sent, and its task waits on; or account and venue agree on what was sent."""
    async with open_rig(at_work=False) as rig:
        rig.executor.script, rig.executor.latency_s = [step], 1.0
        task = buy()
        await rig.take_in(task)
        queued = await rig.lanes.take()
        assert queued is not None
        with trio.move_on_after(cancel_after_s):
            await rig.carry_out(queued)
        await rig.shard.writer.flush()
        sent = {order.key for order in rig.executor.sent}
        assert len(sent) <= 1
        open_ones = {order.order.key: order.state for order in rig.open_orders()}
        for report in rig.executor.filled.values():
            assert rig.position(task).shares == report.shares or OrderState.UNKNOWN in open_ones.values()
        assert open_ones.keys() <= sent
        if not sent:
            assert rig.lanes.take_nowait() is queued
            assert not rig.position(task).lots


class _Market:
    """What the venue says about a market only when a test lets it; then the answer, or an error, comes."""

    def __init__(self, executor: Any, error: Exception | None = None) -> None:
        self._market, self._error = executor.market, error
        self.asked, self.answer = trio.Event(), trio.Event()

    async def __call__(self, token_id: TokenId) -> Any:
        self.asked.set()
        await self.answer.wait()
        if self._error is not None:
            raise self._error
        return await self._market(token_id)


async def test_a_cancelled_question_leaves_the_task_and_its_lane_as_they_were(clock: Clock) -> None:
    """Cancelled while the market is asked, nothing has happened: the next worker gets the same task."""
    async with open_rig(at_work=False) as rig:
        rig.executor.market = _Market(rig.executor)
        await rig.take_in(buy(1), buy(2))
        queued = await rig.lanes.take()
        assert queued is not None
        with trio.move_on_after(1):
            await rig.carry_out(queued)
        assert rig.lanes.take_nowait() is queued
        assert rig.lanes.take_nowait() is None


@pytest.mark.parametrize(
    ("error", "silent"), [(OrderNotSent("nobody listens"), False), (None, True)], ids=["refused", "silent"]
)
async def test_a_market_that_nobody_tells_ends_the_task_and_frees_its_lane(
    clock: Clock, error: Exception | None, silent: bool
) -> None:
    """A venue that says nothing holds a worker as long as a send may take, and no longer."""
    async with open_rig(workers=1) as rig:
        ask = rig.executor.market = _Market(rig.executor, error)
        if not silent:
            ask.answer.set()
        assert await rig.end_of(buy(1)) == [(End.REJECTED, Code.NOT_SENT)]
        del rig.executor.market
        assert await rig.end_of(buy(2)) == [(End.FILLED, None)]


@pytest.mark.parametrize(("side", "waits_s"), [(Side.BUY, 0.0), (Side.SELL, 0.5)])
async def test_an_exit_does_not_end_by_somebody_elses_question(clock: Clock, side: Side, waits_s: float) -> None:
    """One request was lost on its way: an exit waits for none of an entry, and asks once more when another exit's failed."""
    async with open_rig() as rig:
        await rig.hold("alice")
        await rig.hold("bob", number=901)
        await trio.sleep(1)
        ask = rig.executor.market = _Market(rig.executor)
        await rig.take_in(buy(1, side=side))
        await ask.asked.wait()
        del rig.executor.market
        await trio.sleep(1.5)
        began = trio.current_time()
        assert await rig.end_of(sell(2, "bob")) == [(End.FILLED, None)]
        assert trio.current_time() == began + waits_s


async def test_a_task_that_became_too_old_while_the_market_was_asked_is_not_placed(clock: Clock) -> None:
    """Nothing is held for it, and it ends as what it is: too late."""
    async with open_rig(send_timeout_s=60.0) as rig:
        ask = rig.executor.market = _Market(rig.executor)
        await rig.take_in(buy(deadline=NOW + 2))
        await trio.sleep(3)
        ask.answer.set()
        await rig.recorder.wait_until(lambda: bool(rig.recorder.finished))
    assert rig.ends() == [("alice", End.EXPIRED, Code.DEADLINE_PASSED)]
    assert rig.executor.sent == []


async def test_what_a_reorg_takes_back_while_the_market_is_asked_is_not_placed(clock: Clock) -> None:
    """It waits for its signal; mined again, it is sent under its first deadline."""
    async with open_rig() as rig:
        ask, task = _Market(rig.executor), buy()
        rig.executor.market = ask
        await rig.take_in(task)
        await ask.asked.wait()
        assert rig.shard.retract(task.signal.signal_id) == (1, 0)
        ask.answer.set()
        await trio.sleep(1)
        assert (rig.executor.sent, rig.lanes.suspended) == ([], 1)
        assert rig.shard.resume(task.signal.signal_id) == 1
        assert await rig.wait_ends(task) == [(End.FILLED, None)]


async def test_another_attempt_of_what_a_reorg_took_back_waits_for_its_signal(clock: Clock) -> None:
    """The first attempt was under way, and went on; the next one is not placed before the trade is there again."""
    async with open_rig(terms={"attempts": 3}) as rig:
        rig.executor.script, rig.executor.latency_s = ["kill"], 1.0
        task = buy()
        rig.shard.met.meet(task.signal, NOW, whole=True)
        await rig.take_in(task)
        await trio.sleep(0.5)
        assert rig.shard.met.retract(task.signal, NOW) == task.signal.signal_id
        assert rig.shard.retract(task.signal.signal_id) == (0, 1)
        await trio.sleep(2)
        assert (len(rig.executor.sent), rig.lanes.suspended) == (1, 1)
        rig.shard.resume(task.signal.signal_id)
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
    assert len({order.key for order in rig.executor.sent}) == 2


async def test_an_entry_gives_way_to_an_exit_that_came_while_the_market_was_asked(clock: Clock) -> None:
    """The leader sold: his exit calls the entry off before it is bought, and nothing is sent at all."""
    async with open_rig(workers=1) as rig:
        ask = rig.executor.market = _Market(rig.executor)
        entry = buy(1)
        await rig.take_in(entry)
        await ask.asked.wait()
        leave = sell(2)
        await rig.take_in(leave)
        ask.answer.set()
        assert await rig.wait_ends(entry, leave) == [(End.SKIPPED, Code.LEADER_LEFT), (End.SKIPPED, Code.LEADER_LEFT)]
    assert rig.executor.sent == []


async def test_a_proof_after_the_escalation_mends_the_books_only(clock: Clock) -> None:
    """The task has ended for a person to look at; when the venue answers at last, the fill is booked, nothing ends twice."""
    async with open_rig(escalate_after_s=5.0) as rig:
        rig.executor.script, rig.executor.hide, task = ["lose reply"], True, buy()
        assert await rig.end_of(task) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        rig.executor.hide = False
        await rig.recorder.wait_until(lambda: "outcome-proven-late" in dict(rig.recorder.alerts))
        assert Shares.parse(10) == rig.position(task).shares
        assert rig.open_orders() == []
    assert len(rig.recorder.finished) == 1


async def test_shares_of_an_unproven_exit_are_not_sold_again(clock: Clock) -> None:
    """An exit whose outcome nobody knows may have sold them; the next one must not, even after the escalation."""
    async with open_rig(escalate_after_s=3.0) as rig:
        await rig.hold()
        rig.executor.script, rig.executor.hide = ["lose reply"], True
        assert await rig.end_of(sell(1)) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        assert await rig.end_of(sell(2, deadline=NOW + 60)) == [(End.DENIED, Code.NOTHING_TO_SELL)]
        rig.executor.hide = False
        await rig.recorder.wait_until(lambda: "outcome-proven-late" in dict(rig.recorder.alerts))
    assert len(rig.executor.sent) == 1


async def test_a_second_proof_opens_no_lane_that_another_order_keeps_closed(clock: Clock) -> None:
    """After an escalation the lane goes on; when its first order is proven at last, the one in flight still has it."""
    async with open_rig(escalate_after_s=3.0, send_timeout_s=100.0) as rig:
        rig.executor.script, rig.executor.hide = ["lose reply"], True
        await rig.end_of(buy(1))
        rig.executor.latency_s = 20.0
        await rig.take_in(buy(2, deadline=NOW + 100), buy(3, deadline=NOW + 100))
        await trio.sleep(2)
        rig.executor.hide = False
        await rig.recorder.wait_until(lambda: "outcome-proven-late" in dict(rig.recorder.alerts))
        await trio.sleep(2)
        assert len(rig.executor.sent) == 2


def _halt(rig: Rig) -> None:
    change = ModeChange(mode=Mode.HALT_ALL, why="test", at=NOW)
    rig.mode.modes = Modes(version=2, by_scope={ENGINE: change})


def _lose_the_lease(rig: Rig) -> None:
    rig.shard.until = rig.wall()


@pytest.mark.parametrize(("change", "left"), [(_halt, 0), (_lose_the_lease, 1)])
async def test_every_send_is_allowed_anew(clock: Clock, change: Any, left: int) -> None:
    """The venue was not reached; before the next try it became forbidden. What is not ours stays open for its owner."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False) as rig:

        async def refuse(order: Order) -> Any:
            rig.executor.sent.append(order)
            change(rig)
            await trio.lowlevel.checkpoint()
            raise OrderNotSent("nobody listens")

        rig.executor.submit = refuse
        await rig.take_in(buy())
        await trio.sleep(10)
        assert len(rig.executor.sent) == 1
        assert len(await rig.store.history.documents("order")) == left
    assert [end for _, end, _ in rig.ends()] == [End.HALTED] * (1 - left)


def _halt_follower(rig: Rig, mode: Mode) -> None:
    rig.shard.act(FollowerId(ALICE), SetMode(mode=mode, why="a person", at=rig.wall()))


def _lose_elsewhere(rig: Rig) -> None:
    rig.account().performance = Performance().after(usd("0") - usd("5"), day_of(rig.wall()))


FOLLOWER_HALTS: dict[str, tuple[Mode, Side, End]] = {
    "halt-new stops entries": (Mode.HALT_NEW, Side.BUY, End.HALTED),
    "halt-new lets exits go": (Mode.HALT_NEW, Side.SELL, End.FILLED),
    "halt-all stops entries": (Mode.HALT_ALL, Side.BUY, End.HALTED),
    "halt-all stops exits": (Mode.HALT_ALL, Side.SELL, End.HALTED),
}


@pytest.mark.parametrize("case", FOLLOWER_HALTS)
@pytest.mark.parametrize("sends", [0, 1], ids=["before the first send", "before the next try"])
async def test_a_follower_who_halts_is_heard_before_every_send(clock: Clock, case: str, sends: int) -> None:
    """Placed already, and not at the venue yet: his own mode counts as the engine's does."""
    mode, side, end = FOLLOWER_HALTS[case]
    async with open_rig() as rig:
        await rig.hold()

        def halt(point: str) -> None:
            if point == "place: durable" and not sends:
                _halt_follower(rig, mode)

        rig.execution.at = halt
        rig.executor.on_send = lambda order: _halt_follower(rig, mode)
        rig.executor.script = ["refuse connection"] * sends
        assert (await rig.end_of(buy(side=side)))[0][0] is end
        assert len(rig.executor.sent) == sends + (end is End.FILLED)
        assert rig.open_orders() == []


@pytest.mark.parametrize("case", FOLLOWER_HALTS)
async def test_a_follower_who_halts_is_heard_before_an_order_is_sent_again(clock: Clock, case: str) -> None:
    """The request was lost, he was halted, and then the venue proves that it has nothing: only what may go now goes again."""
    mode, side, end = FOLLOWER_HALTS[case]
    async with open_rig() as rig:
        await rig.hold()
        task = buy(side=side, deadline=NOW + 600)
        await lose_request(rig, task)
        _halt_follower(rig, mode)
        prove_absence(rig)
        again = end is End.FILLED
        assert await rig.wait_ends(task) == [(End.FILLED, None) if again else (End.REJECTED, Code.NOT_SENT)]
        assert len(rig.executor.sent) == 1 + again


async def test_a_loss_cap_that_halts_is_heard_before_an_order_is_sent_again(clock: Clock) -> None:
    """Another entry is denied by the cap, which halts the follower: the one whose request was lost stays where it is."""
    async with open_rig(terms={"max_day_loss_usd": usd("1"), "on_breach": "halt"}) as rig:
        task = buy(deadline=NOW + 600)
        await lose_request(rig, task)
        _lose_elsewhere(rig)
        assert await rig.end_of(buy(2, token=9)) == [(End.DENIED, Code.LOSS_LIMIT)]
        prove_absence(rig)
        assert await rig.wait_ends(task) == [(End.REJECTED, Code.NOT_SENT)]
        assert len(rig.executor.sent) == 1


async def test_nothing_is_placed_while_the_lease_is_in_doubt(clock: Clock) -> None:
    """A store that is away for a moment is no other owner: what waited is copied once the lease is ours again."""
    async with open_rig(alone=False) as rig:
        rig.shard.until = rig.wall()
        await rig.take_in(buy())
        await trio.sleep(1)
        assert await rig.store.history.documents("order") == []
        rig.shard.extend(rig.wall() + 100)
        assert await rig.wait_ends(buy()) == [(End.FILLED, None)]


async def test_what_waits_for_a_lease_ends_in_time(clock: Clock) -> None:
    """Nobody renews it before the deadline: the task ends as too old, and was never placed."""
    async with open_rig(alone=False) as rig:
        task = buy(deadline=NOW + 5)
        rig.shard.until = rig.wall()
        assert await rig.end_of(task) == [(End.EXPIRED, Code.DEADLINE_PASSED)]
        assert rig.executor.sent == []
        assert await rig.store.history.documents("order") == []


@pytest.mark.parametrize("taken", [False, True])
async def test_what_was_placed_when_the_lease_ran_out_waits_for_it(clock: Clock, taken: bool) -> None:
    """It is sent only once a write under our own token has shown that nobody had the shard meanwhile."""
    async with open_rig(alone=False) as rig:
        shard = rig.shard

        def run_out(point: str) -> None:
            if point == "place: durable":
                shard.until = rig.wall()

        rig.execution.at = run_out
        await rig.take_in(buy())
        await trio.sleep(1)
        assert rig.executor.sent == []
        assert len(await rig.store.history.documents("order")) == 1
        if taken:
            await rig.store.accounts.take(0, shard.writer.token + 1)
        shard.extend(rig.wall() + 100)
        await trio.sleep(1)
        assert len(rig.executor.sent) == (0 if taken else 1)
        assert rig.holder.shards == ({} if taken else {0: shard})


async def test_what_is_learned_after_the_lease_is_lost_is_not_booked(clock: Clock) -> None:
    """While the order was at the venue, somebody else took the shard: he proves it, and books it once."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False) as first:
        first.executor.latency_s, task = 1.0, buy()
        await first.take_in(task)
        await trio.sleep(0.5)
        await first.store.control.release(first.lease)
        async with open_rig(open_store=books, owner="another", executor=first.executor) as second:
            await trio.sleep(2)
            assert first.recorder.finished == []
            assert await second.wait_ends(task) == [(End.FILLED, None)]
            assert Shares.parse(10) == second.position(task).shares
            # It has not noticed yet. The first thing that it wants to write tells it.
            assert first.holder.shards == {}
    assert len(first.executor.sent) == 1


async def test_a_shard_that_is_ours_again_takes_nothing_of_the_time_before(clock: Clock) -> None:
    """A task in hand when the shard was lost ends nowhere; met again by the new owner, which is we, it is sent once."""
    async with open_rig(alone=False, send_timeout_s=60.0) as rig:
        ask, task = _Market(rig.executor), buy(deadline=NOW + 60)
        rig.executor.market = ask
        await rig.take_in(task)
        await ask.asked.wait()
        rig.holder.lose(rig.shard, _lost())
        await rig.holder.begin(0, evolve(rig.lease, token=rig.lease.token + 1, until=NOW + LEASE_S))
        await rig.take_in(task)
        ask.answer.set()
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
        assert len(rig.lanes) == 0
    assert len(rig.executor.sent) == 1


async def test_a_task_that_was_just_taken_when_the_shard_was_lost_is_nobodys(clock: Clock) -> None:
    """Ours again before the worker began: what he took is of the time before, and its lane is free for the new one."""
    async with open_rig(alone=False, at_work=False) as rig:
        task = buy()
        await rig.take_in(task)
        old = rig.lanes.take_nowait()
        assert old is not None
        rig.holder.lose(rig.shard, _lost())
        await rig.holder.begin(0, evolve(rig.lease, token=rig.lease.token + 1, until=NOW + LEASE_S))
        await rig.carry_out(old)
        assert rig.executor.sent == []
        await rig.take_in(task)
        new = rig.lanes.take_nowait()
        assert new is not None
        await rig.carry_out(new)
        assert len(rig.executor.sent) == 1


async def test_an_order_in_flight_keeps_the_lane_of_the_shard_that_came_back(clock: Clock) -> None:
    """The lease was lost and won back while it was sent: until it is proven, nothing else is done in that token."""
    async with open_rig(alone=False) as rig:
        rig.executor.latency_s, rig.executor.hide = 1.0, True
        first, second = buy(1), buy(2, deadline=NOW + 60)
        await rig.take_in(first)
        await trio.sleep(0.5)
        rig.holder.lose(rig.shard, _lost())
        await rig.holder.begin(0, evolve(rig.lease, token=rig.lease.token + 1, until=NOW + LEASE_S))
        await rig.take_in(second)
        await trio.sleep(5)
        assert len(rig.executor.sent) == 1
        rig.executor.hide = False
        assert await rig.wait_ends(first, second) == [(End.FILLED, None)] * 2
        assert Shares.parse(20) == rig.position(first).shares


async def test_what_an_earlier_owner_placed_is_proven_and_never_sent_again(clock: Clock) -> None:
    """Provably not at the venue, and still in time: after a takeover it ends all the same."""
    books = on_memory()
    async with open_rig(open_store=books, at_work=False) as rig:
        task = buy(deadline=NOW + 600)
        rig.executor.script = ["lose request"]
        await rig.take_in(task)
        queued = await rig.lanes.take()
        assert queued is not None
        await rig.carry_out(queued)
        await rig.shard.writer.flush()
    await trio.sleep(1)
    async with open_rig(open_store=books) as rig:
        prove_absence(rig)
        assert await rig.wait_ends(task) == [(End.REJECTED, Code.NOT_SENT)]
        assert rig.executor.sent == []
        assert rig.open_cost() == NO_USD


async def test_what_a_person_settled_meanwhile_is_not_sent_again(clock: Clock) -> None:
    """The venue proves its absence slowly; while it is asked, somebody writes the outcome down by hand."""
    async with open_rig() as rig:
        rig.executor.script, task = ["lose request"], buy(deadline=NOW + 600)
        report = prove_absence(rig, after_s=1.5)
        await rig.take_in(task)
        await trio.sleep(2)
        (order,) = rig.open_orders()
        filled = report(order.order, shares=order.order.shares)
        rig.shard.act(task.follower, _answer(order.order, filled))
        await trio.sleep(10)
        assert Shares.parse(10) == rig.position(task).shares
    assert len(rig.executor.sent) == 1


async def test_two_signals_of_one_token_are_two_orders(clock: Clock) -> None:
    """Identity is the signal, not the wish: the same wish twice is carried out twice."""
    async with open_rig() as rig:
        assert await rig.end_of(buy(1), buy(2)) == [(End.FILLED, None)] * 2
        assert make_signal(1).signal_id != make_signal(2).signal_id
        assert Shares.parse(20) == rig.position(buy()).shares
        await rig.take_in(buy(1))
        await trio.testing.wait_all_tasks_blocked()
    assert len(rig.executor.sent) == 2


async def test_a_follower_who_was_removed_trades_no_more(clock: Clock) -> None:
    """His task still waits when he is taken from the book; there is no wallet to send it from."""
    async with open_rig(at_work=False) as rig:
        task = buy()
        await rig.take_in(task)
        rig.book.terms = evolve(rig.book.terms, followers=evolve(rig.book.terms.followers, named={}))
        queued = await rig.lanes.take()
        assert queued is not None
        await rig.carry_out(queued)
        assert await rig.wait_ends(task) == [(End.SKIPPED, Code.NOT_FOLLOWED)]


def _lost() -> LeaseLost:
    return LeaseLost("the lease ran out")


def _answer(order: Order, report: ExecutionReport) -> Answer:
    return Answer(key=order.key, report=report, at=NOW)


async def lose_request(rig: Rig, task: CopyTask) -> None:
    """Let a task's request be lost on its way to a venue that knows nothing of it, and does not say so yet."""
    rig.executor.script, rig.executor.hide = ["lose request"], True
    await rig.take_in(task)
    await trio.sleep(5)
    assert [one.state for one in rig.open_orders()] == [OrderState.UNKNOWN]


def prove_absence(rig: Rig, after_s: float = 0.0) -> Any:
    """Let the venue swear, after a while, that what it does not know never arrived, nor will."""

    def report(order: Order, shares: Shares = NO_SHARES) -> ExecutionReport:
        status, notional = (
            (Status.FILLED, shares.at(order.limit_price, Rounding.DOWN)) if shares else (Status.ABSENT, NO_USD)
        )
        return ExecutionReport(order_id=order.order_id, status=status, shares=shares, notional=notional)

    async def find(order: Order) -> ExecutionReport:
        await trio.sleep(after_s)
        return rig.executor.filled.get(order.order_id) or report(order)

    rig.executor.find = find
    return report
