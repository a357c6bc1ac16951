"""What of a wallet's shares is paid for, by what final blocks say, and how it gets the money. Pure."""

from collections.abc import Sequence
from fractions import Fraction

from attrs import frozen

from trio_copy.model.ids import TokenId
from trio_copy.model.units import MICRO, Price
from trio_copy.ports import Deed, Paid
from trio_copy_onchain.acting.conditions import Known
from trio_copy_onchain.acting.steps import Line, Step, amount
from trio_copy_onchain.holdings.seam import Holdings


@frozen(kw_only=True)
class Decided:
    """A condition, what the wallet has of it, and what its books hold."""

    condition: Known
    holdings: Holdings
    booked: tuple[TokenId, ...]
    """Tokens that the books hold."""
    decimals: int
    """Of the collateral, and of the shares that are made out of it."""


def redeeming(decided: Decided) -> Step | None:
    """Return what is done, or only booked; None where there is nothing of either. Raises `ValueError`: nothing is decided yet."""
    condition, holdings = decided.condition, decided.holdings
    if holdings.payouts is None:
        raise ValueError("it is not decided yet, in a final block")
    redemption = condition.redeem(holdings)
    pays = _pays(decided, holdings.payouts)
    if not redemption.calls:
        return (
            Step(deed=Deed.REDEEM, told=_only_booked(decided, holdings.payouts), pays=pays) if decided.booked else None
        )
    won = [outcome for outcome, units in enumerate(redemption.cash) if units]
    whole = amount(sum(redemption.cash), decided.decimals)
    shares = ", ".join(
        f"{amount(redemption.taken[outcome], decided.decimals)} of outcome {outcome + 1}" for outcome in won
    )
    words = (
        f"{redemption.calls[0].to} takes the shares of condition {condition.condition}, {shares}, and pays {whole} USD"
    )
    lines = [Line(call=redemption.calls[0], words=words)]
    lines += [Line(call=call, words="the same, for the next outcome") for call in redemption.calls[1:]]
    return Step(
        deed=Deed.REDEEM,
        lines=tuple(lines),
        told=_booked_at(decided, holdings.payouts),
        pays=pays,
        said=(holdings.units, holdings.payouts),
    )


def _pays(decided: Decided, payouts: Sequence[Fraction]) -> tuple[Paid, ...]:
    name = decided.condition.condition
    return tuple(
        Paid(token_id=token, condition_id=name, payout=_price(payout))
        for token, payout in zip(decided.condition.tokens, payouts, strict=True)
        if token in decided.booked
    )


def _price(payout: Fraction) -> Price:
    """Return what a share pays, in millionths: what is less than one is lost."""
    return Price(payout.numerator * MICRO // payout.denominator)


def _booked_at(decided: Decided, payouts: Sequence[Fraction]) -> tuple[str, ...]:
    return tuple(
        f"outcome {outcome + 1}, token {token}, is booked at {_price(payouts[outcome])} a share"
        for outcome, token in enumerate(decided.condition.tokens)
        if token in decided.booked
    )


def _only_booked(decided: Decided, payouts: Sequence[Fraction]) -> tuple[str, ...]:
    told = list(_booked_at(decided, payouts))
    gone = any(payouts[outcome] and token in decided.booked for outcome, token in enumerate(decided.condition.tokens))
    if gone:
        told.append("the wallet has nothing of it that pays: it was redeemed, or moved away, by somebody else")
    return (f"condition {decided.condition.condition} is decided, and nothing is left to redeem", *told)
