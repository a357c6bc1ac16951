"""An engine that trades live at the bench's venue, SQLite and the guards' journal included, and when each order's bytes left."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio
from attrs import define, evolve, field

from bench.gate import _no_node
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.chain.feed import Armed, FeedItem, Sealed, SeenLog
from trio_copy.cli.synthetic import POLYGON, leader_buys, synthetic_plan
from trio_copy.clock import WallClock, anchored_wall_clock, cpu_seconds
from trio_copy.config import EngineSettings, PluginTable
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import seeded_entropy
from trio_copy.model.decisions import End
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import Usd
from trio_copy.native import SecretKey
from trio_copy.registry import discover
from trio_copy.signing.arming import arm, limits_of
from trio_copy.sockets import open_socket
from trio_copy.telemetry.observer import Finished
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet import DevChain
from trio_copy_clob.executor import ClobExecutor

WARM_UP = 3
"""Signals before those that count."""
_ORDER_BYTES = 900
"""What leaves at once and is longer is an order: other questions, and TLS's own, are shorter."""
_A_YEAR_S = 366 * 86_400.0
_UNLIMITED_PER_S = 1e9
_LOTS = Usd.parse(1_000_000)


@define
class LiveCopies:
    """Feeds an engine with a leader's trades, each when the copies of the one before are booked."""

    address: str
    """Of the venue."""
    folder: Path
    """Empty, for what becomes durable."""
    followers: int
    signals: int
    cpu_s: float = 0.0
    """Of all signals that count."""
    look_us: float = 0.0
    """Microseconds of processor time for a look at one order, after all of them are booked."""
    sent_s: list[list[float]] = field(factory=list)
    """Of each of them, how long after the decision the bytes of its orders left, in order."""

    def run(self) -> None:
        keys = {f"wallet-{number}": SecretKey(number.to_bytes(32)) for number in range(1, self.followers + 1)}
        trio.run(self._run, self._plan(keys), keys)

    def _plan(self, keys: dict[str, SecretKey]) -> Plan:
        # Nothing is looked up after it was booked: that is another question.
        engine = EngineSettings(
            name="bench", mode="live", deadline_s=3600.0, send_timeout_s=120.0, reconcile_every_s=3600.0
        )
        store = PluginTable(name="sqlite", plugin="sqlite", options={"path": str(self.folder / "books.db")})
        paper = synthetic_plan(
            followers=self.followers,
            follows_each=1,
            leaders=1,
            engine=EngineSettings(name="bench"),
            executor={},
            store=store,
        ).settings
        options = {
            "clob_url": self.address,
            "geoblock_url": f"{self.address}/api/geoblock",
            "limits_used": 1.0,
            "timeout_s": 60.0,
        }
        policy = WalletPolicy(max_hour_usd=_LOTS, max_day_usd=_LOTS, max_minute_orders=100_000)
        settings = evolve(
            paper,
            engine=engine,
            signing=evolve(paper.signing, folder=str(self.folder / "signing")),
            executor=(PluginTable(name="clob", plugin="clob", options=options),),
            wallet={
                name: WalletTable(
                    key=f"env:{name}", address=key.address, signature_type=SignatureType.EOA, policy=policy
                )
                for name, key in keys.items()
            },
            follower=tuple(
                evolve(one, executor="clob", wallet=name) for one, name in zip(paper.follower, keys, strict=True)
            ),
        )
        until = anchored_wall_clock()() + _A_YEAR_S
        for key in keys.values():
            arm(self.folder / "signing", key.address, limits_of(policy, POLYGON), until)
        return make_plan(settings, discover())

    async def _run(self, plan: Plan, keys: dict[str, SecretKey]) -> None:
        wall, ends, left = anchored_wall_clock(), _Decided(), list[float]()
        chain, leader = DevChain(POLYGON, wall), plan.settings.follow[0].leader
        opened = trio.Event()
        service: Service

        async def play(send: trio.MemorySendChannel[FeedItem]) -> None:
            await send.send(Armed(chain.head.ref))
            await opened.wait()
            await _all_ready(service, self.followers)
            used = 0.0
            for number in range(WARM_UP + self.signals):
                if number == WARM_UP:
                    used = cpu_seconds()
                left.clear()
                # One token after another, each of them known since before: what is new about a market is asked once.
                chain.mine(leader_buys(leader, number * 50 + 1, exchange=EXCHANGE_V2))
                await send.send(SeenLog(chain.head.logs[0], "bench", wall()))
                await send.send(Sealed(chain.head.ref))
                await ends.wait((number + 1) * self.followers)
                if number >= WARM_UP:
                    assert len(left) == self.followers, "an order went twice: the machine is too busy"
                    self.sent_s.append([at - ends.decided_at for at in left])
            self.cpu_s = cpu_seconds() - used
            settling, used = service.reconciler.settling, cpu_seconds()
            assert settling == (WARM_UP + self.signals) * self.followers, settling
            await service.reconciler.look()
            assert not service.reconciler.settling
            self.look_us = 1e6 * (cpu_seconds() - used) / settling

        seams = Seams(
            dial=_no_node,
            wall=wall,
            entropy=seeded_entropy(1),
            observer=ends,
            play=play,
            keys=keys,
            open_socket=partial(open_noted, wall, left.append),
        )
        async with open_service(plan, seams, ()) as service:
            opened.set()
            await service.run()
        assert ends.ends[End.FILLED] == (WARM_UP + self.signals) * self.followers, ends.ends


@define(eq=False)
class _Decided(Tally):
    """Knows how many copies have ended, and when the last ones were decided."""

    decided_at: float = 0.0
    _wanted: int = 0
    _enough: trio.Event = field(factory=trio.Event)

    def on_finished(self, finished: Finished) -> None:
        super().on_finished(finished)
        self.decided_at = finished.task.decided_at
        if self.ends.total() >= self._wanted:
            self._enough.set()

    async def wait(self, count: int) -> None:
        if self.ends.total() < count:
            self._wanted, self._enough = count, trio.Event()
            await self._enough.wait()


async def open_noted(wall: WallClock, note: Callable[[float], None], host: str, port: int) -> trio.abc.Stream:
    """Connect, and note when the bytes of orders leave: by `wall`, just before the kernel has them."""
    stream = await open_socket(host, port)
    send_all = stream.send_all

    async def noting(data: bytes | bytearray | memoryview) -> None:
        if len(data) >= _ORDER_BYTES:
            note(wall())
        await send_all(data)

    stream.send_all = noting  # type: ignore[method-assign]  # a stream of another class would be looked at in another way
    return stream


def clob_of(service: Service) -> ClobExecutor:
    executor = service.executions["clob"].executor.inner
    assert isinstance(executor, ClobExecutor)
    return executor


def unlimited(executor: ClobExecutor) -> None:
    """Let nobody wait for his turn: what the venue allows is not what is asked here."""
    turns = [executor.posting.address_turns, executor.terms.reads]
    for signer in executor._signers.values():
        turns += [signer.limits.orders, signer.limits.cancels]
    for one in turns:
        one.bucket.per_s = one.bucket.burst_s = _UNLIMITED_PER_S


async def _all_ready(service: Service, wallets: int) -> None:
    """Wait until every wallet has its API key and its tier."""
    executor = clob_of(service)
    while len(executor._signers) < wallets:
        unlimited(executor)
        await trio.sleep(0.05)
    for wallet in executor.context.wallets:
        await executor._known_as(executor._signer(wallet)).key(float("inf"))  # on a busy machine, it was given up
    await trio.sleep(0.2)  # the last one's tier, which would be kept to
    unlimited(executor)
