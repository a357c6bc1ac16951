"""From a lease to a recorded end: what may be sent, when, how often, and what is written down about it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.builders import NOW, make_follow, make_signal, make_task, usd
from tests.harness import Recorder
from tests.plugins.test_conformance import open_memory
from trio_copy.clock import wall_clock_from
from trio_copy.config import EngineSettings
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.execution import Execution
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.reconciler import Reconciler
from trio_copy.engine.shards import Everything, Ownership
from trio_copy.engine.workers import WorkerGroup
from trio_copy.entropy import seeded_entropy
from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.follows import Follower, Followers, TermsOfFollows
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.orders import Order
from trio_copy.model.units import Shares
from trio_copy.ports import Store
from trio_copy.testing.conformance import StoreTerms
from trio_copy.testing.samples import sample_entry
from trio_copy.testing.scripted import ScriptedExecutor

Clock = trio.testing.MockClock


@define(eq=False)
class Desk:
    """A worker group with a scripted venue, without a chain in front of it."""

    store: Store
    executor: ScriptedExecutor
    recorder: Recorder
    group: WorkerGroup
    reconciler: Reconciler

    async def admit(self, *tasks: CopyTask) -> None:
        for task in tasks:
            await self.store.inbox.admit(task.signal, [task], None)

    async def run_to_end(self, *tasks: CopyTask) -> list[tuple[str, End, Code | None]]:
        """Admit tasks, wait until each has an end, and return (follower, end, code) in that order."""
        await self.admit(*tasks)
        await self.recorder.wait_until(lambda: len(self.recorder.finished) >= len(tasks))
        return self.ends()

    def ends(self) -> list[tuple[str, End, Code | None]]:
        return [
            (f.task.follower, f.outcome.end, f.outcome.reason.code if f.outcome.reason else None)
            for f in self.recorder.finished
        ]


class Shared(Everything):
    """An engine that owns everything, on a store that others use as well."""

    shared = True


@asynccontextmanager
async def open_desk(
    *,
    workers: int = 4,
    open_store: Any = open_memory,
    mode: Mode = Mode.RUN,
    terms: dict[str, Any] | None = None,
    ownership: Ownership | None = None,
    **engine: Any,
) -> AsyncGenerator[Desk, None]:
    wall = wall_clock_from(NOW)
    settings = EngineSettings(workers=workers, **{"send_timeout_s": 2.0, "reconcile_every_s": 1.0, **engine})
    recorder, executor = Recorder(), ScriptedExecutor()
    names = ("alice", "bob", "carol")
    followers = Followers({FollowerId(name): Follower(follower=FollowerId(name), executor="sim") for name in names})
    book = FollowBook(TermsOfFollows(followers=followers))
    book.replace_all(make_follow(name, **{"sell": "sized", **(terms or {})}) for name in names)
    change = ModeChange(mode=mode, why="test", at=NOW)
    async with open_store(StoreTerms(wall=wall)) as store, trio.open_nursery() as nursery:
        execution = Execution(
            name="sim",
            owner="me",
            executor=executor,
            store=store,
            book=book,
            catalog=Catalog(),
            settings=settings,
            mode=ModeBoard(Modes(version=1, by_scope={ENGINE: change})),
            wall=wall,
            entropy=seeded_entropy(1),
            observer=recorder,
            ownership=ownership or Everything(),
        )
        group = WorkerGroup(execution=execution, workers=workers)
        reconciler = Reconciler(
            settlements=execution.settlements,
            store=store,
            groups={"scripted": group, "sim": group},
            settings=settings,
            observer=recorder,
            wall=wall,
        )

        async def reconcile() -> None:
            while True:
                await trio.sleep(settings.reconcile_every_s)
                await reconciler.look()

        nursery.start_soon(reconcile)
        await nursery.start(group.run)
        yield Desk(store, executor, recorder, group, reconciler)
        group.drain()
        nursery.cancel_scope.cancel()


def task(
    number: int = 1, follower: str = "alice", *, side: Side = Side.BUY, token: int = 7, **changes: Any
) -> CopyTask:
    made = make_task(make_signal(number, side=side, token_id=TokenId(token)), follower)
    return evolve(made, **changes)


async def test_a_filled_order_is_booked_and_settled(clock: Clock) -> None:
    """One send, one booking, one end; nothing stays open."""
    async with open_desk() as desk:
        assert await desk.run_to_end(task()) == [("alice", End.FILLED, None)]
        (position,) = (await desk.store.ledger.positions()).values()
        assert Shares.parse(10) == position.shares
        assert await desk.store.journal.unresolved() == ()
    assert len(desk.executor.sent) == 1


@pytest.mark.parametrize(
    ("script", "end", "code", "sends", "filled"),
    [
        (["reject"], End.REJECTED, Code.VENUE_REFUSED, 1, 0),
        (["kill"], End.KILLED, Code.NO_FILL, 1, 0),
        (["refuse connection"], End.FILLED, None, 2, 1),
        (["refuse connection"] * 3, End.REJECTED, Code.NOT_SENT, 3, 0),
        (["lose reply"], End.FILLED, None, 1, 1),
        (["hang"], End.FILLED, None, 1, 1),
        (["lose request"], End.ESCALATED, Code.OUTCOME_UNPROVEN, 1, 0),
    ],
)
async def test_each_outcome_of_a_send_ends_as_it_must(
    clock: Clock, script: list[str], end: End, code: Code | None, sends: int, filled: int
) -> None:
    """Refusals end at once, doubt is reconciled by the order's own id, and no doubt is ever resolved by a resend."""
    limits = {"max_day_usd": usd("100")}
    async with open_desk(terms=limits) as desk:
        desk.executor.script = list(script)
        assert [("alice", end, code)] == await desk.run_to_end(task())
        used = await desk.store.limits.used(FollowerId("alice"), "follower:alice:day:2025-11-24")
        assert (end in (End.FILLED, End.ESCALATED)) == bool(used)
    assert (sends, filled) == (len(desk.executor.sent), len(desk.executor.filled))
    assert len({order.body for order in desk.executor.sent}) == 1


