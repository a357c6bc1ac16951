"""The execution protocol on the real dry-run venue: every answer it can give, on two stores, and what comes of each."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import NOW, usd
from tests.engine.rig import OpenStore, Rig, buy, on_memory, on_sqlite, open_rig, open_venue, sell
from trio_copy.accounts import OrderState
from trio_copy.accounts.commands import Answer, Offer
from trio_copy.engine.books.books import BOOKINGS
from trio_copy.errors import OrderUncertain, UnresolvedOrders
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.facts import FactQuery
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Status
from trio_copy.model.positions import EMPTY
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Shares, Usd

Clock = trio.testing.MockClock
LONG = NOW + 600


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """What opens a store; opened once more, it holds what it held."""
    return on_memory() if request.param == "memory" else on_sqlite(tmp_path)


def buying(number: int = 1, **changes: Any) -> CopyTask:
    """An entry with all the time in the world."""
    return buy(number, **{"deadline": LONG, **changes})


def selling(number: int, **wish: Any) -> CopyTask:
    task = sell(number, deadline=LONG)
    return evolve(task, intent=evolve(task.intent, **wish))


def half(number: int) -> CopyTask:
    """An exit of a leader who sold half of what he had bought."""
    task = selling(number, sell="proportional", leader_shares=Shares.parse(50))
    return evolve(task, signal=evolve(task.signal, shares=Shares.parse(50)))


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
        (("stale-market",), End.REJECTED, Code.VENUE_REFUSED, False),
        (("kill",), End.KILLED, Code.NO_FILL, False),
        (("settle-fail",), End.FILLED, None, False),
    ],
)
async def test_each_answer_of_the_venue_has_one_outcome(
    clock: Clock, open_store: OpenStore, fault: tuple[str, ...], end: End, code: Code | None, *, filled: bool
) -> None:
    """The task ends as it must, the books hold what really happened, and nothing stays held or open."""
    async with open_venue(open_store, faults=fault, late_s=5.0, settle_s=3.0) as venue:
        task = buying()
        assert await venue.end_of(task) == [(end, code)]
        await venue.settled()
        position, exposure = venue.position(task), venue.account().exposure
        assert bool(position.lots) == filled
        assert (position.firm_shares == task.intent.shares) == filled
        assert venue.open_cost() == position.cost
        assert exposure.spots == int(filled)
        assert len(await venue.store.history.documents("position")) == int(filled)
        assert await venue.store.history.documents("order") == []
    alerts = dict(venue.recorder.alerts)
    assert ("settlement-failed" in alerts) == ("settle-fail" in fault)


async def test_what_settles_in_part_is_held_in_part(clock: Clock, open_store: OpenStore) -> None:
    """One trade of an order is undone, the rest settles: shares, budgets and what a person hears are those of the rest."""
    async with open_venue(open_store, faults=("settle-part",), settle_s=6.0, fee_bps=100) as venue:
        task = buying()
        assert await venue.end_of(task) == [(End.FILLED, None)]
        whole = venue.position(task).shares
        await trio.sleep(4)
        (order,) = venue.account().orders.values()
        assert (order.state, venue.position(task).firm_shares) == (OrderState.MATCHED, NO_SHARES)
        assert venue.position(task).shares == Shares(whole.micro * 7 // 10)
        await venue.settled()
        position = venue.position(task)
        assert position.firm_shares == position.shares == Shares(whole.micro * 7 // 10)
        assert venue.open_cost() == position.cost
        assert position.fees == Usd.parse("0.035")
        (sums,) = (await venue.store.history.sums(FactQuery(kinds=BOOKINGS), ())).values()
        assert sums[:4] == (1, 3_500_000, 0, 35_000)
    ((kind, told),) = venue.recorder.alerts
    assert (kind, told.partition(": ")[2]) == (
        "settlement-failed",
        "3 of 10 shares matched, never settled; taken back",
    )


async def test_a_higher_fee_than_was_told_counts_in_the_common_day(clock: Clock) -> None:
    """What was drawn for it is spent; nobody is told of a fee."""
    async with open_venue(settle_s=6.0, fee_bps=100) as venue:
        task, send = buying(), venue.executor.submit

        async def cheaper(order: Order) -> Any:
            return evolve(await send(order), fee=Usd.parse("0.04"))

        venue.execution.executor.inner = Asked(venue.executor, submit=cheaper)
        await venue.end_of(task)
        assert venue.position(task).cost == Usd.parse("5.04")
        await venue.settled()
        assert venue.position(task).cost == Usd.parse("5.05")
        (day,) = [body for _, body in venue.shard.grants.documents()]
        assert day[1] == 5_050_000
    assert not venue.recorder.alerts


class _NewTick:
    """A venue whose tick changes as the first order arrives; it says so as often as it is told to."""

    def __init__(self, refusals: int = 1, pause_s: float = 0.0) -> None:
        self.refusals, self.pause_s = refusals, pause_s
        self.sent: list[Order] = []
        self.ticks: list[Price] = []
        """By which orders were made."""
        self.tick = Price(1)

    def of(self, venue: Rig) -> "Asked":
        send = venue.executor.submit

        async def submit(order: Order) -> Any:
            self.sent.append(order)
            if len(self.sent) > self.refusals:
                return await send(order)
            self.tick = Price(10_000)
            await trio.sleep(self.pause_s)
            return ExecutionReport(order_id=order.order_id, status=Status.REJECTED, detail="tick", stale=True)

        async def market(token_id: TokenId) -> Any:
            return evolve(await venue.executor.market(token_id), tick=self.tick)

        def prepare(key: Any, intent: Any, wallet: Any, market: Market) -> Any:
            self.ticks.append(market.tick)
            return venue.executor.prepare(key, intent, wallet, market)

        return Asked(venue.executor, submit=submit, market=market, prepare=prepare)


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_stale_market_is_read_again_once(clock: Clock, open_store: OpenStore, attempts: int) -> None:
    """Refused for its tick, an order is made anew by the tick that holds now, whatever `execution.attempts` are."""
    for refusals, ends in ((1, (End.FILLED, None)), (2, (End.REJECTED, Code.VENUE_REFUSED))):
        async with open_venue(open_store, terms={"attempts": attempts}) as venue:
            changes = _NewTick(refusals)
            venue.execution.executor.inner = changes.of(venue)
            task = buying(refusals)
            assert await venue.end_of(task) == [ends]
            assert changes.ticks == [Price(1), Price(10_000)]
            assert len({order.key for order in changes.sent}) == len(changes.sent) == 2
            assert venue.open_cost() == venue.position(task).cost
            assert not venue.open_orders()


async def test_nothing_is_made_anew_after_its_deadline(clock: Clock) -> None:
    """The venue took its time to say that its tick had changed: too late for another order."""
    async with open_venue() as venue:
        changes = _NewTick(pause_s=0.9)
        venue.execution.executor.inner = changes.of(venue)
        assert await venue.end_of(buy(1, deadline=NOW + 0.5)) == [(End.REJECTED, Code.VENUE_REFUSED)]
        assert len(changes.sent) == 1


@pytest.mark.parametrize(
    ("left_s", "over_s", "told"),
    [(1.5, 1.5, []), (0.2, 1.0, []), (600.0, 2.0, ["executor-slow"])],
    ids=["deadline", "a second at least", "timeout"],
)
async def test_a_send_is_over_with_its_task(clock: Clock, left_s: float, over_s: float, told: list[str]) -> None:
    """Whoever repeats it knows until when; what may have left is looked up, and was filled once."""
    until: list[float] = []
    began = trio.current_time()
    async with open_venue() as venue:
        send = venue.executor.submit

        async def stubborn(order: Order) -> Any:
            until.append(trio.current_effective_deadline() - began)
            while True:
                await send(order)

        venue.execution.executor.inner = Asked(venue.executor, submit=stubborn)
        task = buy(1, deadline=NOW + left_s)
        assert await venue.end_of(task) == [(End.FILLED, None)]
        assert until == [pytest.approx(over_s)]
        assert venue.position(task).shares == task.intent.shares
        assert [kind for kind, _ in venue.recorder.alerts] == told


async def test_a_partial_fill_is_an_end(clock: Clock, open_store: OpenStore) -> None:
    """What was filled is booked, the rest is not chased; fill-or-kill takes all or nothing."""
    task = buying()
    async with open_venue(open_store, partial_bps=10_000) as venue:
        assert await venue.end_of(task) == [(End.PARTIAL, None)]
        assert NO_SHARES < venue.position(task).shares < task.intent.shares
    async with open_venue(open_store, partial_bps=10_000) as venue:
        other = buying(2)
        whole = evolve(other, intent=evolve(other.intent, order_type="FOK"))
        assert await venue.end_of(whole) == [(End.KILLED, Code.NO_FILL)]


async def test_a_new_attempt_needs_the_proof_that_the_one_before_filled_nothing(
    clock: Clock, open_store: OpenStore
) -> None:
    """A killed order may be followed by another one; an unproven one never is."""
    task = buying()
    async with open_venue(open_store, terms={"attempts": 3}, faults=("kill",)) as venue:
        sent = _count_sends(venue)
        assert await venue.end_of(task) == [(End.KILLED, Code.NO_FILL)]
        assert len(set(sent)) == len(sent) == 3
        assert venue.open_cost() == NO_USD
    async with open_venue(open_store, terms={"attempts": 3}, faults=("lose-reply",), late_s=5.0) as venue:
        sent = _count_sends(venue)
        assert await venue.end_of(buying(2)) == [(End.FILLED, None)]
        assert len(sent) == 1


def _count_sends(venue: Rig) -> list[str]:
    sent: list[str] = []
    submit = venue.executor.submit

    async def counted(order: Order) -> Any:
        sent.append(order.order_id)
        return await submit(order)

    venue.execution.executor.inner = Asked(venue.executor, submit=counted)
    return sent


async def test_small_entries_wait_until_together_they_are_enough(clock: Clock, open_store: OpenStore) -> None:
    """Three copies of 40 cents are one order of 1.20; the first two went out in the third one's."""
    wishes = {"minimum_policy": "accumulate", "minimum_usd": usd("1"), "accumulate_s": 100.0}
    async with open_venue(open_store, terms=wishes) as venue:
        small = [_small(number) for number in (1, 2, 3, 4)]
        ends = await venue.end_of(*small[:3])
        assert sorted(end.value for end, _ in ends) == ["filled", "gathered", "gathered"]
        assert Shares.parse("2.4") == venue.position(small[0]).shares
        assert await venue.end_of(small[3]) == [(End.SKIPPED, Code.NEVER_ENOUGH)]


