"""Entries that rest at the venue: what comes behind them, exits first, why they are called off, restarts, and the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, LEADER, NOW, make_follow, usd
from tests.engine.rig import OpenStore, Rig, Venue, buy, on_memory, on_sqlite, open_rig, sell
from trio_copy.accounts import commands as c
from trio_copy.accounts.budgets import day_of
from trio_copy.engine.people.requests import call_off, carry_out
from trio_copy.errors import ExecutorError, OrderUncertain
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes, leader_scope
from trio_copy.model.decisions import Code, CopyTask, End, Reason, Skip
from trio_copy.model.follows import EVERYBODY, Follower, Followers
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.resolutions import Resolution
from trio_copy.model.units import Price, Shares

Clock = trio.testing.MockClock
REST_S = 400


def resting(number: int = 1, **changes: Any) -> CopyTask:
    """An entry whose order may rest for some minutes."""
    task = buy(number, **changes)
    return evolve(task, intent=evolve(task.intent, order_type="GTC", rest_until=int(NOW) + REST_S))


def leaving(number: int = 50, **changes: Any) -> CopyTask:
    task = sell(number, **{"deadline": NOW + 500, **changes})
    return evolve(task, intent=evolve(task.intent, sell="all", leader_shares=Shares.parse(100)))


def venue_of(rig: Rig) -> Venue:
    assert isinstance(rig.executor, Venue)
    return rig.executor


async def rests(rig: Rig, task: CopyTask, filled: str = "0") -> Order:
    """Let a task's order rest, with so many shares filled."""
    venue = venue_of(rig)
    venue.script.append("rest")
    await rig.take_in(task)
    with trio.fail_after(60):
        await trio.lowlevel.checkpoint()
        while task.key not in [order.key for order in venue.sent if order.order_id in venue.filled]:  # noqa: ASYNC110
            await trio.sleep(0.1)
    order = venue.sent[-1]
    if Shares.parse(filled):
        venue.grow(order, Shares.parse(filled))
    return order


async def test_what_it_fills_is_a_position_before_it_ends(clock: Clock) -> None:
    """It is learned at a calm pace, told, and nobody doubts the rest; it ends once, as a whole."""
    task = resting()
    async with open_rig() as rig:
        order = await rests(rig, task)
        before = rig.open_cost()
        venue_of(rig).grow(order, Shares.parse(4))
        await trio.sleep(10)
        assert rig.position(task).shares == Shares.parse(4)
        assert (rig.reconciler.unknown, rig.reconciler.resting, rig.open_cost()) == (0, 1, before)
        assert [entry.shares for entry in rig.recorder.entries] == [Shares.parse(4)]
        assert rig.recorder.steps.count("rests") == 2
        venue_of(rig).grow(order, order.shares, Status.FILLED)
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
        assert [entry.shares for entry in rig.recorder.entries] == [Shares.parse(4), Shares.parse(6)]
        assert rig.recorder.alerts == []


async def test_the_venue_is_asked_at_a_calm_pace(clock: Clock) -> None:
    """Every second something is looked at; an order that rests, not more than every five."""
    asked: list[float] = []
    async with open_rig() as rig:
        await rests(rig, resting())
        find = venue_of(rig).find

        async def counted(order: Order) -> ExecutionReport | None:
            asked.append(trio.current_time())
            return await find(order)

        venue_of(rig).find = counted  # type: ignore[method-assign]
        await trio.sleep(60)
        assert 10 <= len(asked) <= 12


async def test_the_next_entry_does_not_wait_behind_it(clock: Clock) -> None:
    first, second = resting(1), buy(2)
    async with open_rig() as rig:
        await rests(rig, first)
        assert await rig.end_of(second) == [(End.FILLED, None)]
        assert len(rig.open_orders()) == 1


EXITS: dict[str, tuple[str, str, Code]] = {
    # what it has filled, what the exit sells of it and the ten that were held before, and why it ends
    "nothing filled": ("0", "10", Code.LEADER_LEFT),
    "filled in part": ("4", "14", Code.LEADER_LEFT),
}


