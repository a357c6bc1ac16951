"""A whole engine on a virtual devnet: several nodes in front of one chain, real WebSockets over memory streams."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, NOW, POLYGON
from tests.plugins.stores import in_place
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.config import ChainSettings, EndpointSettings, EngineSettings, PluginTable, Settings, ShardsSettings
from trio_copy.config.settings import FollowerTable, FollowTable
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ConnectionLost
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import End, Skip
from trio_copy.model.facts import Amounts
from trio_copy.model.fills import Fill, Side
from trio_copy.model.follow_settings import Filters, Sizing
from trio_copy.model.ids import Address, FollowerId, Hash32, SignalId, TokenId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Ratio, Shares, Usd
from trio_copy.ports import Changes, Quotes, Store
from trio_copy.registry import discover
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.testing.devnet import DevChain, DevNode, DevTx
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log


@define(eq=False)
class Recorder(Observer):
    """Remembers everything and lets a test wait for it."""

    steps: list[str] = field(factory=list)
    fills: list[Fill] = field(factory=list)
    admitted: list[Signal] = field(factory=list)
    admissions: list[str] = field(factory=list)
    skips: list[Skip] = field(factory=list)
    finished: list[Finished] = field(factory=list)
    copies: list[tuple[str, str]] = field(factory=list)
    """(signal, follower) of every copy that filled something."""
    entries: list[LedgerEntry] = field(factory=list)
    retracted: list[Signal] = field(factory=list)
    retractions: list[tuple[int, int]] = field(factory=list)
    """How many tasks of each were suspended, and how many had been placed."""
    alerts: list[tuple[str, str]] = field(factory=list)
    quarantined: list[str] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)

    def on_step(self, step: str, detail: str) -> None:
        self.steps.append(step)
        self._tell()

    def on_fill(self, fill: Fill, signal_id: SignalId, source: str) -> None:
        self.fills.append(fill)

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        self.admissions.append(admission)
        if admission == "admitted":
            self.admitted.append(signal)
        self._tell()

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        self.skips.append(skip)
        self._tell()

    def on_finished(self, finished: Finished) -> None:
        self.finished.append(finished)
        if finished.outcome.end in (End.FILLED, End.PARTIAL):
            self.copies.append((finished.task.signal.signal_id, finished.task.follower))
        self._tell()

    def on_entry(self, entry: LedgerEntry, amounts: Amounts) -> None:
        self.entries.append(entry)
        self._tell()

    def on_retracted(self, signal: Signal, suspended: int, started: int) -> None:
        self.retracted.append(signal)
        self.retractions.append((suspended, started))
        self._tell()

    def on_alert(self, kind: str, detail: str) -> None:
        self.alerts.append((kind, detail))
        self._tell()

    def on_quarantined(self, kind: str, detail: str) -> None:
        self.quarantined.append(kind)
        self._tell()

    async def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait for something, but not for ever: ten virtual minutes without it are a failure."""
        with trio.fail_after(600):
            await self._wait(reached)

    async def _wait(self, reached: Callable[[], bool]) -> None:
        while not reached():
            await self._changed.wait()

    async def wait_copies(self, count: int) -> None:
        await self.wait_until(lambda: len(self.copies) >= count)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@define(eq=False)
class World:
    """Several nodes, one chain."""

    chain: DevChain
    nodes: list[DevNode]
    wall: WallClock
    down: set[int] = field(factory=set)
    """Nodes that refuse connections."""
    instead: dict[int, Callable[[trio.abc.Stream], Awaitable[None]]] = field(factory=dict)
    """What answers in a node's place."""
    dials: int = 0
    recorder: Recorder = field(factory=Recorder)
    quotes: Quotes | None = None
    catalog: Catalog = field(factory=Catalog)
    _nursery: trio.Nursery | None = None
    _txs: int = 0

    @property
    def endpoints(self) -> list[EndpointSettings]:
        return [
            EndpointSettings(name=f"node-{number}", url=f"ws://node-{number}.test") for number in range(len(self.nodes))
        ]

    async def dial(self, url: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials += 1
        number = int(url.removeprefix("ws://node-").removesuffix(".test"))
        if number in self.down or self._nursery is None:
            raise ConnectionLost(f"node-{number} refuses")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.instead.get(number, self.nodes[number].handle), theirs)
        return ours

    def seams(self) -> Seams:
        return Seams(
            dial=self.dial,
            wall=self.wall,
            entropy=seeded_entropy(1),
            in_thread=in_place,
            observer=self.recorder,
            quotes=self.quotes,
            catalog=self.catalog,
        )

    def buy(
        self,
        leader: Address = LEADER,
        *,
        side: Side = Side.BUY,
        token: int = 1,
        shares: int = 100,
        fills: Sequence[int] = (),
        order: Hash32 | None = None,
    ) -> DevTx:
        """A leader's trade at half a dollar, as a transaction that is not mined yet.

        `fills` says the shares of each fill, where one order is filled several times; `order` names one that was filled before.
        """
        self._txs += 1
        order_hash = order or fake_hash("order", self._txs)
        return DevTx(
            tx_hash=fake_hash("tx", self._txs),
            logs=tuple(
                order_filled_log(
                    exchange=EXCHANGE_V2,
                    order_hash=order_hash,
                    owner=leader,
                    counterparty=EXCHANGE_V2,
                    side=side,
                    token_id=TokenId(token),
                    shares=Shares(filled * 1_000_000),
                    notional=Usd(filled * 500_000),
                    fee=NO_USD,
                )
                for filled in fills or (shares,)
            ),
        )


