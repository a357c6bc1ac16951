"""Everything that anybody can trade at, on a real node: market makers, pools with both routers, and a Safe."""

from typing import Any

import trio
from attrs import define, field, frozen

from tests.builders import POLYGON
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.units import Price
from trio_copy.testing.anvil import Amm, Chain, deploy_amm, deploy_outcome, deploy_pool, deploy_safes, deploy_uniswap
from trio_copy.testing.anvil.pools import FEE, PoolMarket
from trio_copy.transactions.calls import Call
from trio_copy_onchain.tx.receipts import Receipt, read_receipt
from trio_copy_onchain.venues.amounts import Decimals, decimals_call, read_decimals
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool, Router
from trio_copy_onchain.venues.seam import Exchanged, Swap, Venue

KEY = IntentKey("ab" * 32)
DEADLINE = 1 << 40
PRICE, DEAREST, CHEAPEST = Price(400_000), Price(999_999), Price(1)


_FEES = 2 * 10**16, 0


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
                fee=fee,
                decimals=Decimals(shares=6, cash=6),
            )
            for amm, fee in zip(self.amms, _FEES, strict=True)
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
        return await self.chain.ask(method, *params)

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
    amms = (await deploy_amm(chain, fee=_FEES[0]), await deploy_amm(chain, hint=(5, 3, 2), fee=_FEES[1]))
    for amm in amms:
        for trader in chain.accounts[3:5]:
            await amm.prepare_trader(trader)
            for outcome in range(len(amm.tokens)):
                await amm.buy(trader, 500, outcome)
    pools = await _deploy_pools(chain, amms[0].usdc)
    safes = await deploy_safes(chain)
    safe = await safes.make(chain, [chain.accounts[0]])
    return Deployed(amms=amms, pools=pools, safe=safe, multi_send=safes.multi_send)


async def _deploy_pools(chain: Chain, usdc: Address) -> tuple[Pool, ...]:
    uniswap = await deploy_uniswap(chain, usdc)
    outcomes: dict[bool, Address] = {}
    while len(outcomes) < 2:
        token = await deploy_outcome(chain)
        outcomes[token < usdc] = token
    pools: list[Pool] = []
    for outcome in (outcomes[True], outcomes[False]):
        market = await deploy_pool(chain, uniswap, outcome, PRICE.micro)
        for trader in (chain.accounts[0], *chain.accounts[3:5]):
            await market.prepare_trader(trader, shares=10**6)
        pools += await pools_of(market)
    return tuple(pools)


async def pools_of(market: PoolMarket) -> list[Pool]:
    """Return a pool as a venue, with each of its routers."""
    chain, uniswap = market.chain, market.uniswap
    decimals = Decimals(shares=await _decimals(chain, market.outcome), cash=await _decimals(chain, uniswap.usdc))
    return [
        Pool(
            pool=market.pool,
            router=Router(address=router, takes_deadline=takes_deadline),
            quoter=uniswap.quoter,
            outcome=market.outcome,
            collateral=uniswap.usdc,
            fee=FEE,
            decimals=decimals,
        )
        for router, takes_deadline in zip(uniswap.routers, (True, False), strict=True)
    ]


async def _decimals(chain: Chain, token: Address) -> int:
    call = decimals_call(token)
    told = await chain.ask("eth_call", {"to": call.to, "data": "0x" + call.data.hex()}, "latest")
    return read_decimals(bytes.fromhex(told[2:]))
