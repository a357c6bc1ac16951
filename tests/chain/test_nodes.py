"""The port by which executors ask nodes, over real frames in memory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import LEADER, POLYGON
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, V2_TOPIC
from trio_copy.chain.decoders.words import address_topic
from trio_copy.chain.nodes import NodeConnections, open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.config import ChainSettings
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ChainError, ConnectionLost, NoAnswer, NotConnected, RpcError
from trio_copy.ports import ExecutorContext, LogFilter, Nodes
from trio_copy.testing.devnet.manners import HeaderTime
from trio_copy.testing.nodes import ScriptedNodes
from trio_copy.testing.scripted import ScriptedExecutor, scripted_plugin

Clock = trio.testing.MockClock
_FILLS = LogFilter(addresses=(EXCHANGE_V2,), topics=((V2_TOPIC,), None, (address_topic(LEADER),)))


@asynccontextmanager
async def _opened(world: World, told: list[str] | None = None, **chain: Any) -> AsyncGenerator[NodeConnections, None]:
    settings, entropy = ChainSettings(chain_id=POLYGON, **chain), seeded_entropy(1)
    told = [] if told is None else told
    async with open_nodes(
        dial=world.dial,
        endpoints=world.endpoints,
        paces={endpoint.name: Pace() for endpoint in world.endpoints},
        chain=settings,
        entropy=entropy,
        quarantine=lambda kind, detail: told.append(kind),
        on_trouble=lambda kind, detail: told.append(kind),
        next_wait=lambda: Backoff(0.25, 30.0, entropy).next_wait,
    ) as nodes:
        yield nodes


def _soon(seconds: float = 5.0) -> float:
    return trio.current_time() + seconds


async def test_nobody_connects_before_the_first_question(clock: Clock) -> None:
    """And then each node has one connection, however much is asked."""
    async with open_world(nodes=2) as world, _opened(world) as nodes:
        await trio.sleep(100)
        assert world.dials == 0
        for _ in range(3):
            assert await nodes.ask("eth_chainId", (), _soon()) == b'"0x89"'
        assert await nodes.ask_all("eth_chainId", (), _soon()) == {"node-0": b'"0x89"', "node-1": b'"0x89"'}
        assert world.dials == 2


@pytest.mark.parametrize("fault", ["down", "deaf", "wrong chain", "too often", "unknown method", "hangs"])
async def test_the_next_node_answers_for_one_that_does_not(clock: Clock, fault: str) -> None:
    """Within the time that there is, also where the first one says nothing at all."""
    async with open_world(nodes=2) as world, _opened(world) as nodes:
        first = world.nodes[0].faults
        match fault:
            case "down":
                world.down.add(0)
            case "wrong chain":
                first.chain_id = 1
            case "too often":
                first.rate_limited, first.rate_limited_method = 1, "all"
            case "hangs":
                world.instead[0] = _hang
        await nodes.ask("eth_chainId", (), _soon(20))
        if fault == "deaf":
            first.deaf = True
        if fault == "unknown method":
            world.nodes[1].contracts = _Code()
        method, params = ("eth_getCode", (LEADER, "latest")) if fault == "unknown method" else ("eth_blockNumber", ())
        for _ in range(3):
            assert await nodes.ask(method, params, _soon()) in (b'"0x0"', b'"0x60"')
        all_of = await nodes.ask_all(method, params, _soon())
        assert isinstance(all_of["node-0"], ChainError)
        assert isinstance(all_of["node-0"], NotConnected) == (fault in ("down", "wrong chain"))
        assert isinstance(all_of["node-1"], bytes)


async def _hang(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


class _Code:
    def code_at(self, address: str) -> bytes:
        return b"\x60"

    def answer(self, to: str, data: bytes) -> bytes | None:
        return None


async def test_an_error_of_a_node_is_an_answer(clock: Clock) -> None:
    """With code, words and data; the others are not asked, and the node counts as well."""
    async with open_world(nodes=2) as world, _opened(world) as nodes:
        for node in world.nodes:
            node.contracts = _Code()
        with pytest.raises(RpcError) as reverted:
            await nodes.ask("eth_call", ({"to": EXCHANGE_V2, "data": "0x"}, "latest"), _soon())
        assert (reverted.value.code, reverted.value.message) == (3, "execution reverted")
        assert sum(node.requests.get("eth_call", 0) for node in world.nodes) == 1
        assert [node.endpoint.failures for node in nodes.nodes] == [0, 0]
        said = (await nodes.ask_all("eth_call", ({"to": EXCHANGE_V2, "data": "0x"}, "latest"), _soon())).values()
        assert [error.reverted for error in said if isinstance(error, RpcError)] == [True, True]


async def test_a_contract_silences_no_node_by_its_words(clock: Clock) -> None:
    """Whoever wrote it would decide when we may send."""
    async with open_world() as world, _opened(world) as nodes:
        await nodes.ask("eth_chainId", (), _soon())
        world.nodes[0].faults.error = "execution reverted: too many requests, retry after 300s"
        for _ in range(3):
            with pytest.raises(RpcError, match="reverted"):
                await nodes.ask("eth_estimateGas", (), _soon())
        assert nodes.nodes[0].pool.rest_s == 0


@pytest.mark.parametrize("count", [1, 2])
async def test_the_deadline_is_kept(clock: Clock, count: int) -> None:
    """A question that nobody answers ends with an error, at its time; those that wait for their turn as well."""
    async with open_world(nodes=count) as world, _opened(world) as nodes:
        await nodes.ask_all("eth_chainId", (), _soon())
        for node in world.nodes:
            node.faults.deaf = True
        began, ends = trio.current_time(), list[float]()

        async def ask() -> None:
            with pytest.raises(NoAnswer):
                await nodes.ask("eth_blockNumber", (), began + 3)
            ends.append(trio.current_time() - began)

        async def ask_all() -> None:
            told = await nodes.ask_all("eth_blockNumber", (), began + 3)
            assert all(isinstance(one, NoAnswer) for one in told.values())
            ends.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(ask)
                nursery.start_soon(ask_all)
        assert max(ends) == 3
        assert all(isinstance(one, NoAnswer) for one in (await nodes.ask_all("eth_chainId", (), _soon())).values())
        assert max(node.requests["eth_blockNumber"] for node in world.nodes) <= 2 * 32


async def test_a_connection_that_ends_is_made_again(clock: Clock) -> None:
    """Who asks right after it ended waits for the next try; who asks a node that cannot be reached is told so at once."""
    told: list[str] = []
    async with open_world() as world, _opened(world, told) as nodes:
        await nodes.ask("eth_chainId", (), _soon())
        for _ in range(3):
            world.nodes[0].drop_connections()
            await trio.testing.wait_all_tasks_blocked()
            assert await nodes.ask("eth_chainId", (), _soon()) == b'"0x89"'
        world.down.add(0)
        world.nodes[0].drop_connections()
        await trio.sleep(60)
        began = trio.current_time()
        with pytest.raises(ConnectionLost, match="no node is connected"):
            await nodes.ask("eth_chainId", (), _soon())
        assert trio.current_time() == began
        world.down.clear()
        await trio.sleep(60)
        assert await nodes.ask("eth_chainId", (), _soon()) == b'"0x89"'
        assert set(told) == {"requests-lost"}


async def test_the_pace_of_a_node_is_kept(clock: Clock) -> None:
    """It is one for all who ask: a node counts by key, and not by connection."""
    async with open_world() as world, _opened(world, requests_per_s=10.0) as nodes:
        await nodes.ask("eth_chainId", (), _soon())
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(49):
                nursery.start_soon(nodes.ask, "eth_blockNumber", (), _soon(60))
        assert trio.current_time() - began == pytest.approx(3, abs=0.2)


async def test_blocks_and_logs_are_read(clock: Clock) -> None:
    """In pieces that nodes take, of two nodes where there are two, and nothing that does not belong there."""
    async with open_world(nodes=2) as world, _opened(world) as nodes:
        for _ in range(40):
            world.chain.mine(world.buy())
        wide = await nodes.logs(_FILLS, 3, 30, _soon())
        assert [log.block_number for log in wide] == list(range(3, 31))
        world.nodes[0].faults.max_range, world.nodes[1].faults.empty_logs = 4, 9
        assert await nodes.logs(_FILLS, 3, 30, _soon()) == wide
        world.nodes[1].faults.behind = 20
        assert await nodes.logs(_FILLS, 3, 30, _soon()) == wide
        assert (await nodes.block("latest", _soon())).number in (20, 40)
        assert (await nodes.block(hex(7), _soon())).hash == world.chain.blocks[7].ref.hash
        assert (await nodes.block(hex(40), _soon())).number == 40
        with pytest.raises(ChainError, match="no endpoint knows block 0x63"):
            await nodes.block(hex(99), _soon())
        world.nodes[1].faults.clear()
        world.nodes[1].faults.unreadable_logs = True
        with pytest.raises(ChainError, match="cannot be read"):
            await nodes.logs(_FILLS, 3, 30, _soon())  # what the other one shows is not taken for both
        world.nodes[0].faults.unreadable_logs = True
        with pytest.raises(ChainError, match="cannot be read"):
            await nodes.logs(_FILLS, 3, 30, _soon())


async def test_what_is_no_header_is_none(clock: Clock) -> None:
    """It is counted, and another node is asked."""
    told: list[str] = []
    async with open_world(nodes=2) as world, _opened(world, told) as nodes:
        world.nodes[0].faults.header_time = HeaderTime.TEXT
        assert (await nodes.block("latest", _soon())).number == 0
        world.nodes[1].faults.header_time = HeaderTime.TEXT
        with pytest.raises(ChainError, match="no endpoint knows"):
            await nodes.block("latest", _soon())
        assert "malformed-block" in told


async def test_an_engine_hands_its_nodes_to_executors(clock: Clock) -> None:
    """One that asks nothing has nobody connect."""
    seen: list[Nodes | None] = []

    @asynccontextmanager
    async def open_it(context: ExecutorContext) -> AsyncGenerator[ScriptedExecutor, None]:
        seen.append(context.nodes)
        yield ScriptedExecutor(name=context.name)

    plan = make_test_plan()
    one = evolve(plan.executors[0], plugin=evolve(scripted_plugin(ScriptedExecutor()), open=open_it))
    async with open_world(nodes=2) as world, running_engine(world, evolve(plan, executors=(one,))) as service:
        dials = world.dials
        assert seen[0] is not None
        assert list(seen[0].names) == ["node-0", "node-1"]
        assert await seen[0].ask("eth_chainId", (), _soon()) == b'"0x89"'
        await seen[0].ask_all("eth_chainId", (), _soon())
        assert world.dials == dials + 2
        assert [endpoint.session is not None for endpoint in service.pool.endpoints] == [True, True]


async def test_the_scripted_nodes_say_the_same_of_a_chain(clock: Clock) -> None:
    """Whoever writes an executor tests it with them."""
    async with open_world(nodes=2) as world, _opened(world) as nodes:
        for _ in range(20):
            world.chain.mine(world.buy())
        scripted: Nodes = ScriptedNodes(world.chain)
        for one in (nodes, scripted):
            assert len(await one.logs(_FILLS, 5, 9, _soon())) == 5
            assert (await one.block("finalized", _soon())).number == 4
            with pytest.raises(RpcError, match="does not exist"):
                await one.ask("eth_nothing", (), _soon())
            assert set(await one.ask_all("eth_nothing", (), _soon())) == set(one.names)
