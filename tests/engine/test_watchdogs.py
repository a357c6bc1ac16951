"""What the watchdogs see of nodes, and what they do about it: virtual time, real WebSockets."""

from collections.abc import Callable
from random import Random

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.engine.gate.mined import mine_steadily
from tests.engine.watched import alarms, lights, lit
from tests.harness import World, make_test_plan, open_world, patient, running_engine
from trio_copy.chain.feed import GLANCE, SCAN
from trio_copy.chain.shown import ShownBlocks
from trio_copy.engine.opening import open_service
from trio_copy.model.control import Instance
from trio_copy.model.decisions import Code, End
from trio_copy.model.fills import Side
from trio_copy.model.watches import Light
from trio_copy.testing.devnet.manners import Subscriptions

Clock = trio.testing.MockClock
_ALARMS = {"watchdog", "clock-skew", "clock-jump", "clock-stepped", "entries-halted"}


@define(eq=False)
class Frozen(trio.abc.Stream):
    """A node's end of a connection that can fall silent without closing."""

    stream: trio.abc.Stream
    frozen: Callable[[], bool]
    _thawed: trio.Event = field(factory=trio.Event)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.stream.receive_some(max_bytes)
        if self.frozen():
            await self._thawed.wait()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.frozen():
            await trio.lowlevel.checkpoint()
        else:
            await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@define(eq=False)
class Away:
    """A node that stops answering, heads and pongs alike."""

    world: World
    frozen: bool = False

    async def handle(self, stream: trio.abc.Stream) -> None:
        await self.world.nodes[1].handle(Frozen(stream, lambda: self.frozen))


def _down(world: World, away: Away) -> None:
    world.down = {1}
    world.nodes[1].drop_connections()


def _up(world: World, away: Away) -> None:
    world.down = set()
    away.frozen = False
    world.nodes[1].faults.behind = 0
    world.nodes[1].faults.silent_logs = False
    world.nodes[1].faults.unfinalized = 4


def _freeze(world: World, away: Away) -> None:
    away.frozen = True
    world.down = {1}


def _lag(world: World, away: Away) -> None:
    world.nodes[1].faults.behind = 9


def _mute(world: World, away: Away) -> None:
    world.nodes[1].faults.silent_logs = True


def _never_final(world: World, away: Away) -> None:
    world.nodes[1].faults.unfinalized = 70


@pytest.mark.parametrize(
    ("name", "break_it", "least"),
    [
        ("head_age_s", _down, 10),
        ("pong_s", _freeze, 5),
        ("missed_blocks", _mute, 2),
        ("behind_blocks", _lag, 6),
        ("finality_blocks", _never_final, 65),
        ("finality_s", _never_final, 61),
    ],
)
async def test_each_watchdog_turns_red_and_green_again(
    clock: Clock, name: str, break_it: Callable[[World, Away], None], least: float
) -> None:
    """Its figure is over the limit, the node is asked last and nobody is ready; afterwards all is as before."""
    async with open_world(nodes=2) as world:
        away = Away(world)
        world.instead[1] = away.handle
        for _ in range(100):
            world.chain.mine()
            await trio.sleep(1)
        # A node that lags is dialled again at once unless it has a little patience.
        plan = make_test_plan(chain={"silence_s": 10.0}, engine={"backoff_max_s": 1.0})
        async with running_engine(world, plan) as service, trio.open_nursery() as nursery:
            nursery.start_soon(_trade_steadily, world)
            await lit(service, name, Light.GREEN)
            await trio.sleep(5)
            assert service.status().ready
            break_it(world, away)
            figure = await lit(service, name, Light.RED)
            assert figure is not None
            assert figure >= least
            assert service.pool.endpoints[1].red >= {name}
            assert service.pool.live[0].name == "node-0"
            assert not service.status().ready
            assert service.watchdogs.halted() is None, "the other node is green"
            assert not service.watchdogs.describe(_me()).ready
            _up(world, away)
            await lit(service, name, Light.GREEN, within_s=240)
            await trio.sleep(20)
            assert service.status().ready
            assert {watch.light for watch in service.watchdogs.watches} <= {Light.GREEN, Light.UNKNOWN}
            nursery.cancel_scope.cancel()
    assert any(detail.startswith(f"node-1: {name} is ") for detail in alarms(world.recorder, "watchdog"))
    assert not alarms(world.recorder, "entries-halted")


