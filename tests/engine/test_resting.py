"""Tasks that rest, on the memory store and on SQLite; `tests/redis` plays the same on Redis."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.builders import NOW, usd
from tests.engine.resting import (
    SALES,
    SCENARIOS,
    WAITS,
    Sale,
    Scenario,
    a_burst_of_trades_leaves_nothing_over,
    admit,
    all_end,
    an_exit_calls_off_what_waits,
    asked_about_the_market,
    ends,
    entry,
    leaves,
    traded,
)
from tests.engine.test_protocol import open_venue
from tests.harness import Recorder, make_test_plan, open_world, patient, running_engine
from tests.plugins.test_conformance import open_memory, open_sqlite
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.model.decisions import CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.ids import TaskId
from trio_copy.model.signals import Signal
from trio_copy.model.units import Shares
from trio_copy.testing.conformance import StoreTerms
from trio_copy.testing.virtual import run_virtually

Clock = trio.testing.MockClock
STORES = pytest.mark.parametrize("open_store", [open_memory, open_sqlite])


@STORES
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_what_rests(clock: Clock, open_store: Any, scenario: Scenario) -> None:
    """What the scenario's docstring says holds on every store."""
    await scenario(open_store)


@STORES
@pytest.mark.parametrize("how", WAITS)
@pytest.mark.parametrize("sale", SALES, ids=str)
async def test_an_exit_calls_off_what_waits(clock: Clock, open_store: Any, how: str, sale: Sale) -> None:
    """What the leader sold again is not bought, in proportion; what is bought in the end is what he still holds."""
    await an_exit_calls_off_what_waits(open_store, how, sale)


@define(eq=False)
class LateInbox:
    """An inbox that takes its time, before it does something and before it says so: anything may happen meanwhile."""

    inbox: Any
    entropy: Entropy
    most_s: float

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inbox, name)
        if name not in LATE:
            return method

        async def late(*args: Any) -> Any:
            await trio.sleep(self.entropy.choice((0.0, 0.0, self.most_s)) * self.entropy.uniform(0, 1))
            answer = await method(*args)
            with trio.CancelScope(shield=True):  # what a store has done, it tells
                await trio.sleep(self.entropy.choice((0.0, 0.0, self.most_s)) * self.entropy.uniform(0, 1))
            return answer

        return late


LATE = ("lease", "lease_nowait", "gather", "withdraw", "amend", "suspend", "wait", "renew", "complete", "retry")


@define(eq=False)
class LateStore:
    store: Any
    inbox: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def late(seed: int, most_s: float) -> Any:
    """Return what opens a memory store with an inbox that takes up to so many seconds, sometimes."""

    @asynccontextmanager
    async def open_late(terms: StoreTerms) -> AsyncGenerator[LateStore, None]:
        async with open_memory(terms) as store:
            yield LateStore(store, LateInbox(store.inbox, seeded_entropy(seed), most_s))

    return open_late


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most_s", [0.05, 2.0])
def test_no_order_of_answers_leaves_a_task_unattended(seed: int, most_s: float) -> None:
    """Given back and leased again before we hear of it, or told late: all is bought, and no lease had to run out for it."""

    async def play() -> None:
        terms = {"aggregate_s": 30.0, "max_order_usd": usd("12")}
        async with open_venue(late(seed, most_s), terms=terms) as venue:
            await admit(venue, *(entry(number, gathers=True, not_before=NOW + 30) for number in range(18)))
            await all_end(venue, 18)
            assert set(ends(venue)) == {"filled", "gathered"}
            assert traded(venue, Side.BUY) == Shares.parse(180)
            assert not any(one.task.again for one in venue.recorder.finished)
            assert venue.recorder.alerts == []

    run_virtually(play, seed=seed)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most_s", [0.05, 2.0])
def test_no_order_of_answers_leaves_anything_over(seed: int, most_s: float) -> None:
    """Called off while it is told, or told late: what the leader has sold again is not held."""
    run_virtually(a_burst_of_trades_leaves_nothing_over, late(seed, most_s), seed=seed)