def _small(number: int) -> CopyTask:
    task = buying(number, aggregates=True)
    return evolve(task, intent=evolve(task.intent, shares=Shares.parse("0.8")))


async def test_small_entries_wait_through_a_restart(clock: Clock, open_store: OpenStore) -> None:
    """What waits for company is on the disk: the next owner goes on waiting for the rest of its time."""
    wishes = {"minimum_policy": "accumulate", "minimum_usd": usd("1"), "accumulate_s": 100.0}
    async with open_rig(open_store=open_store, terms=wishes) as rig:
        await rig.take_in(_small(1), _small(2))
        await trio.sleep(1)
    async with open_rig(open_store=open_store, terms=wishes) as rig:
        assert sorted(end.value for end, _ in await rig.end_of(_small(3))) == ["filled"]
        assert sorted(end.value for _, end, _ in rig.ends()) == ["filled", "gathered", "gathered"]
        assert Shares.parse("2.4") == rig.position(_small(1)).shares


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
    clock: Clock, open_store: OpenStore, wish: dict[str, Any], control: str
) -> None:
    """Five dollars fit, ten do not; the refusal names the cap."""
    async with open_venue(open_store, terms=wish) as venue:
        first, second = await venue.end_of(buying(1), buying(2))
        assert first == (End.FILLED, None)
        assert second[0] is End.DENIED
        reason = venue.recorder.finished[-1].outcome.reason
        assert reason is not None
        assert reason.control == control


