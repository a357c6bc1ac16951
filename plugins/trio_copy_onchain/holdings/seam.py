"""What can be done with the shares of one condition, wherever they are kept."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from attrs import frozen

from trio_copy.model.ids import Address, TokenId
from trio_copy.ports.acting import Deed
from trio_copy.transactions.calls import Call
from trio_copy_onchain.holdings.approvals import Approval

Answer = bytes | None
"""To a question; None where the contract refused it."""


@frozen(kw_only=True)
class Holdings:
    """What a wallet holds of each outcome, and what is paid for it."""

    units: tuple[int, ...]
    payouts: tuple[Fraction, ...] | None
    """Of cash for a share, all of them together 1; None where nothing is decided yet."""

    def cash(self, outcome: int) -> int:
        """Return what an outcome brings, in units of cash: what is less than a unit is lost.

        Raises:
            ValueError: nothing is decided yet.
        """
        if self.payouts is None:
            raise ValueError("expected a condition that is decided")
        payout = self.payouts[outcome]
        return self.units[outcome] * payout.numerator // payout.denominator


@frozen(kw_only=True)
class Redemption:
    """What a wallet does to be paid for a condition, and what comes of it."""

    calls: tuple[Call, ...]
    """None at all where nothing is won: what was lost is worth nothing, with a transaction or without."""
    cash: tuple[int, ...]
    """Of each outcome, in units."""
    taken: tuple[int, ...]
    """Of each outcome, the units of shares that are gone afterwards; what was lost may stay, worth nothing."""


class Condition(Protocol):
    """A question, its outcomes, and the contracts that take and give its shares. Sync and pure."""

    @property
    def tokens(self) -> tuple[TokenId, ...]:
        """Of all outcomes, in their order."""
        ...

    def split(self, units: int) -> Call:
        """Return the call that makes so many shares of every outcome out of as many units of cash."""
        ...

    def merge(self, units: int) -> Call:
        """Return the call that makes as many units of cash out of so many shares of every outcome."""
        ...

    def reads(self, wallet: Address) -> tuple[Call, ...]:
        """Return what has to be asked, all in one block, before anything is redeemed: in a final one, for good."""
        ...

    def holdings(self, answers: Sequence[Answer]) -> Holdings:
        """Read the answers to `reads`.

        Raises:
            ValueError: they are none.
        """
        ...

    def redeem(self, held: Holdings) -> Redemption:
        """Return what brings a wallet the cash that its shares are paid with.

        Raises:
            ValueError: nothing is decided yet.
        """
        ...

    def needs(self, deed: Deed, units: int = 0) -> tuple[Approval, ...]:
        """Return what the wallet has to allow before. `units` are those of a split."""
        ...
