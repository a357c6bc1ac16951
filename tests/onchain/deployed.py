"""Everything that anybody can trade at, on a real node: market makers, pools with both routers, and a Safe."""

from math import isqrt, log
from typing import Any

import msgspec
import trio
from attrs import define, field, frozen

from tests.builders import POLYGON
from tests.e2e.anvil import MAX, Amm, Chain, calldata, deploy_amm
from trio_copy.model.fills import Side
from trio_copy.model.ids import ZERO_ADDRESS, Address, IntentKey
from trio_copy.model.units import Price
from trio_copy.transactions.calls import Call
from trio_copy_onchain.tx.receipts import Receipt, read_receipt
from trio_copy_onchain.venues.amounts import Decimals, decimals_call, read_decimals
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool, Router
from trio_copy_onchain.venues.seam import Exchanged, Swap, Venue

KEY = IntentKey("ab" * 32)
FEE, SPACING = 3000, 60
DEADLINE = 1 << 40
PRICE, DEAREST, CHEAPEST = Price(400_000), Price(999_999), Price(1)
_WIDEST = 887_220
_SHARE, _COIN = 10**18, 10**6
_MINT = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"


@frozen(kw_only=True)
class Deployed:
    amms: tuple[Amm, ...]
    """One of two outcomes with a fee, one of three without, whose outcomes are not equally likely."""
    pools: tuple[Pool, ...]
    """The outcome before the collateral and behind it, each with both routers."""
    safe: Address
    """Of threshold 1, and the first account's."""
    multi_send: Address

    @property
    def makers(self) -> list[Fpmm]:
        return [
            Fpmm(
                maker=amm.pool,
                conditional_tokens=amm.ctf,
                tokens=amm.tokens,
                outcome=outcome,
                decimals=Decimals(shares=6, cash=6),
            )
            for amm in self.amms
            for outcome in (0, len(amm.tokens) - 1)
        ]


@define(eq=False)
class Market:
    """The chain as a test sees it, with wallets that may trade everywhere."""

    chain: Chain
    deployed: Deployed
    wallet: Address = field(init=False)
    rival: Address = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.wallet, self.rival = self.chain.accounts[3:5]

    async def ask(self, method: str, *params: object) -> Any:
        return msgspec.json.decode(await self.chain.session.request(method, *params))

    async def answers(self, venue: Venue, swap: Swap) -> list[bytes]:
        return [
            bytes.fromhex((await self.ask("eth_call", {"to": call.to, "data": "0x" + call.data.hex()}, "latest"))[2:])
            for call in venue.reads(swap)
        ]

    async def quote(self, venue: Venue, swap: Swap) -> Exchanged | None:
        return venue.quote(swap, await self.answers(venue, swap))

    async def balances(self, venue: Fpmm | Pool, wallet: Address) -> tuple[int, int]:
        """Return the shares and the cash of a wallet."""
        if isinstance(venue, Pool):
            shares = await self.chain.call(venue.outcome, "balanceOf(address)", wallet)
            return shares, await self.chain.call(venue.collateral, "balanceOf(address)", wallet)
        token = venue.tokens[venue.outcome]
        shares = await self.chain.call(venue.conditional_tokens, "balanceOf(address,uint256)", wallet, token)
        (usdc,) = (amm.usdc for amm in self.deployed.amms if amm.pool == venue.maker)
        return shares, await self.chain.call(usdc, "balanceOf(address)", wallet)

    def transaction(self, call: Call, sender: str) -> dict[str, str]:
        return {"from": sender, "to": call.to, "data": "0x" + call.data.hex()}

    async def send(self, call: Call, sender: str, tip: int = 1) -> str:
        """Send with gas enough, so that what fails is mined."""
        fees = {"gas": hex(2_000_000), "maxFeePerGas": hex(10**10 + tip), "maxPriorityFeePerGas": hex(tip)}
        return str(await self.ask("eth_sendTransaction", self.transaction(call, sender) | fees))

    async def receipt(self, sent: str) -> Receipt:
        with trio.fail_after(10):
            while True:
                told = await self.chain.session.request("eth_getTransactionReceipt", sent)
                receipt = read_receipt(told, sent, POLYGON)  # type: ignore[arg-type]  # the node's own hash
                if receipt is not None:
                    return receipt
                await trio.sleep(0.01)

    async def trade(self, venue: Fpmm | Pool, swap: Swap) -> Exchanged:
        """Swap, and return what the balances say; the receipt has to say the same."""
        before = await self.balances(venue, swap.wallet)
        receipt = await self.receipt(await self.send(venue.call(swap).marked(KEY), swap.wallet))
        assert receipt.succeeded
        after = await self.balances(venue, swap.wallet)
        told = venue.decode(swap.wallet, swap.side, receipt.logs)
        sign = 1 if swap.side is Side.BUY else -1
        assert (told.shares, told.cash) == (sign * (after[0] - before[0]), sign * (before[1] - after[1]))
        return told