async def test_the_number_of_positions_is_capped_and_an_exit_makes_room(clock: Clock, open_store: OpenStore) -> None:
    """A second token is refused while the first is held, more of the first is not, and selling it frees the place."""
    async with open_venue(open_store, terms={"max_positions": 1, "sell": "all"}) as venue:
        assert await venue.end_of(buying(1)) == [(End.FILLED, None)]
        assert await venue.end_of(buying(2, token=8), buying(3)) == [(End.DENIED, Code.CAP_REACHED), (End.FILLED, None)]
        assert await venue.end_of(selling(4, sell="all")) == [(End.FILLED, None)]
        assert await venue.end_of(buying(5, token=8)) == [(End.FILLED, None)]


async def test_an_exit_gives_open_cost_back(clock: Clock, open_store: OpenStore) -> None:
    """After selling half, half of the open cost is free again."""
    async with open_venue(open_store) as venue:
        task = buying()
        await venue.end_of(task)
        whole = venue.open_cost()
        await venue.end_of(half(2))
        assert Shares.parse(5) == venue.position(task).shares
        assert venue.open_cost() == venue.position(task).cost
        assert venue.open_cost().micro * 2 == whole.micro


@pytest.mark.parametrize(
    ("action", "mode", "sells"),
    [("stop-buying", Mode.RUN, True), ("close-only", Mode.REDUCE_ONLY, True), ("halt", Mode.HALT_ALL, False)],
)
async def test_a_loss_stops_entries_and_what_it_stops_is_chosen(
    clock: Clock, open_store: OpenStore, action: str, mode: Mode, *, sells: bool
) -> None:
    """After a dollar lost: entries are denied with both numbers; the follower's mode is what on_breach says."""
    wishes = {"max_day_loss_usd": usd("1"), "on_breach": action, "sell": "all"}
    async with open_venue(open_store, terms=wishes) as venue:
        await venue.end_of(buying(1))
        loss = sell(2, deadline=LONG)
        cheap = evolve(
            loss.intent, price=Price.parse("0.3"), limit_price=Price.parse("0.2"), sell="sized", shares=Shares.parse(5)
        )
        assert await venue.end_of(evolve(loss, intent=cheap)) == [(End.FILLED, None)]
        lost = venue.account().performance.loss_on("2025-11-24")
        assert lost >= usd("1")
        assert await venue.end_of(buying(3)) == [(End.DENIED, Code.LOSS_LIMIT)]
        reason = venue.recorder.finished[-1].outcome.reason
        assert reason is not None
        assert (reason.value, reason.limit) == (str(lost), "1")
        change = venue.account().mode
        assert (Mode.RUN if change is None else change.mode) is mode
        (end,) = await venue.end_of(selling(4, sell="all"))
        assert (end == (End.FILLED, None)) == sells


