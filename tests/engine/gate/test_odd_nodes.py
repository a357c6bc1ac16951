"""Nodes that are honest and odd: they refuse subscriptions, end connections, write times and fields in their own ways.

Whatever they say, fills are copied, nobody dials again for nothing, and a person hears it once. Virtual time.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from attrs import define, field

from tests.builders import LEADER, OTHER_LEADER
from tests.engine.gate.mined import expect_a_fresh_copy_and_an_old_skip
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.service import Service
from trio_copy.model.follows import Follow
from trio_copy.testing.devnet import DevNode, node, wire
from trio_copy.testing.devnet.chain import DevBlock
from trio_copy.testing.devnet.node import _Client

Clock = trio.testing.MockClock
Request = dict[str, Any]
NO_SUCH_METHOD = {"code": -32601, "message": "the method eth_subscribe does not exist"}


def nothing_odd(client: _Client, request: Request) -> bool:
    return False


@define(eq=False)
class OddNode(DevNode):
    """Lets a test answer some requests in the node's place: `odd` says whether it did."""

    odd: Callable[[_Client, Request], bool] = nothing_odd
    asked: list[tuple[float, str]] = field(factory=list)
    """(Trio time, method) of every request."""
    garbled: bool = False
    """Writes the logs of its subscriptions without an index."""

    def _answer(self, client: _Client, message: str | bytes) -> None:
        request = msgspec.json.decode(message)
        self.asked.append((trio.current_time(), request["method"]))
        if not self.odd(client, request):
            super()._answer(client, message)

    def _push_logs(self, block: DevBlock, *, removed: bool) -> None:
        if not self.garbled:
            super()._push_logs(block, removed=removed)
            return
        for log in block.logs:
            for client, subscription in self._subscriptions():
                if subscription.log_filter is not None:
                    client.notify(subscription.id, {**wire.log_object(log, removed=removed), "logIndex": None})


def refusing(method: str, error: object, kind: str | None = None) -> Callable[[_Client, Request], bool]:
    """Answer a method with an error; with silence where that is None."""

    def odd(client: _Client, request: Request) -> bool:
        if request["method"] != method or (kind is not None and request["params"][0] != kind):
            return False
        if error is not None:
            client.push({"jsonrpc": "2.0", "id": request["id"], "error": error})
        return True

    return odd


@asynccontextmanager
async def odd_world(odd: Callable[[_Client, Request], bool], nodes: int = 1) -> AsyncGenerator[World, None]:
    """A world whose first node is an odd one."""
    async with open_world(nodes=nodes) as world:
        world.nodes[0] = OddNode(world.chain, odd=odd)
        yield world


@asynccontextmanager
async def started_engine(world: World, plan: Plan) -> AsyncGenerator[Service, None]:
    """Run an engine without waiting for subscriptions, which a node may refuse."""
    async with open_service(plan, world.seams(), world.endpoints) as service, trio.open_nursery() as nursery:
        await nursery.start(service.run)
        yield service
        service.drain()


def alerts(world: World, kind: str) -> list[str]:
    return [detail for alerted, detail in world.recorder.alerts if alerted == kind]


async def mine_for(world: World, seconds: int, every: float = 2.0) -> None:
    """Mine a fill and let some time pass, again and again."""
    for _ in range(int(seconds / every)):
        world.chain.mine(world.buy())
        await trio.sleep(every)


@pytest.mark.parametrize(
    "error",
    [NO_SUCH_METHOD, {"code": -32000, "message": None}, {"code": "-32005"}, "notifications not supported", None],
)
@pytest.mark.parametrize("kind", [None, "newHeads", "logs"])
async def test_where_subscriptions_are_refused_blocks_are_asked_for(
    clock: Clock, error: object, kind: str | None
) -> None:
    """Every fill is copied in time, on the two connections that were there at the start, and a person hears it once."""
    async with odd_world(refusing("eth_subscribe", error, kind)) as world:
        async with started_engine(world, make_test_plan()):
            await mine_for(world, 40)
            assert len(world.recorder.admitted) >= 19
        (odd,) = world.nodes
        polls = [at for at, method in odd.asked if method == "eth_getBlockByNumber"]  # type: ignore[attr-defined]  # odd
    assert world.dials == 2
    assert len(world.recorder.copies) == 2 * len(world.recorder.admitted)
    assert len(alerts(world, "polled")) == (2 if kind is None else 1)
    assert not alerts(world, "endpoint-lost")
    assert len(polls) <= (100 if kind != "logs" else 60)


async def test_a_change_of_follows_is_no_reason_to_dial_again(clock: Clock) -> None:
    """Where log subscriptions are refused, a new leader's fills are read from the blocks too."""
    odd = refusing("eth_subscribe", NO_SUCH_METHOD, "logs")
    async with odd_world(odd) as world, started_engine(world, make_test_plan()) as service:
        _, (follow, *_) = await service.store.follows.load()
        for leader in (OTHER_LEADER, LEADER):
            await service.store.follows.put([Follow(follower=follow.follower, leader=leader, own=follow.own)])
            await trio.sleep(1)
        world.chain.mine(world.buy(OTHER_LEADER))
        await world.recorder.wait_copies(1)
    assert world.dials == 2
    assert len(alerts(world, "polled")) == 1


