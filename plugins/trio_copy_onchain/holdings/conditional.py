"""Gnosis' Conditional Tokens: shares are made out of the collateral itself, or by an adapter that changes it before and after."""

from collections.abc import Sequence
from fractions import Fraction

from attrs import Factory, field, frozen

from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.ports.acting import Deed
from trio_copy.transactions.calls import Call
from trio_copy_onchain.holdings.approvals import Allowance, Approval, ForAll
from trio_copy_onchain.holdings.balances import read_shares, shares_call
from trio_copy_onchain.holdings.ids import token_of
from trio_copy_onchain.holdings.seam import Answer, Holdings, Redemption
from trio_copy_onchain.venues import abi

_PARTED = ("address", "bytes32", "bytes32", "uint256[]")
_SPLIT = abi.function("splitPosition", *_PARTED, "uint256")
_MERGE = abi.function("mergePositions", *_PARTED, "uint256")
_REDEEM = abi.function("redeemPositions", *_PARTED)
_DENOMINATOR = abi.function("payoutDenominator", "bytes32")
_NUMERATOR = abi.function("payoutNumerators", "bytes32", "uint256")
_IN_NO_OTHER = bytes(32)
_MOST_OUTCOMES = 256


@frozen(kw_only=True)
class Conditional:
    """A condition whose shares are made out of its collateral, by whoever wants to.

    Raises:
        ValueError: so many outcomes are not possible.
    """

    contract: Address
    """Of the Conditional Tokens."""
    collateral: Address
    condition: Hash32
    outcomes: int = 2
    tokens: tuple[TokenId, ...] = field(init=False, default=Factory(lambda self: _tokens(self), takes_self=True))

    def split(self, units: int) -> Call:
        return self._call(_SPLIT(*self._parted(self._all), units))

    def merge(self, units: int) -> Call:
        return self._call(_MERGE(*self._parted(self._all), units))

    def reads(self, wallet: Address) -> tuple[Call, ...]:
        return reads(self.contract, self.condition, self.tokens, wallet)

    def holdings(self, answers: Sequence[Answer]) -> Holdings:
        return read_holdings(answers, len(self.tokens))

    def redeem(self, held: Holdings) -> Redemption:
        cash = tuple(map(held.cash, range(self.outcomes)))
        won = [1 << outcome for outcome, units in enumerate(cash) if units]
        taken = tuple(units if cash[outcome] else 0 for outcome, units in enumerate(held.units))
        # It burns all that the wallet has of each outcome that is named.
        calls = (self._call(_REDEEM(*self._parted(won))),) if won else ()
        return Redemption(calls=calls, cash=cash, taken=taken)

    def needs(self, deed: Deed, units: int = 0) -> tuple[Approval, ...]:
        if deed is Deed.SPLIT:
            return (Allowance(token=self.collateral, spender=self.contract, units=units),)
        return ()

    @property
    def _all(self) -> list[int]:
        return [1 << outcome for outcome in range(self.outcomes)]

    def _parted(self, index_sets: Sequence[int]) -> tuple[object, ...]:
        return self.collateral, _IN_NO_OTHER, bytes.fromhex(self.condition[2:]), index_sets

    def _call(self, data: bytes) -> Call:
        return Call(to=self.contract, data=data)


def _tokens(condition: Conditional) -> tuple[TokenId, ...]:
    outcomes = condition.outcomes
    if not 2 <= outcomes <= _MOST_OUTCOMES:
        raise ValueError(f"outcomes of a condition: expected 2 to {_MOST_OUTCOMES}, got {outcomes}")
    return tuple(token_of(condition.collateral, condition.condition, 1 << outcome) for outcome in range(outcomes))


@frozen(kw_only=True)
class Adapted:
    """A condition of two outcomes whose shares are made out of other money than the wallet gives and gets.

    An adapter changes it on the way, and so has to be let take the shares that are merged or redeemed. It redeems all that the
    wallet has of both outcomes, what was lost with it.
    """

    adapter: Address
    contract: Address
    """Of the Conditional Tokens."""
    collateral: Address
    """What the wallet gives and gets."""
    backing: Address
    """What the shares are made of, and named by."""
    condition: Hash32
    tokens: tuple[TokenId, ...] = field(init=False, default=Factory(lambda self: _of_backing(self), takes_self=True))

    def split(self, units: int) -> Call:
        return self._call(_SPLIT(*self._parted(), units))

    def merge(self, units: int) -> Call:
        return self._call(_MERGE(*self._parted(), units))

    def reads(self, wallet: Address) -> tuple[Call, ...]:
        return reads(self.contract, self.condition, self.tokens, wallet)

    def holdings(self, answers: Sequence[Answer]) -> Holdings:
        return read_holdings(answers, len(self.tokens))

    def redeem(self, held: Holdings) -> Redemption:
        cash = held.cash(0), held.cash(1)
        if not any(cash):
            return Redemption(calls=(), cash=cash, taken=(0, 0))
        return Redemption(calls=(self._call(_REDEEM(*self._parted())),), cash=cash, taken=held.units)

    def needs(self, deed: Deed, units: int = 0) -> tuple[Approval, ...]:
        if deed is Deed.SPLIT:
            return (Allowance(token=self.collateral, spender=self.adapter, units=units),)
        return (ForAll(token=self.contract, operator=self.adapter),) if deed in (Deed.MERGE, Deed.REDEEM) else ()

    def _parted(self) -> tuple[object, ...]:
        # Of these, an adapter looks at the condition alone.
        return self.collateral, _IN_NO_OTHER, bytes.fromhex(self.condition[2:]), [1, 2]

    def _call(self, data: bytes) -> Call:
        return Call(to=self.adapter, data=data)


def _of_backing(condition: Adapted) -> tuple[TokenId, ...]:
    return tuple(token_of(condition.backing, condition.condition, index_set) for index_set in (1, 2))


def reads(contract: Address, condition: Hash32, tokens: Sequence[TokenId], wallet: Address) -> tuple[Call, ...]:
    """Return what tells the payouts of a condition, and what a wallet holds of it."""
    name = bytes.fromhex(condition[2:])
    payouts = (_DENOMINATOR(name), *(_NUMERATOR(name, outcome) for outcome in range(len(tokens))))
    return (*(Call(to=contract, data=data) for data in payouts), shares_call(contract, wallet, tokens))


def read_holdings(answers: Sequence[Answer], outcomes: int) -> Holdings:
    """Read the answers to `reads`. Raises `ValueError`."""
    told = [answer for answer in answers if answer is not None]
    if len(told) != outcomes + 2:
        raise ValueError(f"expected {outcomes + 2} answers of the Conditional Tokens, got {len(told)}")
    ((whole,), *parts) = (abi.words(answer, 1) for answer in told[:-1])
    numerators = [part for (part,) in parts]
    if sum(numerators) != whole:
        raise ValueError(f"payouts of a condition: expected {whole} in all, got {sum(numerators)}")
    payouts = tuple(Fraction(part, whole) for part in numerators) if whole else None
    return Holdings(units=read_shares(told[-1], outcomes), payouts=payouts)