async def _trade_steadily(world: World) -> None:
    while True:
        await trio.sleep(1)
        world.chain.mine(world.buy())


def _me() -> Instance:
    return Instance(instance="me")


async def test_a_scan_that_stands_still_is_red_though_every_node_is_well(clock: Clock) -> None:
    """Heads come and nothing is read: whoever looks at the status has to see it. Entries go on by subscription."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        await mine_steadily(world, 30)
        assert lights(service, "unread_s") == [Light.GREEN]
        for node in world.nodes:
            node.faults.rate_limited = 1
        await mine_steadily(world, 40)
        assert lights(service, "unread_s") == [Light.RED]
        assert not service.watchdogs.ready
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        for node in world.nodes:
            node.faults.rate_limited = 0
        await mine_steadily(world, 60)
        assert lights(service, "unread_s") == [Light.GREEN]
    assert len(alarms(world.recorder, "watchdog")) == 1


async def test_a_node_without_a_finalized_block_is_unknown_not_red(clock: Clock) -> None:
    """Many nodes do not know the word; nothing is demoted for that, and they are asked rarely."""
    async with open_world() as world:
        world.nodes[0].faults.without_finalized = True
        async with running_engine(world, make_test_plan()) as service:
            await mine_steadily(world, 100)
            assert lights(service, "finality_s") == [Light.UNKNOWN] == lights(service, "finality_blocks")
            assert service.watchdogs.ready
            assert lights(service, "missed_blocks") == [Light.UNKNOWN], "there is nobody to compare a lone node with"
    assert not _ALARMS & {kind for kind, _ in world.recorder.alerts}


async def test_when_every_node_is_red_entries_halt_until_one_is_green(clock: Clock) -> None:
    """Exits go on; the mode in the store is nobody's business; one green node is enough."""
    async with open_world(nodes=2) as world:
        await mine_steadily(world, 100)
        async with running_engine(world, make_test_plan()) as service:
            await mine_steadily(world, 20)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            for node in world.nodes:
                node.faults.unfinalized = 70
            await mine_steadily(world, 20)
            assert len(alarms(world.recorder, "entries-halted")) == 1
            world.chain.mine(world.buy())
            await world.recorder.wait_until(lambda: len(world.recorder.skips) == 2)
            world.chain.mine(world.buy(side=Side.SELL))
            await world.recorder.wait_copies(4)
            assert (await service.store.control.modes()).by_scope == {}
            assert service.watchdogs.describe(_me()).halted.startswith(
                "watchdog.nodes: all are red: node-0 finality_blocks"
            )
            world.nodes[0].faults.unfinalized = 4
            await mine_steadily(world, 20)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(6)
    assert {skip.reason.code for skip in world.recorder.skips} == {Code.ENTRIES_HALTED}
    assert {finished.outcome.end for finished in world.recorder.finished} == {End.FILLED}


async def test_a_node_that_is_back_costs_no_copy(clock: Clock) -> None:
    """A halt is looked at again when it matters: what a minute's outage missed is copied as soon as a node is there."""
    plan = make_test_plan(engine={"deadline_s": 600.0, "backoff_max_s": 0.5, "restarts": 1000})
    plan = patient(plan)
    async with open_world() as world, running_engine(world, plan):
        await mine_steadily(world, 3)
        world.down = {0}
        world.nodes[0].drop_connections()
        for _ in range(6):
            await trio.sleep(10)
            world.chain.mine(world.buy())
        assert alarms(world.recorder, "entries-halted")
        world.down = set()
        await world.recorder.wait_copies(12)
    assert world.recorder.skips == []


@pytest.mark.parametrize("seed", range(4))
async def test_a_healthy_chain_raises_no_alarm(clock: Clock, seed: int) -> None:
    """Blocks of one to three seconds, stamped in whole seconds and up to one early, over nodes that are as late."""
    chance = Random(seed)
    async with open_world(nodes=3) as world:
        right = world.wall
        world.chain.now = lambda: right() + chance.uniform(-0.9, 1.0)
        async with running_engine(world, make_test_plan()) as service:
            for number in range(120):
                await trio.sleep(chance.choice([1.0, 2.0, 2.0, 2.0, 3.0]) + chance.uniform(-0.4, 0.4))
                world.chain.mine(*([world.buy()] if chance.random() < 0.3 else []))
                if number > 20:
                    assert service.watchdogs.ready, service.watchdogs.watches
            await trio.sleep(2)
        assert len(world.recorder.copies) == 2 * len(world.recorder.admitted)
    assert not _ALARMS & {kind for kind, _ in world.recorder.alerts}


