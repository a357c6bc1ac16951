"""All looks at the wallets of one executor."""

from collections.abc import Sequence

import trio

from trio_copy.model.orders import Wallet
from trio_copy.ports import Contracts, ExecutorContext, Finding
from trio_copy_onchain.examining.at_venues import AtVenues
from trio_copy_onchain.examining.looking import Look
from trio_copy_onchain.examining.of_policies import OfPolicy
from trio_copy_onchain.examining.of_wallets import OfWallet
from trio_copy_onchain.settings import OnchainSettings

_AT_ONCE = 8


async def examine(context: ExecutorContext, contracts: Contracts) -> Sequence[Finding]:
    """Look at the chain, at what the settings name, and at each wallet; see `ports.executor.Examine`."""
    settings: OnchainSettings = context.settings
    look, at_once = Look(context, contracts), trio.CapacityLimiter(_AT_ONCE)
    of_wallets: dict[str, list[Finding]] = {}

    async def look_at(wallet: Wallet) -> None:
        async with at_once:
            assert wallet.address is not None  # live wallets have one
            found = await OfWallet(look, settings, wallet, wallet.address).findings()
            policy = context.policies.get(wallet.name)
            if policy is not None:
                found += await OfPolicy(look, settings, wallet, policy).findings()
            of_wallets[wallet.name] = found

    venues = AtVenues(look, settings)
    findings = [await venues.chain(), *await venues.code(), *await venues.venues()]
    async with trio.open_nursery() as nursery:
        for wallet in context.wallets:
            nursery.start_soon(look_at, wallet)
    return [*findings, *(one for wallet in context.wallets for one in of_wallets[wallet.name])]