@pytest.mark.parametrize("how", EXITS)
async def test_an_exit_calls_it_off_and_sells_what_came_of_it_at_once(clock: Clock, how: str) -> None:
    """No share is sold twice, none stays behind, and nobody waits for the lifetime of the entry."""
    filled, sells, code = EXITS[how]
    entry, leave = resting(), leaving()
    async with open_rig() as rig:
        await rig.hold()
        order = await rests(rig, entry, filled)
        began = trio.current_time()
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        assert trio.current_time() - began < 0.5
        assert venue_of(rig).called_off == [order]
        assert venue_of(rig).sent[-1].shares == Shares.parse(sells)
        assert rig.position(leave).shares == Shares(0)
        (end,) = await rig.wait_ends(entry)
        assert end == ((End.PARTIAL, None) if filled != "0" else (End.KILLED, code))


async def test_an_exit_waits_while_nobody_proves_what_came_of_it_and_no_worker_with_it(clock: Clock) -> None:
    """Its lane is closed, others go on, and as soon as it is proven the exit goes out."""
    entry, leave, elsewhere = resting(), leaving(), buy(3, token=8)
    async with open_rig(workers=1) as rig:
        await rig.hold()
        venue = venue_of(rig)
        order = await rests(rig, entry, "4")
        venue.deaf = True
        await rig.take_in(leave)
        await trio.sleep(3)
        assert rig.reconciler.unknown == 1
        assert [one.key for one in venue.sent] == [order.key]
        assert await rig.end_of(elsewhere) == [(End.FILLED, None)]
        venue.grow(order, Shares.parse(5))  # still open there, and filled further
        await trio.sleep(3)
        venue.deaf = False
        assert await rig.wait_ends(leave, entry) == [(End.FILLED, None), (End.PARTIAL, None)]
        assert venue.sent[-1].shares == Shares.parse(15)
        assert rig.position(leave).shares == Shares(0)


async def test_one_that_nobody_can_call_off_is_handed_to_a_person_and_holds_nothing_up(clock: Clock) -> None:
    """After the usual time a person is asked; its lane opens, and what it holds stays held."""
    entry = resting()
    async with open_rig(escalate_after_s=20.0) as rig:
        await rig.hold()
        await rests(rig, entry, "4")
        venue_of(rig).deaf = True
        late = leaving(50, deadline=NOW + 10)
        assert await rig.end_of(late) == [(End.EXPIRED, Code.DEADLINE_PASSED)]
        assert await rig.wait_ends(entry) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        assert await rig.end_of(leaving(51)) == [(End.FILLED, None)]
        assert [one.unproven for one in rig.open_orders()] == [True]


def _person_pauses(rig: Rig, task: CopyTask) -> None:
    paused = ModeChange(mode=Mode.HALT_NEW, why="told to", at=NOW)
    rig.mode.modes = Modes(version=2, by_scope={leader_scope(task.signal.leader): paused})


def _engine(mode: Mode) -> Callable[[Rig, CopyTask], None]:
    def change(rig: Rig, task: CopyTask) -> None:
        rig.mode.modes = Modes(version=2, by_scope={ENGINE: ModeChange(mode=mode, why="told to", at=NOW)})

    return change


def _follower_halts(rig: Rig, task: CopyTask) -> None:
    rig.shard.act(task.follower, c.SetMode(mode=Mode.REDUCE_ONLY, why="lost", at=NOW))


def _follow_is_paused(rig: Rig, task: CopyTask) -> None:
    rig.book.put(make_follow(task.follower, task.signal.leader, status="paused"))


def _follow_goes(rig: Rig, task: CopyTask) -> None:
    rig.book.remove(make_follow(task.follower, task.signal.leader))


def _reorg(rig: Rig, task: CopyTask) -> None:
    rig.shard.met.meet(task.signal, NOW, whole=True)
    assert rig.shard.met.retract(task.signal, NOW) == task.signal.signal_id


def _loses(rig: Rig, task: CopyTask) -> None:
    rig.book.put(make_follow(task.follower, task.signal.leader, max_day_loss_usd=usd("1")))
    lost = Performance().after(usd("0") - usd("2"), day_of(NOW))
    rig.account().performance = lost


