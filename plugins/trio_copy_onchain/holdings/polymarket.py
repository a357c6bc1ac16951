"""Polymarket's conditions, by their kind. It pays and is paid in pUSD; what shares are made of is other money."""

from enum import Enum

from attrs import frozen

from trio_copy.model.ids import Address, ChainId, Hash32, TokenId
from trio_copy.model.protocol_v2 import is_protocol_v2
from trio_copy_onchain.holdings.conditional import Adapted
from trio_copy_onchain.holdings.routed import Routed

POLYGON = ChainId(137)
"""The chain on which its contracts are."""
_CONDITIONAL_TOKENS = Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045")
_PUSD = Address("0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb")
_USDC_E = Address("0x2791bca1f2de4661ed88a30c99a7a9449aa84174")
_WRAPPED = Address("0x3a3bd7bb9528e159577f7c2e685cc81a765002e2")
_ADAPTER = Address("0xada100db00ca00073811820692005400218fce1f")
_NEG_RISK_ADAPTER = Address("0xada2005600dec949baf300f4c6120000bdb6eaab")
_ROUTER = Address("0x12121212006e4cd160d18e3f00711da5c3372600")
_POSITIONS = Address("0x006f54f7f9a22e0000cc2ab60031000000ae9fef")
_EXCHANGE = Address("0xe111180000d2663c0091e4f400237545b87b996b")
_NEG_RISK_EXCHANGE = Address("0xe2222d279d744050d28e00520010520000310f59")
_EXCHANGE_V3 = Address("0xe3333700ca9d93003f00f0f71f8515005f6c00aa")


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
    exchange: Address = _EXCHANGE
    neg_risk_exchange: Address = _NEG_RISK_EXCHANGE
    exchange_v3: Address = _EXCHANGE_V3

    @property
    def exchanges(self) -> tuple[tuple[Address, str], ...]:
        """Return who settles orders, and what people call it."""
        return (
            (self.exchange, "Polymarket's exchange"),
            (self.neg_risk_exchange, "Polymarket's exchange of negative risk"),
            (self.exchange_v3, "Polymarket's exchange of Protocol V2"),
        )

    def ledger_of(self, exchange: Address) -> Address:
        """Return which contract keeps the shares that an exchange settles."""
        return self.positions if exchange == self.exchange_v3 else self.conditional_tokens

    def condition(self, kind: MarketKind, condition: Hash32) -> Adapted | Routed:
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

    def condition_with(self, token: TokenId, condition: Hash32) -> Adapted | Routed:
        """Return the condition that a token is an outcome of, of whichever kind that is.

        Raises:
            ValueError: the token is of another condition.
        """
        kinds = (MarketKind.ROUTED,) if is_protocol_v2(token) else (MarketKind.STANDARD, MarketKind.NEG_RISK)
        for kind in kinds:
            found = self.condition(kind, condition)
            if token in found.tokens:
                return found
        raise ValueError(f"token {token}: expected an outcome of the condition {condition}")
