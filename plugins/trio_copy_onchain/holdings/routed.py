"""Polymarket's Protocol V2: shares are kept by its PositionManager, and a Router splits, merges and redeems them."""

from collections.abc import Sequence
from fractions import Fraction

from attrs import Attribute, field, frozen

from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.protocol_v2 import is_condition
from trio_copy.model.units import MICRO
from trio_copy.ports.acting import Deed
from trio_copy.transactions.calls import Call
from trio_copy_onchain.holdings.approvals import Allowance, Approval, ForAll
from trio_copy_onchain.holdings.balances import read_shares, shares_call
from trio_copy_onchain.holdings.seam import Answer, Holdings, Redemption
from trio_copy_onchain.venues import abi

_SPLIT = abi.function("split", "bytes31", "uint256")
_MERGE = abi.function("merge", "bytes31", "uint256")
_REDEEM = abi.function("redeem", "bytes31", "uint256", "uint256")
_PAYOUT = abi.function("getPayout", "uint256", "uint256")


def _condition(instance: object, attribute: "Attribute[Hash32]", condition: Hash32) -> None:
    if not is_condition(int(condition, 16)):
        raise ValueError(f"condition: expected one of Protocol V2, 31 bytes and a zero, got {condition}")


@frozen(kw_only=True)
class Routed:
    """A condition of two outcomes. Only what is won is redeemed, a call for each outcome."""

    router: Address
    positions: Address
    """The PositionManager."""
    collateral: Address
    condition: Hash32 = field(validator=_condition)
    """Its 31 bytes, and a zero."""

    @property
    def tokens(self) -> tuple[TokenId, ...]:
        name = int(self.condition, 16)
        return TokenId(name), TokenId(name | 1)

    def split(self, units: int) -> Call:
        return self._call(_SPLIT(self._name, units))

    def merge(self, units: int) -> Call:
        return self._call(_MERGE(self._name, units))

    def reads(self, wallet: Address) -> tuple[Call, ...]:
        payouts = (Call(to=self.positions, data=_PAYOUT(token, MICRO)) for token in self.tokens)
        return (*payouts, shares_call(self.positions, wallet, self.tokens))

    def holdings(self, answers: Sequence[Answer]) -> Holdings:
        *told, shares = answers
        if len(told) != len(self.tokens) or shares is None:
            raise ValueError("expected the payouts of both outcomes, and what the wallet holds")
        units = read_shares(shares, len(self.tokens))
        # The contract refuses to tell what is paid for an outcome before it is decided.
        parts = [abi.words(answer, 1)[0] for answer in told if answer is not None]
        if len(parts) != len(told):
            if parts:
                raise ValueError("expected the payouts of both outcomes, or of neither")
            return Holdings(units=units, payouts=None)
        if sum(parts) != MICRO:
            raise ValueError(f"payouts of a condition: expected {MICRO} in all, got {sum(parts)}")
        return Holdings(units=units, payouts=tuple(Fraction(part, MICRO) for part in parts))

    def redeem(self, held: Holdings) -> Redemption:
        cash = held.cash(0), held.cash(1)
        won = [outcome for outcome, units in enumerate(cash) if units]
        return Redemption(
            calls=tuple(self._call(_REDEEM(self._name, outcome, held.units[outcome])) for outcome in won),
            cash=cash,
            taken=tuple(units if outcome in won else 0 for outcome, units in enumerate(held.units)),
        )

    def needs(self, deed: Deed, units: int = 0) -> tuple[Approval, ...]:
        if deed is Deed.SPLIT:
            return (Allowance(token=self.collateral, spender=self.router, units=units),)
        return (ForAll(token=self.positions, operator=self.router),) if deed in (Deed.MERGE, Deed.REDEEM) else ()

    @property
    def _name(self) -> bytes:
        return bytes.fromhex(self.condition[2:64])

    def _call(self, data: bytes) -> Call:
        return Call(to=self.router, data=data)
