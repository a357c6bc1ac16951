"""Whether what people have a wallet do is what its calls do: to known contracts, in finite amounts, and nothing beside. Pure."""

from collections.abc import Sequence

from trio_copy.config.wallets import WalletPolicy
from trio_copy.model.units import MICRO, Usd
from trio_copy.ports.acting import Deed
from trio_copy.signing.effects import Approval, Effect, Merge, OperatorApproval, Redemption, Split, told
from trio_copy.signing.trading import Trouble

DAYS_AT_ONCE = 10
"""So many days of trading are let out of hand at a time, by an approval or a split."""
_MOST_SHARES = 1_000_000_000
_OWN: dict[Deed, type[Effect]] = {Deed.SPLIT: Split, Deed.MERGE: Merge, Deed.REDEEM: Redemption}


def trouble_of_act(policy: WalletPolicy, deed: Deed, effects: Sequence[Effect]) -> Trouble | None:
    """Say why calls are not what a deed is about, which may need approvals beside; None where they are. Of refuelling, never."""
    own = _OWN.get(deed)
    if own is None and deed is not Deed.APPROVE:
        return Trouble("deed", deed.value, "approve, split, merge or redeem")
    if own is not None and not any(isinstance(effect, own) for effect in effects):
        return Trouble("calls", "nothing of it", deed.value)
    for effect in effects:
        trouble = _trouble_of(policy, deed, own, effect)
        if trouble is not None:
            return trouble
    return None if effects else Trouble("calls", "0", "at least one")


def _trouble_of(policy: WalletPolicy, deed: Deed, own: type[Effect] | None, effect: Effect) -> Trouble | None:
    match effect:
        case Approval():
            return _of_approval(policy, effect)
        case OperatorApproval():
            return _of_operator(policy, effect)
        case Split() | Merge() | Redemption() if own is not None and isinstance(effect, own):
            return _of_positions(policy, effect)
        case _:
            return Trouble("call", told(effect), f"{deed.value}, or an approval for it")


def _of_approval(policy: WalletPolicy, approval: Approval) -> Trouble | None:
    if not approval.units:  # whoever it was, he can take less than before
        return None
    if approval.spender not in (*policy.contracts, *policy.conditional):
        return _unknown("contracts", approval.spender, (*policy.contracts, *policy.conditional))
    if approval.token in policy.collateral:
        return _too_much(policy, approval.units)
    most = _MOST_SHARES * 10**policy.outcome_decimals
    return Trouble("approval", f"{approval.units} units", f"at most {most}") if approval.units > most else None


def _of_operator(policy: WalletPolicy, approval: OperatorApproval) -> Trouble | None:
    if not approval.approved:
        return None
    if approval.ledger not in policy.conditional:
        return _unknown("conditional", approval.ledger, policy.conditional)
    if approval.operator not in (*policy.contracts, *policy.conditional):
        return _unknown("contracts", approval.operator, (*policy.contracts, *policy.conditional))
    return None


def _of_positions(policy: WalletPolicy, effect: Split | Merge | Redemption) -> Trouble | None:
    if effect.contract not in policy.conditional:
        return _unknown("conditional", effect.contract, policy.conditional)
    if not isinstance(effect, Split):
        return None
    if effect.collateral is not None and effect.collateral not in policy.collateral:
        return _unknown("collateral", effect.collateral, policy.collateral)
    return _too_much(policy, effect.units)


def _too_much(policy: WalletPolicy, units: int) -> Trouble | None:
    most, unit = Usd(DAYS_AT_ONCE * policy.max_day_usd.micro), 10**policy.collateral_decimals
    if units * MICRO <= most.micro * unit:
        return None
    asked = Usd(-(-units * MICRO // unit))
    return Trouble("max_day_usd", f"{asked} USD", f"at most {most} USD, of {DAYS_AT_ONCE} days", of_policy=True)


def _unknown(setting: str, address: str, known: Sequence[str]) -> Trouble:
    return Trouble(setting, address, ", ".join(known) or "none", of_policy=True)
