"""Transactions on a node of ours: from accounts that it signs for, or that it lets anybody be."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from attrs import define
from eth_abi.abi import decode, encode
from eth_abi.grammar import TupleType, parse
from eth_hash.auto import keccak

from trio_copy.chain.dial import dial_network
from trio_copy.chain.session import Session, open_session
from trio_copy.config import ChainSettings
from trio_copy.errors import ChainError
from trio_copy.model.ids import Address
from trio_copy.testing.anvil.node import Node
from trio_copy.testing.anvil.packages import artifact

MAX = 2**256 - 1
COIN = 10**18
"""In wei."""
_GAS = 8_000_000
_MINED_S = 30.0


Written = tuple[Any, ...]
"""A call as people write it down: whom, the signature of what, and the values."""


class Reverted(ChainError):
    """A transaction was mined, and what it called refused."""


@define(eq=False)
class Chain:
    """Transactions from the node's unlocked accounts, and from whomever it was told to be."""

    session: Session
    accounts: Sequence[Address]
    poll_s: float = 0.01
    """How often it is asked whether something was mined."""

    async def ask(self, method: str, *params: object) -> Any:  # noqa: ANN401  what a node answers has no one type
        """Return what the node answers. Raises `ChainError` as `Session.request`."""
        return msgspec.json.decode(await self.session.request(method, *params))

    async def call(self, to: str, signature: str, *values: Any, returns: str = "uint256") -> Any:  # noqa: ANN401
        """Return what a contract answers by its newest state."""
        result = await self.ask("eth_call", {"to": to, "data": calldata(signature, values)}, "latest")
        return decode([returns], bytes.fromhex(result[2:]))[0]

    async def send(self, sender: str, to: str | None, data: str) -> dict[str, Any]:
        """Send, wait until it is mined, and return the receipt. Raises `Reverted`, and `TooSlowError` after half a minute."""
        tx = {"from": sender, "data": data, "gas": hex(_GAS), **({"to": to} if to else {})}
        return await self.receipt(await self.ask("eth_sendTransaction", tx))

    async def receipt(self, tx_hash: str) -> dict[str, Any]:
        """Wait until something is mined. Raises as `send`."""
        with trio.fail_after(_MINED_S):
            while True:
                receipt = await self.ask("eth_getTransactionReceipt", tx_hash)
                if receipt is not None:
                    if receipt["status"] != "0x1":
                        raise Reverted(f"{tx_hash} was mined, and reverted")
                    return dict(receipt)
                await trio.sleep(self.poll_s)

    async def do(self, sender: str, to: str, signature: str, *values: Any) -> dict[str, Any]:  # noqa: ANN401
        """Call a contract by a transaction. Raises as `send`."""
        return await self.send(sender, to, calldata(signature, values))

    async def sign(self, sender: str, to: str, signature: str, *values: Any) -> str:  # noqa: ANN401
        """Sign a transaction for later: the same bytes are the same transaction in whichever block."""
        nonce = await self.ask("eth_getTransactionCount", sender, "latest")
        tx = {
            "from": sender, "to": to, "data": calldata(signature, values), "gas": hex(_GAS), "nonce": nonce,
            "maxFeePerGas": hex(10**10), "maxPriorityFeePerGas": hex(10**9), "value": "0x0",
            "chainId": await self.ask("eth_chainId"),
        }  # fmt: skip
        return str(await self.ask("eth_signTransaction", tx))

    async def send_raw(self, raw: str) -> dict[str, Any]:
        """Send signed bytes. Raises as `send`."""
        return await self.receipt(await self.ask("eth_sendRawTransaction", raw))

    async def deploy(self, name: str, types: str = "()", *values: Any) -> Address:  # noqa: ANN401
        """Deploy a contract, with what its constructor takes. Raises `ConfigError` where it cannot be fetched."""
        code = await trio.to_thread.run_sync(artifact, name)
        receipt = await self.send(self.accounts[0], None, code + _encoded(types, values).hex())
        return Address(str(receipt["contractAddress"]).lower())

    async def be(self, somebody: str, coins: int = 100) -> None:
        """Let transactions of an account be sent without its key, and give it coins for gas."""
        await self.ask("anvil_impersonateAccount", somebody)
        await self.ask("anvil_setBalance", somebody, hex(coins * COIN))

    async def mine_every(self, seconds: int) -> None:
        """Mine a block every so many seconds, whatever is sent; 0 goes back to a block for each transaction."""
        await self.ask("evm_setIntervalMining", seconds)
        if not seconds:
            await self.ask("evm_setAutomine", True)


def calldata(signature: str, values: Sequence[Any]) -> str:
    """Return the hex of a call, by the signature of what is called: `transfer(address,uint256)`."""
    return "0x" + (keccak(signature.encode())[:4] + _encoded(signature[signature.index("(") :], values)).hex()


def _encoded(types: str, values: Sequence[Any]) -> bytes:
    if types == "()":
        return b""
    arguments = parse(types)
    if not isinstance(arguments, TupleType):
        raise TypeError(f"expected types of arguments in brackets, got {types}")
    return encode([part.to_type_str() for part in arguments.components], values)


@asynccontextmanager
async def open_chain(node: Node) -> AsyncGenerator[Chain, None]:
    """Connect to a node while the block runs. Raises `ChainError`."""
    settings = ChainSettings(chain_id=node.chain_id)
    async with open_session(dial_network, node.url, settings, lambda kind, detail: None) as session:
        accounts = msgspec.json.decode(await session.request("eth_accounts"))
        yield Chain(session, [Address(account.lower()) for account in accounts])
