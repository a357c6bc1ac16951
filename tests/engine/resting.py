"""What happens to tasks that rest: called off by an exit, gone out together, or without their signal."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio
from attrs import define, evolve, field, frozen

from tests.builders import NOW, make_signal, make_task, usd
from tests.engine.rig import OpenStore, Rig, open_venue
from trio_copy.engine.shards.met import Adopted
from trio_copy.engine.shards.taking_in import resume
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.units import NO_SHARES, Rounding, Shares

Scenario = Callable[[OpenStore], Awaitable[None]]
ACCUMULATE = {"minimum_policy": "accumulate", "minimum_usd": usd("2"), "accumulate_s": 300.0}


def entry(number: int, shares: int = 100, *, token: int = 7, **changes: Any) -> CopyTask:
    """A tenth of what the leader bought at half a dollar; decided in the order of the numbers."""
    made = make_task(make_signal(number, shares=str(shares), token_id=TokenId(token)))
    return evolve(made, **{"decided_at": NOW + number / 1000, "deadline": NOW + 900, **changes})


def leaves(number: int, shares: int = 100, *, sell: str = "proportional", **changes: Any) -> CopyTask:
    """The leader's sale; sized, it is a tenth of his."""
    signal = make_signal(number, shares=str(shares), token_id=TokenId(7), side=Side.SELL)
    made = make_task(signal)
    wanted = Shares.parse(shares).part(Shares.parse(1), Shares.parse(10), Rounding.DOWN)
    intent = evolve(made.intent, sell=sell, shares=wanted if sell == "sized" else NO_SHARES)
    return evolve(made, **{"intent": intent, "decided_at": NOW + number / 1000, "deadline": NOW + 900, **changes})


async def admit(venue: Rig, *tasks: CopyTask) -> None:
    """Do as the gate does with a signal that is new."""
    for task in tasks:
        venue.shard.met.meet(task.signal, venue.wall(), whole=True)
        await venue.take_in(task)


async def all_end(venue: Rig, count: int) -> dict[str, tuple[End, Code | None]]:
    """Wait until so many tasks have ended; return how, by their signals."""
    await venue.recorder.wait_until(lambda: len(venue.recorder.finished) >= count)
    return {
        one.task.signal.signal_id: (one.outcome.end, one.outcome.reason.code if one.outcome.reason else None)
        for one in venue.recorder.finished
    }


def traded(venue: Rig, side: Side) -> Shares:
    """What was bought, or sold, in all."""
    reports = (one.report for one in venue.recorder.finished if one.task.intent.side is side)
    return sum((report.shares for report in reports if report is not None), NO_SHARES)


def ends(venue: Rig) -> list[str]:
    return sorted(one.outcome.end.value for one in venue.recorder.finished)


# ------------------------------------------------------------------------------------------------ given back


async def what_does_not_fit_goes_out_in_orders_of_its_own(open_store: OpenStore) -> None:
    """Eighteen copies gather, of which two fit into an order: nine orders, nine gathered, nothing is forgotten."""
    terms = {"aggregate_s": 30.0, "max_order_usd": usd("12")}
    async with open_venue(open_store, terms=terms) as venue:
        await admit(venue, *(entry(number, aggregates=True, not_before=NOW + 30) for number in range(18)))
        await all_end(venue, 18)
        assert ends(venue) == ["filled"] * 9 + ["gathered"] * 9
        assert traded(venue, Side.BUY) == Shares.parse(180)


# ------------------------------------------------------------------------------------------------ called off


@frozen(kw_only=True)
class Sale:
    """What the leader does while copies wait, and what must have been bought and sold in the end."""

    buys: Sequence[int] = (100,)
    """His purchases whose copies wait."""
    sells: Sequence[int]
    sell: str = "proportional"
    held: int = 0
    """A purchase of his whose copy was filled before."""
    bought: str
    sold: str
    exits: tuple[End, Code | None]
    """How the last exit ends."""


