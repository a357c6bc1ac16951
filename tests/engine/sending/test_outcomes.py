"""Whatever becomes of a send: it is durable before it leaves, ends as it must, and what is not proven keeps what it holds."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import NOW, usd
from tests.engine.rig import buy, on_memory, on_sqlite, open_rig, sell
from trio_copy.accounts import OrderState
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, End, Reason
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.units import Shares
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