async def test_an_unproven_outcome_keeps_its_reservation_and_its_lane(clock: Clock) -> None:
    """Until the truth is known, the money stays reserved and nothing else is done in that token."""
    limits = {"max_day_usd": usd("6")}
    async with open_desk(terms=limits) as desk:
        desk.executor.script, desk.executor.hide = ["lose reply"], True
        await desk.admit(task(1), task(2))
        await trio.testing.wait_all_tasks_blocked()
        await desk.admit(task(3, token=8))
        await trio.sleep(3)
        assert desk.ends() == [("alice", End.DENIED, Code.CAP_REACHED)]
        assert desk.reconciler.unknown == 1
        desk.executor.hide = False
        await desk.recorder.wait_until(lambda: len(desk.recorder.finished) == 3)
    assert desk.ends()[1:] == [("alice", End.FILLED, None), ("alice", End.DENIED, Code.CAP_REACHED)]
    assert len(desk.executor.sent) == 1


async def test_nothing_is_sent_after_its_deadline(clock: Clock) -> None:
    """A task that waited too long expires unsent, with its age and its limit."""
    async with open_desk(workers=1) as desk:
        desk.executor.latency_s = 1.5
        tasks = [task(number, token=number, deadline=NOW + 2.9) for number in range(1, 6)]
        ends = await desk.run_to_end(*tasks)
    assert [end for _, end, _ in ends] == [End.FILLED, End.FILLED] + [End.EXPIRED] * 3
    assert len(desk.executor.sent) == 2
    reason = desk.recorder.finished[-1].outcome.reason
    assert reason is not None
    assert (reason.code, reason.limit) == (Code.DEADLINE_PASSED, "2.9")


@pytest.mark.parametrize(
    ("mode", "buy", "sell"),
    [
        (Mode.RUN, End.FILLED, End.FILLED),
        (Mode.REDUCE_ONLY, End.HALTED, End.FILLED),
        (Mode.HALT_NEW, End.HALTED, End.HALTED),
        (Mode.HALT_ALL, End.HALTED, End.HALTED),
    ],
)
async def test_a_mode_stops_entries_before_exits(clock: Clock, mode: Mode, buy: End, sell: End) -> None:
    """A pause blocks entries only; a halt blocks both, and says so."""
    async with open_desk(mode=mode) as desk:
        await _hold(desk, "carol")
        ends = await desk.run_to_end(task(1), task(2, "carol", side=Side.SELL))
    assert {"alice": buy, "carol": sell} == {follower: end for follower, end, _ in ends}


async def _hold(desk: Desk, follower: str, shares: str = "50") -> None:
    """Give a follower a position copied from the leader."""
    made = task(900, follower)
    entry = evolve(sample_entry(made), shares=Shares.parse(shares))
    assert (await desk.store.ledger.book(entry)).first