def _is_decided(rig: Rig, task: CopyTask) -> None:
    token = task.intent.token_id
    rig.shard.catalog.put([TokenFacts(token_id=token, condition_id="0xc0")])
    rig.shard.resolved.note(Resolution(condition_id="0xc0", payouts=(0, 1), block_number=10))


def _trades_elsewhere(rig: Rig, task: CopyTask) -> None:
    followers = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="other")})
    rig.book.terms = evolve(rig.book.terms, followers=followers)


def _goes_blind(rig: Rig, task: CopyTask) -> None:
    blind = Reason(code=Code.ENTRIES_HALTED, control="watchdog", value="red", limit="green")
    rig.mode.halted = lambda: blind


def _drains(rig: Rig, task: CopyTask) -> None:
    rig.reconciler.rules.draining = True


CALLED_OFF: dict[str, tuple[Callable[[Rig, CopyTask], None], Code, float]] = {
    "a person pauses the leader": (_person_pauses, Code.FOLLOW_PAUSED, 3),
    "no new entries": (_engine(Mode.HALT_NEW), Code.MODE_FORBIDS, 3),
    "reduce only": (_engine(Mode.REDUCE_ONLY), Code.MODE_FORBIDS, 3),
    "everything halts": (_engine(Mode.HALT_ALL), Code.MODE_FORBIDS, 3),
    "the follower is halted": (_follower_halts, Code.MODE_FORBIDS, 3),
    "the follow is paused": (_follow_is_paused, Code.FOLLOW_PAUSED, 3),
    "the follow is gone": (_follow_goes, Code.NOT_FOLLOWED, 3),
    "a reorg takes the signal back": (_reorg, Code.RETRACTED, 3),
    "a loss cap is broken": (_loses, Code.LOSS_LIMIT, 3),
    "the chain is out of sight": (_goes_blind, Code.ENTRIES_HALTED, 35),
    "its question is decided": (_is_decided, Code.QUESTION_DECIDED, 3),
    "the follower trades elsewhere": (_trades_elsewhere, Code.EXECUTOR_CHANGED, 3),
    "the engine drains": (_drains, Code.DRAINED, 3),
    "its time is over": (lambda rig, task: None, Code.NO_FILL, REST_S + 3),
}


@pytest.mark.parametrize("why", CALLED_OFF)
async def test_what_forbids_an_entry_calls_it_off(clock: Clock, why: str) -> None:
    """At the next look, not at the end of its time: cancelled at the venue, proven, and its end says why."""
    happens, code, within_s = CALLED_OFF[why]
    task = resting()
    async with open_rig() as rig:
        order = await rests(rig, task)
        if within_s < REST_S:
            await trio.sleep(60)
            assert venue_of(rig).called_off == []
        happens(rig, task)
        with trio.fail_after(within_s):
            assert await rig.wait_ends(task) == [(End.KILLED, code)]
        assert venue_of(rig).called_off == [order]
        assert rig.open_orders() == []


async def test_a_reorg_that_takes_one_of_several_calls_their_order_off(clock: Clock) -> None:
    """They went out as one, and no part of it can be taken off: nothing is bought for a trade that never was."""
    tasks = [evolve(resting(number), aggregates=True, not_before=NOW + 1) for number in (1, 2)]
    async with open_rig(terms={"aggregate_s": 1.0}) as rig:
        for task in tasks:
            rig.shard.met.meet(task.signal, NOW, whole=True)
        venue_of(rig).script.append("rest")
        await rig.take_in(*tasks)
        await trio.sleep(10)
        (open_order,) = rig.open_orders()
        assert open_order.members == (tasks[1].task_id,)
        assert venue_of(rig).called_off == []
        assert rig.shard.met.retract(tasks[1].signal, NOW) == tasks[1].signal.signal_id
        with trio.fail_after(3):
            assert await rig.wait_ends(tasks[0]) == [(End.KILLED, Code.RETRACTED)]
        assert venue_of(rig).called_off == [open_order.order]