LEFT = (End.SKIPPED, Code.LEADER_LEFT)
SALES = (
    Sale(sells=(100,), bought="0", sold="0", exits=LEFT),
    Sale(sells=(250,), bought="0", sold="0", exits=LEFT),
    Sale(sells=(50,), bought="5", sold="0", exits=LEFT),
    Sale(sells=(25, 25), bought="5", sold="0", exits=LEFT),
    Sale(sells=(40, 60), bought="0", sold="0", exits=LEFT),
    Sale(buys=(100, 300), sells=(200,), bought="20", sold="0", exits=LEFT),
    Sale(held=100, sells=(100,), bought="15", sold="5", exits=(End.FILLED, None)),
    Sale(held=100, sells=(200,), bought="10", sold="10", exits=(End.FILLED, None)),
    Sale(held=300, sells=(100, 300), bought="30", sold="30", exits=(End.FILLED, None)),
    Sale(sells=(10,), sell="all", bought="0", sold="0", exits=LEFT),
    Sale(held=100, sells=(10,), sell="all", bought="10", sold="10", exits=(End.FILLED, None)),
    Sale(sells=(100,), sell="sized", bought="0", sold="0", exits=LEFT),
    Sale(held=100, sells=(50,), sell="sized", bought="15", sold="0", exits=LEFT),
    Sale(held=100, sells=(150,), sell="sized", bought="10", sold="5", exits=(End.FILLED, None)),
)
"""Called off evenly of what waits and what is held, as if all had been bought; sized exits take what waits first."""

WAITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "delay": ({"delay_s": 10.0}, {"not_before": NOW + 60}),
    "aggregate": ({"aggregate_s": 10.0}, {"not_before": NOW + 60, "aggregates": True}),
}


async def an_exit_calls_off_what_waits(open_store: OpenStore, how: str, sale: Sale) -> None:
    """What the leader sold again is not bought, in proportion; what is bought in the end is what he still holds."""
    terms, waits = WAITS[how]
    async with open_venue(open_store, terms=terms) as venue:
        numbers = iter(range(1, 20))
        tasks = 0
        if sale.held:
            await admit(venue, entry(next(numbers), sale.held))
            await all_end(venue, 1)
            tasks = 1
        await admit(venue, *(entry(next(numbers), shares, **waits) for shares in sale.buys))
        exits = [leaves(next(numbers), shares, sell=sale.sell) for shares in sale.sells]
        for task in exits:
            await venue.end_of(task)
            tasks += 1
            assert nothing_is_open(venue)
        found = await all_end(venue, tasks + len(sale.buys))
        assert found[exits[-1].signal.signal_id] == sale.exits
        assert (traded(venue, Side.BUY), traded(venue, Side.SELL)) == (
            Shares.parse(sale.bought),
            Shares.parse(sale.sold),
        )
        position = venue.position(exits[0])
        assert position.shares == Shares.parse(sale.bought) - Shares.parse(sale.sold)


async def small_entries_are_called_off(open_store: OpenStore) -> None:
    """He buys a little, sells it, and buys a little again: what is left of him is too little, and nothing is bought."""
    async with open_venue(open_store, terms=ACCUMULATE) as venue:
        await admit(venue, entry(1, 20, aggregates=True))
        await waits_in_the_account(venue, 1)
        await admit(venue, leaves(2, 20))
        assert list((await all_end(venue, 2)).values()) == [LEFT, LEFT]
        await admit(venue, entry(3, 20, aggregates=True))
        await waits_in_the_account(venue, 1)
        # Now it is enough, together with another one of the same size, and not a share more.
        await admit(venue, entry(4, 20, aggregates=True))
        await all_end(venue, 4)
        assert traded(venue, Side.BUY) == Shares.parse(4)


async def what_is_left_of_a_small_entry_goes_on_waiting(open_store: OpenStore) -> None:
    """Half of it is called off; together with the next one it is enough, and both are what he still holds."""
    async with open_venue(open_store, terms=ACCUMULATE) as venue:
        await admit(venue, entry(1, 20, aggregates=True))
        await waits_in_the_account(venue, 1)
        await admit(venue, leaves(2, 10))
        await all_end(venue, 1)
        await admit(venue, entry(3, 30, aggregates=True))
        await all_end(venue, 3)
        assert traded(venue, Side.BUY) == Shares.parse(4)
        assert venue.position(entry(1)).leader_shares == Shares.parse(40)


async def an_entry_after_the_exit_is_bought(open_store: OpenStore) -> None:
    """He sold, and bought again: only what came before the exit is called off, though both wait alike."""
    terms, waits = WAITS["delay"]
    async with open_venue(open_store, terms=terms) as venue:
        await admit(venue, entry(1, **waits), entry(3, 50, **waits), leaves(2))
        found = await all_end(venue, 3)
        assert found[entry(1).signal.signal_id] == found[leaves(2).signal.signal_id] == LEFT
        assert traded(venue, Side.BUY) == Shares.parse(5)


