"""The execution protocol on the real dry-run venue: every answer it can give, on both stores, and what comes of each."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.builders import NOW, make_follow, make_signal, make_task, usd
from tests.harness import Recorder
from tests.plugins.test_conformance import open_memory, open_sqlite
from trio_copy.clock import wall_clock_from
from trio_copy.config import EngineSettings
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.execution import Execution
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.reconciler import Reconciler
from trio_copy.engine.workers import WorkerGroup
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import OrderUncertain, UnresolvedOrders
from trio_copy.model.control import Mode, Modes, follower_scope
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.orders import ExecutionReport, JournalState, Order, Status
from trio_copy.model.positions import EMPTY, Position
from trio_copy.model.units import NO_SHARES, Shares
from trio_copy.ports import ExecutorContext, Store
from trio_copy.registry import discover
from trio_copy.testing.conformance import StoreTerms
from trio_copy.testing.samples import sample_entry

Clock = trio.testing.MockClock
STORES = pytest.mark.parametrize("open_store", [open_memory, open_sqlite])


@define(eq=False)
class Venue:
    """A worker group in front of the simulated venue, with reconciling and housekeeping."""

    store: Store
    recorder: Recorder
    group: WorkerGroup
    reconciler: Reconciler
    mode: ModeBoard
    nursery: trio.Nursery

    async def end_of(self, *tasks: CopyTask) -> list[tuple[End, Code | None]]:
        """Admit tasks one by one and return how they ended, by task."""
        for task in tasks:
            await self.store.inbox.admit(task.signal, [task], None)
        wanted = {task.task_id for task in tasks}
        await self.recorder.wait_until(lambda: wanted <= {one.task.task_id for one in self.recorder.finished})
        ends = {one.task.task_id: one.outcome for one in self.recorder.finished}
        return [
            (ends[task.task_id].end, reason.code if (reason := ends[task.task_id].reason) else None) for task in tasks
        ]

    async def position(self, task: CopyTask) -> Position:
        return await self.store.ledger.position((task.follower, task.signal.leader, task.intent.token_id))

    async def settled(self) -> None:
        """Wait until every order has ended."""
        with trio.fail_after(600):
            while await self.store.journal.unresolved():  # noqa: ASYNC110  virtual time
                await trio.sleep(1)


@asynccontextmanager
async def open_venue(
    open_store: Any = open_memory, *, terms: dict[str, Any] | None = None, at_work: bool = True, **venue: Any
) -> AsyncGenerator[Venue, None]:
    wall = wall_clock_from(NOW)
    settings = EngineSettings(send_timeout_s=2.0, reconcile_every_s=1.0, startup_reconcile_s=30.0, deadline_s=600.0)
    plugin = discover().executor("dry-run")
    options = {"latency_jitter_ms": 0, "partial_bps": 0, "slippage_bps": 0, "prove_absence_s": 10.0, **venue}
    context = ExecutorContext(name="sim", settings=plugin.settings(**options), wall=wall, quotes=None)
    followers = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")})
    book = FollowBook(TermsOfFollows(followers=followers))
    book.replace_all([make_follow("alice", **(terms or {})), make_follow("bob", **(terms or {}))])
    recorder, mode = Recorder(), ModeBoard(Modes(version=0, by_scope={}))
    async with (
        open_store(StoreTerms(wall=wall, lease_s=60.0)) as store,
        plugin.open(context) as executor,
        trio.open_nursery() as nursery,
    ):
        execution = Execution(
            name="sim",
            owner="me",
            executor=executor,
            store=store,
            book=book,
            catalog=Catalog(),
            settings=settings,
            mode=mode,
            wall=wall,
            entropy=seeded_entropy(1),
            observer=recorder,
        )
        group = WorkerGroup(execution=execution, workers=4)
        reconciler = Reconciler(
            settlements=execution.settlements,
            store=store,
            groups={"sim": group},
            settings=settings,
            observer=recorder,
            wall=wall,
        )

        async def keep_house() -> None:
            while True:
                await trio.sleep(1)
                await reconciler.look()
                await group.expire_parked()
                await group.renew_leases()
                await reconciler.expire()
                mode.modes = await store.control.modes()

        nursery.start_soon(keep_house)
        if at_work:
            await nursery.start(group.run)
        yield Venue(store, recorder, group, reconciler, mode, nursery)
        nursery.cancel_scope.cancel()


def buy(number: int = 1, follower: str = "alice", *, side: Side = Side.BUY, token: int = 7, **changes: Any) -> CopyTask:
    signal = make_signal(number, side=side, token_id=TokenId(token))
    return evolve(make_task(signal, follower, deadline=NOW + 600), **changes)


@STORES
@pytest.mark.parametrize(
    ("fault", "end", "code", "filled"),
    [
        ((), End.FILLED, None, True),
        (("not-sent",), End.FILLED, None, True),
        (("lose-request",), End.FILLED, None, True),
        (("lose-reply",), End.FILLED, None, True),
        (("late",), End.FILLED, None, True),
        (("duplicated",), End.FILLED, None, True),
        (("server-error",), End.FILLED, None, True),
        (("reject",), End.REJECTED, Code.VENUE_REFUSED, False),
        (("kill",), End.KILLED, Code.NO_FILL, False),
        (("settle-fail",), End.FILLED, None, False),
    ],
)
async def test_each_answer_of_the_venue_has_one_outcome(
    clock: Clock, open_store: Any, fault: tuple[str, ...], end: End, code: Code | None, *, filled: bool
) -> None:
    """The task ends as it must, the ledger holds what really happened, and nothing stays reserved or open."""
    async with open_venue(open_store, faults=fault, late_s=5.0, settle_s=3.0) as venue:
        task = buy()
        assert await venue.end_of(task) == [(end, code)]
        await venue.settled()
        position = await venue.position(task)
        assert bool(position.lots) == filled
        assert (position.firm_shares == task.intent.shares) == filled
        assert await venue.store.limits.used(FollowerId("alice"), "open:alice") == position.cost.micro
        assert await venue.store.limits.used(FollowerId("alice"), "open:alice:positions") == (
            1_000_000 if filled else 0
        )
    alerts = dict(venue.recorder.alerts)
    assert ("settlement-failed" in alerts) == ("settle-fail" in fault)


@STORES
async def test_a_partial_fill_is_an_end(clock: Clock, open_store: Any) -> None:
    """What was filled is booked, the rest is not chased; fill-or-kill takes all or nothing."""
    async with open_venue(open_store, partial_bps=10_000) as venue:
        task = buy()
        assert await venue.end_of(task) == [(End.PARTIAL, None)]
        assert NO_SHARES < (await venue.position(task)).shares < task.intent.shares
    async with open_venue(open_store, partial_bps=10_000) as venue:
        task = buy()
        whole = evolve(task, intent=evolve(task.intent, order_type="FOK"))
        assert await venue.end_of(whole) == [(End.KILLED, Code.NO_FILL)]


@STORES
async def test_a_new_attempt_needs_the_proof_that_the_one_before_filled_nothing(clock: Clock, open_store: Any) -> None:
    """A killed order may be followed by another one; an unproven one never is."""
    async with open_venue(open_store, terms={"attempts": 3}, faults=("kill",)) as venue:
        task = buy()
        assert await venue.end_of(task) == [(End.KILLED, Code.NO_FILL)]
        assert len(await venue.store.journal.of_task(task.follow, task.task_id)) == 3
        assert await venue.store.limits.used(FollowerId("alice"), "open:alice") == 0
    async with open_venue(open_store, terms={"attempts": 3}, faults=("lose-reply",), late_s=5.0) as venue:
        assert await venue.end_of(task) == [(End.FILLED, None)]
        assert len(await venue.store.journal.of_task(task.follow, task.task_id)) == 1


@STORES
async def test_small_entries_wait_until_together_they_are_enough(clock: Clock, open_store: Any) -> None:
    """Three copies of 40 cents are one order of 1.20; the first two went out in the third one's."""
    wishes = {"minimum_policy": "accumulate", "minimum_usd": usd("1"), "accumulate_s": 100.0}
    async with open_venue(open_store, terms=wishes) as venue:
        small = [
            evolve(task, gathers=True, intent=evolve(task.intent, shares=Shares.parse("0.8")))
            for task in (buy(number) for number in (1, 2, 3, 4))
        ]
        ends = await venue.end_of(*small[:3])
        assert sorted(end.value for end, _ in ends) == ["filled", "gathered", "gathered"]
        assert Shares.parse("2.4") == (await venue.position(small[0])).shares
        await venue.store.inbox.admit(small[3].signal, [small[3]], None)
        await venue.recorder.wait_until(lambda: len(venue.recorder.finished) == 4)
        outcome = venue.recorder.finished[-1].outcome
        assert (outcome.end, outcome.reason and outcome.reason.code) == (End.SKIPPED, Code.NEVER_ENOUGH)