def buy(wallet: Address, cash: int, limit: Price = DEAREST, **more: Any) -> Swap:
    return Swap(wallet=wallet, side=Side.BUY, cash=cash, limit=limit, **({"deadline": DEADLINE} | more))


def sell(wallet: Address, shares: int, limit: Price = CHEAPEST, **more: Any) -> Swap:
    return Swap(wallet=wallet, side=Side.SELL, shares=shares, limit=limit, **({"deadline": DEADLINE} | more))


async def deploy(chain: Chain) -> Deployed:
    """Deploy everything, and give every account money and shares, and every venue leave to take them."""
    amms = (await deploy_amm(chain), await deploy_amm(chain, hint=(5, 3, 2), fee=0))
    for amm in amms:
        for trader in chain.accounts[3:5]:
            await amm.prepare_trader(trader)
            for outcome in range(len(amm.tokens)):
                await amm.buy(trader, 500, outcome)
    pools = await _deploy_pools(chain, amms[0].usdc)
    return Deployed(amms=amms, pools=pools, **await _deploy_safe(chain))


async def _deploy_pools(chain: Chain, usdc: Address) -> tuple[Pool, ...]:
    owner = chain.accounts[0]
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
    await chain.do(owner, usdc, "approve(address,uint256)", positions, MAX)
    outcomes: dict[bool, Address] = {}
    while len(outcomes) < 2:
        token = await chain.deploy("ERC20PresetMinterPauser", "(string,string)", "Outcome", "YES")
        outcomes[token < usdc] = token
    pools = []
    cash = await _decimals(chain, usdc)
    for outcome in (outcomes[True], outcomes[False]):
        await chain.do(owner, outcome, "approve(address,uint256)", positions, MAX)
        for trader in (owner, *chain.accounts[3:5]):
            await chain.do(owner, outcome, "mint(address,uint256)", trader, 10**6 * _SHARE)
            for token, router in ((token, router) for token in (outcome, usdc) for router in (first, second)):
                await chain.do(trader, token, "approve(address,uint256)", router, MAX)
        decimals = Decimals(shares=await _decimals(chain, outcome), cash=cash)
        pool = await _fund_pool(chain, positions, outcome, usdc)
        pools += [
            Pool(
                pool=pool,
                router=router,
                quoter=quoter,
                outcome=outcome,
                collateral=usdc,
                fee=FEE,
                decimals=decimals,
            )
            for router in (Router(address=first, takes_deadline=True), Router(address=second, takes_deadline=False))
        ]
    return tuple(pools)


async def _decimals(chain: Chain, token: Address) -> int:
    call = decimals_call(token)
    told = await chain.session.request("eth_call", {"to": call.to, "data": "0x" + call.data.hex()}, "latest")
    return read_decimals(bytes.fromhex(msgspec.json.decode(told, type=str)[2:]))


async def _fund_pool(chain: Chain, positions: Address, outcome: Address, usdc: Address) -> Address:
    """Make a pool at `PRICE`, with money everywhere and more near to the price: a large swap leaves that range."""
    owner = chain.accounts[0]
    cash, shares = PRICE.micro * _COIN // 10**6, _SHARE
    in_order = outcome < usdc
    (token0, token1), (second, first) = (
        ((outcome, usdc), (cash, shares)) if in_order else ((usdc, outcome), (shares, cash))
    )
    make = "createAndInitializePoolIfNecessary(address,address,uint24,uint160)"
    root = isqrt(second * (1 << 192) // first)
    await chain.do(owner, positions, make, token0, token1, FEE, root)
    factory = await chain.call(positions, "factory()", returns="address")
    pool = await chain.call(factory, "getPool(address,address,uint24)", token0, token1, FEE, returns="address")
    middle = int(log(second / first, 1.0001)) // SPACING * SPACING
    wide, near = (-_WIDEST, _WIDEST, 10_000), (middle - 10 * SPACING, middle + 10 * SPACING, 2_000)
    for low, high, dollars in (wide, near):
        amounts = {outcome: dollars * _SHARE * 5 // 2, usdc: dollars * _COIN}
        await chain.do(
            owner, positions, _MINT,
            (token0, token1, FEE, low, high, amounts[token0], amounts[token1], 0, 0, owner, DEADLINE),
        )  # fmt: skip
    return Address(str(pool).lower())


async def _deploy_safe(chain: Chain) -> dict[str, Address]:
    owner = chain.accounts[0]
    single, factory, multi_send, fallback = [
        await chain.deploy(name)
        for name in ("GnosisSafe", "GnosisSafeProxyFactory", "MultiSend", "CompatibilityFallbackHandler")
    ]
    setup = "setup(address[],uint256,address,bytes,address,address,uint256,address)"
    nobody = ZERO_ADDRESS
    calls = bytes.fromhex(calldata(setup, ([owner], 1, nobody, b"", fallback, nobody, 0, nobody))[2:])
    made = await chain.do(owner, factory, "createProxyWithNonce(address,bytes,uint256)", single, calls, 1)
    (safe,) = (Address("0x" + log["data"][26:66]) for log in made["logs"] if log["address"].lower() == factory)
    return {"safe": safe, "multi_send": multi_send}