async def test_a_subscription_that_is_refused_is_tried_again(clock: Clock) -> None:
    """A node that only had a bad moment is polled for a minute, not for ever; that it is over is said too."""
    async with odd_world(refusing("eth_subscribe", NO_SUCH_METHOD)) as world, started_engine(world, make_test_plan()):
        await mine_for(world, 10)
        world.nodes[0].odd = nothing_odd  # type: ignore[attr-defined]  # odd
        await mine_for(world, 70)
        asked = len(world.nodes[0].asked)  # type: ignore[attr-defined]  # odd
        await trio.sleep(5)
        assert len(world.nodes[0].asked) == asked  # type: ignore[attr-defined]  # odd
        assert len(world.nodes[0].log_filters) == 1
    assert world.dials == 2
    assert [detail.split(": ")[1][:4] for detail in alerts(world, "polled")] == ["no s", "no s", "over", "over"]


async def test_a_node_with_one_place_for_logs_takes_the_new_filter(clock: Clock) -> None:
    """When the old subscription has made room, the new one is asked for again at once."""

    def one_place(client: _Client, request: Request) -> bool:
        taken = [held for held in client.subscriptions.values() if held.log_filter is not None]
        if request["method"] == "eth_subscribe" and request["params"][0] == "logs" and taken:
            client.push({"id": request["id"], "error": {"code": -32000, "message": "too many subscriptions"}})
            return True
        return False

    async with odd_world(one_place) as world, running_engine(world, make_test_plan()) as service:
        _, (follow, *_) = await service.store.follows.load()
        await service.store.follows.put([Follow(follower=follow.follower, leader=OTHER_LEADER, own=follow.own)])
        await trio.sleep(1)
        (log_filter,) = world.nodes[0].log_filters
        assert any(topic and len(topic) == 2 for topic in log_filter.topics)
    assert not alerts(world, "polled")


@pytest.mark.parametrize("error", [NO_SUCH_METHOD, "no", None])
async def test_a_refused_unsubscribe_is_ignored(clock: Clock, error: object) -> None:
    """What the node goes on sending is dropped quietly; the new subscription works."""
    async with (
        odd_world(refusing("eth_unsubscribe", error)) as world,
        running_engine(world, make_test_plan()) as service,
    ):
        _, (follow, *_) = await service.store.follows.load()
        await service.store.follows.put([Follow(follower=follow.follower, leader=OTHER_LEADER, own=follow.own)])
        for _ in range(8):
            await trio.sleep(2)
            world.chain.mine()
        world.chain.mine(world.buy(), world.buy(OTHER_LEADER))
        await world.recorder.wait_copies(3)
        assert len(world.nodes[0].log_filters) == 2
        assert not service.quarantine
    assert world.dials == 2
    assert not alerts(world, "endpoint-lost")


def hang_up(client: _Client, request: Request) -> bool:
    """End the connection over every question for logs."""
    asked: bool = request["method"] == "eth_getLogs"
    if asked:
        client.scope.cancel()
    return asked


def flood(client: _Client, request: Request) -> bool:
    """Answer every question for logs with more than we take."""
    asked: bool = request["method"] == "eth_getLogs"
    if asked:
        client.push({"id": request["id"], "result": "x" * (1 << 20)})
    return asked


@pytest.mark.parametrize("odd", [hang_up, flood])
async def test_fills_keep_coming_while_requests_fail(clock: Clock, odd: Callable[[_Client, Request], bool]) -> None:
    """A connection that ends over a request takes only itself down, and is made again at growing intervals."""
    plan = make_test_plan(chain={"max_message_mib": 1})
    async with odd_world(odd) as world:
        async with running_engine(world, plan):
            await mine_for(world, 60)
            assert len(world.recorder.admitted) == 30
            assert world.dials < 20
        assert 1 <= len(alerts(world, "requests-lost")) <= 2
    assert not alerts(world, "endpoint-lost")
    assert len(world.recorder.copies) == 60


async def test_a_node_that_cannot_be_asked_for_long_is_given_up(clock: Clock) -> None:
    """What it brings can be checked by nobody: after a minute it is lost like any other."""
    async with odd_world(nothing_odd) as world, running_engine(world, make_test_plan()):
        (requests,) = [client for client in world.nodes[0]._clients if not client.subscriptions]
        world.down = {0}
        requests.scope.cancel()
        await mine_for(world, 50)
        assert len(world.recorder.admitted) == 25
        assert not alerts(world, "endpoint-lost")
        await mine_for(world, 60)
        assert "it could not be asked for" in alerts(world, "endpoint-lost")[0]
        world.down = set()
        await mine_for(world, 60)
    assert len(world.recorder.copies) >= 2 * 25


