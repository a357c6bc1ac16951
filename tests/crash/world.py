"""One life of an engine on a chain, a venue and a store that outlive it; it may be killed at a named point.

Everything else is as in production: the real nursery tree, the real SQLite file with its real fsync, the real protocol.
Time is virtual and the chain a devnet, so that a life takes a fraction of a second.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import trio
from attrs import evolve, frozen

from tests.builders import NOW
from tests.crash.checker import AtVenue
from tests.crash.script import STEP_S, Script
from tests.crash.stores import Place, StoreOfLife
from tests.crash.watched import WatchedExecutor, WatchedVenue
from tests.harness import Recorder, World, make_test_plan
from tests.plugins.stores import in_place
from trio_copy.accounts import Account
from trio_copy.clock import wall_clock_from
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.service import Service
from trio_copy.errors import TrioCopyError
from trio_copy.model.follow_settings import Caps, Execution, Filters, Sizing
from trio_copy.model.ids import FollowerId, OrderId
from trio_copy.model.orders import Order
from trio_copy.model.units import Ratio, Usd
from trio_copy.records import decode
from trio_copy.testing.devnet import DevNode
from trio_copy.testing.virtual import run_virtually
from trio_copy_dry_run.venue_file import VenueFile

ALICE, BOB = FollowerId("alice"), FollowerId("bob")
FOLLOWERS = (ALICE, BOB)
DEADLINE_S = 600.0
RESTS = "rests"
"""Among the faults of a venue: it fills in part only, and what Alice buys rests there and is filled bit by bit."""
REST_S = 180
LIVES_APART = {"at once": 1.0, "fresh": 60.0, "stale": 4000.0}
"""How long after its death an engine starts again: while its chain goes on, while its tasks are still worth sending, or
long after."""
DAY_CAPS = {BOB: Usd.parse(16)}
COMMON_CAP = Usd.parse(38)
"""Both are less than what the leader's trades would cost."""


@frozen(kw_only=True)
class Life:
    """What one process does."""

    place: Place
    number: int
    gap: str
    faults: tuple[str, ...]
    kill_at: str | None = None
    """The point to be killed at; None lives to the end."""
    kill_nth: int = 1
    forget_nth: int | None = None
    """After how many writes the store forgets its last ones."""
    sabotage: Callable[[], None] | None = None
    """Breaks the engine on purpose, for tests of the checker."""

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def starts_at(self) -> float:
        died = [event["at"] for event in events(self.folder) if event["event"] == "died"]
        return max(died) + LIVES_APART[self.gap] if died else NOW


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
            "max_day_usd": COMMON_CAP,
        },
        executor={
            "latency_ms": 50,
            "partial_bps": 10_000 if RESTS in life.faults else 3000,
            "fee_bps": 100,
            "settle_s": 2.5,
            "faults": [fault for fault in life.faults if fault != RESTS],
            "late_s": 3.0,
            "prove_absence_s": 5.0,
            "venue_file": str(life.folder / "venue.jsonl"),
        },
    )
    sizing = Sizing(ratio=Ratio.parse("0.1"), minimum_usd=Usd.parse(1), minimum_policy="accumulate", accumulate_s=30.0)
    follow = tuple(
        evolve(
            table,
            size=sizing,
            filters=Filters(max_age_s=DEADLINE_S),
            execution=_execution(table.follower, life),
            caps=Caps(max_day_usd=DAY_CAPS.get(table.follower)),
        )
        for table in plan.settings.follow
    )
    return evolve(plan, settings=evolve(plan.settings, follow=follow))


def _execution(follower: FollowerId, life: Life) -> Execution:
    if RESTS in life.faults and follower == ALICE:
        return Execution(attempts=2, order_type="GTC", rest_s=REST_S)
    return Execution(attempts=2)


def run_life(life: Life, seed: int) -> None:
    """Live in this process; only returns when nobody was to be killed, or the point was never reached."""
    if life.sabotage is not None:
        life.sabotage()
    run_virtually(_live, life, seed=seed)


