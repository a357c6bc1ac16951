"""What a doctor asks of an executor's plugin: to look at wallets before anybody trades with them, and to change nothing."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, Protocol

from attrs import frozen

from trio_copy.clock import WallClock
from trio_copy.model.ids import Address, ChainId
from trio_copy.model.orders import Wallet
from trio_copy.ports.signing import Signers
from trio_copy.ports.store import OpenSocket
from trio_copy.sockets import open_socket


class Health(Enum):
    """How something is that was looked at."""

    GOOD = "good"
    BAD = "bad"
    """Orders would fail, or money is in danger."""
    UNKNOWN = "unknown"
    """Nobody could be asked, or who was did not tell. Never a guess."""


@frozen(kw_only=True)
class Finding:
    """What came of one look."""

    check: str
    """What was looked at, in a few words; the same each time."""
    health: Health
    text: str
    """What was found. Other people's words in it are shown as they are, apart from secrets that were read."""
    advice: str = ""
    """What to do about it; never empty for what is bad."""
    wallet: str = ""
    """Of [wallet.NAME]; empty for what is about all of them."""


class Contracts(Protocol):
    """What contracts on the chain say now, by whichever of the configured nodes answers first."""

    async def code(self, address: Address) -> bytes:
        """Return the code at an address; nothing where no contract is. Raises `ChainError` when nobody tells."""
        ...

    async def call(self, to: Address, data: bytes) -> bytes | None:
        """Return what a call that changes nothing returns; None where the contract refuses it.

        Where no contract is, nothing is returned: no bytes. Raises `ChainError` when nobody tells.
        """
        ...


@frozen(kw_only=True)
class ExaminationContext:
    """All that an executor's plugin is given to look at wallets with."""

    name: str
    """Of the table [executor.NAME]."""
    settings: Any
    """An instance of the settings class that the plugin registered."""
    wallets: Sequence[Wallet]
    signers: Signers
    """None for a wallet whose key could not be opened. They sign who asks, and no order."""
    chain_id: ChainId
    wall: WallClock
    contracts: Contracts
    open_socket: OpenSocket = open_socket
    """The seam to the network."""


Examine = Callable[[ExaminationContext], Awaitable[Sequence[Finding]]]
"""Looks, and returns what it found in the order in which people should read it: first what is about all wallets.

It changes nothing anywhere, ends by itself within a minute or so, and raises nothing: who does not answer is a finding.
"""