@define(eq=False)
class TellsLate:
    """An inbox that has leased an entry, and says so only after an exit has looked for it."""

    inbox: Any
    entry: CopyTask
    leased: trio.Event = field(factory=trio.Event)
    tells: trio.Event = field(factory=trio.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inbox, name)

    async def lease(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        told: tuple[CopyTask, ...] = await self.inbox.lease(executor, owner, limit)
        if self.entry.task_id in {task.task_id for task in told} and not self.leased.is_set():
            self.leased.set()
            await self.tells.wait()
        return told

    async def withdraw(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        await self.leased.wait()
        found: tuple[CopyTask, ...] = await self.inbox.withdraw(task, owner)
        return found


@pytest.mark.parametrize(("sold", "bought"), [(100, "0"), (50, "5")])
async def test_an_entry_that_is_told_late_is_what_the_exit_left_of_it(clock: Clock, sold: int, bought: str) -> None:
    """Leased before the exit looked, heard of afterwards, as it was before: that is not believed."""
    waits = entry(1, not_before=NOW + 2)
    inboxes: list[TellsLate] = []

    @asynccontextmanager
    async def open_late(terms: StoreTerms) -> AsyncGenerator[LateStore, None]:
        async with open_memory(terms) as store:
            inboxes.append(TellsLate(store.inbox, waits))
            yield LateStore(store, inboxes[0])

    async with open_venue(open_late) as venue:
        await admit(venue, waits, leaves(2, sold))
        await venue.recorder.wait_until(
            lambda: leaves(2, sold).task_id in {one.task.task_id for one in venue.recorder.finished}
        )
        inboxes[0].tells.set()
        await all_end(venue, 2)
        await trio.sleep(10)
        assert traded(venue, Side.BUY) == (await venue.position(waits)).shares == Shares.parse(bought)
        assert len(venue.recorder.finished) == 2


@pytest.mark.parametrize("seed", range(6))
async def test_what_ends_while_leases_are_renewed_is_no_loss(clock: Clock, seed: int) -> None:
    """Leases are renewed for a list that is old when the store answers: nobody is told of a loss that was none."""
    async with open_venue(late(seed, 1.5)) as venue:
        venue.group.leases.shared = True
        for number in range(40):
            await admit(venue, entry(number, token=number))
            await trio.sleep(0.1)
        await all_end(venue, 40)
        assert venue.recorder.alerts == []


@STORES
async def test_a_lease_that_runs_out_where_nobody_else_leases_is_worked_on(clock: Clock, open_store: Any) -> None:
    """The process stood still: no alert speaks of somebody else, and what was leased is carried out, once."""
    async with open_venue(open_store) as venue:
        market = asked_about_the_market(venue)
        await admit(venue, entry(1), entry(2))
        await market.asked.wait()
        await venue.store.inbox.expire(NOW + 1000)
        await venue.group.renew_leases()
        market.answers.set()
        assert set((await all_end(venue, 2)).values()) == {(End.FILLED, None)}
        await trio.sleep(100)
        assert traded(venue, Side.BUY) == Shares.parse(20)
        assert venue.recorder.alerts == []
        assert (await venue.store.inbox.depth()).leased == 0


async def test_a_reorg_suspends_what_waits_behind_another_order(clock: Clock) -> None:
    """Two trades of one token: the second one's block goes while the first one's order is on its way; it is not bought."""
    told: list[tuple[int, int]] = []

    class Counting(Recorder):
        def on_retracted(self, signal: Signal, held: int, started: int) -> None:
            super().on_retracted(signal, held, started)
            told.append((held, started))

    async with open_world() as world:
        world.recorder = Counting()
        plan = patient(make_test_plan(followers=("alice",), executor={"latency_ms": 4000}, engine={"deadline_s": 60.0}))
        async with running_engine(world, plan) as service:
            world.chain.mine(world.buy())
            await trio.sleep(1)
            second = world.buy(shares=200)
            world.chain.mine(second)
            await trio.sleep(1)
            world.chain.reorg(1, [(), ()])
            await world.recorder.wait_until(lambda: bool(told))
            assert told == [(1, 0)]
            await trio.sleep(10)
            assert len(world.recorder.copies) == 1
            assert (await service.store.inbox.depth()).held == 1
            world.chain.mine(second)
            await world.recorder.wait_copies(2)
    assert "adopted" in world.recorder.admissions


class _Dies(Exception):
    """The process ends here."""


@pytest.mark.parametrize("sale", [SALES[2], SALES[5], SALES[6], SALES[13]], ids=str)
@pytest.mark.parametrize("point", ["exit: called off", "place: reserved", "place: frozen"])
@pytest.mark.parametrize("stage", [0, 1])
async def test_an_exit_that_dies_is_counted_once(
    clock: Clock, tmp_path: Path, sale: Sale, point: str, stage: int
) -> None:
    """Killed with one hand on what waits: the next process calls off as much as one that lived, no more and no less."""
    path = tmp_path / "store.db"
    terms, waits = WAITS["delay"]
    open_store = partial(open_sqlite, path=path)
    entries = [entry(number + 2, shares, **waits) for number, shares in enumerate(sale.buys)]
    leaving = leaves(10, sum(sale.sells), sell=sale.sell)
    with suppress(BaseExceptionGroup):
        async with open_venue(open_store, terms=terms) as venue:
            if sale.held:
                await venue.end_of(entry(1, sale.held))
            await admit(venue, *entries)

            def dies(reached: str) -> None:
                if reached == point:
                    raise _Dies

            if stage:
                venue.group.execution.at = venue.group.execution.company.at = dies
            await venue.end_of(leaving)
    async with open_venue(open_store, terms=terms) as venue:
        await trio.sleep(200)
        position = await venue.position(leaving)
        depth = await venue.store.inbox.depth()
    assert (depth.queued, depth.leased) == (0, 0)
    assert position.shares == Shares.parse(sale.bought) - Shares.parse(sale.sold)
