"""What a doctor tells people who looks at wallets before anybody trades with them, and whom he may ask; see `Examine`."""

from enum import Enum
from typing import Protocol

from attrs import frozen

from trio_copy.model.ids import Address


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