async def _live(life: Life) -> None:
    wall, script = wall_clock_from(life.starts_at), Script()
    script.catch_up(life.starts_at)
    recorder = _Log(life.folder / "events.jsonl")
    store = StoreOfLife(life.place, forget_nth=life.forget_nth)
    seen: Counter[str] = Counter()

    def at(point: str) -> None:
        seen[point] += 1
        if point == life.kill_at and seen[point] == life.kill_nth:
            store.keep()
            recorder.write("died", at=wall())
            os.kill(os.getpid(), signal.SIGKILL)

    async with trio.open_nursery() as nursery:
        node = DevNode(script.chain)
        node.faults.without_removed = True  # a reorg is then noticed late: the new block comes before the old one goes
        world = World(script.chain, [node], wall, nursery=nursery, recorder=recorder)
        seams = world.seams()
        seams.at, seams.in_thread, seams.instance = at, in_place, f"life-{life.number}"
        try:
            async with (
                open_service(store.planned(make_plan_for(life)), seams, world.endpoints) as service,
                trio.open_nursery() as running,
            ):
                _watch(service, at, store, recorder, rests=RESTS in life.faults)
                await running.start(service.run)
                while not script.over:
                    await trio.sleep(STEP_S / 2)
                    script.catch_up(wall())
                await _wait_quiet(service, script, wall)
                service.drain()
        except* TrioCopyError as group:
            recorder.write("gave-up", detail=repr(group.exceptions))
        nursery.cancel_scope.cancel()
    store.keep()
    recorder.write("died", at=wall())


def _watch(service: Service, at: Callable[[str], None], store: StoreOfLife, recorder: "_Log", *, rests: bool) -> None:
    execution = service.executions["sim"]
    redacted: Any = execution.executor
    executor = redacted.inner
    executor.venue = WatchedVenue(executor.venue, at)
    watched = WatchedExecutor(
        executor, store.has_order, lambda what: recorder.write("wrong", detail=what), {}, grows=rests
    )
    execution.executor = execution.submitting.executor = evolve(redacted, inner=watched)


async def _wait_quiet(service: Service, script: Script, wall: Callable[[], float]) -> None:
    """Wait until nothing is under way any more: every task ended, every order settled."""
    quiet, until = 0, wall() + 300
    while quiet < 3 and wall() < until:
        await trio.sleep(5)
        script.catch_up(wall())
        status, shards = service.status(), service.holder.shards.values()
        accounts = [account for shard in shards for account in shard.accounts.values()]
        still = status.queued or status.busy or any(account.orders or account.waiting for account in accounts)
        if not any(_is_under_way(account) for account in accounts):
            # As a drain does, but before it: what has filled settles before the end.
            service.reconciler.rules.draining = True
        quiet = 0 if still else quiet + 1


def _is_under_way(account: Account) -> bool:
    return bool(account.waiting) or not all(one.rests for one in account.orders.values())


class _Log(Recorder):
    """Writes down at once what the checker needs to know of a life, however it ends."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_step(self, step: str, detail: str) -> None:
        super().on_step(step, detail)
        if step == "armed":
            self.write("armed", block=int(detail.split()[2].rstrip(";")))

    def write(self, event: str, **fields: object) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode({"event": event, **fields}) + b"\n")


def events(folder: Path) -> list[dict[str, Any]]:
    """Return what the lives in a folder have written down."""
    path = folder / "events.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def venue(folder: Path) -> Iterator[AtVenue]:
    """Return what the venue of a folder took, as it stands now: one that rests is written down again as it is filled."""
    taken: dict[OrderId, AtVenue] = {}
    for line in VenueFile(folder / "venue.jsonl").lines():
        order, kept = decode(bytes(line.order), Order), line.kept
        came_at = taken[order.order_id].at if order.order_id in taken else line.at
        taken[order.order_id] = AtVenue(
            order=order, report=kept.settles or kept.report, told=kept.report, failed=kept.fails, at=came_at
        )
    yield from taken.values()