async def test_an_exit_sells_at_most_what_was_copied(clock: Clock) -> None:
    """Shares copied from another leader, or bought by hand, are not ours to sell."""
    async with open_desk() as desk:
        await _hold(desk, "alice", "4")
        ends = await desk.run_to_end(task(1, side=Side.SELL), task(2, "bob", side=Side.SELL))
    assert {("alice", End.FILLED, None), ("bob", End.DENIED, Code.NOTHING_TO_SELL)} == set(ends)
    assert [Shares.parse(4)] == [order.shares for order in desk.executor.sent]


async def test_a_budget_is_shared_by_everything_in_flight(clock: Clock) -> None:
    """Ten entries race for a budget of three; exactly three are sent and the refusals name the setting."""
    limits = {"max_day_usd": usd("16")}
    async with open_desk(workers=10, terms=limits) as desk:
        desk.executor.latency_s = 1
        ends = await desk.run_to_end(*(task(number, token=number) for number in range(1, 11)))
        finished = desk.recorder.finished
    assert 3 == len(desk.executor.sent) == [end for _, end, _ in ends].count(End.FILLED)
    refusals = {f.outcome.reason.control for f in finished if f.outcome.reason}
    assert {"caps.max_day_usd"} == refusals


async def test_a_closed_market_is_refused_with_its_reason(clock: Clock) -> None:
    """The venue's own word for why a token cannot be traded reaches the record."""
    async with open_desk() as desk:
        desk.executor.closed = "resolved"
        assert await desk.run_to_end(task()) == [("alice", End.REJECTED, Code.VENUE_REFUSED)]
        reason = desk.recorder.finished[0].outcome.reason
    assert reason is not None
    assert reason.value == "resolved"


async def test_one_token_of_one_follower_is_traded_in_order(clock: Clock) -> None:
    """A lane never has two orders in flight, however many workers are free; other lanes do not wait for it."""
    async with open_desk(workers=8) as desk:

        def on_send(order: Order) -> None:
            assert order.account.follower != "alice" or not any(
                o.account.follower == "alice" and o.order_id not in desk.executor.filled
                for o in desk.executor.sent[:-1]
            )

        desk.executor.on_send, desk.executor.latency_s = on_send, 0.5
        tasks = [task(number, deadline=NOW + 100) for number in range(1, 6)]
        await desk.run_to_end(*tasks, task(6, "bob", deadline=NOW + 100))
    sent = [order.key for order in desk.executor.sent if order.account.follower == "alice"]
    assert [made.key for made in tasks] == sent
    assert "bob" in {order.account.follower for order in desk.executor.sent[:3]}


async def test_one_hung_venue_call_holds_one_lane_only(clock: Clock) -> None:
    """A follower whose order hangs does not delay ninety-nine others."""
    async with open_desk(workers=4) as desk:
        desk.executor.script = ["hang"]
        await desk.admit(task(1, "alice"), task(2, "alice"))
        await trio.testing.wait_all_tasks_blocked()
        await desk.admit(*(task(10 + n, "bob", token=100 + n) for n in range(20)))
        await trio.sleep(1)
        assert len(desk.recorder.finished) == 20
        assert {"bob"} == {f.task.follower for f in desk.recorder.finished}


async def test_a_task_that_was_lost_is_abandoned_and_reported(clock: Clock) -> None:
    """When somebody else owns the task by now, its end is theirs to record; a person is told."""
    async with open_desk(ownership=Shared()) as desk:

        def steal(order: Order) -> None:
            inbox: Any = desk.store.inbox
            for leased in inbox._leased.values():
                leased.owner = "somebody else"

        desk.executor.on_send = steal
        await desk.admit(task())
        await desk.recorder.wait_until(lambda: bool(desk.recorder.alerts))
    assert "lease-lost" in dict(desk.recorder.alerts)
    assert desk.recorder.finished == []


async def test_leases_of_slow_tasks_are_renewed(clock: Clock) -> None:
    """What is still being worked on is not given out a second time."""
    async with open_desk(send_timeout_s=100.0) as desk:
        desk.executor.latency_s = 40
        await desk.admit(task(deadline=NOW + 100))
        for _ in range(8):
            await trio.sleep(5)
            await desk.group.renew_leases()
            await desk.store.inbox.expire(NOW + trio.current_time())
        await desk.recorder.wait_until(lambda: len(desk.recorder.finished) == 1)
    assert len(desk.executor.sent) == 1


async def test_a_bug_in_an_executor_stops_the_group(clock: Clock) -> None:
    """An exception outside the contract is not retried around: it ends the service."""
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError), flatten_subgroups=True):
        async with open_desk() as desk:
            desk.executor.script = [ZeroDivisionError("plugin bug")]
            await desk.admit(task())
            await trio.sleep_forever()