_WORKERS = 20
"""More than a test keeps busy. Of the 500 that are usual, the start and the end took most of the time of most tests."""


@asynccontextmanager
async def open_world(nodes: int = 1) -> AsyncGenerator[World, None]:
    wall = wall_clock_from(NOW)
    chain = DevChain(POLYGON, wall)
    async with trio.open_nursery() as nursery:
        yield World(chain, [DevNode(chain) for _ in range(nodes)], wall, nursery=nursery)
        nursery.cancel_scope.cancel()


def make_test_plan(
    *,
    followers: Sequence[str] = ("alice", "bob"),
    leaders: Sequence[Address] = (LEADER,),
    engine: dict[str, Any] | None = None,
    chain: dict[str, Any] | None = None,
    executor: dict[str, Any] | None = None,
    decoders: Sequence[PluginTable] = (PluginTable(name="order-filled", plugin="order-filled", options={}),),
    store: PluginTable = PluginTable(name="memory", plugin="memory", options={}),  # noqa: B008  frozen
    shards: ShardsSettings | None = None,
) -> Plan:
    """Everybody follows every leader with a tenth of his size, through dry-run on the memory store."""
    sizing = Sizing(ratio=Ratio.parse("0.1"), minimum_usd=NO_USD)
    options = {"latency_ms": 10, "latency_jitter_ms": 0, "partial_bps": 0, "price_source": "leader", **(executor or {})}
    settings = Settings(
        engine=EngineSettings(**{"workers": _WORKERS, **(engine or {})}),
        chain=ChainSettings(chain_id=POLYGON, **(chain or {})),
        executor=(PluginTable(name="sim", plugin="dry-run", options=options),),
        store=store,
        shards=shards,
        decoder=tuple(decoders),
        follower=tuple(FollowerTable(id=FollowerId(name), executor="sim") for name in followers),
        follow=tuple(
            FollowTable(follower=FollowerId(name), leader=leader, size=sizing)
            for name in followers
            for leader in leaders
        ),
    )
    return make_plan(settings, discover())


@asynccontextmanager
async def running_engine(world: World, plan: Plan, seams: Seams | None = None) -> AsyncGenerator[Service, None]:
    """Run an engine, armed and subscribed at every node that is up; drain it at the end."""
    opened = open_service(plan, seams or world.seams(), world.endpoints)
    async with opened as service, trio.open_nursery() as nursery:
        await nursery.start(service.run)
        if service.board.filters:
            for number, node in enumerate(world.nodes):
                if number not in world.down:
                    await node.wait_log_filters(len(service.board.filters))
        yield service
        service.drain()


async def leave_checkpoint(store: Store, checkpoint: Checkpoint, shard: int = 0) -> None:
    """Let a store look as if an earlier owner of a shard had come so far."""
    lease = await store.control.acquire(shard_lease(shard), "an earlier owner", 30.0)
    assert lease is not None
    await store.accounts.take(shard, lease.token)
    await store.accounts.write(shard, lease.token, 1, Changes(), checkpoint)
    await store.control.release(lease)


def patient(plan: Plan) -> Plan:
    """Let follows copy fills that are up to ten minutes old."""
    return with_follow_settings(plan, filters=evolve(Filters(), max_age_s=600.0))


def with_follow_settings(plan: Plan, **changes: Any) -> Plan:
    """Change the settings of every follow of a plan."""
    follow = tuple(evolve(table, **changes) for table in plan.settings.follow)
    return evolve(plan, settings=evolve(plan.settings, follow=follow))
