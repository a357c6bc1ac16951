"""Whoever is stuck, and however many are, others find a worker."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.engine.rig import Rig, buy, open_rig, sell
from trio_copy.engine.sending.workers import run_workers
from trio_copy.model.decisions import CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Order

Clock = trio.testing.MockClock

WORKERS, SEND_S = 16, 8.0
STUCK_S = SEND_S - 0.5
"""So long the orders of those who are stuck wait for their answer."""
SOON_S = SEND_S / 4
"""So long others wait at most: two looks."""
FLEETS = tuple(f"fleet-{number}" for number in range(6))
OTHERS = ("alice", "bob", "carol")
NAMES = (*FLEETS, *OTHERS)


@asynccontextmanager
async def open_workers(*, workers: int = WORKERS, names: Iterable[str] = NAMES) -> AsyncGenerator[tuple[Rig, set[str]]]:
    """Open a rig with its workers as a service has them; the venue answers those late whom a test puts into the set."""
    async with open_rig(workers=0, send_timeout_s=SEND_S, names=names) as rig, trio.open_nursery() as nursery:
        rig.execution.settings = evolve(rig.execution.settings, workers=workers)
        submit, stuck = rig.executor.submit, set[str]()

        async def late_for_some(order: Order) -> ExecutionReport:
            if order.wallet.follower in stuck:
                await trio.sleep(STUCK_S)
            report: ExecutionReport = await submit(order)
            return report

        rig.executor.submit = late_for_some
        nursery.start_soon(run_workers, rig.execution, "sim")
        yield rig, stuck
        nursery.cancel_scope.cancel()


def of_each(rig: Rig, names: Iterable[str], each: int, first: int, side: Side = Side.BUY) -> list[CopyTask]:
    """Make copies of each wallet, all of one before the next: those who come behind have nothing in hand yet."""
    wanted = [(name, token) for name in names for token in range(100, 100 + each)]
    late = rig.wall() + 300
    return [
        buy(number, name, side=side, token=token, deadline=late) for number, (name, token) in enumerate(wanted, first)
    ]


async def waited(rig: Rig, task: CopyTask) -> float:
    """Return after how many seconds a copy was filled."""
    began = trio.current_time()
    assert await rig.end_of(evolve(task, deadline=rig.wall() + 60)) == [(End.FILLED, None)]
    return trio.current_time() - began


async def most_in_hand(rig: Rig, tasks: list[CopyTask]) -> int:
    """Wait for the ends of tasks, all of which are filled; returns how many were in hand at once, sooner or later."""
    most = 0
    async with trio.open_nursery() as nursery:

        async def look() -> None:
            nonlocal most
            while True:
                most = max(most, rig.execution.busy)
                await trio.sleep(0.1)

        nursery.start_soon(look)
        assert await rig.wait_ends(*tasks) == [(End.FILLED, None)] * len(tasks), "nothing is forgotten"
        nursery.cancel_scope.cancel()
    return most


def is_idle(rig: Rig) -> bool:
    """Tell whether all is as it was before anything took long: nothing is counted, and as many workers wait as there were."""
    lanes = rig.lanes
    counts = (rig.execution.busy, lanes.turns.entries_out, len(lanes.unplaced), lanes.turns.ready)
    return counts == (0, 0, 0, False) and lanes.turns.idle.statistics().tasks_waiting == rig.execution.workers


@pytest.mark.parametrize("many", [3, 6, 12])
async def test_several_that_are_stuck_cannot_have_all_workers(clock: Clock, many: int) -> None:
    """Each of them leaves a part of what the one before has left; after the third of sixteen workers, that was nothing."""
    fleets = tuple(f"fleet-{number}" for number in range(many))
    async with open_workers(names=(*fleets, *OTHERS)) as (rig, stuck):
        stuck.update(fleets)
        theirs = of_each(rig, fleets, 20, 1000)
        await rig.take_in(*theirs)
        await trio.testing.wait_all_tasks_blocked()
        assert rig.execution.busy == WORKERS
        for number, other in enumerate(OTHERS):
            assert await waited(rig, buy(number, other, token=50)) <= SOON_S
        # Those who are known to be stuck have no more for it: what others need is all that is added.
        assert await most_in_hand(rig, theirs) <= 2 * WORKERS
        assert len({order.key for order in rig.executor.sent}) == len(rig.executor.sent), "each was sent once"
        await trio.testing.wait_all_tasks_blocked()
        assert is_idle(rig)


async def test_exits_of_several_that_are_stuck_leave_workers_to_those_of_others(clock: Clock) -> None:
    """Of exits, nobody's are bounded: whoever has many has all workers, for as long as another one may wait for them."""
    async with open_workers() as (rig, stuck):
        held = [(name, token) for name in FLEETS for token in range(100, 115)] + [(name, 50) for name in OTHERS]
        for number, (name, token) in enumerate(held, 2000):
            await rig.hold(name, token=token, number=number)
        stuck.update(FLEETS)
        theirs = of_each(rig, FLEETS, 15, 4000, Side.SELL)
        await rig.take_in(*theirs)
        await trio.testing.wait_all_tasks_blocked()
        assert rig.execution.busy == rig.execution.workers
        for number, other in enumerate(OTHERS):
            # Those that wait before it are of wallets that are known to be stuck, or have their turn within a look or two.
            assert await waited(rig, sell(number, other, token=50)) <= SOON_S
        assert await most_in_hand(rig, theirs) <= 4 * WORKERS + 2
        await trio.testing.wait_all_tasks_blocked()
        assert is_idle(rig)