async def an_exit_that_is_too_late_still_calls_off(open_store: OpenStore) -> None:
    """No order of it may leave, but nobody has to hold what the leader has sold again."""
    terms, waits = WAITS["delay"]
    async with open_venue(open_store, terms=terms) as venue:
        await admit(venue, entry(1, **waits), leaves(2, deadline=NOW - 1))
        found = await all_end(venue, 2)
        assert found[entry(1).signal.signal_id] == LEFT
        assert found[leaves(2).signal.signal_id][0] is End.EXPIRED


async def entries_behind_a_stuck_order_are_called_off(open_store: OpenStore) -> None:
    """An entry and an exit stand behind an order in doubt: the exit goes first, and no more is bought, nor what never arrived."""
    async with open_venue(open_store, faults=("lose-request",), prove_absence_s=60.0) as venue:
        await admit(venue, entry(1))
        await in_doubt(venue)
        venue.executor.settings = evolve(venue.executor.settings, faults=())
        await admit(venue, entry(2), leaves(3, 200))
        assert venue.lanes.unplaced.waiting == 2
        found = await all_end(venue, 3)
        assert found[entry(2).signal.signal_id] == LEFT
        assert traded(venue, Side.BUY) == traded(venue, Side.SELL) == NO_SHARES


async def an_entry_in_hand_is_called_off(open_store: OpenStore) -> None:
    """The leader sells while the venue is asked about the market: what is not frozen yet gives way to the exit."""
    async with open_venue(open_store) as venue:
        market = asked_about_the_market(venue)
        await admit(venue, entry(1))
        await market.asked.wait()
        await admit(venue, leaves(2))
        assert len(venue.lanes.unplaced) == 2
        market.answers.set()
        found = await all_end(venue, 2)
        assert set(found.values()) == {LEFT}


async def a_burst_of_trades_leaves_nothing_over(open_store: OpenStore) -> None:
    """He buys and sells again and again, some of it waiting, some of it not: in the end he holds nothing, and nor do we."""
    terms, waits = WAITS["aggregate"]
    async with open_venue(open_store, terms=terms) as venue:
        tasks: list[CopyTask] = []
        for turn in range(0, 30, 3):
            later = {**waits, "not_before": NOW + 0.3 * turn}
            tasks += (entry(turn + 1, 100, **later), entry(turn + 2, 60), leaves(turn + 3, 160))
        for task in tasks:
            await admit(venue, task)
            await trio.sleep(0.05)
        await all_end(venue, len(tasks))
        assert traded(venue, Side.BUY) == traded(venue, Side.SELL)
        assert nothing_is_open(venue)


# ------------------------------------------------------------------------------------------------ no room


CROWDED: dict[str, Any] = {"queue_capacity": 2, "latency_ms": 1500}
SELLING = tuple(leaves(number, 50) for number in range(2, 7))
"""The first is being sold, two have room, and two more have company."""


async def sells_without_room(venue: Rig) -> None:
    """Let him buy 400, and sell 50 five times while the first of his sales is on its way."""
    await admit(venue, entry(1, 400))
    await all_end(venue, 1)
    await admit(venue, SELLING[0])
    await trio.sleep(0.5)
    await admit(venue, *SELLING[1:])


async def exits_without_room_go_out_as_one(open_store: OpenStore) -> None:
    """Exits fill the room: those of one position share an order that sells what all asked for; each ends with its reason."""
    async with open_venue(open_store, **CROWDED) as venue:
        await sells_without_room(venue)
        assert len(venue.lanes.unplaced) == 4
        other = evolve(leaves(8), intent=evolve(leaves(8).intent, token_id=TokenId(8)))
        await admit(venue, other)
        found = await all_end(venue, 7)
        assert found[other.signal.signal_id] == (End.SHED, Code.QUEUE_FULL)
        assert [found[task.signal.signal_id] for task in SELLING] == [
            (End.FILLED, None),
            (End.FILLED, None),
            *[(End.GATHERED, Code.GATHERED)] * 3,
        ]
        assert traded(venue, Side.SELL) == Shares.parse(25)
        assert venue.position(SELLING[0]).leader_shares == Shares.parse(150)
        facts, _ = await venue.store.history.story(SELLING[2].task_id)
        assert any(SELLING[1].task_id in str(fact.body) for fact in facts)
        await admit(venue, leaves(9, 50))
        await all_end(venue, 8)
        assert venue.position(SELLING[0]).shares == Shares.parse(10)


