"""Nodes that are silent, behind, gone or of another chain."""

import pytest
import trio
import trio.testing

from tests.builders import NOW, hash_of
from tests.engine.gate.mined import expected_copies, mine_steadily, notification
from tests.harness import make_test_plan, open_world, patient, running_engine
from trio_copy.engine.opening import open_service
from trio_copy.errors import RestartBudgetExhausted, WrongChain
from trio_copy.model.control import ENGINE, Mode

Clock = trio.testing.MockClock


async def test_a_lower_head_of_one_node_is_a_suspect_not_a_reorg(clock: Clock) -> None:
    """A node on a fork of its own, or behind, takes nothing back while the other one disagrees."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        world.nodes[1].faults.behind = 3
        await mine_steadily(world, 4)
        assert service.scanner.reorgs == 0
    assert world.recorder.retracted == []


async def test_a_silent_head_ends_the_connection(clock: Clock) -> None:
    """Pings that are answered prove nothing: without new heads the subscription is stale."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_heads = True
        await world.recorder.wait_until(lambda: "endpoint-lost" in dict(world.recorder.alerts))
    assert "no new head for" in dict(world.recorder.alerts)["endpoint-lost"]


async def test_a_node_that_stops_answering_ends_the_connection(clock: Clock) -> None:
    """A request without an answer, on a socket that looks alive, does not hang anything."""
    plan = patient(make_test_plan(engine={"deadline_s": 600}))
    async with open_world() as world, running_engine(world, plan):
        world.nodes[0].faults.deaf = True
        world.chain.mine()
        await world.recorder.wait_until(lambda: "endpoint-lost" in dict(world.recorder.alerts))
        world.nodes[0].faults.deaf = False
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
    expected_copies(world, signals=1)


async def test_a_node_behind_the_others_is_reconnected(clock: Clock) -> None:
    """An endpoint that stays behind the best head is not worth listening to."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan(chain={"behind_blocks": 3})):
        await mine_steadily(world, 5)
        world.nodes[1].faults.behind = 4
        await mine_steadily(world, 20)
    assert any("is behind" in detail for _, detail in world.recorder.alerts)


async def test_a_wrong_chain_refuses_to_start(clock: Clock) -> None:
    """A node of another chain is a configuration error, named with both numbers, and with the endpoint that has to be changed."""
    async with open_world() as world:
        world.nodes[0].faults.chain_id = 1
        with pytest.RaisesGroup(
            pytest.RaisesExc(WrongChain, match="^endpoint [a-z0-9-]+: expected chain id 137, the node serves 1$"),
            flatten_subgroups=True,
        ):
            async with running_engine(world, make_test_plan()):
                pass


async def test_without_any_node_the_budget_runs_out(clock: Clock) -> None:
    """A lasting outage halts entries and ends with an error instead of trying for ever."""
    plan = make_test_plan(engine={"restarts": 5, "restart_window_s": 3600.0})
    async with open_world() as world:
        with pytest.RaisesGroup(RestartBudgetExhausted, flatten_subgroups=True):
            async with running_engine(world, plan) as service:
                world.down = {0}
                world.nodes[0].drop_connections()
                await trio.sleep(3600)
        assert (await service.store.control.modes()).of(ENGINE).mode is Mode.HALT_NEW
    assert world.dials <= 2 * 6


async def test_one_live_node_costs_no_budget(clock: Clock) -> None:
    """While another node is alive nothing is missed, so a dead one may be tried for ever."""
    plan = make_test_plan(engine={"restarts": 2, "restart_window_s": 3600.0})
    async with open_world(nodes=2) as world:
        world.down = {1}
        async with running_engine(world, plan):
            await mine_steadily(world, 120, every=5.0)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
    expected_copies(world, signals=1)
    assert world.dials > 5


@pytest.mark.no_cover
async def test_a_lost_node_is_told_of_at_first_then_now_and_then_and_when_it_is_back(clock: Clock) -> None:
    """A node that is away for hours is tried each half minute; nobody wants a line for each."""
    async with open_world(nodes=2) as world:
        world.down = {1}
        async with running_engine(world, make_test_plan()):
            await mine_steadily(world, 1500, every=5.0)
            tries = world.dials
            away = [detail for kind, detail in world.recorder.alerts if kind == "endpoint-lost"]
            world.down = set()
            await mine_steadily(world, 120, every=5.0)
            back = [detail for kind, detail in world.recorder.alerts if kind == "endpoint-lost"][len(away) :]
    assert tries > 20
    assert 3 <= len(away) <= 12
    assert away[0].endswith(" s")
    assert all(" times in " in detail for detail in away[1:])
    assert len(back) == 1
    assert ": over, after " in back[0]


async def test_a_head_that_is_made_up_hides_nothing(clock: Clock) -> None:
    """One node announces block 1,000,000: the honest one is followed as before, and is not taken for late."""
    lie = {"number": hex(10**6), "hash": hash_of(1), "parentHash": hash_of(2), "timestamp": hex(int(NOW))}
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        await mine_steadily(world, 2)
        for client in world.nodes[1]._clients:
            for subscription in client.subscriptions.values():
                if subscription.log_filter is None:
                    client.push(notification(subscription.id, lie))
        world.nodes[1].faults.silent_heads = True
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        await mine_steadily(world, 8)
        assert service.gate.sealed is not None
        assert service.gate.sealed.number >= world.chain.head.ref.number - 1
    assert not any("is behind" in detail for _, detail in world.recorder.alerts)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\x00\x01 this is not HTTP\r\n\r\n",
        b"",
    ],
)
async def test_a_refused_handshake_is_one_more_reconnect(clock: Clock, answer: bytes) -> None:
    """Whatever a server says instead of a WebSocket handshake ends that connection only."""

    async def refuse(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            await stream.send_all(answer)

    async with open_world(nodes=2) as world:
        world.instead[1] = refuse
        plan = make_test_plan(chain={"connect_timeout_s": 1.0})
        async with open_service(plan, world.seams(), world.endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await world.recorder.wait_until(lambda: "endpoint-lost" in dict(world.recorder.alerts))
            del world.instead[1]
            await world.nodes[1].wait_log_filters(1)
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(2)
            service.drain()
    expected_copies(world, signals=1)
