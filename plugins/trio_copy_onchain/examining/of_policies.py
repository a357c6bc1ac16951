"""Whether the guard of a wallet knows the venues: what its policy does not name, it refuses, copy by copy."""

from collections.abc import Collection, Iterator

from attrs import frozen

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.ports import Finding, TransactionPolicy
from trio_copy_onchain.examining.looking import Look, bad, checksummed, good, listed, unknown
from trio_copy_onchain.onchain import OnchainSettings
from trio_copy_onchain.venues import abi

_DECIMALS = abi.function("decimals")
_CHECK = "policy"


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
            return []
        name = self.wallet.name
        found = [
            bad(
                _CHECK,
                f"its guard refuses what trades with {listed(missing)}",
                f"add it to {key} of [wallet.{name}.policy], and arm the wallet again",
                name,
            )
            for key, missing in self._missing()
        ]
        try:
            found += await self._decimals()
        except ChainError as error:
            found.append(unknown(_CHECK, error, name))
        return found or [good(_CHECK, "its guard knows the venues, and counts in their decimals", wallet=name)]

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
                    advice = f"{key} of [wallet.{self.wallet.name}.policy], and arm the wallet again"
                    found.append(bad(_CHECK, text, advice, self.wallet.name))
        return found