@STORES
@pytest.mark.parametrize(
    ("wish", "control"),
    [
        ({"max_token_usd": usd("6")}, "caps.max_token_usd"),
        ({"max_market_usd": usd("6")}, "caps.max_market_usd"),
        ({"max_event_usd": usd("6")}, "caps.max_event_usd"),
        ({"max_leader_usd": usd("6")}, "caps.max_leader_usd"),
        ({"max_exposure_usd": usd("6")}, "caps.max_exposure_usd"),
        ({"max_leader_day_usd": usd("6")}, "caps.max_leader_day_usd"),
        ({"max_orders_per_minute": 1}, "caps.max_orders_per_minute"),
        ({"entry": "first"}, "filters.entry"),
    ],
)
async def test_each_cap_stops_the_second_entry(
    clock: Clock, open_store: Any, wish: dict[str, Any], control: str
) -> None:
    """Five dollars fit, ten do not; the refusal names the cap."""
    async with open_venue(open_store, terms=wish) as venue:
        first, second = await venue.end_of(buy(1), buy(2))
        assert first == (End.FILLED, None)
        assert second[0] is End.DENIED
        reason = venue.recorder.finished[-1].outcome.reason
        assert reason is not None
        assert reason.control == control


@STORES
async def test_the_number_of_positions_is_capped_and_an_exit_makes_room(clock: Clock, open_store: Any) -> None:
    """A second token is refused while the first is held, more of the first is not, and selling it frees the place."""
    async with open_venue(open_store, terms={"max_positions": 1, "sell": "all"}) as venue:
        assert await venue.end_of(buy(1)) == [(End.FILLED, None)]
        assert (await venue.end_of(buy(2, token=8), buy(3)))[0] == (End.DENIED, Code.CAP_REACHED)
        everything = buy(4, side=Side.SELL)
        assert await venue.end_of(evolve(everything, intent=evolve(everything.intent, sell="all"))) == [
            (End.FILLED, None)
        ]
        assert await venue.end_of(buy(5, token=8)) == [(End.FILLED, None)]


