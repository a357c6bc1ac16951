"""Pieces of what may be spent."""

from attrs import frozen

from trio_copy.model.units import Usd


@frozen(kw_only=True)
class Claim:
    """A piece of one budget."""

    counter: str
    """Which budget: follower, leader, token or engine, with its window in the name."""
    control: str
    """The setting that limits it."""
    amount: Usd
    limit: Usd