async def test_what_takes_long_has_a_bound_and_entries_leave_exits_theirs(clock: Clock) -> None:
    """A venue that answers nobody has four times the workers under way, and not all that wait; an exit goes at once."""
    names = tuple(f"wallet-{number}" for number in range(100))
    async with open_workers(workers=10, names=(*names, "alice")) as (rig, stuck):
        await rig.hold("alice", token=50)
        stuck.update(names)
        theirs = of_each(rig, names, 1, 1000)
        await rig.take_in(*theirs)
        await trio.sleep(STUCK_S - 0.1)
        assert rig.execution.busy == 40
        assert await waited(rig, sell(1, "alice", token=50)) < 0.1
        assert await most_in_hand(rig, theirs) == 40
        await trio.testing.wait_all_tasks_blocked()
        assert is_idle(rig)


async def test_where_nothing_waits_nobody_stands_in(clock: Clock) -> None:
    async with open_workers() as (rig, stuck):
        stuck.update(FLEETS)
        theirs = of_each(rig, FLEETS, 1, 1000)
        await rig.take_in(*theirs)
        await trio.sleep(STUCK_S - 0.1)
        assert rig.lanes.turns.idle.statistics().tasks_waiting == rig.execution.workers - len(FLEETS)
        assert await rig.wait_ends(*theirs) == [(End.FILLED, None)] * len(theirs)


async def test_workers_end_with_their_lanes_whoever_stands_in(clock: Clock) -> None:
    """A drain waits for what takes long, and for nothing else."""
    async with open_rig(workers=0, send_timeout_s=SEND_S, names=NAMES) as rig:
        rig.execution.settings = evolve(rig.execution.settings, workers=4)
        submit = rig.executor.submit

        async def late(order: Order) -> ExecutionReport:
            await trio.sleep(STUCK_S)
            report: ExecutionReport = await submit(order)
            return report

        rig.executor.submit = late
        theirs = of_each(rig, FLEETS, 1, 1000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_workers, rig.execution, "sim")
            await rig.take_in(*theirs)
            await trio.sleep(SOON_S + 0.1)
            assert rig.execution.busy == len(FLEETS)
            rig.lanes.close()
        assert trio.current_time() <= SOON_S + STUCK_S + 0.1
        assert sorted(rig.ends()) == [(task.follower, End.FILLED, None) for task in theirs]
