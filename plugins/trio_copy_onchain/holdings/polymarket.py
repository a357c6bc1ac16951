"""Polymarket's conditions, by their kind. It pays and is paid in pUSD; what shares are made of is other money."""

from enum import Enum

from attrs import frozen

from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy_onchain.holdings.conditional import Adapted
from trio_copy_onchain.holdings.routed import Routed, is_routed
from trio_copy_onchain.holdings.seam import Condition

_CONDITIONAL_TOKENS = Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045")
_PUSD = Address("0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb")
_USDC_E = Address("0x2791bca1f2de4661ed88a30c99a7a9449aa84174")
_WRAPPED = Address("0x3a3bd7bb9528e159577f7c2e685cc81a765002e2")
_ADAPTER = Address("0xada100db00ca00073811820692005400218fce1f")
_NEG_RISK_ADAPTER = Address("0xada2005600dec949baf300f4c6120000bdb6eaab")
_ROUTER = Address("0x12121212006e4cd160d18e3f00711da5c3372600")
_POSITIONS = Address("0x006f54f7f9a22e0000cc2ab60031000000ae9fef")


class MarketKind(Enum):
    """By which contracts a market's shares are split, merged and redeemed."""

    STANDARD = "v2"
    NEG_RISK = "v2-neg-risk"
    ROUTED = "v3"

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Polymarket:
    """Where its contracts are, by default on Polygon."""

    conditional_tokens: Address = _CONDITIONAL_TOKENS
    collateral: Address = _PUSD
    backing: Address = _USDC_E
    neg_risk_backing: Address = _WRAPPED
    adapter: Address = _ADAPTER
    neg_risk_adapter: Address = _NEG_RISK_ADAPTER
    router: Address = _ROUTER
    positions: Address = _POSITIONS

    def condition(self, kind: MarketKind, condition: Hash32) -> Condition:
        """Return what can be done with a condition's shares. Raises `ValueError` where it is none of its kind."""
        if kind is MarketKind.ROUTED:
            return Routed(router=self.router, positions=self.positions, collateral=self.collateral, condition=condition)
        neg_risk = kind is MarketKind.NEG_RISK
        return Adapted(
            adapter=self.neg_risk_adapter if neg_risk else self.adapter,
            contract=self.conditional_tokens,
            collateral=self.collateral,
            backing=self.neg_risk_backing if neg_risk else self.backing,
            condition=condition,
        )

    def condition_with(self, token: TokenId, condition: Hash32) -> Condition:
        """Return the condition that a token is an outcome of, of whichever kind that is.

        Raises:
            ValueError: the token is of another condition.
        """
        kinds = (MarketKind.ROUTED,) if is_routed(token) else (MarketKind.STANDARD, MarketKind.NEG_RISK)
        for kind in kinds:
            found = self.condition(kind, condition)
            if token in found.tokens:
                return found
        raise ValueError(f"token {token}: expected an outcome of the condition {condition}")
