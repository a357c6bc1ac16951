"""Tasks that rest, on the memory store and on SQLite."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define

from tests.builders import NOW, usd
from tests.engine.resting import (
    CROWDED,
    SALES,
    SCENARIOS,
    SELLING,
    WAITS,
    Sale,
    Scenario,
    a_burst_of_trades_leaves_nothing_over,
    admit,
    all_end,
    an_exit_calls_off_what_waits,
    ends,
    entry,
    leaves,
    sells_without_room,
    traded,
)
from tests.engine.rig import OpenStore, on_memory, on_sqlite, open_venue
from tests.harness import make_test_plan, open_world, patient, running_engine
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.model.fills import Side
from trio_copy.model.units import Shares
from trio_copy.ports import Store, StoreContext
from trio_copy.testing.virtual import run_virtually

Clock = trio.testing.MockClock
OnStore = Callable[[Path], OpenStore]
STORES = pytest.mark.parametrize("on", [lambda path: on_memory(), on_sqlite], ids=["memory", "sqlite"])


@STORES
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_what_rests(clock: Clock, tmp_path: Path, on: OnStore, scenario: Scenario) -> None:
    """What the scenario's docstring says holds on every store."""
    await scenario(on(tmp_path))


@STORES
@pytest.mark.parametrize("how", WAITS)
@pytest.mark.parametrize("sale", SALES, ids=str)
async def test_an_exit_calls_off_what_waits(clock: Clock, tmp_path: Path, on: OnStore, how: str, sale: Sale) -> None:
    """What the leader sold again is not bought, in proportion; what is bought in the end is what he still holds."""
    await an_exit_calls_off_what_waits(on(tmp_path), how, sale)


@define(eq=False)
class LateAccounts:
    """Accounts that take their time, before they do something and before they say so: anything may happen meanwhile."""

    accounts: Any
    entropy: Entropy
    most_s: float

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.accounts, name)
        if name not in ("load", "write"):
            return method

        async def late(*args: Any) -> Any:
            await self._pause()
            answer = await method(*args)
            with trio.CancelScope(shield=True):  # what a store has done, it tells
                await self._pause()
            return answer

        return late

    async def _pause(self) -> None:
        await trio.sleep(self.entropy.choice((0.0, 0.0, self.most_s)) * self.entropy.uniform(0, 1))


@define(eq=False)
class LateStore:
    store: Any
    accounts: LateAccounts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def late(seed: int, most_s: float) -> OpenStore:
    """Return what opens a memory store that takes up to so many seconds, sometimes."""

    @asynccontextmanager
    async def open_late(context: StoreContext) -> AsyncGenerator[Store, None]:
        async with on_memory()(context) as store:
            yield LateStore(store, LateAccounts(store.accounts, seeded_entropy(seed), most_s))

    return open_late


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most_s", [0.05, 2.0])
def test_no_order_of_answers_leaves_a_task_unattended(seed: int, most_s: float) -> None:
    """However late the store says that something is durable: all is bought, and nobody hears an alert."""

    async def play() -> None:
        terms = {"aggregate_s": 30.0, "max_order_usd": usd("12")}
        async with open_venue(late(seed, most_s), terms=terms) as venue:
            await admit(venue, *(entry(number, aggregates=True, not_before=NOW + 30) for number in range(18)))
            await all_end(venue, 18)
            assert set(ends(venue)) == {"filled", "gathered"}
            assert traded(venue, Side.BUY) == Shares.parse(180)
            assert venue.recorder.alerts == []

    run_virtually(play, seed=seed)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most_s", [0.05, 2.0])
def test_no_order_of_answers_leaves_anything_over(seed: int, most_s: float) -> None:
    """Called off while another write is under way: what the leader has sold again is not held."""
    run_virtually(a_burst_of_trades_leaves_nothing_over, late(seed, most_s), seed=seed)


