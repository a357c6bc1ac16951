"""An engine without a chain in front of it: one shard, its lanes and workers, a venue, and those who keep house.

A test takes tasks in as the gate would, and reads what came of them from the account at hand, or from what is stored.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve

from tests.builders import ALICE, NOW, make_follow, make_signal, make_task
from tests.harness import Recorder
from tests.plugins.stores import in_place
from trio_copy.accounts import Account, OpenOrder
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.config import EngineSettings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.calls import Calls, Whose
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.sending.calling_off import RestingRules
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.reconciler import Reconciler
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import retract, take_in
from trio_copy.engine.shards.tidying import tidy
from trio_copy.entropy import seeded_entropy
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import ENGINE, Lease, Mode, ModeChange, Modes, shard_lease
from trio_copy.model.decisions import Code, CopyTask, End, retracted, too_late
from trio_copy.model.fills import Side
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.positions import Position
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import Executor, ExecutorContext, Store, StoreContext, nowhere
from trio_copy.registry import discover
from trio_copy.telemetry.redaction import Redactor
from trio_copy.testing.scripted import ScriptedExecutor
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData
from trio_copy_sqlite import SqliteSettings, open_sqlite_store

LEASE_S = 30.0
Ending = tuple[End, Code | None]


class Venue(ScriptedExecutor):
    """The scripted venue, with methods that a test may put others in the place of."""


@define(eq=False)
class Rig:
    """What one process has of an engine."""

    store: Store
    executor: Any
    holder: Holder
    execution: Execution
    reconciler: Reconciler
    recorder: Recorder
    mode: ModeBoard
    book: FollowBook
    wall: WallClock
    lease: Lease

    @property
    def shard(self) -> Shard:
        return self.holder.shards[0]

    @property
    def lanes(self) -> Lanes:
        return self.execution.lanes

    def call_at(self, at: Callable[[str], None]) -> None:
        """Call at each point of what workers carry out from now on where a crash would matter."""
        self.execution.at = self.execution.submitting.at = at

    async def take_in(self, *tasks: CopyTask) -> None:
        """Let tasks wait, as if the gate had just met their signals."""
        for task in tasks:
            await self.shard.load([task.follower])
            take_in(self.shard, task.signal, [task], ())

    def take_back(self, task: CopyTask) -> tuple[int, int]:
        """Take back a task's trade, as the gate does; return how many tasks are suspended, and how many are placed."""
        first = self.shard.met.retract(task.signal, self.wall())
        assert first is not None
        return retract(self.shard, first)

    async def end_of(self, *tasks: CopyTask) -> list[Ending]:
        """Take tasks in, one after the other, and return how each ended."""
        await self.take_in(*tasks)
        return await self.wait_ends(*tasks)

    async def wait_ends(self, *tasks: CopyTask) -> list[Ending]:
        wanted = {task.task_id for task in tasks}
        await self.recorder.wait_until(lambda: wanted <= {one.task.task_id for one in self.recorder.finished})
        ends = {one.task.task_id: one.outcome for one in self.recorder.finished}
        return [
            (ends[task.task_id].end, reason.code if (reason := ends[task.task_id].reason) else None) for task in tasks
        ]

    def ends(self) -> list[tuple[str, End, Code | None]]:
        return [
            (one.task.follower, one.outcome.end, one.outcome.reason.code if one.outcome.reason else None)
            for one in self.recorder.finished
        ]

    def account(self, follower: str = ALICE) -> Account:
        return self.shard.accounts[FollowerId(follower)]

    def position(self, task: CopyTask) -> Position:
        return self.account(task.follower).position((task.signal.leader, task.intent.token_id))

    def open_orders(self) -> list[OpenOrder]:
        return [order for account in self.shard.accounts.values() for order in account.orders.values()]

    def open_cost(self, follower: str = ALICE) -> Usd:
        """What is open of an account: held, and what open orders may cost."""
        return Usd(self.account(follower).exposure.cost("all"))

    async def carry_out(self, queued: Queued) -> None:
        """Do what a worker does with a task in hand."""
        with trio.CancelScope() as scope:
            await self.execution.carry_out(queued, scope)

    async def settled(self) -> None:
        """Wait until every order has ended."""
        with trio.fail_after(600):
            await trio.lowlevel.checkpoint()
            while self.open_orders():  # noqa: ASYNC110  virtual time
                await trio.sleep(1)

    async def hold(self, follower: str = ALICE, shares: str = "10", token: int = 7, number: int = 900) -> None:
        """Let a follower hold a position copied from the leader, by an order that was filled."""
        made = buy(number, follower, token=token)
        amount = Shares.parse(shares)
        made = evolve(made, intent=evolve(made.intent, shares=amount))
        before = self.mode.modes
        self.mode.modes = Modes(version=0, by_scope={})
        assert await self.end_of(made) == [(End.FILLED, None)]
        self.mode.modes = before
        self.recorder.finished.clear()
        if isinstance(self.executor, Venue):
            self.executor.sent.clear()
            self.executor.filled.clear()

    async def keep_house(self) -> None:
        """Prove and expire, as the service does."""
        while True:
            await trio.sleep(1)
            self.expire()
            await self.reconciler.look()

    def expire(self) -> None:
        now = self.wall()
        self.lanes.push_due(now)
        for queued in self.lanes.take_late(now):
            shard = self.holder.shards.get(queued.shard)
            if shard is not None:
                shard.give_up(queued, retracted(queued.task) if queued.suspended else too_late(queued.task, now))
        for shard in tuple(self.holder.shards.values()):
            tidy(shard)


