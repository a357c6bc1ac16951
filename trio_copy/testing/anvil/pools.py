"""Outcomes as ERC-20 against collateral in pools of Uniswap's third version, with both of its routers and its quoter."""

from math import isqrt, log
from typing import Any

from attrs import define, field, frozen

from trio_copy.model.ids import ZERO_ADDRESS, Address
from trio_copy.testing.anvil.sending import MAX, Chain, Written

SHARE, USD = 10**18, 10**6
FEE, SPACING = 3000, 60
FAR = 1 << 40
"""A deadline that nobody lives to see."""
_WIDEST = 887_220
_MINT = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
_SWAP = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"


@frozen(kw_only=True)
class Uniswap:
    """What all pools share."""

    usdc: Address
    factory: Address
    positions: Address
    quoter: Address
    first_router: Address
    """SwapRouter: its calls have a deadline of their own."""
    second_router: Address
    """SwapRouter02: its calls have none, and stand within a `multicall` that has."""

    @property
    def routers(self) -> tuple[Address, Address]:
        return self.first_router, self.second_router


@define(eq=False)
class PoolMarket:
    """A funded pool of one outcome of 18 decimals, and how a leader trades at it."""

    chain: Chain
    uniswap: Uniswap = field(repr=False)
    pool: Address
    outcome: Address

    async def prepare_trader(self, trader: str, shares: int = 0) -> None:
        """Give somebody a million dollars and some shares, and both routers leave to take them."""
        await self.chain.do(trader, self.uniswap.usdc, "mint(address,uint256)", trader, 10**6 * USD)
        if shares:
            await self.chain.do(
                self.chain.accounts[0], self.outcome, "mint(address,uint256)", trader, shares * SHARE
            )  # fmt: skip
        await self.allow(trader)

    async def allow(self, trader: str, dollars: int = MAX // USD, shares: int = MAX // SHARE) -> None:
        """Let both routers take somebody's dollars and shares."""
        for token, units in ((self.uniswap.usdc, dollars * USD), (self.outcome, shares * SHARE)):
            for router in self.uniswap.routers:
                await self.chain.do(trader, token, "approve(address,uint256)", router, units)

    async def buy(self, trader: str, dollars: int) -> dict[str, Any]:
        """Buy for some dollars, at whatever price. Raises `Reverted`."""
        return await self.chain.do(trader, *self.buying(trader, dollars))

    async def sell(self, trader: str, units: int) -> dict[str, Any]:
        """Sell so many units of the outcome, 10**18 a share, at whatever price. Raises `Reverted`."""
        return await self.chain.do(trader, *self.selling(trader, units))

    def buying(self, trader: str, dollars: int) -> Written:
        """Return what `buy` calls."""
        return self._swap(trader, self.uniswap.usdc, self.outcome, dollars * USD)

    def selling(self, trader: str, units: int) -> Written:
        """Return what `sell` calls."""
        return self._swap(trader, self.outcome, self.uniswap.usdc, units)

    def _swap(self, trader: str, given: Address, got: Address, amount: int) -> Written:
        return self.uniswap.first_router, _SWAP, (given, got, FEE, trader, FAR, amount, 0, 0)


async def deploy_uniswap(chain: Chain, usdc: Address) -> Uniswap:
    """Deploy what pools need, and let the first account's money be put into them."""
    two = "(address,address)"
    weth, factory = await chain.deploy("WETH9"), await chain.deploy("UniswapV3Factory")
    positions = await chain.deploy(
        "NonfungiblePositionManager", "(address,address,address)", factory, weth, ZERO_ADDRESS
    )
    first = await chain.deploy("SwapRouter", two, factory, weth)
    second = await chain.deploy(
        "SwapRouter02", "(address,address,address,address)", ZERO_ADDRESS, factory, positions, weth
    )
    quoter = await chain.deploy("QuoterV2", two, factory, weth)
    await chain.do(chain.accounts[0], usdc, "approve(address,uint256)", positions, MAX)
    return Uniswap(
        usdc=usdc, factory=factory, positions=positions, quoter=quoter, first_router=first, second_router=second
    )


async def deploy_outcome(chain: Chain) -> Address:
    """Deploy the token of an outcome; the first account can make shares of it, and has a million."""
    outcome, owner = (
        await chain.deploy("ERC20PresetMinterPauser", "(string,string)", "Outcome", "YES"),
        chain.accounts[0],
    )
    await chain.do(owner, outcome, "mint(address,uint256)", owner, 10**6 * SHARE)
    return outcome


async def deploy_pool(
    chain: Chain, uniswap: Uniswap, outcome: Address, price_micro: int, *, everywhere: bool = True
) -> PoolMarket:
    """Make a pool at a price, with money near to it, which a large swap leaves; and `everywhere` besides.

    Else what has left that range has bought, or sold, all that there is.
    """
    owner, usdc, positions = chain.accounts[0], uniswap.usdc, uniswap.positions
    await chain.do(owner, outcome, "approve(address,uint256)", positions, MAX)
    cash, shares = price_micro * USD // 10**6, SHARE
    in_order = outcome < usdc
    (token0, token1), (second, first) = (
        ((outcome, usdc), (cash, shares)) if in_order else ((usdc, outcome), (shares, cash))
    )
    make = "createAndInitializePoolIfNecessary(address,address,uint24,uint160)"
    await chain.do(owner, positions, make, token0, token1, FEE, isqrt(second * (1 << 192) // first))
    pool = await chain.call(
        uniswap.factory, "getPool(address,address,uint24)", token0, token1, FEE, returns="address"
    )  # fmt: skip
    middle = int(log(second / first, 1.0001)) // SPACING * SPACING
    wide, near = (-_WIDEST, _WIDEST, 10_000), (middle - 10 * SPACING, middle + 10 * SPACING, 2_000)
    for low, high, dollars in (wide, near) if everywhere else (near,):
        amounts = {outcome: dollars * SHARE * 5 // 2, usdc: dollars * USD}
        await chain.do(
            owner, positions, _MINT,
            (token0, token1, FEE, low, high, amounts[token0], amounts[token1], 0, 0, owner, FAR),
        )  # fmt: skip
    return PoolMarket(chain, uniswap, Address(str(pool).lower()), outcome)