@pytest.mark.parametrize("step", ["fill", "lose reply", "hang", "reject"])
@pytest.mark.parametrize("cancel_after_s", [0.0, 0.01, 0.5, 1.0, 1.5])
async def test_cancelling_anywhere_loses_nothing_and_sends_nothing_twice(
    clock: Clock, step: str, cancel_after_s: float
) -> None:
    """A cancelled worker either never sent, or the journal and the venue agree on what was sent."""
    async with open_desk() as desk:
        desk.executor.script, desk.executor.latency_s = [step], 1.0
        execution = desk.group.execution
        desk.group.drain()
        made = task()
        with trio.move_on_after(cancel_after_s):
            await execution.run(made)
        unresolved = {entry.order.key for entry in await desk.store.journal.unresolved()}
        sent = {order.key for order in desk.executor.sent}
        booked = (await desk.store.ledger.positions()).values()
        assert len(desk.executor.sent) <= 1
        # What filled at the venue is booked, or still open in the journal for the reconciler.
        for report in desk.executor.filled.values():
            assert booked or sent <= unresolved, report
        if not sent:
            assert not booked


async def test_drain_finishes_what_is_queued(clock: Clock) -> None:
    """A drain starts nothing new but ends everything that was admitted."""
    async with open_desk(workers=2) as desk:
        desk.executor.latency_s = 0.1
        await desk.admit(*(task(n, token=n, deadline=NOW + 60) for n in range(1, 21)))
        desk.group.drain()
        await desk.recorder.wait_until(lambda: len(desk.recorder.finished) == 20)
    assert {End.FILLED} == {end for _, end, _ in desk.ends()}


async def test_a_proof_after_the_escalation_mends_the_books_only(clock: Clock) -> None:
    """The task has ended for a person to look at; when the venue answers at last, the fill is booked, nothing ends twice."""
    async with open_desk(escalate_after_s=5.0) as desk:
        desk.executor.script, desk.executor.hide = ["lose reply"], True
        assert await desk.run_to_end(task(1)) == [("alice", End.ESCALATED, Code.OUTCOME_UNPROVEN)]
        desk.executor.hide = False
        await desk.recorder.wait_until(lambda: "outcome-proven-late" in dict(desk.recorder.alerts))
        (position,) = (await desk.store.ledger.positions()).values()
        assert Shares.parse(10) == position.shares
        assert await desk.store.journal.unresolved() == ()
    assert len(desk.recorder.finished) == 1


async def test_shares_of_an_unproven_exit_are_not_sold_again(clock: Clock) -> None:
    """An exit whose outcome nobody knows may have sold them; the next one must not, even after the escalation."""
    async with open_desk(escalate_after_s=3.0) as desk:
        await _hold(desk, "alice", "10")
        desk.executor.script, desk.executor.hide = ["lose reply"], True
        await desk.run_to_end(task(1, side=Side.SELL))
        await desk.admit(task(2, side=Side.SELL, deadline=NOW + 60))
        await desk.recorder.wait_until(lambda: len(desk.recorder.finished) == 2)
        assert desk.ends()[-1][2] == Code.NOTHING_TO_SELL
        desk.executor.hide = False
        await desk.recorder.wait_until(lambda: "outcome-proven-late" in dict(desk.recorder.alerts))
    assert len(desk.executor.sent) == 1


async def test_a_busy_lane_does_not_starve_the_others(clock: Clock) -> None:
    """Many tasks behind one hung order leave room for everybody else's."""
    async with open_desk(workers=2) as desk:
        desk.executor.script = ["hang"]
        await desk.admit(*(task(number, deadline=NOW + 60) for number in range(1, 12)))
        await trio.testing.wait_all_tasks_blocked()
        await desk.admit(*(task(100 + n, "bob", token=n) for n in range(5)))
        await trio.sleep(0.5)
        assert sum(follower == "bob" for follower, _, _ in desk.ends()) == 5


async def test_a_lease_that_came_back_during_a_stall_is_not_worked_twice(clock: Clock) -> None:
    """When the whole process stood still for longer than a lease, a task under way is neither sent nor ended twice."""
    async with open_desk(send_timeout_s=100.0) as desk:
        desk.executor.latency_s = 20
        await desk.admit(task(deadline=NOW + 100))
        await trio.sleep(15)
        await desk.store.inbox.expire(NOW + 15)
        await desk.recorder.wait_until(lambda: len(desk.recorder.finished) == 1)
        await trio.sleep(50)
    assert (len(desk.executor.sent), len(desk.recorder.finished)) == (1, 1)
