"""Where the relayer carries what it has taken: a chain that a test gives it, or one that only counts."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Protocol

import trio
from attrs import define, field

from trio_copy.model.ids import Address, Hash32
from trio_copy.testing.relayer.requests import Submitted

Carry = Callable[[Submitted], Awaitable[Hash32]]
"""Sends the transaction that carries an action, and returns its hash."""


class RelayedChain(Protocol):
    async def nonce(self, kind: str, owner: Address, wallet: Address) -> int:
        """Return which nonce the chain takes next of a wallet."""
        ...

    async def carry(self, submitted: Submitted) -> Hash32:
        """Send the transaction that carries an action, and return its hash."""
        ...

    async def succeeded(self, tx_hash: Hash32) -> bool:
        """Wait until a transaction is mined, and tell whether it did what it should."""
        ...


@define(eq=False)
class CountingChain:
    """Takes everything at once, one of each nonce."""

    nonces: dict[Address, int] = field(factory=dict)
    """By wallet."""
    carried: dict[Hash32, Submitted] = field(factory=dict)
    reverts: bool = False
    """Whether what is carried fails on the chain: the nonce stays as it is."""

    async def nonce(self, kind: str, owner: Address, wallet: Address) -> int:
        await trio.lowlevel.checkpoint()
        return self.nonces.get(wallet, 0)

    async def carry(self, submitted: Submitted) -> Hash32:
        await trio.lowlevel.checkpoint()
        tx_hash = Hash32("0x" + sha256(submitted.signature + bytes((len(self.carried),))).hexdigest())
        if not self.reverts:
            if submitted.nonce != self.nonces.get(submitted.wallet, 0):
                raise AssertionError(f"expected nonce {self.nonces.get(submitted.wallet, 0)}, was {submitted.nonce}")
            self.nonces[submitted.wallet] = submitted.nonce + 1
        self.carried[tx_hash] = submitted
        return tx_hash

    async def succeeded(self, tx_hash: Hash32) -> bool:
        await trio.lowlevel.checkpoint()
        return not self.reverts