@STORES
async def test_an_exit_gives_open_cost_back(clock: Clock, open_store: Any) -> None:
    """After selling half, half of the open cost is free again."""
    async with open_venue(open_store) as venue:
        task = buy()
        await venue.end_of(task)
        half = evolve(buy(2, side=Side.SELL))
        sale = evolve(half, intent=evolve(half.intent, sell="proportional", leader_shares=Shares.parse(50)))
        await venue.store.inbox.admit(sale.signal, [sale], None)
        await venue.recorder.wait_until(lambda: len(venue.recorder.finished) == 2)
        position = await venue.position(task)
        assert Shares.parse(5) == position.shares
        assert await venue.store.limits.used(FollowerId("alice"), "open:alice") == position.cost.micro


@STORES
@pytest.mark.parametrize(
    ("action", "mode", "sells"),
    [("stop-buying", Mode.RUN, True), ("close-only", Mode.REDUCE_ONLY, True), ("halt", Mode.HALT_ALL, False)],
)
async def test_a_loss_stops_entries_and_what_it_stops_is_chosen(
    clock: Clock, open_store: Any, action: str, mode: Mode, *, sells: bool
) -> None:
    """After ten dollars lost: entries are denied with both numbers; the follower's mode is what on_breach says."""
    async with open_venue(
        open_store, terms={"max_day_loss_usd": usd("10"), "on_breach": action, "sell": "all"}
    ) as venue:
        held = evolve(sample_entry(buy(100)), booked_at=NOW, shares=Shares.parse(40), notional=usd("20"))
        await venue.store.ledger.book(held)
        await venue.store.ledger.book(
            evolve(held, key="loss", side=Side.SELL, shares=Shares.parse(30), notional=usd("5"))
        )
        assert await venue.end_of(buy(1)) == [(End.DENIED, Code.LOSS_LIMIT)]
        reason = venue.recorder.finished[0].outcome.reason
        assert reason is not None
        assert (reason.value, reason.limit) == ("10", "10")
        await trio.sleep(2)
        assert (await venue.store.control.modes()).of(follower_scope("alice")).mode is mode
        await venue.store.inbox.admit(buy(2, side=Side.SELL).signal, [buy(2, side=Side.SELL)], None)
        await venue.recorder.wait_until(lambda: len(venue.recorder.finished) == 2)
        assert (venue.recorder.finished[1].outcome.end is End.FILLED) == sells


