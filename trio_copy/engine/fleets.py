"""What an executor is told of the fleets of its wallets."""

from collections.abc import Collection, Mapping

from trio_copy.engine.plan import Plan
from trio_copy.model.fleets import Fleet, funding_wallet
from trio_copy.signing.fleets import FleetKeys


def fleets_of(plan: Plan, wallets: Collection[str], opened: Mapping[str, FleetKeys]) -> tuple[Fleet, ...]:
    """Return the fleets of some wallets, as far as their keys are open."""
    named = {plan.settings.wallet[name].fleet for name in wallets if name in plan.settings.wallet}
    return tuple(
        Fleet(
            name=name,
            funding=None if keys.funding is None else funding_wallet(name, keys.funding.address),
            low=plan.settings.fleet[name].low,
            fill_to=plan.settings.fleet[name].fill_to,
            max_day=plan.settings.fleet[name].max_day,
        )
        for name, keys in opened.items()
        if name in named
    )