async def test_a_start_settles_what_an_earlier_run_left_open(clock: Clock, open_store: OpenStore) -> None:
    """An order that may have been sent is looked up before anything is traded; its task then ends by what was found."""
    task = buying()
    async with open_venue() as venue:
        async with open_rig(open_store=open_store, executor=venue.executor, at_work=False) as rig:
            await _place(rig, task)
            await rig.executor.submit(rig.open_orders()[0].order)
        async with open_rig(open_store=open_store, executor=venue.executor, at_work=False) as rig:
            assert rig.reconciler.unknown == 1
            assert await rig.reconciler.settle_earlier_run() == 1
            assert await rig.wait_ends(task) == [(End.FILLED, None)]
            assert rig.open_orders() == []
            assert Shares.parse(10) == rig.position(task).shares
            await rig.take_in(task)
            assert rig.lanes.take_nowait() is None


async def _place(rig: Rig, task: CopyTask) -> None:
    """Place a task, and die before it is sent."""
    await rig.take_in(task)
    (follower,) = {task.follower}
    market = await rig.executor.market(task.intent.token_id)
    wallet = rig.book.terms.followers[follower].wallet
    terms = rig.book.find(follower, task.signal.leader)
    assert terms is not None
    offer = Offer(
        task=task,
        settings=terms.settings,
        market=market,
        prepare=lambda key, intent: rig.executor.prepare(key, intent, wallet, market),
        at=rig.wall(),
    )
    rig.shard.act(follower, offer)
    await rig.shard.writer.open.wait()
    assert [order.state for order in rig.open_orders()] == [OrderState.PLACED]


