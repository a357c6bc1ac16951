"""What an executor is told of the fleets of its wallets."""

from collections.abc import Collection, Mapping

from trio_copy.config import Settings
from trio_copy.model.fleets import Fleet, funding_wallet
from trio_copy.model.ids import Address
from trio_copy.signing.fleets import FleetKeys


def fleets_of(settings: Settings, wallets: Collection[str], opened: Mapping[str, FleetKeys]) -> tuple[Fleet, ...]:
    """Return the fleets of some wallets that followers pay with, as far as their keys are open."""
    named = {settings.wallet[name].fleet for name in wallets if name in settings.wallet}
    return tuple(
        fleet_named(settings, name, None if keys.funding is None else keys.funding.address)
        for name, keys in opened.items()
        if name in named
    )


def fleet_named(settings: Settings, name: str, funding: Address | None) -> Fleet:
    """Return a fleet of the configuration, which a follower's wallet has; `funding` is who refuels it."""
    table = settings.fleet[name]
    member = next(one for one in settings.followers().named.values() if one.fleet == name)
    return Fleet(
        name=name,
        funding=None if funding is None else funding_wallet(name, funding, member.follower),
        low=table.low,
        fill_to=table.fill_to,
        max_day=table.max_day,
    )