async def test_a_reorg_that_is_over_lets_their_order_rest(clock: Clock) -> None:
    """What was retracted and mined again before anybody looked is in the chain."""
    tasks = [evolve(resting(number), aggregates=True, not_before=NOW + 1) for number in (1, 2)]
    async with open_rig(terms={"aggregate_s": 1.0}) as rig:
        venue_of(rig).script.append("rest")
        await rig.take_in(*tasks)
        await trio.sleep(10)
        for task in tasks:
            rig.shard.met.meet(task.signal, NOW, whole=True)
            rig.shard.met.retract(task.signal, NOW)
            rig.shard.met.meet(task.signal, NOW, whole=True)
        assert rig.shard.met.retracted == set()
        await trio.sleep(10)
        assert venue_of(rig).called_off == []


async def test_a_short_halt_by_a_watchdog_lets_it_rest(clock: Clock) -> None:
    """What passes by itself, passes."""
    async with open_rig() as rig:
        await rests(rig, resting())
        for _ in range(3):
            _goes_blind(rig, resting())
            await trio.sleep(20)
            rig.mode.halted = lambda: None
            await trio.sleep(5)
        assert venue_of(rig).called_off == []


async def test_nothing_rests_at_an_executor_that_cannot_call_it_off(clock: Clock) -> None:
    """It is refused before it is placed."""
    async with open_rig() as rig:
        rig.execution.executor.rests = False
        assert await rig.end_of(resting()) == [(End.REJECTED, Code.VENUE_REFUSED)]
        assert venue_of(rig).sent == []


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return on_memory() if request.param == "memory" else on_sqlite(tmp_path)


RESTARTS: dict[str, tuple[Callable[[Venue, Order], object], str, bool]] = {
    # what happens while nobody watches, what is held afterwards, and whether it rests on
    "it rests on": (lambda venue, order: None, "4", True),
    "it filled further": (lambda venue, order: venue.grow(order, Shares.parse(7)), "7", True),
    "it was filled": (lambda venue, order: venue.grow(order, order.shares, Status.FILLED), "10", False),
    "it ended in part": (lambda venue, order: venue.grow(order, Shares.parse(4), Status.PARTIAL), "4", False),
    "the venue has it no more": (
        lambda venue, order: venue.filled.update(
            {order.order_id: ExecutionReport(order_id=order.order_id, status=Status.ABSENT)}
        ),
        "4",
        False,
    ),
    "nobody answers": (lambda venue, order: setattr(venue, "hide", True), "4", True),
}


@pytest.mark.parametrize("how", RESTARTS)
async def test_a_restart_asks_for_what_rests_and_goes_on(clock: Clock, open_store: OpenStore, how: str) -> None:
    """It is known, so that it holds no start up; what came of it meanwhile is in the books before anything is traded."""
    happens, held, rests_on = RESTARTS[how]
    task, venue = resting(), Venue(name="sim")
    async with open_rig(open_store=open_store, executor=venue) as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        assert rig.position(task).shares == Shares.parse(4)
    happens(venue, order)
    async with open_rig(open_store=open_store, executor=venue, at_work=False) as rig:
        began = trio.current_time()
        assert await rig.reconciler.settle_earlier_run() == 1
        assert trio.current_time() - began < 5
        assert rig.position(task).shares == Shares.parse(held)
        assert [one.rests for one in rig.open_orders()] == ([True] if rests_on else [])
        assert rig.shard.grants._days == {} or sum(day.held for day in rig.shard.grants._days.values()) >= 0
        await rig.take_in(task)  # its signal is read again, and changes nothing
        assert rig.lanes.take_nowait() is None
        assert len(venue.sent) == 1


async def test_what_turns_out_to_rest_is_not_handed_to_a_person(clock: Clock) -> None:
    """However long nobody could say it: its reply was lost, the process died, and it was there all the time."""
    store, task, venue = on_memory(), resting(), Venue(name="sim")
    venue.script.append(OrderUncertain("the reply was lost"))
    async with open_rig(open_store=store, executor=venue) as rig:
        await rig.take_in(task)
        await trio.sleep(5)
        assert [one.unproven for one in rig.open_orders()] == [True]
    await trio.sleep(100)
    venue.grow(venue.sent[0], Shares.parse(3))
    async with open_rig(open_store=store, executor=venue, escalate_after_s=20.0) as rig:
        await trio.sleep(10)
        assert [(one.rests, one.ended) for one in rig.open_orders()] == [(True, False)]
        assert await rig.end_of(leaving()) == [(End.FILLED, None)]
        assert rig.position(task).shares == Shares(0)


