"""Which question a token belongs to, and by which contracts its shares are split, merged and redeemed.

Names of tokens are hashes of what they stand for: which condition a market maker trades is asked, and then proven by its tokens.
"""

from collections.abc import Sequence

from attrs import define, field

from trio_copy.model.ids import Address, Hash32
from trio_copy.model.protocol_v2 import condition_of, is_protocol_v2
from trio_copy.ports import Held
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.holdings.conditional import Adapted, Conditional
from trio_copy_onchain.holdings.polymarket import MarketKind, Polymarket
from trio_copy_onchain.holdings.routed import Routed
from trio_copy_onchain.settings import FpmmTable, OnchainSettings
from trio_copy_onchain.tx.reverts import Revert
from trio_copy_onchain.venues import abi

Known = Conditional | Adapted | Routed
_CONDITION = abi.function("conditionIds", "uint256")


@define(eq=False)
class Conditions:
    """Those of the configured market makers, and Polymarket's where it is on this chain."""

    chain: Chain
    settings: OnchainSettings
    polymarket: Polymarket | None
    """None where its contracts are not on this chain."""
    _of_maker: dict[Address, Conditional] = field(factory=dict)

    async def of(self, held: Held, wallet: str, until: float) -> Known:
        """Return the condition that a token is an outcome of. `wallet` is the name of whose it is.

        Raises:
            ValueError: nobody tells which one, or its shares are redeemed in a way that is not known here.
            ChainError: no node answers.
        """
        token, facts = held.token_id, held.facts
        maker = next((one for one in self.settings.fpmm if token in one.tokens), None)
        if maker is not None:
            return await self._traded_by(maker, until)
        if any(int(pool.outcome, 16) == token for pool in self.settings.pools):
            raise ValueError(
                "an outcome that is an ERC-20 is redeemed where it was made, which is not known here: redeem it there by the "
                f"wallet's own key, and write down what it paid: `trio-copy wallet settle {wallet} 0x{token:040x} --payout 1`, or 0;"
                " until then it stays in the books"
            )
        if self.polymarket is not None and is_protocol_v2(token):
            return self.polymarket.condition(MarketKind.ROUTED, condition_of(token))
        if self.polymarket is not None and facts is not None and facts.condition_id:
            return self.polymarket.condition_with(token, Hash32(facts.condition_id.lower()))
        raise ValueError("nobody tells which question it belongs to: no market maker of this configuration trades it")

    async def named(self, condition: Hash32, until: float) -> Sequence[Known]:
        """Return what a condition may be, by its name alone: of Polymarket's kinds, that may be two.

        Raises:
            ChainError: no node answers.
        """
        for maker in self.settings.fpmm:
            try:
                known = await self._traded_by(maker, until)
            except ValueError:
                continue
            if known.condition == condition:
                return (known,)
        if self.polymarket is None:
            return ()
        try:
            return (self.polymarket.condition(MarketKind.ROUTED, condition),)
        except ValueError:
            kinds = (MarketKind.STANDARD, MarketKind.NEG_RISK)
            return tuple(self.polymarket.condition(kind, condition) for kind in kinds)

    async def _traded_by(self, table: FpmmTable, until: float) -> Conditional:
        known = self._of_maker.get(table.maker)
        if known is None:
            told = await self.chain.call(Call(to=table.maker, data=_CONDITION(0)), until)
            if isinstance(told, Revert):
                raise ValueError(f"market maker {table.maker} does not tell its condition")
            (number,) = abi.words(told, 1)
            known = Conditional(
                contract=table.conditional_tokens,
                collateral=table.collateral,
                condition=Hash32(f"0x{number:064x}"),
                outcomes=len(table.tokens),
            )
            if known.tokens != table.tokens:
                raise ValueError(f"the tokens of market maker {table.maker} are not the outcomes of one condition")
            self._of_maker[table.maker] = known
        return known
