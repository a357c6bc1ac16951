"""Worlds in which several engines share the accounts of one store: they die, stand still, wake up, join and drain.

Whatever happened, once one of them lives on: every fill of the leader on the canonical chain came to exactly one end for
every follower, nobody paid twice, nothing was sent that was not durable, no cap was passed, and the books say what the
venue says. Virtual time, one chain, one venue, one store in memory.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, evolve, field

from tests.builders import LEADER
from tests.crash.books import read_books
from tests.crash.checker import History, Verdict
from tests.crash.script import truth_of
from tests.crash.watched import Lane
from tests.harness import Recorder, World, make_test_plan, open_world, patient
from tests.worlds.brittle import BrittleExecutor, BrittleStore, Process, SharedVenue
from trio_copy.config import ShardsSettings
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, PlannedStore
from trio_copy.engine.service import Service
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.errors import TrioCopyError
from trio_copy.model.control import account_shard
from trio_copy.model.fills import Side
from trio_copy.model.follows import Follower
from trio_copy.model.ids import FollowerId, IntentKey, OrderId
from trio_copy.model.units import Usd
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.virtual import run_virtually
from trio_copy_dry_run.settings import FAULTS
from trio_copy_dry_run.venue import SimulatedVenue
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData

STEPS = 25
FOLLOWERS = tuple(FollowerId(name) for name in ("alice", "bob", "carol", "dave", "erin"))
SHARDS = 3
DEADLINE_S = 900.0
COMMON_CAP = Usd.parse(120)
"""Less than what the leader's trades cost in most worlds."""
_MOST_AT_ONCE = 3
_CALM_BLOCKS = 60
_MOST_CALM_BLOCKS = 400
_BLOCK_EVERY_S = 2.0
_STANDS_STILL_S = (0.5, 2.0, 4.0, 9.0)
"""A lease lasts two and a half seconds here: some outlive theirs."""
_PAUSES_S = (0.0, 0.1, 1.0, 4.0)
_FATES = ("stand still", "stand still", "die", "drain", "join", "reorg", *[""] * 6)


@define(eq=False)
class Engine:
    name: str
    process: Process = field(factory=Process)
    service: Service | None = None
    over: bool = False
    up_or_over: trio.Event = field(factory=trio.Event)


def play(seed: int, steps: int = STEPS, sabotage: Callable[[], None] | None = None) -> Verdict:
    """Play one world to its end on virtual time, and check what is left."""
    if sabotage is not None:
        sabotage()
    return run_virtually(_live, seed, steps, seed=seed)


async def _live(seed: int, steps: int) -> Verdict:
    luck = seeded_entropy(seed)
    async with open_world(nodes=2) as world:
        fleet = Fleet(world, luck, _plan(luck))
        async with trio.open_nursery() as nursery:
            fleet.nursery = nursery
            await fleet.join()
            for _ in range(steps):
                await fleet.step()
            await fleet.calm()
            for engine in fleet.engines:
                if engine.service is not None and engine.process.alive:
                    engine.service.drain()
        return await fleet.check()


def _plan(luck: Entropy) -> Plan:
    plan = make_test_plan(
        followers=FOLLOWERS,
        chain={"window_blocks": 64, "rescan_every_s": 10.0},
        engine={
            "deadline_s": DEADLINE_S,
            "send_timeout_s": 2.0,
            "reconcile_every_s": 1.0,
            "escalate_after_s": 600.0,
            "max_day_usd": COMMON_CAP,
        },
        executor={
            "fee_bps": 100,
            "settle_s": 1.0,
            "latency_ms": luck.choice((10, 300)),
            "partial_bps": 1000,
            "faults": list(luck.choice(((), ("late",), ("lose-reply",), FAULTS))),
            "faults_bps": 3000,
            "late_s": 3.0,
            "prove_absence_s": 5.0,
        },
    )
    return evolve(
        patient(plan),
        settings=evolve(patient(plan).settings, shards=ShardsSettings(count=SHARDS, warm=luck.choice((False, True)))),
    )


