"""One life of an engine on a chain, a venue and a file that outlive it; it may be killed at a named point.

Everything else is as in production: the real nursery tree, the real SQLite file with its real fsync, the real protocol.
Time is virtual and the chain a devnet, so that a life takes a fraction of a second.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import trio
from attrs import evolve, frozen

from tests.builders import LEADER, NOW, POLYGON
from tests.crash.twins import let_twins_work
from tests.harness import Recorder, World, make_test_plan
from tests.plugins.test_conformance import in_place
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.clock import wall_clock_from
from trio_copy.config import PluginTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.service import Service
from trio_copy.engine.wiring import open_service
from trio_copy.errors import TrioCopyError
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Execution, Filters, Sizing
from trio_copy.model.ids import TokenId
from trio_copy.model.units import NO_USD, Ratio, Shares, Usd
from trio_copy.testing.devnet import DevChain, DevNode, DevTx
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log
from trio_copy.testing.virtual import run_virtually

FOLLOWERS = ("alice", "bob")
STEP_S = 2.0
DEADLINE_S = 600.0
LIVES_APART = {"fresh": 60.0, "stale": 4000.0}
"""How much later a killed engine starts again: while its tasks are still worth sending, or long after."""
CALLED_OFF = 5
"""A token of which little is bought, sold again while it waits, and bought again: never enough for an order."""
REORG_AT = 4
"""The block after which the chain drops its newest block, and mines it again behind another transaction."""


@frozen(kw_only=True)
class Life:
    """What one process does."""

    folder: Path
    number: int
    gap: str
    faults: tuple[str, ...]
    kill_at: str | None = None
    """The point to be killed at; None lives to the end."""
    kill_nth: int = 1
    twins: bool = False
    """Whether every task is carried out by two instances at once."""
    sabotage: Callable[[], None] | None = None
    """Breaks the engine on purpose, for tests of the checker."""

    @property
    def starts_at(self) -> float:
        return NOW + self.number * LIVES_APART[self.gap]


def trades() -> list[tuple[DevTx, ...]]:
    """What the leader does, block by block: entries and exits in several tokens, two of them in one block."""
    script = [
        [(Side.BUY, 1, 100)],
        [(Side.BUY, 2, 200), (Side.BUY, 3, 50)],
        [(Side.SELL, 1, 40)],
        [(Side.BUY, 1, 60)],
        [(Side.SELL, 2, 200), (Side.BUY, 4, 10), (Side.BUY, CALLED_OFF, 10)],
        [(Side.BUY, 4, 10), (Side.SELL, CALLED_OFF, 10)],
        [(Side.SELL, 1, 120), (Side.BUY, CALLED_OFF, 10)],
    ]
    numbers = iter(range(1, 100))
    return [tuple(_trade(next(numbers), *trade) for trade in block) for block in script]


def _trade(number: int, side: Side, token: int, shares: int) -> DevTx:
    return DevTx(
        tx_hash=fake_hash("tx", number),
        logs=(
            order_filled_log(
                exchange=EXCHANGE_V2,
                order_hash=fake_hash("order", number),
                owner=LEADER,
                counterparty=EXCHANGE_V2,
                side=side,
                token_id=TokenId(token),
                shares=Shares(shares * 1_000_000),
                notional=Usd(shares * 500_000),
                fee=NO_USD,
            ),
        ),
    )


def _stranger(number: int) -> DevTx:
    """A transaction whose only effect is that others move to another place in their block."""
    return DevTx(tx_hash=fake_hash("stranger", number), logs=(_trade(1000 + number, Side.BUY, 9, 1).logs[0],))


class Script:
    """The chain as it grows; the same in every life."""

    def __init__(self) -> None:
        """Begin with the chain's first block."""
        self._time = NOW
        self._next = 0
        self.blocks = trades()
        self.chain = DevChain(POLYGON, lambda: self._time)

    def catch_up(self, now: float) -> None:
        """Mine whatever is due."""
        while self.due <= now:
            self._time = self.due
            self._next += 1
            txs = self.blocks[self._next - 1] if self._next <= len(self.blocks) else ()
            self.chain.mine(*txs)
            if self._next == REORG_AT:
                self.chain.reorg(1, [(_stranger(1), *txs), ()])

    @property
    def over(self) -> bool:
        return self._next > len(self.blocks)

    @property
    def due(self) -> float:
        """Unix seconds at which the next block is mined."""
        return NOW + STEP_S * (self._next + 1)


