"""What a wallet has to let a contract take before that can trade, split, merge or redeem for it."""

from collections.abc import Sequence
from typing import Protocol

from attrs import Attribute, field, frozen

from trio_copy.model.ids import Address
from trio_copy.transactions.calls import Call
from trio_copy_onchain.venues import abi

_ALLOWANCE = abi.function("allowance", "address", "address")
_APPROVE = abi.function("approve", "address", "uint256")
_IS_APPROVED = abi.function("isApprovedForAll", "address", "address")
_APPROVE_ALL = abi.function("setApprovalForAll", "address", "bool")
_MOST_UNITS = 1 << 128
"""More than there is of any money: from here on an allowance would be one for ever."""


def _finite(instance: object, attribute: "Attribute[int]", units: int) -> None:
    if not 0 <= units < _MOST_UNITS:
        raise ValueError(f"{attribute.name} of an allowance: expected units from 0, below 2**128, got {units}")


class Approval(Protocol):
    """One thing that has to be allowed."""

    @property
    def token(self) -> Address: ...

    @property
    def call(self) -> Call:
        """Return the call by which the wallet allows it."""
        ...

    def question(self, wallet: Address) -> Call:
        """Return what asks how much is allowed."""
        ...

    def is_given(self, answer: bytes) -> bool:
        """Read the answer. Raises `ValueError`."""
        ...


@frozen(kw_only=True)
class Allowance:
    """So many units of an ERC-20 at most, in all that is to come. A new one takes the place of the one before."""

    token: Address
    spender: Address
    units: int = field(validator=_finite)

    @property
    def call(self) -> Call:
        return Call(to=self.token, data=_APPROVE(self.spender, self.units))

    def question(self, wallet: Address) -> Call:
        return Call(to=self.token, data=_ALLOWANCE(wallet, self.spender))

    def is_given(self, answer: bytes) -> bool:
        (units,) = abi.words(answer, 1)
        return units >= self.units


@frozen(kw_only=True)
class ForAll:
    """All shares of an ERC-1155, for ever: it knows no amounts. Not a thing to do while trading."""

    token: Address
    operator: Address

    @property
    def call(self) -> Call:
        return Call(to=self.token, data=_APPROVE_ALL(self.operator, True))

    def question(self, wallet: Address) -> Call:
        return Call(to=self.token, data=_IS_APPROVED(wallet, self.operator))

    def is_given(self, answer: bytes) -> bool:
        (given,) = abi.words(answer, 1)
        if given > 1:
            raise ValueError(f"expected yes or no, got {given}")
        return given == 1


def questions(wallet: Address, needed: Sequence[Approval]) -> tuple[Call, ...]:
    """Return what has to be asked, all in one block, before `missing`."""
    return tuple(approval.question(wallet) for approval in needed)


def missing(needed: Sequence[Approval], answers: Sequence[bytes]) -> tuple[Approval, ...]:
    """Return what a wallet has not allowed yet.

    Raises:
        ValueError: an answer to `questions` is none.
    """
    pairs = zip(needed, answers, strict=True)
    return tuple(approval for approval, answer in pairs if not approval.is_given(answer))
