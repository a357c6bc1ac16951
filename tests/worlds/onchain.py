"""Worlds in which followers copy by transactions: an account, and Safes of one fleet, on a chain with reorgs and nodes that lie.

Whatever happened, once everybody behaves: no order stands on the chain twice, every order and every task has come to its end, and the
books say of each follower what the chain says, to the millionth. Nobody spends more than his guard allows, and gas is counted once
for each transaction. Virtual time, one chain, one store in memory, signed transactions behind real guards.
"""

import traceback
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
import trio.testing
from attrs import define, evolve, field, frozen

from tests.builders import LEADER, NOW, POLYGON
from tests.crash.books import read_books
from tests.harness import Recorder
from tests.plugins.stores import in_place
from tests.worlds.brittle import BrittleStore, Process
from tests.worlds.mined import MinedChain
from tests.worlds.onchain_blocks import DEEPEST, STRANGER, Blocks
from tests.worlds.onchain_checks import CASH, Compared
from tests.worlds.onchain_plan import ALICE_KEY, FLEET, SAFES, WALLETS, plan_of
from tests.worlds.pools import MANNERS, PoolNode
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.config import EndpointSettings
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, PlannedStore
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.errors import ConnectionLost, TrioCopyError, UnresolvedOrders
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy.signing.fleets import FleetKeys
from trio_copy.testing.devnet import DevChain
from trio_copy.testing.virtual import run_virtually
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData
from trio_copy_onchain.tx.fees import GWEI

STEPS = 25
_MUCH = 10**15
_POOL = 20_000 * 10**6
_UNFINALIZED = 8
"""More blocks than a reorg takes back."""
_BLOCK_EVERY_S = 2.0
_PAUSES_S = (0.3, _BLOCK_EVERY_S, _BLOCK_EVERY_S, 6.0)
_USUAL_FEE = 30 * GWEI
_CALM_BLOCKS = 60
_MOST_CALM_BLOCKS = 300
_LONGEST_S = 36_000.0
_POINTS = ("onchain: bound", "onchain: written", "onchain: broadcast", "onchain", "place", "send", "write", "")
_SENDING = "sending"
"""The kind of the documents that are a journal."""
FATES = (
    "die", "die at a point", "drain", "lose the journal", "reorg", "manner", "behind", "stand still", "late receipts", "old receipts",
    "forget", "drop connections", "down", "base fee", "gas", "no state", "poor", "elsewhere", "behave",
)  # fmt: skip
_OFTEN = ("die", "die at a point", "reorg", "reorg", "manner", "manner", "stand still", "forget", "behave", *[""] * 10)


@frozen(kw_only=True)
class Verdict:
    """What a world showed."""

    wrong: tuple[str, ...] = ()
    copies: int = 0
    mined: int = 0
    """Transactions on the chain that were sent for followers."""
    met: Counter[str] = field(factory=Counter)
    ends: Counter[str] = field(factory=Counter)
    """Of tasks."""


def play(seed: int, steps: int = STEPS, without: frozenset[str] = frozenset()) -> Verdict:
    """Play one world to its end on virtual time; `without` some of `FATES`. What it raises is a problem of the verdict."""
    with TemporaryDirectory() as folder:
        try:
            return run_virtually(_live, seed, steps, without, Path(folder), seed=seed)
        except Exception as error:
            return Verdict(wrong=("".join(traceback.format_exception(error)),))


async def _live(seed: int, steps: int, without: frozenset[str], folder: Path) -> Verdict:
    wall, luck = wall_clock_from(NOW), seeded_entropy(seed)
    chain = MinedChain(DevChain(POLYGON, wall), frozenset(SAFES.values()))
    chain.begin({**dict.fromkeys(WALLETS.values(), CASH), LEADER: _MUCH, STRANGER: _MUCH}, _POOL)
    nodes = [PoolNode(chain.dev, mined=chain) for _ in range(luck.choice((1, 2, 2, 3)))]
    for node in nodes:
        node.faults.unfinalized = _UNFINALIZED
    world = OnchainWorld(chain, nodes, wall, luck, plan_of(luck, folder, wall() + 86_400), without)
    with trio.fail_after(_LONGEST_S):
        async with trio.open_nursery() as nursery:
            world.nursery = nursery
            await world.start()
            for _ in range(steps):
                await world.step()
            await world.calm()
            await world.stop()
            nursery.cancel_scope.cancel()
        return await world.check()