async def an_exit_that_is_taken_back_goes_out_with_nobody(open_store: OpenStore) -> None:
    """A reorg takes one of those that wait for room: the others go out without it, and it follows when it is mined again."""
    async with open_venue(open_store, **CROWDED) as venue:
        await sells_without_room(venue)
        assert await retract(venue, SELLING[2]) == (1, 0)
        await all_end(venue, 5)
        assert traded(venue, Side.SELL) == Shares.parse(20)
        await mine_again(venue, SELLING[2])
        assert (await all_end(venue, 6))[SELLING[2].signal.signal_id] == (End.FILLED, None)
        assert traded(venue, Side.SELL) == Shares.parse(25)


async def an_exit_that_went_out_with_others_is_placed(open_store: OpenStore) -> None:
    """A reorg takes it, or the one that it went out with, when the order is on its way: it goes on, and is told as placed."""
    async with open_venue(open_store, **CROWDED) as venue:
        await sells_without_room(venue)
        await trio.sleep(2)
        assert await retract(venue, SELLING[1]) == (0, 1)
        assert await retract(venue, SELLING[2]) == (0, 1)
        await all_end(venue, 6)
        assert venue.shard.met.meet(SELLING[2].signal, venue.wall(), whole=True) == Adopted(SELLING[2].signal.signal_id)
        assert resume(venue.shard, SELLING[2].signal.signal_id) == 0
        await trio.sleep(60)
        assert traded(venue, Side.SELL) == Shares.parse(25)


# ------------------------------------------------------------------------------------------------ taken back


async def what_waits_in_a_lane_is_suspended(open_store: OpenStore) -> None:
    """A reorg takes its signal while it stands behind an order in doubt: it is not bought, until it is mined again."""
    async with open_venue(open_store, faults=("lose-request",), prove_absence_s=60.0) as venue:
        await admit(venue, entry(1))
        await in_doubt(venue)
        await admit(venue, entry(2))
        # The one has an order, and goes on; the other has none.
        assert await retract(venue, entry(1)) == (0, 1)
        assert await retract(venue, entry(2)) == (1, 0)
        assert venue.lanes.unplaced.suspended == 1
        await all_end(venue, 1)
        await trio.sleep(10)
        assert len(venue.recorder.finished) == 1
        assert venue.lanes.unplaced.suspended == 1
        await mine_again(venue, entry(2))
        found = await all_end(venue, 2)
        assert found[entry(2).signal.signal_id] == (End.FILLED, None)
        assert venue.recorder.finished[-1].task.deadline == entry(2).deadline


async def what_is_in_hand_is_suspended(open_store: OpenStore) -> None:
    """A reorg comes while the venue is asked about the market: nothing is frozen, reserved or sent; it ends in time."""
    terms = {"aggregate_s": 1.0}
    async with open_venue(open_store, terms=terms) as venue:
        market = asked_about_the_market(venue)
        tasks = [entry(number, aggregates=True, not_before=NOW + 30, deadline=NOW + 120) for number in (1, 2)]
        await admit(venue, *tasks)
        await market.asked.wait()
        assert await retract(venue, tasks[1]) == (1, 0)
        market.answers.set()
        found = await all_end(venue, 2)
        # Its company goes out without it.
        assert found[tasks[0].signal.signal_id] == (End.FILLED, None)
        assert found[tasks[1].signal.signal_id] == (End.RETRACTED, Code.RETRACTED)
        assert traded(venue, Side.BUY) == Shares.parse(10)
        assert await orders_of(venue, tasks[1]) == 0


async def what_is_suspended_goes_out_with_nobody(open_store: OpenStore) -> None:
    """A reorg takes a small entry that has not waited durably yet: the next one does not take it along."""
    async with open_venue(open_store, terms=ACCUMULATE, faults=("lose-request",), prove_absence_s=60.0) as venue:
        await admit(venue, entry(1))
        await in_doubt(venue)
        await admit(venue, entry(2, 60, aggregates=True))
        assert await retract(venue, entry(2, 60, aggregates=True)) == (1, 0)
        await admit(venue, entry(3, 60, aggregates=True))
        found = await all_end(venue, 2)
        assert found[entry(3, 60).signal.signal_id] == (End.FILLED, None)
        assert traded(venue, Side.BUY) == Shares.parse(16)
        await mine_again(venue, entry(2, 60, aggregates=True))
        await all_end(venue, 3)
        assert traded(venue, Side.BUY) == Shares.parse(22)


