"""One node for all tests that trade: everything is deployed once, and each test takes back what it did."""

import socket
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from attrs import evolve

from tests.onchain.deployed import Deployed, Market, deploy
from trio_copy.testing.anvil import Node, open_chain

_UNTIL_FINAL = 3
"""Blocks after which the final one has been mined since. A node whose chain has gone back often, over some thousand blocks, forgets
what was in those below."""


@pytest.fixture(scope="session")
def venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Deployed]]:
    with running_venues(tmp_path_factory.mktemp("venues")) as deployed:
        yield deployed


@contextmanager
def running_venues(folder: Path) -> Iterator[tuple[Node, Deployed]]:
    """Run a node with everything on it; for tests that look back further than a chain that goes back and forth remembers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node = Node(port, folder)
    with subprocess.Popen(node.command, stdout=subprocess.DEVNULL) as process:
        try:
            yield node, trio.run(_deploy, node)
        finally:
            process.kill()


async def _deploy(node: Node) -> Deployed:
    await node.wait_ready()
    async with open_chain(node) as chain:
        return await deploy(chain)


@pytest.fixture
async def market(venues: tuple[Node, Deployed]) -> AsyncGenerator[Market, None]:
    node, deployed = venues
    async with open_chain(node) as chain:
        market = Market(chain, evolve(deployed, amms=tuple(evolve(amm, chain=chain) for amm in deployed.amms)))
        snapshot = await market.ask("evm_snapshot")
        await market.ask("anvil_mine", hex(_UNTIL_FINAL))
        yield market
        # What is mined while it goes back leaves a hole in the chain.
        await market.ask("anvil_dropAllTransactions")
        await market.ask("evm_setAutomine", True)
        await market.ask("evm_revert", snapshot)