@define(eq=False)
class Fleet:
    world: World
    luck: Entropy
    plan: Plan
    data: MemoryData = field(factory=MemoryData)
    engines: list[Engine] = field(factory=list)
    wrong: list[str] = field(factory=list)
    unproven: dict[Lane, OrderId] = field(factory=dict)
    armed: dict[int, int] = field(factory=dict)
    """The block from which on each shard's accounts copy, as its first owner has announced."""
    unclean: Counter[int] = field(factory=Counter)
    """How often each shard was taken from an owner who had not given it up."""
    nursery: trio.Nursery = field(init=False)
    venue: SharedVenue = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.venue = SharedVenue(SimulatedVenue(self.plan.executors[0].settings, self.world.quotes, self.world.wall))

    @property
    def going(self) -> list[Engine]:
        return [engine for engine in self.engines if engine.process.goes and not engine.over]

    async def join(self) -> None:
        """Let one more engine start."""
        engine = Engine(f"engine-{len(self.engines)}")
        self.engines.append(engine)
        self.nursery.start_soon(self._run, engine)
        await engine.up_or_over.wait()

    async def _run(self, engine: Engine) -> None:
        seams = evolve(self.world.seams(), observer=_Observer(self, engine), instance=engine.name)
        plugin = StorePlugin(
            name="memory", open=self._opener(engine), settings=MemorySettings, durable=True, shared=True
        )
        plan = evolve(self.plan, store=PlannedStore(plugin=plugin, settings=MemorySettings(facts_max=1_000_000)))
        try:
            async with open_service(plan, seams, self.world.endpoints) as service, trio.open_nursery() as nursery:
                execution = service.executions["sim"]
                redacted: Any = execution.executor
                redacted.inner.venue = self.venue
                brittle = BrittleExecutor(
                    engine.process, redacted.inner, self._is_durable, self.wrong.append, self.unproven
                )
                execution.executor = execution.submitting.executor = evolve(redacted, inner=brittle)
                engine.service = service
                await nursery.start(service.run)
                engine.up_or_over.set()
        except* TrioCopyError as group:
            if engine.process.alive:
                self.wrong.append(f"{engine.name} broke: {group.exceptions!r}")
        finally:
            engine.over = True
            engine.up_or_over.set()

    def _opener(self, engine: Engine) -> Any:
        @asynccontextmanager
        async def open_brittle(context: StoreContext) -> AsyncGenerator[Store, None]:
            async with open_memory_store(context, self.data) as store:
                yield BrittleStore(store, engine.process)

        return open_brittle

    def _is_durable(self, key: IntentKey) -> bool:
        return any(one.kind == "order" and one.name.startswith(f"{key}/") for one in self.data.documents())

    async def step(self) -> None:
        """Let one thing happen, then some blocks and trades."""
        fate = self.luck.choice(_FATES)
        if fate in ("stand still", "die", "drain") and self.going:
            self._befall(self.luck.choice(self.going), fate)
        elif fate == "reorg" and len(self.world.chain.blocks) > 8:
            self._reorganise()
        if (fate == "join" and len(self.going) < _MOST_AT_ONCE) or not self.going:
            await self.join()
        for _ in range(self.luck.randrange(3)):
            self.world.chain.mine(*(self._trade() for _ in range(self.luck.randrange(3))))
        await trio.sleep(self.luck.choice(_PAUSES_S))

    def _befall(self, engine: Engine, fate: str) -> None:
        match fate:
            case "stand still":
                self.nursery.start_soon(engine.process.stand_still, self.luck.choice(_STANDS_STILL_S))
            case "die":
                engine.process.die()
            case _ if engine.service is not None and len(self.going) > 1:
                engine.service.drain()

    def _trade(self) -> DevTx:
        side = Side.BUY if self.luck.random() < 0.7 else Side.SELL
        return self.world.buy(LEADER, side=side, token=self.luck.randrange(4), shares=self.luck.choice((20, 100)))

    def _reorganise(self) -> None:
        depth = self.luck.randrange(1, 4)
        txs = [tx for block in self.world.chain.blocks[-depth:] for tx in block.txs]
        replacement: list[list[DevTx]] = [[] for _ in range(depth + 1)]
        for tx in txs:
            self.luck.choice(replacement).append(tx)
        self.world.chain.reorg(depth, replacement)

    async def calm(self) -> None:
        """Let one engine at least live on until nothing is under way any more."""
        await trio.sleep(max(_STANDS_STILL_S))
        if not self.going:
            await self.join()
        for block in range(_MOST_CALM_BLOCKS):
            if block >= _CALM_BLOCKS and self._quiet():
                break
            self.world.chain.mine()
            await trio.sleep(_BLOCK_EVERY_S)

    def _quiet(self) -> bool:
        return not any(one.kind in ("order", "waits") for one in self.data.documents())

    async def check(self) -> Verdict:
        """Compare the books with the chain and the venue."""
        context = StoreContext(settings=MemorySettings(), wall=self.world.wall)
        async with open_memory_store(context, self.data) as store:
            books = await read_books(store)
        followers, shards = tuple(self.plan.settings.followers().named), self.plan.settings.shards
        assert shards is not None
        shard_of = {one: account_shard(Follower(follower=one, executor=""), shards.count) for one in followers}
        verdict = History(
            truth=truth_of(self.world.chain),
            armed={follower: self.armed[shard] for follower, shard in shard_of.items() if shard in self.armed},
            venue=self.venue.taken,
            books=books,
            followers=followers,
            common_cap=self.plan.settings.engine.max_day_usd,
            # Each may have had the same task in hand: to those that come after, it looks like the cause.
            may_be_dead=[follower for follower, shard in shard_of.items() if self.unclean[shard] >= 3],
        ).check()
        verdict.wrong += self.wrong
        return verdict


class _Observer(Recorder):
    """Notes the block from which on everything is to be copied, of the shards that are held, and who had lost them."""

    def __init__(self, fleet: Fleet, engine: Engine) -> None:
        super().__init__()
        self._fleet, self._engine = fleet, engine

    def on_step(self, step: str, detail: str) -> None:
        super().on_step(step, detail)
        if step == "armed" and self._engine.service is not None:
            for number, shard in self._engine.service.holder.shards.items():
                if shard.armed:
                    self._fleet.armed.setdefault(number, int(detail.split()[2].rstrip(";")))
        if step == "shards" and self._engine.service is not None:
            came = [int(word) for word in detail.split() if word.startswith("+")]
            held = self._engine.service.holder.shards
            self._fleet.unclean.update(number for number in came if number in held and held[number].unclean)