def buy(number: int = 1, follower: str = ALICE, *, side: Side = Side.BUY, token: int = 7, **changes: Any) -> CopyTask:
    """Ten shares at half a dollar, to be sent within five seconds; `number` names the leader's trade and its turn."""
    made = make_task(make_signal(number, side=side, token_id=TokenId(token)), follower)
    return evolve(made, **{"decided_at": NOW + number / 1e6, **changes})


def sell(number: int = 1, follower: str = ALICE, **changes: Any) -> CopyTask:
    return buy(number, follower, side=Side.SELL, **changes)


OpenStore = Callable[[StoreContext], AbstractAsyncContextManager[Store]]


def on_memory(data: MemoryData | None = None) -> OpenStore:
    """Make what opens a memory store; opened once more, it holds what it held."""
    kept = MemoryData() if data is None else data
    return lambda context: open_memory_store(evolve(context, settings=MemorySettings()), kept)


def on_sqlite(folder: Path) -> OpenStore:
    """Make what opens a store in a folder."""
    settings = SqliteSettings(path=str(folder / "books.db"))
    return lambda context: open_sqlite_store(evolve(context, settings=settings, in_thread=in_place))


@asynccontextmanager
async def open_rig(
    *,
    executor: Executor | None = None,
    open_store: OpenStore | None = None,
    workers: int = 4,
    mode: Mode = Mode.RUN,
    terms: dict[str, Any] | None = None,
    owner: str = "me",
    alone: bool = True,
    at_work: bool = True,
    max_day_usd: Usd | None = None,
    at: Callable[[str], None] = nowhere,
    names: Iterable[str] = ("alice", "bob", "carol"),
    **engine: Any,
) -> AsyncGenerator[Rig, None]:
    """Open a rig in front of a venue, the scripted one unless another is given; its end is a crash, for the store.

    With the `open_store` of an earlier rig it begins with what that one has left.
    Not `at_work`, it has no workers, and nobody proves or expires.
    """
    wall = wall_clock_from(NOW + trio.current_time())
    settings = EngineSettings(**{"send_timeout_s": 2.0, "startup_reconcile_s": 30.0, "deadline_s": 600.0, **engine})
    recorder, venue = Recorder(), executor or Venue(name="sim")
    book = FollowBook(TermsOfFollows(followers=Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")})))
    book.replace_all(make_follow(name, **{"sell": "sized", **(terms or {})}) for name in names)
    board = ModeBoard(Modes(version=1, by_scope={ENGINE: ModeChange(mode=mode, why="test", at=NOW)}))
    lanes = {"sim": Lanes(settings.queue_capacity)}
    context = StoreContext(settings=None, wall=wall)
    open_it = open_store or on_memory()
    async with open_it(context) as store, trio.open_nursery() as writers:
        holder = Holder(
            store=store,
            lanes=lanes,
            catalog=Catalog(),
            wall=wall,
            observer=recorder,
            lane_of=lambda task: venue.lane(task.intent, book.terms.followers[task.follower].wallet),
            dedup_ttl_s=settings.dedup_ttl_s,
            max_day_usd=max_day_usd,
            alone=alone,
            owner=owner,
            lease_s=LEASE_S,
            followers=lambda: book.followers,
            halt=lambda why: board.halt(store.control, why),
        )
        contract = Contract(
            inner=venue,
            whose=Whose(kind="executor", name="sim", distribution="a venue of the tests"),
            settings=settings,
            redactor=Redactor(),
            calls=Calls(recorder.on_alert),
            rests=hasattr(venue, "cancel"),
            shows_books=hasattr(venue, "market_with_book"),
            on_alert=recorder.on_alert,
        )
        rules = RestingRules(book=book, mode=board, settings=settings, wall=wall)
        execution = Execution(
            executor=contract,
            lanes=lanes["sim"],
            shards=holder.shards,
            book=book,
            mode=board,
            settings=settings,
            wall=wall,
            entropy=seeded_entropy(1),
            rules=rules,
            at=at,
        )
        reconciler = Reconciler(
            shards=holder.shards,
            executions={"sim": execution},
            settings=settings,
            observer=recorder,
            wall=wall,
            rules=rules,
        )
        await writers.start(holder.run)
        try:
            lease = await store.control.acquire(shard_lease(0), owner, LEASE_S)
            assert lease is not None
            await holder.begin(0, lease)
            async with trio.open_nursery() as nursery:
                rig = Rig(
                    store=store,
                    executor=venue,
                    holder=holder,
                    execution=execution,
                    reconciler=reconciler,
                    recorder=recorder,
                    mode=board,
                    book=book,
                    wall=wall,
                    lease=lease,
                )
                if at_work:
                    nursery.start_soon(rig.keep_house)
                    for _ in range(workers):
                        nursery.start_soon(execution.run_worker)
                yield rig
                nursery.cancel_scope.cancel()
        finally:
            holder.stop()


@asynccontextmanager
async def open_venue(
    open_store: OpenStore | None = None,
    *,
    terms: dict[str, Any] | None = None,
    queue_capacity: int = 5000,
    **venue: Any,
) -> AsyncGenerator[Rig, None]:
    """Open a rig in front of the simulated venue, without luck unless a test wants it."""
    plugin = discover().executor("dry-run")
    options = {"latency_jitter_ms": 0, "partial_bps": 0, "slippage_bps": 0, "prove_absence_s": 10.0, **venue}
    wall = wall_clock_from(NOW + trio.current_time())
    context = ExecutorContext(name="sim", settings=plugin.settings(**options), wall=wall, quotes=None)
    async with (
        plugin.open(context) as executor,
        open_rig(executor=executor, open_store=open_store, terms=terms, queue_capacity=queue_capacity) as rig,
    ):
        yield rig
