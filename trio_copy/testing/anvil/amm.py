"""A fixed product market maker over Conditional Tokens, deployed and funded, and how people trade at it."""

from collections.abc import Sequence
from typing import Any

from attrs import define
from eth_hash.auto import keccak

from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.testing.anvil.sending import MAX, Chain, Written

_USD = 10**6
_QUESTION = keccak(b"question")
_FUNDING_USD = 10_000


@define(eq=False)
class Amm:
    """A funded market, and how a leader trades on it."""

    chain: Chain
    usdc: Address
    ctf: Address
    pool: Address
    tokens: tuple[TokenId, ...]
    condition: Hash32

    async def prepare_trader(self, trader: str) -> None:
        """Give somebody a million dollars, and the market leave to take them and his shares."""
        await self.chain.do(trader, self.usdc, "mint(address,uint256)", trader, 10**6 * _USD)
        await self.allow(trader)

    async def allow(self, trader: str, units: int = MAX) -> None:
        """Let the market take so many units of somebody's dollars, and his shares."""
        await self.chain.do(trader, self.usdc, "approve(address,uint256)", self.pool, units)
        await self.chain.do(trader, self.ctf, "setApprovalForAll(address,bool)", self.pool, True)

    async def buy(self, trader: str, dollars: int, outcome: int = 0) -> dict[str, Any]:
        """Buy for some dollars, at whatever price. Raises `Reverted`."""
        return await self.chain.do(trader, *self.buying(dollars, outcome))

    async def sell(self, trader: str, dollars: int, outcome: int = 0) -> dict[str, Any]:
        """Sell for some dollars, at whatever price. Raises `Reverted`."""
        return await self.chain.do(trader, *self.selling(dollars, outcome))

    async def decide(self, *payouts: int) -> None:
        """Let the question be decided: what a share of each outcome pays, as numerators."""
        report = "reportPayouts(bytes32,uint256[])"
        await self.chain.do(self.chain.accounts[0], self.ctf, report, _QUESTION, list(payouts))

    def buying(self, dollars: int, outcome: int = 0) -> Written:
        """Return what `buy` calls."""
        return self.pool, "buy(uint256,uint256,uint256)", dollars * _USD, outcome, 0

    def selling(self, dollars: int, outcome: int = 0) -> Written:
        """Return what `sell` calls."""
        return self.pool, "sell(uint256,uint256,uint256)", dollars * _USD, outcome, MAX


async def deploy_amm(chain: Chain, hint: Sequence[int] = (1, 1), fee: int = 2 * 10**16) -> Amm:
    """Deploy collateral, ConditionalTokens, the factory and one market maker.

    `hint` has a number for each outcome: what the maker is to hold of it, in proportion. The fee is in parts of 10**18.
    """
    owner, outcomes = chain.accounts[0], len(hint)
    usdc, ctf, factory = [
        await chain.deploy(n) for n in ("TestUSDC", "ConditionalTokens", "FixedProductMarketMakerFactory")
    ]
    await chain.do(owner, ctf, "prepareCondition(address,bytes32,uint256)", owner, _QUESTION, outcomes)
    condition = await chain.call(
        ctf, "getConditionId(address,bytes32,uint256)", owner, _QUESTION, outcomes, returns="bytes32"
    )
    made = await chain.do(
        owner, factory, "createFixedProductMarketMaker(address,address,bytes32[],uint256)", ctf, usdc, [condition], fee
    )  # fmt: skip
    pool = next(Address("0x" + log["data"][26:66]) for log in made["logs"] if log["address"].lower() == factory)
    tokens = []
    for index_set in (1 << outcome for outcome in range(outcomes)):
        collection = await chain.call(
            ctf, "getCollectionId(bytes32,bytes32,uint256)", bytes(32), condition, index_set, returns="bytes32"
        )
        tokens.append(TokenId(await chain.call(ctf, "getPositionId(address,bytes32)", usdc, collection)))
    amm = Amm(chain, usdc, ctf, pool, tuple(tokens), Hash32(f"0x{condition.hex()}"))
    await amm.prepare_trader(owner)
    await chain.do(owner, pool, "addFunding(uint256,uint256[])", _FUNDING_USD * _USD, hint)
    return amm
