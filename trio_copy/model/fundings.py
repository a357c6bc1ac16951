"""Deposits to paper wallets, and withdrawals."""

from trio_copy.model.units import Usd
from trio_copy.model.values import value


@value(kw_only=True)
class Funding:
    """Money that a person put into a follower's paper wallet, or took out of it."""

    amount: Usd
    """Below zero when it was taken out."""
    why: str
    at: float
    """Unix seconds."""
