"""A real node with the real Gnosis contracts; needs npm on PATH or from the wheel."""

import signal
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from attrs import define
from eth_abi.abi import decode, encode
from eth_abi.grammar import TupleType, parse
from eth_hash.auto import keccak

from tests.builders import POLYGON
from tests.e2e.contracts import ANVIL, artifact, fetch
from trio_copy.chain.dial import dial_network
from trio_copy.chain.session import Session, open_session
from trio_copy.config import ChainSettings
from trio_copy.errors import ConnectionLost
from trio_copy.model.ids import Address, TokenId

SETTINGS = ChainSettings(chain_id=POLYGON)
MAX = 2**256 - 1


@define(eq=False)
class Node:
    """An anvil that can be stopped and started again on its port, with its chain."""

    port: int
    state: Path
    process: trio.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        return [
            str(fetch(*ANVIL) / "bin" / "anvil"), "--port", str(self.port), "--quiet", "--chain-id", str(POLYGON),
            "--state", str(self.state), "--block-base-fee-per-gas", "0", "--gas-limit", "2000000000",
        ]  # fmt: skip

    async def start(self) -> None:
        self.process = await trio.lowlevel.open_process(self.command, stdout=subprocess.DEVNULL)
        await self.wait_ready()

    async def wait_ready(self) -> None:
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
        result = await self.session.request("eth_call", {"to": to, "data": calldata(signature, values)}, "latest")
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
        return await self.send(sender, to, calldata(signature, values))

    async def sign(self, sender: str, to: str, signature: str, *values: Any) -> str:
        """Sign a transaction for later: the same bytes are the same transaction in whichever block."""
        nonce = msgspec.json.decode(await self.session.request("eth_getTransactionCount", sender, "latest"))
        tx = {
            "from": sender, "to": to, "data": calldata(signature, values), "gas": hex(8_000_000), "nonce": nonce,
            "maxFeePerGas": hex(10**10), "maxPriorityFeePerGas": hex(10**9), "chainId": hex(POLYGON), "value": "0x0",
        }  # fmt: skip
        return str(msgspec.json.decode(await self.session.request("eth_signTransaction", tx)))

    async def send_raw(self, raw: str) -> dict[str, Any]:
        return await self.receipt(msgspec.json.decode(await self.session.request("eth_sendRawTransaction", raw)))

    async def deploy(self, name: str, types: str = "()", *values: Any) -> Address:
        """Deploy a contract, with what its constructor takes."""
        receipt = await self.send(self.accounts[0], None, artifact(name) + _encoded(types, values).hex())
        return Address(str(receipt["contractAddress"]).lower())


def calldata(signature: str, values: Sequence[Any]) -> str:
    return "0x" + (keccak(signature.encode())[:4] + _encoded(signature[signature.index("(") :], values)).hex()


def _encoded(types: str, values: Sequence[Any]) -> bytes:
    if types == "()":
        return b""
    arguments = parse(types)
    assert isinstance(arguments, TupleType)
    return encode([part.to_type_str() for part in arguments.components], values)


@asynccontextmanager
async def open_chain(node: Node) -> AsyncGenerator[Chain, None]:
    async with open_session(dial_network, node.url, SETTINGS, lambda kind, detail: None) as session:
        accounts = msgspec.json.decode(await session.request("eth_accounts"))
        yield Chain(session, [Address(account.lower()) for account in accounts])


@define(eq=False)
class Amm:
    """A funded market, and how a leader trades on it."""

    chain: Chain
    usdc: Address
    ctf: Address
    pool: Address
    tokens: tuple[TokenId, ...]

    async def prepare_trader(self, trader: str) -> None:
        await self.chain.do(trader, self.usdc, "mint(address,uint256)", trader, 10**12)
        await self.chain.do(trader, self.usdc, "approve(address,uint256)", self.pool, MAX)
        await self.chain.do(trader, self.ctf, "setApprovalForAll(address,bool)", self.pool, True)

    async def buy(self, trader: str, dollars: int, outcome: int = 0) -> dict[str, Any]:
        return await self.chain.do(trader, self.pool, "buy(uint256,uint256,uint256)", dollars * 10**6, outcome, 0)

    async def sell(self, trader: str, dollars: int, outcome: int = 0) -> dict[str, Any]:
        return await self.chain.do(trader, self.pool, "sell(uint256,uint256,uint256)", dollars * 10**6, outcome, MAX)


async def deploy_amm(chain: Chain, hint: Sequence[int] = (1, 1), fee: int = 2 * 10**16) -> Amm:
    """Deploy collateral, ConditionalTokens, the factory and one market maker.

    `hint` has a number for each outcome: what the maker is to hold of it, in proportion. The fee is in parts of 10**18.
    """
    owner, outcomes = chain.accounts[0], len(hint)
    usdc, ctf, factory = [
        await chain.deploy(n) for n in ("TestUSDC", "ConditionalTokens", "FixedProductMarketMakerFactory")
    ]
    question = keccak(b"question")
    await chain.do(owner, ctf, "prepareCondition(address,bytes32,uint256)", owner, question, outcomes)
    condition = await chain.call(
        ctf, "getConditionId(address,bytes32,uint256)", owner, question, outcomes, returns="bytes32"
    )
    made = await chain.do(
        owner, factory, "createFixedProductMarketMaker(address,address,bytes32[],uint256)", ctf, usdc, [condition], fee
    )  # fmt: skip
    pool = next(Address("0x" + log["data"][26:66]) for log in made["logs"] if log["address"].lower() == factory)
    tokens = []
    for index_set in (1 << outcome for outcome in range(outcomes)):
        collection = await chain.call(
            ctf, "getCollectionId(bytes32,bytes32,uint256)", bytes(32), condition, index_set, returns="bytes32"
        )
        tokens.append(TokenId(await chain.call(ctf, "getPositionId(address,bytes32)", usdc, collection)))
    amm = Amm(chain, usdc, ctf, pool, tuple(tokens))
    await amm.prepare_trader(owner)
    await chain.do(owner, pool, "addFunding(uint256,uint256[])", 10_000 * 10**6, hint)
    return amm
