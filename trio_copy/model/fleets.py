"""Operators who send what several wallets do, and who pays for their gas."""

from attrs import frozen

from trio_copy.model.coins import Coins
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.orders import Wallet


@frozen(kw_only=True)
class Fleet:
    """What an executor is told of one; who of its operators may send for a wallet, `Signers.operators` says."""

    name: str
    """Of the table [fleet.NAME]."""
    operators: tuple[Address, ...] = ()
    """In the order of the configuration, or of the phrase."""
    funding: Wallet | None = None
    """Refuels its operators; None where a person does."""
    low: Coins
    """An operator with less than that is refuelled."""
    fill_to: Coins
    """What one has after that."""
    max_day: Coins
    """What all of them get within 24 hours at most."""


def funding_name(fleet: str) -> str:
    """Name the wallet that refuels a fleet as `Wallet.name` does; no [wallet.NAME] can be called so."""
    return f"funding:{fleet}"


def funding_wallet(fleet: str, address: Address, follower: FollowerId) -> Wallet:
    """Return the wallet that refuels a fleet: an account of its own, whose only act is to refuel.

    `follower` is one of those whose wallets have the fleet: what is sent is written down in their shard.
    """
    return Wallet(follower=follower, address=address, name=funding_name(fleet), fleet=fleet)