async def test_a_reorg_suspends_what_waits_behind_another_order(clock: Clock) -> None:
    """Two trades of one token: the second one's block goes while the first one's order is on its way; it is not bought."""
    async with open_world() as world:
        plan = patient(make_test_plan(followers=("alice",), executor={"latency_ms": 4000}, engine={"deadline_s": 60.0}))
        async with running_engine(world, plan) as service:
            world.chain.mine(world.buy())
            await trio.sleep(1)
            second = world.buy(shares=200)
            world.chain.mine(second)
            await trio.sleep(1)
            world.chain.reorg(1, [(), ()])
            await world.recorder.wait_until(lambda: bool(world.recorder.retracted))
            assert world.recorder.retractions == [(1, 0)]
            await trio.sleep(10)
            assert len(world.recorder.copies) == 1
            assert service.status().suspended == 1
            world.chain.mine(second)
            await world.recorder.wait_copies(2)
    assert "adopted" in world.recorder.admissions


class _Dies(Exception):
    """The process ends here."""


@pytest.mark.parametrize("sale", [SALES[2], SALES[5], SALES[6], SALES[13]], ids=str)
@pytest.mark.parametrize("point", ["task: in hand", "place: decided", "place: durable"])
@pytest.mark.parametrize("dies", [False, True])
async def test_an_exit_that_dies_is_counted_once(
    clock: Clock, tmp_path: Path, sale: Sale, point: str, *, dies: bool
) -> None:
    """Killed with one hand on what waits: the next process calls off as much as one that lived, no more and no less."""
    terms, waits = WAITS["delay"]
    entries = [entry(number + 2, shares, **waits) for number, shares in enumerate(sale.buys)]
    leaving = leaves(10, sum(sale.sells), sell=sale.sell)

    def at(reached: str) -> None:
        if reached == point:
            raise _Dies

    with suppress(BaseExceptionGroup):
        async with open_venue(on_sqlite(tmp_path), terms=terms) as venue:
            if sale.held:
                await admit(venue, entry(1, sale.held))
                await all_end(venue, 1)
            await admit(venue, *entries)
            if dies:
                venue.call_at(at)
            await admit(venue, leaving)
            await all_end(venue, 2 if sale.held else 1)
    async with open_venue(on_sqlite(tmp_path), terms=terms) as venue:
        # What was not placed, its owner reads from the chain again.
        await admit(venue, *entries, leaving)
        await trio.sleep(200)
        assert len(venue.lanes.unplaced) == len(venue.account().waiting) == 0
        position = venue.position(leaving)
    assert position.shares == Shares.parse(sale.bought) - Shares.parse(sale.sold)


@pytest.mark.parametrize(
    ("point", "left"),
    [("task: in hand", "15"), ("place: durable", "35"), ("send: may have been sent", "35"), ("send: answered", "15")],
)
async def test_exits_that_die_as_one_are_sold_once(clock: Clock, tmp_path: Path, point: str, left: str) -> None:
    """Killed where several exits share an order: what was not placed is sold by the next process, what was placed never again."""
    reached = 0

    def at(here: str) -> None:
        nonlocal reached
        reached += here == point
        if reached == 3:  # the entry, the first exit, and those that wait behind it
            raise _Dies

    venue_file: dict[str, Any] = {"venue_file": str(tmp_path / "venue")}
    with suppress(BaseExceptionGroup):
        async with open_venue(on_sqlite(tmp_path), **CROWDED, **venue_file) as venue:
            venue.call_at(at)
            await sells_without_room(venue)
            await trio.sleep(20)
    assert reached == 3
    await trio.sleep(1)
    async with open_venue(on_sqlite(tmp_path), **venue_file) as venue:
        await venue.reconciler.settle_earlier_run()
        await admit(venue, *SELLING)
        await trio.sleep(60)
        assert (len(venue.lanes.unplaced), venue.open_orders()) == (0, [])
        assert venue.position(SELLING[0]).shares == Shares.parse(left)