async def test_what_a_person_was_asked_about_and_rests_after_all_is_called_off_by_an_exit(clock: Clock) -> None:
    """No exit of ours meets an entry of ours; where the venue is deaf then, a person is asked again, and the lane opens."""
    task = resting()
    async with open_rig(escalate_after_s=20.0) as rig:
        venue = venue_of(rig)
        await rig.hold()
        venue.script.append(OrderUncertain("the reply was lost"))
        assert await rig.end_of(task) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        order = venue.sent[-1]
        venue.grow(order, Shares.parse(3))
        await trio.sleep(10)
        assert [(one.rests, one.ended) for one in rig.open_orders()] == [(True, True)]
        venue.deaf = True
        assert await rig.end_of(leaving(50, deadline=rig.wall() + 10)) == [(End.EXPIRED, Code.DEADLINE_PASSED)]
        await trio.sleep(20)
        assert [kind for kind, _ in rig.recorder.alerts].count("outcome-unproven") == 2
        assert await rig.end_of(leaving(51)) == [(End.FILLED, None)]
        venue.deaf = False
        await trio.sleep(3)
        assert {one.key for one in venue.called_off} == {order.key}
        assert rig.open_orders() == []


async def test_one_that_lies_while_it_rests_is_handed_over_as_late_as_any_other(clock: Clock) -> None:
    """It rested for long and was known: from the lie on there is the usual time, in which a person sees the alert."""
    task = resting()
    async with open_rig(escalate_after_s=20.0) as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(100)
        venue_of(rig).filled[order.order_id] = ExecutionReport(
            order_id=order.order_id, status=Status.RESTING, shares=Shares.parse(5), notional=usd("500")
        )
        await trio.sleep(15)
        assert [one.breached for one in rig.open_orders()] == [True]
        assert rig.recorder.finished == []
        began = trio.current_time()
        assert await rig.wait_ends(task) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        assert 5 < trio.current_time() - began < 15


async def test_the_same_bytes_are_never_sent_again_once_it_rested(clock: Clock) -> None:
    """Even where the venue swears that it has it no more: what it filled, it filled."""
    task = resting(deadline=NOW + 500)
    async with open_rig() as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        venue_of(rig).filled[order.order_id] = ExecutionReport(order_id=order.order_id, status=Status.ABSENT)
        assert await rig.wait_ends(task) == [(End.PARTIAL, None)]
        assert venue_of(rig).sent == [order]
        assert rig.position(task).shares == Shares.parse(4)


async def test_an_older_answer_is_no_contradiction(clock: Clock) -> None:
    """The reconciler's question was answered before the exit's, and comes back after it."""
    entry, leave = resting(), leaving()
    async with open_rig() as rig:
        order = await rests(rig, entry, "2")
        await trio.sleep(10)
        venue = venue_of(rig)
        find, first = venue.find, [True]

        async def slow(order: Order) -> ExecutionReport | None:
            report = await find(order)
            if first:
                first.clear()
                await trio.sleep(1.5)
            return report

        venue.find = slow  # type: ignore[method-assign]
        while first:  # noqa: ASYNC110  virtual time
            await trio.sleep(0.1)
        venue.grow(order, Shares.parse(5))
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        assert venue.sent[-1].shares == Shares.parse(5)
        await trio.sleep(5)
        assert rig.recorder.alerts == []
        assert rig.position(leave).shares == Shares(0)