@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Service Unavailable"])
async def test_a_node_that_asks_to_be_left_alone_is(clock: Clock, status: bytes) -> None:
    """Retry-After is obeyed before the next dial, and the refusals are few lines."""

    async def refuse(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            await stream.send_all(b"HTTP/1.1 " + status + b"\r\nRetry-After: 120\r\nContent-Length: 2\r\n\r\nno")

    async with open_world(nodes=2) as world:
        world.instead[1] = refuse
        async with started_engine(world, make_test_plan()):
            await mine_for(world, 600, every=10.0)
            lost = alerts(world, "endpoint-lost")
    assert 3 <= world.dials - 2 <= 6
    assert 2 <= len(lost) <= world.dials - 2
    assert all("asks to be left alone for 120 s" in detail for detail in lost)


TIMES: list[dict[str, Any]] = [
    {"blockTimestamp": "0x0"},
    {"blockTimestamp": "0x"},
    {"blockTimestamp": 0},
    {"blockTimestamp": 1},
    {"blockTimestamp": None},
    {"blockTimestamp": 1_764_000_000_000},
    {"blockTimestamp": hex(2**40)},
    {"blockTimestamp": "0x5ed20f83"},
]


@pytest.fixture
def rewrite(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Lets every node write some fields of its logs in another way."""
    good = wire.log_object

    def rewrite_with(changes: dict[str, Any]) -> None:
        monkeypatch.setattr(node, "log_object", lambda *args, **named: {**good(*args, **named), **changes})

    return rewrite_with


@pytest.mark.parametrize("changes", TIMES)
@pytest.mark.parametrize("silent", [False, True])
async def test_a_time_that_is_none_is_asked_of_the_block(
    clock: Clock, changes: dict[str, Any], silent: bool, rewrite: Callable[[dict[str, Any]], None]
) -> None:
    """A fresh fill is copied, by subscription or scan, and an old one is too old by the time of its block."""
    rewrite(changes)
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = silent
        await expect_a_fresh_copy_and_an_old_skip(world)


async def test_the_blocks_time_is_believed_before_the_logs_own(
    clock: Clock, rewrite: Callable[[dict[str, Any]], None]
) -> None:
    """A log whose time is plausible and wrong is as old as the block that was read."""
    rewrite({"blockTimestamp": hex(1_700_000_000)})
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = True
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
    assert world.recorder.skips == []


PLAIN: list[dict[str, Any]] = [
    {"removed": None},
    {"logIndex": "0x"},
    {"logIndex": 0},
    {"transactionIndex": None},
    {"somethingNew": {"a": [1]}},
]


@pytest.mark.parametrize("changes", PLAIN)
async def test_a_plain_field_is_read_however_it_is_written(
    clock: Clock, changes: dict[str, Any], rewrite: Callable[[dict[str, Any]], None]
) -> None:
    """Nothing is put aside, and the fill is copied."""
    rewrite(changes)
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        await trio.sleep(3)
        assert not service.quarantine
    assert len(world.recorder.copies) == 2


async def test_a_node_that_cannot_be_read_is_said_once_and_asked_last(clock: Clock) -> None:
    """One alert stands for all its logs, others are asked first, and it is said again when it is over."""
    async with odd_world(nothing_odd, nodes=2) as world, running_engine(world, make_test_plan()) as service:
        bad, good = service.pool.endpoints
        world.nodes[0].garbled = True  # type: ignore[attr-defined]  # odd
        await mine_for(world, 20)
        assert bad.unreadable
        assert not good.unreadable
        assert [endpoint.name for endpoint in service.pool.live] == ["node-1", "node-0"]
        assert [endpoint.live for endpoint in service.status().endpoints] == [False, True]
        assert len(alerts(world, "unreadable")) == 1
        assert service.quarantine["malformed-log"] >= 9
        world.nodes[0].garbled = False  # type: ignore[attr-defined]  # odd
        await mine_for(world, 60)
        assert not bad.unreadable
    said = alerts(world, "unreadable")
    assert [detail[: len("node-0: malformed-log: ")] for detail in said] == ["node-0: malformed-log: "] * 2
    assert "over, after 10 of them" in said[1]
    assert len(world.recorder.copies) == 2 * len(world.recorder.admitted) == 80


async def test_a_header_without_a_time_makes_a_node_unreadable(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else says how old its logs are: they are not taken as fresh, and another node is asked."""
    good = wire.block_object
    monkeypatch.setattr(node, "block_object", lambda block, faults: {**good(block), "timestamp": "0x0"})
    async with open_world() as world:
        world.chain.mine()
        plan = make_test_plan()
        async with open_service(plan, world.seams(), world.endpoints) as service, trio.open_nursery() as nursery:
            nursery.start_soon(service.run)
            await world.recorder.wait_until(lambda: len(alerts(world, "endpoint-lost")) > 3)
            assert "latest block cannot be read" in alerts(world, "endpoint-lost")[0]
            assert len(alerts(world, "unreadable")) == 1
            monkeypatch.setattr(node, "block_object", good)
            await world.recorder.wait_until(lambda: "armed" in world.recorder.steps)
            service.drain()
