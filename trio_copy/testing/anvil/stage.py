"""A chain on which a demonstration, or a proof, plays: venues of both kinds with money in them, leaders, and wallets that follow."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, ChainId, TokenId
from trio_copy.testing.anvil.amm import Amm, deploy_amm
from trio_copy.testing.anvil.node import Node, open_node
from trio_copy.testing.anvil.pools import USD, PoolMarket, deploy_outcome, deploy_pool, deploy_uniswap
from trio_copy.testing.anvil.safes import Safes, deploy_safes
from trio_copy.testing.anvil.sending import Chain, open_chain

_PRICE_MICRO = 400_000
BASE_FEE = 10**9
"""Of the first block, in wei."""
_POLL_S = 0.05
_ALLOWED_USD = 10**6
"""What a follower lets a venue take: enough for a long demonstration, and finite."""
_QUESTIONS = ("Rain in Lisbon tomorrow?", "A new block every second?")


@define(eq=False)
class Stage:
    """One market maker with two outcomes, one pool of an outcome, and what Safes are made of."""

    node: Node
    chain: Chain
    amm: Amm
    pool: PoolMarket
    safes: Safes

    @property
    def pool_token(self) -> TokenId:
        """The pool's outcome, as decoders call it."""
        return TokenId(int(self.pool.outcome, 16))

    @property
    def venues(self) -> tuple[Address, ...]:
        """Whom a wallet calls when it trades: the market maker, and both routers."""
        return self.amm.pool, *self.pool.uniswap.routers

    @property
    def facts(self) -> tuple[TokenFacts, ...]:
        """What a catalog would tell of each token."""
        rain, block = self.amm.condition, f"0x{2:064x}"
        first, second = self.amm.tokens
        return (
            TokenFacts(token_id=first, condition_id=rain, question=_QUESTIONS[0], outcome="YES", opposite=second),
            TokenFacts(token_id=second, condition_id=rain, question=_QUESTIONS[0], outcome="NO", opposite=first, slot=1),
            TokenFacts(token_id=self.pool_token, condition_id=block, question=_QUESTIONS[1], outcome="YES"),
        )  # fmt: skip

    @property
    def decoders(self) -> Mapping[str, Mapping[str, Any]]:
        """What the tables of decoders are to say, by plugin."""
        tokens = [str(token) for token in self.amm.tokens]
        pool = {"address": self.pool.pool, "outcome": self.pool.outcome, "collateral": self.amm.usdc}
        return {"fpmm": {"pools": [{"address": self.amm.pool, "tokens": tokens}]}, "pool": {"pools": [pool]}}

    @property
    def executors(self) -> Mapping[str, Mapping[str, Any]]:
        """What the tables of executors are to say, by plugin."""
        maker = {
            "maker": self.amm.pool,
            "conditional_tokens": self.amm.ctf,
            "collateral": self.amm.usdc,
            "tokens": [str(token) for token in self.amm.tokens],
        }
        pool = {
            "pool": self.pool.pool,
            "outcome": self.pool.outcome,
            "collateral": self.amm.usdc,
            "router": self.pool.uniswap.second_router,
            "quoter": self.pool.uniswap.quoter,
            "takes_deadline": False,
        }
        return {"onchain": {"fpmm": [maker], "pools": [pool], "multi_send": self.safes.multi_send}}

    @property
    def policy(self) -> Mapping[str, Any]:
        """What the guards of wallets have to know of it, by the settings of [wallet.NAME.policy]."""
        return {
            "contracts": self.venues,
            "collateral": (self.amm.usdc,),
            "conditional": (self.amm.ctf,),
            "multisend": (self.safes.multi_send,),
        }

    async def bring_leader(self, leader: Address) -> None:
        """Give a leader money and gas, and let him trade without his key, unless the node has it."""
        if leader not in self.chain.accounts:
            await self.chain.be(leader)
        await self.amm.prepare_trader(leader)
        await self.pool.prepare_trader(leader)

    async def bring_wallet(self, wallet: Address, owners: Collection[Address], cash_micro: int) -> None:
        """Give a follower's wallet money, and who acts for it gas; a wallet that is none of its owners becomes their Safe.

        What a transaction of the wallet cannot do beside a trade is done: a Safe approves dollars with each trade, but the
        market maker's leave to take shares is given once and for all.
        """
        for owner in owners:
            await self.chain.be(owner, coins=10)
        if wallet not in owners:
            await self.safes.put(self.chain, wallet, sorted(owners))
            await self.chain.be(wallet)
            await self.chain.do(wallet, self.amm.ctf, "setApprovalForAll(address,bool)", self.amm.pool, True)
        else:
            await self.amm.allow(wallet, _ALLOWED_USD * USD)
            await self.pool.allow(wallet, dollars=_ALLOWED_USD, shares=_ALLOWED_USD)
        await self.chain.do(self.chain.accounts[0], self.amm.usdc, "mint(address,uint256)", wallet, cash_micro)
        for one in {wallet, *owners}:
            await self.chain.ask("anvil_stopImpersonatingAccount", one)
        if wallet not in owners:
            await self.chain.ask("anvil_setBalance", wallet, "0x0")

    async def dollars(self, wallet: Address) -> int:
        """Return what a wallet has of the collateral, in millionths."""
        return int(await self.chain.call(self.amm.usdc, "balanceOf(address)", wallet))

    async def shares(self, wallet: Address, token: TokenId) -> int:
        """Return what a wallet has of an outcome, in units of its token."""
        if token == self.pool_token:
            return int(await self.chain.call(self.pool.outcome, "balanceOf(address)", wallet))
        return int(await self.chain.call(self.amm.ctf, "balanceOf(address,uint256)", wallet, token))


async def deploy_stage(node: Node, chain: Chain) -> Stage:
    """Deploy everything, by a block for each transaction. Raises `ConfigError` where a contract cannot be fetched."""
    amm = await deploy_amm(chain)
    uniswap = await deploy_uniswap(chain, amm.usdc)
    pool = await deploy_pool(chain, uniswap, await deploy_outcome(chain), _PRICE_MICRO)
    return Stage(node, chain, amm, pool, await deploy_safes(chain))


@asynccontextmanager
async def open_stage(folder: Path, chain_id: ChainId) -> AsyncGenerator[Stage, None]:
    """Run a node with everything on it while the block runs. Raises `ConfigError` and `ChainError`."""
    async with open_node(folder, chain_id, BASE_FEE) as node, open_chain(node) as chain:
        stage = await deploy_stage(node, chain)
        chain.poll_s = _POLL_S
        yield stage