async def a_small_entry_is_suspended_while_it_waits_for_company(open_store: OpenStore) -> None:
    """It is too little by itself, and a reorg takes it: company that comes does not take it along, until it is back."""
    async with open_venue(open_store, terms=ACCUMULATE) as venue:
        small = entry(1, 20, aggregates=True)
        await admit(venue, small)
        await waits_in_the_account(venue, 1)
        assert await retract(venue, small) == (1, 0)
        await admit(venue, entry(2, 20, aggregates=True))
        await trio.sleep(10)
        assert venue.recorder.finished == []
        await mine_again(venue, small)
        await admit(venue, entry(3, 20, aggregates=True))
        await all_end(venue, 3)
        assert traded(venue, Side.BUY) == Shares.parse(6)


async def another_attempt_waits_for_the_signal(open_store: OpenStore) -> None:
    """A reorg comes while an order is on its way, and the venue kills it: the next attempt is not sent meanwhile."""
    terms = {"attempts": 2}
    async with open_venue(open_store, terms=terms, faults=("kill",), latency_ms=1000) as venue:
        await admit(venue, entry(1))
        await trio.sleep(0.5)
        assert await retract(venue, entry(1)) == (0, 1)
        await trio.sleep(10)
        assert await orders_of(venue, entry(1)) == 1
        assert venue.lanes.unplaced.suspended == 1
        venue.executor.settings = evolve(venue.executor.settings, faults=())
        await mine_again(venue, entry(1))
        assert list((await all_end(venue, 1)).values()) == [(End.FILLED, None)]
        assert await orders_of(venue, entry(1)) == 2


async def retract(venue: Rig, task: CopyTask) -> tuple[int, int]:
    """Do as the gate does, and let others hear of it; return what `take_back` does."""
    found = venue.take_back(task)
    await trio.lowlevel.checkpoint()
    return found


async def mine_again(venue: Rig, task: CopyTask) -> None:
    assert venue.shard.met.meet(task.signal, venue.wall(), whole=True) == Adopted(task.signal.signal_id)
    assert resume(venue.shard, task.signal.signal_id) == 1
    await trio.lowlevel.checkpoint()


def nothing_is_open(venue: Rig) -> bool:
    return not venue.open_orders() and not any(queued.in_hand for queued in venue.lanes.unplaced)


async def waits_in_the_account(venue: Rig, count: int) -> None:
    """Wait until so many tasks wait for company, and no worker has anything."""
    with trio.fail_after(600):  # noqa: ASYNC912  only the waiting may take long
        while len(venue.account().waiting) != count or len(venue.lanes.unplaced):  # noqa: ASYNC110  virtual time
            await trio.sleep(0.2)


async def in_doubt(venue: Rig) -> None:
    """Wait until nobody knows what became of an order."""
    with trio.fail_after(600):  # noqa: ASYNC912  only the waiting may take long
        while not venue.shard.unproven:  # noqa: ASYNC110  virtual time
            await trio.sleep(0.2)


async def orders_of(venue: Rig, task: CopyTask) -> int:
    """Count the orders that a task went out in."""
    facts, documents = await venue.store.history.story(task.task_id)
    told = {fact.order_id for fact in facts if fact.order_id}
    return len(told) + sum(document.kind == "order" for document in documents)


@define(eq=False)
class SlowMarket:
    """An executor that is asked about a market and takes its time, once."""

    executor: Any
    asked: trio.Event = field(factory=trio.Event)
    answers: trio.Event = field(factory=trio.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    async def market(self, token_id: TokenId) -> Any:
        self.asked.set()
        await self.answers.wait()
        return await self.executor.market(token_id)


def asked_about_the_market(venue: Rig) -> SlowMarket:
    market = SlowMarket(venue.execution.executor)
    venue.execution.markets.ask = market.market
    return market


SCENARIOS: tuple[Scenario, ...] = (
    what_does_not_fit_goes_out_in_orders_of_its_own,
    small_entries_are_called_off,
    what_is_left_of_a_small_entry_goes_on_waiting,
    an_entry_after_the_exit_is_bought,
    an_exit_that_is_too_late_still_calls_off,
    entries_behind_a_stuck_order_are_called_off,
    an_entry_in_hand_is_called_off,
    a_burst_of_trades_leaves_nothing_over,
    exits_without_room_go_out_as_one,
    an_exit_that_is_taken_back_goes_out_with_nobody,
    an_exit_that_went_out_with_others_is_placed,
    what_waits_in_a_lane_is_suspended,
    what_is_in_hand_is_suspended,
    what_is_suspended_goes_out_with_nobody,
    a_small_entry_is_suspended_while_it_waits_for_company,
    another_attempt_waits_for_the_signal,
)
