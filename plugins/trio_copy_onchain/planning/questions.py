"""Which conditions can be split, merged and redeemed: those of the configured market makers, and Polymarket's on Polygon."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import ChainId, Hash32, TokenId
from trio_copy.ports import Held
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.holdings.conditional import Conditional
from trio_copy_onchain.holdings.polymarket import Polymarket
from trio_copy_onchain.holdings.seam import Condition
from trio_copy_onchain.onchain import OnchainSettings
from trio_copy_onchain.venues import abi

_CONDITIONS = abi.function("conditionIds", "uint256")
_POLYGON = ChainId(137)
_POLYMARKET = Polymarket()


@frozen
class Questions:
    """By their condition ids."""

    chain: Chain
    settings: OnchainSettings
    polymarket: Polymarket = _POLYMARKET

    async def of_makers(self, until: float) -> Mapping[str, Condition]:
        """Return those of the configured market makers.

        Raises:
            ChainError: nobody tells.
            ValueError: a market maker answers something else.
        """
        asked = [Call(to=one.maker, data=_CONDITIONS(0)) for one in self.settings.fpmm]
        found: dict[str, Condition] = {}
        for table, answer in zip(self.settings.fpmm, await self.chain.read(asked, until), strict=True):
            (name,) = abi.words(answer, 1)
            condition = Hash32(f"0x{name:064x}")
            one = Conditional(
                contract=table.conditional_tokens,
                collateral=table.collateral,
                condition=condition,
                outcomes=len(table.tokens),
            )
            if one.tokens == table.tokens:  # a maker over several conditions together has others
                found[condition] = one
        return found

    def held(self, held: Sequence[Held], known: Mapping[str, Condition]) -> dict[str, Condition]:
        """Return those that something is held of, as far as it is known by which contracts they are redeemed."""
        by_token: dict[TokenId, str] = {token: name for name, one in known.items() for token in one.tokens}
        found: dict[str, Condition] = {}
        for one in held:
            name = by_token.get(one.token_id)
            if name is not None:
                found[name] = known[name]
            elif one.facts is not None and self.chain.chain_id == _POLYGON:
                try:
                    condition = Hash32(one.facts.condition_id)
                    found[condition] = self.polymarket.condition_with(one.token_id, condition)
                except ValueError:
                    continue  # of some other ledger
        return found

    def named(self, name: str, known: Mapping[str, Condition]) -> Condition:
        """Return one by its condition id. Raises `OrderNotSent` where nothing here is about it."""
        if name in known:
            return known[name]
        raise OrderNotSent(f"expected a condition of a configured market maker, or one that is held, got {name}")
