"""Asks contracts and nodes for a doctor, and says what he found. What cannot be read is no answer."""

from collections.abc import Sequence
from typing import Any

import msgspec
import trio
from attrs import frozen

from trio_copy.errors import ChainError, ConnectionLost
from trio_copy.model.ids import Address
from trio_copy.native import keccak
from trio_copy.ports import Contracts, ExecutorContext, Finding, Health
from trio_copy_onchain.tx.wire import MISREAD, number_of

_WORD = 32
_ASK_S = 10.0


@frozen
class Look:
    """One look at the contracts and the nodes of a configuration."""

    context: ExecutorContext
    contracts: Contracts

    async def number(self, to: Address, data: bytes) -> int | None:
        """Return the one word that a contract answers with; None where it refuses, or answers something else.

        Raises:
            ChainError: nobody tells.
        """
        answer = await self.contracts.call(to, data)
        return int.from_bytes(answer) if answer is not None and len(answer) == _WORD else None

    async def address(self, to: Address, data: bytes) -> Address | None:
        """Return the one address that a contract answers with. Raises as `number` does."""
        number = await self.number(to, data)
        return None if number is None or number >> 160 else Address(f"0x{number:040x}")

    async def node_number(self, method: str, *params: object) -> int:
        """Return a number that the first node that can answers with. Raises `ChainError`."""
        answer = await self.node(method, *params)
        try:
            return number_of(msgspec.json.decode(answer, type=str))
        except MISREAD as error:
            raise ChainError(f"{method}: {error}"[:200]) from None

    async def node(self, method: str, *params: object) -> bytes:
        nodes = self.context.nodes
        if nodes is None:
            raise ConnectionLost("no node can be asked")
        return await nodes.ask(method, params, trio.current_time() + _ASK_S)

    async def every_node(self, method: str, *params: object) -> dict[str, Any]:
        """Return what each node answers, read as JSON, or the error."""
        nodes, answers = self.context.nodes, dict[str, Any]()
        if nodes is None:
            return answers
        for name, answer in (await nodes.ask_all(method, params, trio.current_time() + _ASK_S)).items():
            try:
                answers[name] = answer if isinstance(answer, ChainError) else msgspec.json.decode(answer)
            except MISREAD as error:
                answers[name] = ChainError(f"{name}: {error}"[:200])
        return answers


def good(check: str, text: str, advice: str = "", wallet: str = "") -> Finding:
    return Finding(check=check, health=Health.GOOD, text=text, advice=advice, wallet=wallet)


def bad(check: str, text: str, advice: str, wallet: str = "") -> Finding:
    return Finding(check=check, health=Health.BAD, text=text, advice=advice, wallet=wallet)


def unknown(check: str, text: object, wallet: str = "") -> Finding:
    return Finding(check=check, health=Health.UNKNOWN, text=str(text), wallet=wallet)


def checksummed(address: Address) -> str:
    """Write an address as people compare it (EIP-55)."""
    digits = address[2:].lower()
    bits = keccak(digits.encode()).hex()
    marked = (digit.upper() if int(bit, 16) > 7 else digit for digit, bit in zip(digits, bits, strict=False))
    return "0x" + "".join(marked)


def listed(addresses: Sequence[Address]) -> str:
    return ", ".join(map(checksummed, addresses))