@STORES
async def test_a_start_settles_what_an_earlier_run_left_open(clock: Clock, open_store: Any) -> None:
    """An order that may have been sent is looked up before anything is traded; its task then ends by what was found."""
    async with open_venue(open_store) as venue:
        task = buy()
        executor = venue.group.execution.executor
        order = executor.prepare(
            task.key,
            task.intent,
            Follower(follower=FollowerId("alice"), executor="sim").account,
            await executor.market(TokenId(7)),
        )
        await venue.store.journal.freeze(order, task)
        await venue.store.journal.mark(task.follow, order.key, JournalState.SENDING)
        await executor.submit(order)
        assert await venue.reconciler.settle_earlier_run() == 1
        assert await venue.store.journal.unresolved() == ()
        assert Shares.parse(10) == (await venue.position(task)).shares
        assert await venue.end_of(evolve(task, again=True)) == [(End.FILLED, None)]
        assert Shares.parse(10) == (await venue.position(task)).shares


@STORES
async def test_a_start_refuses_to_arm_when_nobody_can_prove_an_outcome(clock: Clock, open_store: Any) -> None:
    """The venue knows nothing and cannot swear that nothing will come: a person has to look."""
    async with open_venue(open_store, prove_absence_s=3600.0, venue_file="/dev/null") as venue:
        task = buy()
        executor = venue.group.execution.executor
        order = executor.prepare(
            task.key,
            task.intent,
            Follower(follower=FollowerId("alice"), executor="sim").account,
            await executor.market(TokenId(7)),
        )
        await venue.store.journal.freeze(order, task)
        await venue.store.journal.mark(task.follow, order.key, JournalState.SENDING)
        with pytest.raises(UnresolvedOrders) as caught:
            await venue.reconciler.settle_earlier_run()
    assert order.order_id in str(caught.value)
    assert "settle them by hand" in str(caught.value)


@STORES
async def test_entries_that_do_not_fit_together_wait_in_peace(clock: Clock, open_store: Any) -> None:
    """Two copies of 40 cents each, a minimum of 60 and a cap of 70: neither is sent, both end after their time."""
    wishes = {
        "minimum_policy": "accumulate",
        "minimum_usd": usd("0.6"),
        "max_order_usd": usd("0.7"),
        "accumulate_s": 30.0,
    }
    async with open_venue(open_store, terms=wishes) as venue:
        small = [
            evolve(task, gathers=True, intent=evolve(task.intent, shares=Shares.parse("0.8")))
            for task in (buy(1), buy(2))
        ]
        assert await venue.end_of(*small) == [(End.SKIPPED, Code.NEVER_ENOUGH)] * 2


@STORES
async def test_doubt_about_a_settlement_confirms_nothing(clock: Clock, open_store: Any) -> None:
    """A venue that answers "unknown" has not said that a fill is firm."""
    async with open_venue(open_store, settle_s=20.0) as venue:
        task = buy()
        await venue.end_of(task)
        executor: Any = venue.group.execution.executor
        find, answers = executor.find, [Status.UNKNOWN, Status.ABSENT]

        async def unsure(order: Order) -> Any:
            await trio.lowlevel.checkpoint()
            return ExecutionReport(order_id=order.order_id, status=answers.pop()) if answers else await find(order)

        venue.group.execution.executor = _Asked(executor, unsure)
        await trio.sleep(5)
        assert not answers
        assert (await venue.position(task)).firm_shares == NO_SHARES
        await venue.settled()
        assert (await venue.position(task)).firm_shares == task.intent.shares


