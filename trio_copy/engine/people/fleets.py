"""What an executor is told of the fleets of its wallets."""

from collections.abc import Collection, Mapping

from trio_copy.config import Settings
from trio_copy.model.fleets import Fleet, funding_wallet
from trio_copy.model.follows import Follower
from trio_copy.model.ids import Address
from trio_copy.model.orders import Wallet
from trio_copy.signing.fleets import FleetKeys


def fleets_of(settings: Settings, wallets: Collection[str], opened: Mapping[str, FleetKeys]) -> tuple[Fleet, ...]:
    """Return the fleets of some wallets that followers pay with, as far as their keys are open."""
    named = {settings.wallet[name].fleet for name in wallets if name in settings.wallet}
    return tuple(
        fleet_named(
            settings,
            name,
            None if keys.funding is None else keys.funding.address,
            tuple(key.address for key in keys.operators),
        )
        for name, keys in opened.items()
        if name in named
    )


def funding_of(settings: Settings, opened: Mapping[str, FleetKeys]) -> dict[str, Wallet]:
    """Return the wallets that refuel fleets, by their names, as far as their keys are open."""
    fleets = fleets_of(settings, settings.wallet.keys(), opened)
    return {one.funding.name: one.funding for one in fleets if one.funding is not None}


def member_of(settings: Settings, name: str) -> Follower:
    """Return the first follower whose wallet has a fleet, which there is."""
    return next(one for one in settings.followers().named.values() if one.fleet == name)


def fleet_named(settings: Settings, name: str, funding: Address | None, operators: tuple[Address, ...] = ()) -> Fleet:
    """Return a fleet of the configuration, which a follower's wallet has; `funding` is who refuels it."""
    table = settings.fleet[name]
    return Fleet(
        name=name,
        operators=operators,
        funding=None if funding is None else funding_wallet(name, funding, member_of(settings, name).follower),
        low=table.low,
        fill_to=table.fill_to,
        max_day=table.max_day,
    )