@pytest.mark.parametrize("refused", [Subscriptions.LOGS, Subscriptions.BOTH])
async def test_a_node_without_log_subscriptions_is_not_blamed_for_them(clock: Clock, refused: Subscriptions) -> None:
    """It carries the copies while the other one is away, and owes nothing of that time when it gives them after all."""
    async with open_world(nodes=2) as world:
        faults = world.nodes[1].faults
        faults.refuse_subscriptions = refused
        seams = world.seams()
        async with open_service(make_test_plan(), seams, world.endpoints) as service, trio.open_nursery() as nursery:
            nursery.start_soon(_trade_steadily, world)
            await nursery.start(service.run)
            await trio.sleep(30)
            world.down = {0}
            world.nodes[0].drop_connections()
            await trio.sleep(30)
            assert service.watchdogs.halted() is None
            assert lights(service, "missed_blocks") == [Light.UNKNOWN, Light.UNKNOWN]
            world.down = set()
            faults.refuse_subscriptions = Subscriptions.NONE
            await lit(service, "missed_blocks", Light.GREEN, within_s=200)
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
    assert not alarms(world.recorder, "entries-halted")
    assert not [detail for detail in alarms(world.recorder, "watchdog") if "missed_blocks" in detail]
    assert world.recorder.skips == []


def test_what_was_read_ahead_proves_no_subscription() -> None:
    """A glance at the newest blocks is no other node's word against a subscription."""
    shown = ShownBlocks()
    for number in range(1, 5):
        for source in (SCAN, GLANCE):
            shown.note(number, source, now=0.0)
    assert shown.missed("node-1", 0, patience_s=1.0, now=10.0) == 0
    for number in range(1, 5):
        shown.note(number, "node-0", now=0.0)
    assert shown.missed("node-1", 0, patience_s=1.0, now=10.0) == 4


async def test_a_red_node_that_goes_away_does_not_end_a_halt(clock: Clock) -> None:
    """It is no better for being away: what was red stays red, without a word, until it is back and well."""
    async with open_world(nodes=2) as world:
        await mine_steadily(world, 100)
        async with running_engine(world, make_test_plan(engine={"backoff_max_s": 1.0})) as service:
            for node in world.nodes:
                node.faults.unfinalized = 70
            await mine_steadily(world, 20)
            assert service.watchdogs.why_halted
            told = alarms(world.recorder, "watchdog")
            world.down = {1}
            world.nodes[1].drop_connections()
            for _ in range(4):
                await mine_steadily(world, 1)
                assert service.watchdogs.why_halted
                assert service.pool.endpoints[1].red >= {"finality_blocks", "finality_s"}
            assert alarms(world.recorder, "watchdog") == told
            assert "entries" not in world.recorder.steps
            world.down = set()
            world.nodes[1].faults.unfinalized = 4
            await mine_steadily(world, 40)
            assert not service.watchdogs.why_halted
            assert not service.pool.endpoints[1].red


async def test_a_node_that_rests_is_not_asked_what_is_finalized(clock: Clock) -> None:
    """It said that it wants to be left alone."""
    async with open_world() as world:
        await mine_steadily(world, 100)
        async with running_engine(world, make_test_plan()) as service:
            await mine_steadily(world, 20)
            (endpoint,), node = service.pool.endpoints, world.nodes[0]
            rest_s = endpoint.pace.refused(
                "eth_getLogs", trio.current_time(), service.pool.entropy, told_s=40.0, clear=True
            )
            before = node.requests["eth_getBlockByNumber"]
            await mine_steadily(world, int(rest_s) - 1)
            assert node.requests["eth_getBlockByNumber"] == before
            await mine_steadily(world, 20)
            assert node.requests["eth_getBlockByNumber"] > before