@pytest.mark.parametrize("answer", [ExecutorError("away"), ValueError("odd"), None], ids=["away", "breaks", "hangs"])
async def test_a_venue_that_does_not_take_it_off_is_asked_again(clock: Clock, answer: Exception | None) -> None:
    """Whatever `cancel` does, the engine goes on, tells it, and tries again."""
    task = resting()
    async with open_rig() as rig:
        await rests(rig, task)
        venue = venue_of(rig)
        cancel = venue.cancel

        async def odd(order: Order) -> None:
            if answer is None:
                await trio.sleep_forever()
            else:
                await trio.lowlevel.checkpoint()
                raise answer

        venue.cancel = odd  # type: ignore[method-assign]
        _follow_goes(rig, task)
        await trio.sleep(20)
        assert rig.recorder.alerts != []
        assert [one.called_off is not None for one in rig.open_orders()] == [True]
        venue.cancel = cancel  # type: ignore[method-assign]
        assert await rig.wait_ends(task) == [(End.KILLED, Code.NOT_FOLLOWED)]


async def test_a_lie_about_it_ends_what_is_believed_of_it(clock: Clock) -> None:
    """It is called off at the venue, its lane stays closed, and a person decides about the rest."""
    task = resting()
    async with open_rig() as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        report = venue_of(rig).filled[order.order_id]
        venue_of(rig).filled[order.order_id] = evolve(report, shares=Shares.parse(6), notional=usd("900"))
        await trio.sleep(10)
        (one,) = rig.open_orders()
        assert (one.breached, one.unproven, rig.reconciler.unknown) == (True, True, 1)
        assert venue_of(rig).called_off
        assert rig.position(task).shares == Shares.parse(4)


async def test_the_day_of_all_accounts_counts_what_it_used_and_holds_the_rest(clock: Clock) -> None:
    """Before and after a restart, and nothing is left held once it ended."""
    store, venue, task = on_memory(), Venue(name="sim"), resting()
    async with open_rig(open_store=store, executor=venue, max_day_usd=usd("100")) as rig:
        order = await rests(rig, task, "4")
        await trio.sleep(10)
        (day,) = rig.shard.grants._days.values()
        cost = usd("2.04")
        assert (day.spent, day.held) == (cost.micro, usd("5.1").micro - cost.micro)
    async with open_rig(open_store=store, executor=venue, max_day_usd=usd("100")) as rig:
        (day,) = rig.shard.grants._days.values()
        assert (day.spent, day.held) == (cost.micro, usd("5.1").micro - cost.micro)
        venue.grow(order, Shares.parse(5), Status.PARTIAL)
        assert await rig.wait_ends(task) == [(End.PARTIAL, None)]
        assert (day.spent, day.held) == (usd("2.55").micro, 0)


async def test_a_sale_that_is_heard_of_too_late_still_calls_off(clock: Clock) -> None:
    """After a gap, or a restart: it is too late to sell with the leader, and not to stop buying after him."""
    parked = buy(3, deadline=NOW + 500)
    async with open_rig() as rig:
        await rests(rig, resting(1, deadline=NOW + 500))
        rig.shard.act(ALICE, c.Park(task=parked, at=NOW))
        leave = leaving(50)
        late = Reason(code=Code.TOO_OLD, control="filters.max_age_s", value="20", limit="5")
        skip = Skip(signal_id=leave.signal.signal_id, follower=ALICE, leader=LEADER, reason=late)
        rig.shard.take_in(leave.signal, (), (skip,))
        await trio.sleep(10)
        assert len(venue_of(rig).called_off) == 1
        reasons = [one.outcome.reason for one in rig.recorder.finished]
        assert [reason and reason.code for reason in reasons] == [Code.LEADER_LEFT] * 2


async def test_an_exit_calls_off_all_that_rests_at_once(clock: Clock) -> None:
    """Twenty entries, and a venue that takes a fifth of a second for each answer: the exit is sold long before its deadline."""
    async with open_rig() as rig:
        await rig.hold()
        venue = venue_of(rig)
        for number in range(100, 120):
            await rests(rig, resting(number, deadline=NOW + 500))
        find = venue.find

        async def slow(order: Order) -> ExecutionReport | None:
            await trio.sleep(0.2)
            return await find(order)

        venue.find = slow  # type: ignore[method-assign]
        began = trio.current_time()
        ((end, _),) = await rig.end_of(leaving(50, deadline=rig.wall() + 5))
        assert end is End.FILLED
        assert trio.current_time() - began < 1