async def test_a_start_refuses_to_arm_when_nobody_can_prove_an_outcome(clock: Clock, open_store: OpenStore) -> None:
    """The venue knows nothing and cannot swear that nothing will come: a person has to look."""
    task = buying()
    async with open_venue(prove_absence_s=3600.0, venue_file="/dev/null") as venue:
        async with open_rig(open_store=open_store, executor=venue.executor, at_work=False) as rig:
            await _place(rig, task)
            (order,) = rig.open_orders()
        async with open_rig(open_store=open_store, executor=venue.executor, at_work=False) as rig:
            with pytest.raises(UnresolvedOrders) as caught:
                await rig.reconciler.settle_earlier_run()
            assert [one.state for one in rig.open_orders()] == [OrderState.UNKNOWN]
    assert order.order.order_id in str(caught.value)
    assert "settle them by hand" in str(caught.value)


@pytest.mark.parametrize("call", ["submit", "find"])
async def test_an_order_that_was_lied_about_waits_for_a_person_across_a_restart(
    clock: Clock, open_store: OpenStore, call: str
) -> None:
    """The next process does not believe what the executor says of it either, nor asks: nothing arms until a person decides."""
    task = buying()

    async def lies(order: Order) -> ExecutionReport:
        report: ExecutionReport = await venue.executor.submit(order)
        return evolve(report, shares=order.shares, notional=usd("900"))

    async def unsure(order: Order) -> ExecutionReport:
        await venue.executor.submit(order)
        raise OrderUncertain("no answer")

    async with open_venue() as venue:
        async with open_rig(open_store=open_store, executor=venue.executor) as rig:
            instead = {"submit": lies} if call == "submit" else {"submit": unsure, "find": lies}
            rig.execution.executor.inner = Asked(venue.executor, **instead)
            await rig.take_in(task)
            await trio.sleep(5)
            (order,) = rig.open_orders()
            assert (order.state, order.breached) == (OrderState.UNKNOWN, True)
            rig.execution.executor.inner = venue.executor
            await trio.sleep(5)
            assert rig.open_orders() == [order]
        async with open_rig(open_store=open_store, executor=venue.executor) as rig:
            began = trio.current_time()
            with pytest.raises(UnresolvedOrders, match="is not asked again"):
                await rig.reconciler.settle_earlier_run()
            assert trio.current_time() - began < 1
            await trio.sleep(60)
            assert rig.open_orders() == [order]
            assert not rig.position(task).lots
            report = await venue.executor.find(order.order)
            assert report is not None
            rig.shard.act(task.follower, Answer(key=order.order.key, report=report, by_hand=True, at=rig.wall()))
            assert await rig.wait_ends(task) == [(End.FILLED, None)]
            assert rig.position(task).shares == order.order.shares


async def test_entries_that_do_not_fit_together_wait_in_peace(clock: Clock, open_store: OpenStore) -> None:
    """Two copies of 40 cents each, a minimum of 60 and a cap of 70: neither is sent, both end after their time."""
    wishes = {
        "minimum_policy": "accumulate",
        "minimum_usd": usd("0.6"),
        "max_order_usd": usd("0.7"),
        "accumulate_s": 30.0,
    }
    async with open_venue(open_store, terms=wishes) as venue:
        assert await venue.end_of(_small(1), _small(2)) == [(End.SKIPPED, Code.NEVER_ENOUGH)] * 2


async def test_doubt_about_a_settlement_confirms_nothing(clock: Clock, open_store: OpenStore) -> None:
    """A venue that answers "unknown" has not said that a fill is firm; nor does "absent" undo it."""
    async with open_venue(open_store, settle_s=20.0) as venue:
        task = buying()
        await venue.end_of(task)
        find, answers = venue.executor.find, [Status.UNKNOWN, Status.ABSENT]

        async def unsure(order: Order) -> Any:
            await trio.lowlevel.checkpoint()
            return ExecutionReport(order_id=order.order_id, status=answers.pop()) if answers else await find(order)

        venue.execution.executor.inner = Asked(venue.executor, find=unsure)
        await trio.sleep(5)
        assert not answers
        assert venue.position(task).firm_shares == NO_SHARES
        assert venue.position(task).shares == task.intent.shares
        (order,) = venue.shard.accounts[task.follower].orders.values()
        assert order.order.order_id in dict(venue.recorder.alerts)["outcome-contradicted"]  # as `orders list` names it
        await venue.settled()
        assert venue.position(task).firm_shares == task.intent.shares