def make_plan_for(life: Life) -> Plan:
    plan = make_test_plan(
        followers=FOLLOWERS,
        chain={"rescan_every_s": 10.0},
        engine={
            "deadline_s": DEADLINE_S,
            "send_timeout_s": 2.0,
            "reconcile_every_s": 1.0,
            "escalate_after_s": 60.0,
            "startup_reconcile_s": 120.0,
        },
        executor={
            "latency_ms": 50,
            "partial_bps": 3000,
            "fee_bps": 100,
            "settle_s": 1.0,
            "faults": list(life.faults),
            "late_s": 3.0,
            "prove_absence_s": 5.0,
            "venue_file": str(life.folder / "venue.jsonl"),
        },
    )
    sizing = Sizing(ratio=Ratio.parse("0.1"), minimum_usd=Usd.parse(1), minimum_policy="accumulate", accumulate_s=30.0)
    follow = tuple(
        evolve(table, size=sizing, filters=Filters(max_age_s=DEADLINE_S), execution=Execution(attempts=2))
        for table in plan.settings.follow
    )
    store = PluginTable(name="sqlite", plugin="sqlite", options={"path": str(life.folder / "store.db")})
    return make_plan(evolve(plan.settings, follow=follow, store=store), plan.registry)


def run_life(life: Life, seed: int) -> None:
    """Live in this process; only returns when nobody was to be killed, or the point was never reached."""
    if life.sabotage is not None:
        life.sabotage()
    if life.twins:
        let_twins_work()
    run_virtually(_live, life, seed=seed)


def _killer(life: Life) -> Callable[[str], None]:
    seen: Counter[str] = Counter()

    def at(point: str) -> None:
        seen[point] += 1
        if point == life.kill_at and seen[point] == life.kill_nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


async def _live(life: Life) -> None:
    at, wall, script = _killer(life), wall_clock_from(life.starts_at), Script()
    script.catch_up(life.starts_at)
    recorder = _Log(life.folder / "events.jsonl")
    async with trio.open_nursery() as nursery:
        node = DevNode(script.chain)
        node.faults.without_removed = True  # a reorg is then noticed late: the new block comes before the old one goes
        world = World(script.chain, [node], wall, nursery=nursery, recorder=recorder)
        plan = make_plan_for(life)
        try:
            async with (
                open_service(plan, _seams(world, at), world.endpoints) as service,
                trio.open_nursery() as running,
            ):
                _watch_venue(service, at)
                await running.start(service.run)
                while not script.over:
                    await trio.sleep(STEP_S / 2)
                    script.catch_up(wall())
                await _wait_quiet(service, script, wall)
                service.drain()
        except* TrioCopyError as group:
            recorder.write("gave-up", detail=repr(group.exceptions))
        nursery.cancel_scope.cancel()


def _seams(world: World, at: Callable[[str], None]) -> Any:
    seams = world.seams()
    seams.at, seams.in_thread = at, in_place
    return seams


def _watch_venue(service: Service, at: Callable[[str], None]) -> None:
    executor: Any = service.groups["sim"].execution.executor
    executor = executor.inner
    executor.venue = _WatchedVenue(executor.venue, at)


class _WatchedVenue:
    """Lets a process die right before and right after the venue has taken its order."""

    def __init__(self, venue: Any, at: Callable[[str], None]) -> None:
        self._venue, self._at = venue, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def place(self, *args: Any, **options: Any) -> Any:
        self._at("venue: not yet")
        report = self._venue.place(*args, **options)
        self._at("venue: has it")
        return report


async def _wait_quiet(service: Service, script: Script, wall: Callable[[], float]) -> None:
    """Wait until nothing is under way any more: every task ended, every order settled."""
    quiet, until = 0, wall() + 300
    while quiet < 3 and wall() < until:
        await trio.sleep(5)
        script.catch_up(wall())
        depth = await service.store.inbox.depth()
        still = depth.queued or depth.leased or depth.held or await service.store.journal.unresolved()
        quiet = 0 if still else quiet + 1


class _Log(Recorder):
    """Writes down at once what the checker needs to know of a life, however it ends."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_step(self, step: str, detail: str) -> None:
        super().on_step(step, detail)
        if step == "armed":
            self.write("armed", detail=detail)

    def write(self, event: str, **fields: object) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode({"event": event, **fields}) + b"\n")