@define(eq=False)
class Engine:
    """One process, until it ends or dies."""

    process: Process = field(factory=Process)
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    over: trio.Event = field(factory=trio.Event)
    streams: list[trio.abc.Stream] = field(factory=list)
    service: Service | None = None

    def die(self, nursery: trio.Nursery) -> None:
        """End at once: nothing that it does from here on has an effect."""
        self.process.die()
        for stream in self.streams:
            nursery.start_soon(trio.aclose_forcefully, stream)
        self.streams.clear()
        self.scope.cancel()


@define(eq=False)
class OnchainWorld:
    chain: MinedChain
    nodes: list[PoolNode]
    wall: WallClock
    luck: Entropy
    plan: Plan
    without: frozenset[str]
    data: MemoryData = field(factory=MemoryData)
    engine: Engine = field(factory=Engine)
    recorders: list[Recorder] = field(factory=list)
    down: set[int] = field(factory=set)
    """Nodes that refuse connections."""
    dies_at: str | None = None
    """At which points, by how their names begin, the process may die next."""
    journal_lost: bool = False
    wrong: list[str] = field(factory=list)
    met: Counter[str] = field(factory=Counter)
    nursery: trio.Nursery = field(init=False)
    blocks: Blocks = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.blocks = Blocks(self.chain, self.nodes, self.luck)

    # ---------------------------------------------------------------------------------------------------- the engine

    async def start(self) -> None:
        self.engine = Engine()
        self.nursery.start_soon(self._run, self.engine)
        await trio.sleep(self.luck.choice((0.0, 0.5, 3.0)))

    async def _run(self, engine: Engine) -> None:
        recorder = Recorder()
        self.recorders.append(recorder)
        plugin = StorePlugin(name="memory", open=self._opener(engine.process), settings=MemorySettings, durable=True)
        plan = evolve(self.plan, store=PlannedStore(plugin=plugin, settings=MemorySettings(facts_max=1_000_000)))
        seams = Seams(
            dial=self._dialler(engine),
            wall=self.wall,
            entropy=seeded_entropy(len(self.recorders)),
            in_thread=in_place,
            at=lambda point: self._at(engine, point),
            observer=recorder,
            keys={"alice": ALICE_KEY},
            fleets={"ops": FleetKeys(operators=tuple(FLEET))},
        )
        endpoints = [EndpointSettings(name=f"node-{n}", url=f"ws://node-{n}.test") for n in range(len(self.nodes))]
        try:
            with engine.scope:
                async with open_service(plan, seams, endpoints) as service, trio.open_nursery() as nursery:
                    await nursery.start(service.run)
                    engine.service = service
        except* UnresolvedOrders:
            pass  # it is not armed before a node tells what became of them
        except* TrioCopyError as group:
            if engine.process.alive:
                self.wrong.append(f"engine {len(self.recorders)} broke: {group.exceptions!r}")
        finally:
            engine.over.set()

    def _opener(self, process: Process) -> Any:
        @asynccontextmanager
        async def open_brittle(context: StoreContext) -> AsyncGenerator[Store, None]:
            async with open_memory_store(context, self.data) as store:
                brittle: Any = BrittleStore(store, process)
                yield brittle

        return open_brittle

    def _dialler(self, engine: Engine) -> Any:
        async def dial(url: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            number = int(url.removeprefix("ws://node-").removesuffix(".test"))
            if number in self.down or not engine.process.alive:
                raise ConnectionLost(f"node-{number} refuses")
            ours, theirs = trio.testing.memory_stream_pair()
            engine.streams.append(ours)
            self.nursery.start_soon(self.nodes[number].handle, theirs)
            return ours

        return dial

    def _at(self, engine: Engine, point: str) -> None:
        if self.dies_at is None or not engine.process.alive or not point.startswith(self.dies_at):
            return
        if self.luck.random() < 0.5:
            self.dies_at = None
            engine.die(self.nursery)

    async def stop(self) -> None:
        engine = self.engine
        if engine.service is None:
            engine.die(self.nursery)
        elif not engine.over.is_set():
            engine.service.drain()
        with trio.move_on_after(120):
            await engine.over.wait()
            return
        self.wrong.append("it did not drain")

    # -------------------------------------------------------------------------------------------------- what happens

    async def step(self) -> None:
        """Let one thing happen, then some blocks."""
        fate = self.luck.choice((*FATES, *_OFTEN))
        if fate and fate not in self.without:
            self.met[fate] += 1
            await self._befall(fate)
        if self.engine.over.is_set():
            await self.start()
        for _ in range(self.luck.randrange(4)):
            self.blocks.mine()
            await trio.sleep(self.luck.choice(_PAUSES_S))

    async def _befall(self, fate: str) -> None:
        luck, node = self.luck, self.luck.choice(self.nodes)
        match fate:
            case "die" | "lose the journal":
                self.engine.die(self.nursery)
                await self.engine.over.wait()
                if fate != "die":
                    self._lose_journal()
            case "die at a point":
                self.dies_at = luck.choice(_POINTS)
            case "drain":
                await self.stop()
            case "reorg" if len(self.chain.dev.blocks) > DEEPEST + 1:
                await self.blocks.reorganise()
            case "manner":
                node.manner = luck.choice(sorted(MANNERS))
            case "behind":
                node.faults.behind = luck.choice((1, 2, 4))
            case "stand still":
                node.stand_still()
            case "late receipts":
                node.late_receipts = luck.choice((1, 2, 3))
            case "old receipts":
                node.old_receipts = True
            case "forget":
                for one in self.nodes if luck.random() < 0.5 else [node]:
                    one.pool.clear()
            case "drop connections":
                node.drop_connections()
            case "down":
                self.down = {luck.randrange(len(self.nodes))}
                self.nodes[min(self.down)].drop_connections()
            case "base fee":
                self.chain.base_fee = luck.choice((20, 30, 60, 200)) * GWEI
            case "gas":
                self.chain.gas_factor = luck.choice((100, 90, 200))
            case "no state":
                node.no_state = True
            case "poor":
                node.poor = True
            case "elsewhere":
                self.blocks.use_elsewhere()
            case "behave":
                self._behave()

    def _lose_journal(self) -> None:
        self.journal_lost = True
        for shard in self.data.shards.values():
            for account in list(shard.accounts.values()):
                for key in [one for one in account if one[1] == _SENDING]:
                    shard.delete(key)

    def _behave(self) -> None:
        self.down, self.dies_at, self.chain.gas_factor = set(), None, 100
        for node in self.nodes:
            node.behave()

    async def calm(self) -> None:
        """Let everybody behave until nothing is under way any more."""
        self._behave()
        self.chain.base_fee = _USUAL_FEE
        for block in range(_MOST_CALM_BLOCKS):
            if self.engine.over.is_set():
                await self.start()
            if block >= _CALM_BLOCKS and not any(one.kind in ("order", "waits") for one in self.data.documents()):
                break
            self.blocks.mine_some((), fair=True)
            await trio.sleep(_BLOCK_EVERY_S)

    async def check(self) -> Verdict:
        """Compare the books with the chain."""
        context = StoreContext(settings=MemorySettings(), wall=self.wall)
        async with open_memory_store(context, self.data) as store:
            books = await read_books(store)
        policy = self.plan.settings.wallet["alice"].policy
        compared = Compared(
            chain=self.chain,
            books=books,
            journal=[one for one in self.data.documents() if one.kind == _SENDING],
            max_order=policy.max_order_usd,
            max_day=policy.max_day_usd,
            journal_lost=self.journal_lost,
        )
        return Verdict(
            wrong=(*self.wrong, *compared.wrong()),
            copies=sum(len(one.copies) for one in self.recorders),
            mined=len(compared.mined),
            met=self.met,
            ends=Counter(end.outcome.end.name for end in books.ends if end.outcome is not None),
        )