async def test_a_person_is_told_once_that_a_venue_takes_back_a_fill(clock: Clock, open_store: OpenStore) -> None:
    """It is asked every few seconds, and may say so for ever: one line, until something else becomes of the order."""
    async with open_venue(open_store, settle_s=20.0) as venue:
        await venue.end_of(buying())
        asked = []

        async def gone(order: Order) -> Any:
            await trio.lowlevel.checkpoint()
            asked.append(order.order_id)
            return ExecutionReport(order_id=order.order_id, status=Status.ABSENT)

        venue.execution.executor.inner = Asked(venue.executor, find=gone)
        await trio.sleep(15)
        assert len(asked) > 2
        assert [kind for kind, _ in venue.recorder.alerts].count("outcome-contradicted") == 1


async def test_a_second_send_in_doubt_stays_in_doubt(clock: Clock, open_store: OpenStore) -> None:
    """Proven absent, sent again, and no answer: that is a doubt again, not a refusal; the fill is found in the end."""
    async with open_venue(open_store, faults=("lose-request",), prove_absence_s=3.0) as venue:
        submit, sends = venue.executor.submit, list[bytes]()

        async def lossy(order: Order) -> Any:
            sends.append(order.body)
            report = await submit(order)
            if len(sends) == 2:
                raise OrderUncertain("the second answer was lost")
            return report

        venue.execution.executor.inner = Asked(venue.executor, submit=lossy)
        task = buying()
        assert await venue.end_of(task) == [(End.FILLED, None)]
        assert len(sends) == 2
        assert len(set(sends)) == 1
        assert venue.position(task).shares == task.intent.shares


async def test_what_waits_behind_a_stuck_order_expires_and_starves_nobody(clock: Clock) -> None:
    """Entries behind an unproven order end at their deadline; an exit of somebody else is not held up by them."""
    async with open_venue(faults=("lose-request",), faults_bps=10_000, prove_absence_s=3000.0) as venue:
        await venue.take_in(buying(0))
        await trio.sleep(3)
        await venue.take_in(*(buy(number, deadline=NOW + 8) for number in range(1, 100)))
        assert await venue.end_of(sell(100, "bob", deadline=NOW + 8)) == [(End.DENIED, Code.NOTHING_TO_SELL)]
        assert venue.wall() < NOW + 5
        await trio.sleep(20)
        ends = [one.outcome.end for one in venue.recorder.finished]
        assert ends[1:] == [End.EXPIRED] * 99


async def test_an_exit_that_never_settled_counts_as_missed(clock: Clock, open_store: OpenStore) -> None:
    """He sold half, our sale was undone on the chain: when he sells the other half, all that we still hold goes."""
    async with open_venue(open_store, terms={"sell": "proportional"}, settle_s=3.0) as venue:
        task = buying()
        await venue.end_of(task)
        await venue.settled()
        venue.executor.settings = evolve(venue.executor.settings, faults=("settle-fail",))
        await venue.end_of(half(2))
        await venue.settled()
        assert Shares.parse(10) == venue.position(task).shares
        venue.executor.settings = evolve(venue.executor.settings, faults=())
        await venue.end_of(half(3))
        assert not venue.position(task).lots


async def test_nothing_is_held_back_after_a_missed_exit(clock: Clock, open_store: OpenStore) -> None:
    """He sold half and we could not; when he sells the other half, everything goes."""
    async with open_venue(open_store) as venue:
        task = buying()
        await venue.end_of(task)
        assert await venue.end_of(evolve(half(2), deadline=NOW - 1)) == [(End.EXPIRED, Code.DEADLINE_PASSED)]
        assert await venue.end_of(half(3)) == [(End.FILLED, None)]
        assert venue.position(task).shares == EMPTY.shares


class Asked:
    """An executor some of whose answers a test gives itself."""

    def __init__(self, executor: Any, **instead: Any) -> None:
        self._executor = executor
        vars(self).update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)