async def test_what_rests_of_others_holds_no_exit_up(clock: Clock) -> None:
    """A hundred orders rest at a venue that answers slowly; one exit cannot call off at once, and is sold soon all the same."""
    async with open_rig() as rig:
        await rig.hold()
        venue = venue_of(rig)
        for number in range(100, 200):
            await rests(rig, resting(number, follower="bob", token=number, deadline=NOW + 500))
        await rests(rig, resting(deadline=NOW + 500))
        find, cancel, failed = venue.find, venue.cancel, list[Order]()

        async def slow(order: Order) -> ExecutionReport | None:
            await trio.sleep(0.3)
            return await find(order)

        async def fail_once(order: Order) -> None:
            if not failed:
                failed.append(order)
                raise ExecutorError("503, once")
            await cancel(order)

        venue.find, venue.cancel = slow, fail_once  # type: ignore[method-assign]
        await trio.sleep(20)
        began = trio.current_time()
        await rig.end_of(leaving(50, deadline=rig.wall() + 300))
        assert failed
        assert trio.current_time() - began < 5


@pytest.mark.parametrize(("bid", "peak", "called_off"), [("0.99", "4.8", False), ("0.1", "0", True)])
async def test_a_drawdown_by_mark_counts_what_is_held(clock: Clock, bid: str, peak: str, called_off: bool) -> None:
    """Up as never before, nothing is wrong; far down, what rests is called off as a new entry would be denied."""
    async with open_rig(terms={"max_drawdown_usd": usd("2"), "drawdown_by": "mark"}) as rig:
        await rig.hold()
        await rests(rig, resting(1, token=8, deadline=NOW + 500))
        account = rig.account()
        account.performance = evolve(account.performance, worth_peak=usd(peak))
        rig.shard.marks.note((ALICE, LEADER, TokenId(7)), Price.parse(bid), rig.wall())
        await trio.sleep(10)
        assert bool(venue_of(rig).called_off) is called_off


async def test_a_watchdog_that_halted_long_ago_is_forgotten(clock: Clock) -> None:
    """Nothing rested when it was over: the next time it halts, half a minute counts anew."""
    one, two = resting(1, deadline=NOW + 900), resting(2, token=8, deadline=NOW + 900)
    async with open_rig() as rig:
        order = await rests(rig, one)
        _goes_blind(rig, one)
        await trio.sleep(10)
        venue_of(rig).grow(order, order.shares, Status.FILLED)
        await rig.wait_ends(one)
        rig.mode.halted = lambda: None
        await trio.sleep(100)
        await rests(rig, two)
        _goes_blind(rig, two)
        await trio.sleep(10)
        assert not venue_of(rig).called_off


def _takes_off(rig: Rig) -> None:
    """Let the venue say of what is called off that it is over, and count what it has filled later."""
    venue = venue_of(rig)

    async def cancel(order: Order) -> None:
        await trio.lowlevel.checkpoint()
        venue.called_off.append(order)
        before = venue.filled[order.order_id]
        if before.status is Status.RESTING:
            venue.filled[order.order_id] = evolve(before, off_book=True)

    venue.cancel = cancel  # type: ignore[method-assign]


async def test_an_exit_does_not_wait_until_what_it_called_off_is_counted(clock: Clock) -> None:
    """Off the book it can meet nothing. What turns out to have been filled is booked all the same, and a person hears of it."""
    first = resting()
    async with open_rig() as rig:
        await rig.hold("alice", number=900)
        order = await rests(rig, first)
        _takes_off(rig)
        began = trio.current_time()
        leave = leaving(decided_at=rig.wall())
        assert await rig.end_of(leave) == [(End.FILLED, None)]
        assert trio.current_time() - began < 1
        assert rig.position(leave).shares == Shares.parse(0)
        await trio.sleep(30)
        # What it holds stays held; it is in nobody's way, and not called off again and again.
        assert (rig.reconciler.unknown, rig.reconciler.resting, rig.open_cost()) == (0, 1, usd("5.1"))
        assert len(venue_of(rig).called_off) == 1
        assert await rig.end_of(buy(60, deadline=rig.wall() + 5)) == [(End.FILLED, None)]
        venue_of(rig).filled[order.order_id] = evolve(venue_of(rig).grow(order, Shares.parse(4)), off_book=True)
        await trio.sleep(10)
        assert rig.position(first).shares == Shares.parse(14)
        told = f"order {order.order_id} of alice: 4 shares more, filled before it ended"
        assert rig.recorder.alerts == [("outcome-proven-late", told)]
        venue_of(rig).grow(order, Shares.parse(4), Status.PARTIAL)
        assert await rig.wait_ends(first) == [(End.PARTIAL, None)]
        assert rig.open_orders() == []


