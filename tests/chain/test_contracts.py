"""What contracts say, by whichever node answers."""

import pytest
import trio.testing

from tests.builders import POLYGON
from tests.clob.scripted_chain import CASH, USD, ScriptedChain
from tests.harness import World, open_world
from trio_copy.chain.contracts import open_contracts
from trio_copy.chain.dial import dial_network
from trio_copy.config import ChainSettings
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ChainError
from trio_copy.model.ids import Address

Clock = trio.testing.MockClock
OWNER = Address("0x" + "11" * 20)
BALANCE_OF = bytes.fromhex("70a08231") + bytes.fromhex(OWNER[2:]).rjust(32, b"\0")
CHAIN = ChainSettings(chain_id=POLYGON)


def with_contracts(world: World, *, cash: int = 5) -> None:
    for node in world.nodes:
        node.contracts = ScriptedChain(cash={OWNER: cash * USD})


async def test_code_and_calls_are_read(clock: Clock) -> None:
    """Bytes as they are; nothing where no contract is; None of one that refuses."""
    async with open_world() as world:
        with_contracts(world)
        async with open_contracts(world.dial, world.endpoints, CHAIN, seeded_entropy(1)) as contracts:
            assert await contracts.code(Address(CASH)) == b"\x60\x80"
            assert await contracts.code(OWNER) == b""
            assert await contracts.call(Address(CASH), BALANCE_OF) == (5 * USD).to_bytes(32)
            assert await contracts.call(OWNER, BALANCE_OF) == b""
            assert await contracts.call(Address(CASH), b"what?") is None
            assert not contracts.lost


async def test_nodes_that_cannot_be_asked_are_named_and_the_others_answer(clock: Clock) -> None:
    """One is away, one is of another chain, one does not know the method, one hangs."""
    async with open_world(nodes=5) as world:
        with_contracts(world)
        world.down.add(0)
        world.nodes[1].faults.chain_id = 1
        world.nodes[2].contracts = None

        async def hang(stream: trio.abc.Stream) -> None:
            await trio.sleep_forever()

        world.instead[3] = hang
        async with open_contracts(world.dial, world.endpoints, CHAIN, seeded_entropy(1)) as contracts:
            for _ in range(3):
                assert await contracts.call(Address(CASH), BALANCE_OF) == (5 * USD).to_bytes(32)
            assert dict(contracts.lost) == {
                "node-0": "node-0 refuses",
                "node-1": "expected chain id 137, the node serves 1",
                "node-3": "no connection in 10 s",
            }
            world.nodes[4].drop_connections()
            with pytest.raises(ChainError, match="eth_call does not exist"):
                await contracts.call(Address(CASH), BALANCE_OF)


async def test_a_node_that_does_not_answer_is_waited_for_once(clock: Clock) -> None:
    """Many questions are asked, and the others answer them."""
    async with open_world(nodes=2) as world:
        with_contracts(world)
        async with open_contracts(world.dial, world.endpoints, CHAIN, seeded_entropy(1)) as contracts:
            for node in world.nodes:
                node.faults.deaf = True
            began = trio.current_time()
            for _ in range(5):
                with pytest.raises(ChainError):
                    await contracts.call(Address(CASH), BALANCE_OF)
            assert trio.current_time() - began == 2 * CHAIN.request_timeout_s
            assert set(contracts.lost.values()) == {"eth_call got no answer in 10 s"}


@pytest.mark.parametrize("told", [b"5", b'"0x0g"', b'"12"', b"{}", b'"0x123"'])
async def test_an_answer_that_cannot_be_read_is_none(clock: Clock, told: bytes) -> None:
    """Nothing is guessed of what a node writes."""
    async with open_world() as world:
        with_contracts(world)
        node = world.nodes[0]
        async with open_contracts(world.dial, world.endpoints, CHAIN, seeded_entropy(1)) as contracts:
            node.faults.deaf = True

            async def answer() -> None:
                await trio.sleep(1)
                node.send_to_all(b'{"jsonrpc":"2.0","id":2,"result":%s}' % told)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer)
                with pytest.raises(ChainError, match="expected hex data"):
                    await contracts.code(OWNER)


async def test_without_a_node_nobody_is_asked(clock: Clock) -> None:
    """As of a devnet in the process."""
    async with open_contracts(dial_network, (), CHAIN, seeded_entropy(1)) as contracts:
        with pytest.raises(ChainError, match="no node can be asked"):
            await contracts.code(OWNER)