@STORES
async def test_a_second_send_in_doubt_stays_in_doubt(clock: Clock, open_store: Any) -> None:
    """Proven absent, sent again, and no answer: that is a doubt again, not a refusal; the fill is found in the end."""
    async with open_venue(open_store, faults=("lose-request",), prove_absence_s=3.0) as venue:
        executor: Any = venue.group.execution.executor
        submit, sends = executor.submit, []

        async def lossy(order: Order) -> Any:
            sends.append(order.body)
            report = await submit(order)
            if len(sends) == 2:
                raise OrderUncertain("the second answer was lost")
            return report

        venue.group.execution.executor = _Asked(executor, executor.find, lossy)
        task = buy()
        assert await venue.end_of(task) == [(End.FILLED, None)]
        assert len(sends) == 2
        assert len(set(sends)) == 1
        assert (await venue.position(task)).shares == task.intent.shares


async def test_what_waits_behind_a_stuck_order_expires_and_starves_nobody(clock: Clock) -> None:
    """Entries behind an unproven order end at their deadline; an exit of somebody else is not held up by them."""
    async with open_venue(faults=("lose-request",), faults_bps=10_000, prove_absence_s=3000.0) as venue:
        await venue.store.inbox.admit(buy(0).signal, [buy(0)], None)
        await trio.sleep(3)
        for number in range(1, 100):
            late = buy(number, deadline=NOW + 8)
            await venue.store.inbox.admit(late.signal, [late], None)
        await trio.sleep(20)
        ends = [one.outcome.end for one in venue.recorder.finished]
        assert ends == [End.EXPIRED] * 99


@STORES
async def test_an_exit_that_never_settled_counts_as_missed(clock: Clock, open_store: Any) -> None:
    """He sold half, our sale was undone on the chain: when he sells the other half, all that we still hold goes."""
    async with open_venue(open_store, terms={"sell": "proportional"}, settle_s=3.0) as venue:
        task = buy()
        await venue.end_of(task)
        await venue.settled()

        def exit_of(number: int) -> CopyTask:
            made = buy(number, side=Side.SELL)
            signal = evolve(made.signal, shares=Shares.parse(50))
            intent = evolve(made.intent, sell="proportional", leader_shares=Shares.parse(50))
            return evolve(made, signal=signal, intent=intent)

        executor: Any = venue.group.execution.executor
        executor.settings = evolve(executor.settings, faults=("settle-fail",))
        await venue.end_of(exit_of(2))
        await venue.settled()
        assert Shares.parse(10) == (await venue.position(task)).shares
        executor.settings = evolve(executor.settings, faults=())
        await venue.end_of(exit_of(3))
        assert not (await venue.position(task)).lots


class _Asked:
    """An executor some of whose answers a test gives itself."""

    def __init__(self, executor: Any, find: Any, submit: Any = None) -> None:
        self._executor, self.find = executor, find
        self.submit = submit or executor.submit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)


@STORES
async def test_nothing_is_held_back_after_a_missed_exit(clock: Clock, open_store: Any) -> None:
    """He sold half and we could not; when he sells the other half, everything goes."""
    async with open_venue(open_store, faults=("kill",), faults_bps=0) as venue:
        task = buy()
        await venue.end_of(task)

        def exit_of(number: int, **changes: Any) -> CopyTask:
            made = buy(number, side=Side.SELL, **changes)
            return evolve(made, intent=evolve(made.intent, sell="proportional", leader_shares=Shares.parse(50)))

        late = exit_of(2, deadline=NOW - 1)
        await venue.store.inbox.admit(late.signal, [late], None)
        await venue.recorder.wait_until(lambda: len(venue.recorder.finished) == 2)
        assert venue.recorder.finished[1].outcome.end is End.EXPIRED
        last = exit_of(3)
        await venue.store.inbox.admit(last.signal, [last], None)
        await venue.recorder.wait_until(lambda: len(venue.recorder.finished) == 3)
        assert (await venue.position(task)).shares == EMPTY.shares