async def test_what_is_off_the_book_and_never_counted_is_handed_over(clock: Clock) -> None:
    """Two minutes after that, and not after it was sent: a person looks, and may settle it."""
    first = resting()
    async with open_rig() as rig:
        order = await rests(rig, first)
        await trio.sleep(200)
        _takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(110)
        assert rig.recorder.finished == []
        assert await rig.wait_ends(first) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        assert [kind for kind, _ in rig.recorder.alerts] == ["outcome-unproven"]


async def test_a_restart_knows_what_is_off_the_book(clock: Clock, tmp_path: Path) -> None:
    """It holds nothing up then either: the next exit goes at once."""
    books = on_sqlite(tmp_path)
    first = resting()
    async with open_rig(open_store=books) as rig:
        await rig.hold("alice", number=900)
        order = await rests(rig, first)
        _takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(10)
        venue, cost = venue_of(rig), rig.open_cost()
    async with open_rig(open_store=books, executor=venue) as rig:
        venue.hide = True
        (left,) = rig.open_orders()
        assert (left.off_book, left.unproven, rig.open_cost()) == (True, False, cost)
        assert await rig.end_of(leaving(decided_at=rig.wall())) == [(End.FILLED, None)]


async def test_what_is_off_the_book_is_handed_over_two_minutes_after_it_filled_something_last(clock: Clock) -> None:
    """As long as more of it turns out to be filled, the venue is counting."""
    first = resting()
    async with open_rig() as rig:
        order = await rests(rig, first)
        _takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(100)
        venue_of(rig).filled[order.order_id] = evolve(venue_of(rig).grow(order, Shares.parse(4)), off_book=True)
        await trio.sleep(110)
        assert rig.recorder.finished == []
        await trio.sleep(20)
        assert rig.ends() == [("alice", End.ESCALATED, Code.OUTCOME_UNPROVEN)]


async def test_what_is_off_the_book_is_not_called_off(clock: Clock) -> None:
    """It rests no longer: it did not end because its time was over after that, and no person is asked about it twice."""
    first = resting()
    async with open_rig() as rig:
        order = await rests(rig, first)
        await trio.sleep(REST_S - 150)
        _takes_off(rig)
        await venue_of(rig).cancel(order)
        await trio.sleep(400)
        assert [kind for kind, _ in rig.recorder.alerts] == ["outcome-unproven"]
        (left,) = rig.open_orders()
        assert (left.called_off, left.off_book) == (None, True)
        asked = call_off("1", left.task.follower, order.key, rig.wall())
        assert "is off the book already" in carry_out(asked, rig.account("alice"), rig.wall())


async def test_what_is_on_the_book_again_is_called_off_before_an_exit(clock: Clock) -> None:
    """Also where a person was asked about it meanwhile: an order of ours must not meet another one of ours."""
    first = resting()
    async with open_rig() as rig:
        await rig.hold("alice", number=900)
        order = await rests(rig, first)
        venue = venue_of(rig)
        venue.filled[order.order_id] = evolve(venue.filled[order.order_id], off_book=True)
        assert await rig.wait_ends(first) == [(End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        venue.filled[order.order_id] = evolve(venue.filled[order.order_id], off_book=False)
        await trio.sleep(10)
        assert await rig.end_of(leaving(decided_at=rig.wall(), deadline=rig.wall() + 60)) == [(End.FILLED, None)]
        assert {one.order_id for one in venue.called_off} == {order.order_id}
