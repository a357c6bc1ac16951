"""Whether the guard of a wallet knows the venues: what its policy does not name, it refuses, copy by copy."""

from collections.abc import Collection, Iterator

from attrs import frozen

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.ports import Finding, TransactionPolicy
from trio_copy_onchain.examining.looking import Look, bad, checksummed, good, listed, unknown
from trio_copy_onchain.examining.of_wallets import LEAST_TRADES, about, coins, gas_of_a_trade
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.venues import abi

_DECIMALS = abi.function("decimals")
_CHECK, _CHECK_GAS = "policy", "gas limit"
_PAID_AT_MOST = 2
"""What may be paid is signed for twice today's price, and counts so."""


@frozen
class OfPolicy:
    """The look at one wallet's policy, by the venues of the settings."""

    look: Look
    settings: OnchainSettings
    wallet: Wallet
    policy: TransactionPolicy

    async def findings(self) -> list[Finding]:
        """Return a line for each list that lacks something, and for each number that is another one; nothing without venues."""
        if not self.settings.fpmm and not self.settings.pools:
            return await self._gas_of_a_day()
        name = self.wallet.name
        found = [
            bad(
                _CHECK,
                f"its guard refuses what trades with {listed(missing)}",
                f"add it to {key} of [wallet.{name}.policy], and `trio-copy arm {name}`",
                name,
            )
            for key, missing in self._missing()
        ]
        try:
            found += await self._decimals()
        except ChainError as error:
            found.append(unknown(_CHECK, error, name))
        found = found or [good(_CHECK, "its guard knows the venues, and counts in their decimals", wallet=name)]
        return [*found, *await self._gas_of_a_day()]

    async def _gas_of_a_day(self) -> list[Finding]:
        most, name = self.policy.max_day_gas, self.wallet.name
        if most is None:
            return []
        try:
            per_trade = await gas_of_a_trade(self.look) * _PAID_AT_MOST
        except ChainError as error:
            return [unknown(_CHECK_GAS, error, name)]
        trades = most.wei // per_trade
        text = (
            f"its guard lets gas for {most} of the chain's coin be signed in 24 hours: {about(trades)} at today's price"
        )
        if trades >= LEAST_TRADES:
            return [good(_CHECK_GAS, text, wallet=name)]
        advice = f"max_day_gas of [wallet.{name}.policy], {coins(LEAST_TRADES * per_trade)} at least, and `trio-copy arm {name}`"
        return [bad(_CHECK_GAS, text, advice, name)]

    def _missing(self) -> Iterator[tuple[str, list[Address]]]:
        makers, pools, policy = self.settings.fpmm, self.settings.pools, self.policy
        collateral = (*(one.collateral for one in makers), *(one.collateral for one in pools))
        contracts = (*(one.maker for one in makers), *(one.router for one in pools))
        safe = self.wallet.signature_type is SignatureType.SAFE
        wanted: tuple[tuple[str, Collection[Address], Collection[Address]], ...] = (
            ("contracts", contracts, policy.contracts),
            ("collateral", collateral, policy.collateral),
            ("conditional", [one.conditional_tokens for one in makers], policy.conditional),
            ("multisend", [self.settings.multi_send] if safe else (), policy.multisend),
        )
        for key, needed, known in wanted:
            missing = [one for one in dict.fromkeys(needed) if one not in known]
            if missing:
                yield key, missing

    async def _decimals(self) -> list[Finding]:
        makers, pools, policy, found = self.settings.fpmm, self.settings.pools, self.policy, list[Finding]()
        collateral = dict.fromkeys([*(one.collateral for one in makers), *(one.collateral for one in pools)])
        for key, tokens, counted_in in (
            ("collateral_decimals", collateral, policy.collateral_decimals),
            ("outcome_decimals", dict.fromkeys(one.outcome for one in pools), policy.outcome_decimals),
        ):
            for token in tokens:
                told = await self.look.number(token, _DECIMALS())
                if told is not None and told != counted_in:
                    text = f"{checksummed(token)} has {told} decimals, and its guard counts {counted_in}: its limits in USD are wrong"
                    name = self.wallet.name
                    advice = f"{key} of [wallet.{name}.policy], and `trio-copy arm {name}`"
                    found.append(bad(_CHECK, text, advice, self.wallet.name))
        return found
