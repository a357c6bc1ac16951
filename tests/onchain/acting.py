"""Wallets that act on a real node, without an engine: what a person agrees to, a test does."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, evolve, field
from eth_hash.auto import keccak

from tests.builders import POLYGON
from tests.onchain.deployed import Market
from tests.onchain.executing import ALICE, Signing, Trading, open_trading
from tests.onchain.test_asking_anvil import open_asked
from trio_copy.config.wallets import WalletPolicy
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Usd
from trio_copy.native import SecretKey
from trio_copy.ports import Act, ActReport, Deed, Done, PlannedAct, Purpose, Wanted
from trio_copy.signing.guard import Guard
from trio_copy.signing.transacting import judge_transaction
from trio_copy.testing.anvil import Amm, Node
from trio_copy.transactions.transaction import Transaction

KEY = SecretKey(b"\x77" * 32)
OWNER = SecretKey(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
"""Of the node's first account, which owns the Safe and decides the questions."""
QUESTION = keccak(b"question")
_USD = 10**6


@define(eq=False)
class Guarded(Signing):
    """Signs of acts what a real guard lets pass, with a policy that names what is deployed and nothing else."""

    guard: Guard = field(kw_only=True)

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        if isinstance(purpose, Act):
            refusal = judge_transaction(self.guard, transaction, self.address, purpose, time.time())
            if refusal is not None:
                return refusal
        return super().sign_transaction(transaction, purpose)


def guarded(market: Market, key: SecretKey, wallet: Wallet) -> Guarded:
    deployed = market.deployed
    policy = WalletPolicy(
        contracts=(*(amm.pool for amm in deployed.amms), *{pool.router.address for pool in deployed.pools}),
        collateral=tuple(amm.usdc for amm in deployed.amms),
        conditional=tuple(amm.ctf for amm in deployed.amms),
        multisend=(deployed.multi_send,),
    )
    assert wallet.address is not None
    guard = Guard(name=wallet.name, maker=wallet.address, chain_id=POLYGON, policy=policy, kind=wallet.signature_type)
    return Guarded(key, guard=guard)


async def fund(market: Market, kind: SignatureType) -> tuple[SecretKey, Wallet]:
    """Return a wallet with coin and 1,000 USD that allows nobody anything, and the key that has it act."""
    key = OWNER if kind is SignatureType.SAFE else KEY
    address = market.deployed.safe if kind is SignatureType.SAFE else key.address
    await market.ask("anvil_setBalance", key.address, hex(10**19))
    for usdc in {amm.usdc for amm in market.deployed.amms}:
        await market.chain.do(market.chain.accounts[0], usdc, "mint(address,uint256)", address, 1_000 * _USD)
    return key, Wallet(follower=ALICE, address=address, name="main", signature_type=kind)


@asynccontextmanager
async def open_wallet(node: Node, market: Market, kind: SignatureType) -> AsyncGenerator[Trading, None]:
    """Open the executor for a wallet that has allowed nobody anything, behind a guard."""
    key, wallet = await fund(market, kind)
    signing = guarded(market, key, wallet)
    async with (
        open_asked(node) as chain,
        open_trading(market, chain.nodes, time.time, signing=signing, wallet=wallet) as trading,
    ):
        yield trading


async def condition_of(market: Market, amm: Amm) -> str:
    oracle, outcomes = market.chain.accounts[0], len(amm.tokens)
    get = "getConditionId(address,bytes32,uint256)"
    told: bytes = await market.chain.call(amm.ctf, get, oracle, QUESTION, outcomes, returns="bytes32")
    return "0x" + told.hex()


async def report(market: Market, amm: Amm, *payouts: int) -> None:
    """Let the oracle decide a question, in the newest block."""
    await market.chain.do(
        market.chain.accounts[0], amm.ctf, "reportPayouts(bytes32,uint256[])", QUESTION, list(payouts)
    )


async def decide(market: Market, amm: Amm, *payouts: int) -> None:
    """Let it decide a question, for good."""
    await report(market, amm, *payouts)
    await market.ask("anvil_mine", hex(70))


async def plan(trading: Trading, deed: Deed, usd: str | None = None, **wanted: object) -> Sequence[PlannedAct]:
    amount = None if usd is None else Usd.parse(usd)
    with trio.fail_after(10):
        return await trading.executor.plan(trading.wallet, deed, Wanted(usd=amount, **wanted))  # type: ignore[arg-type]


def timed(trading: Trading, planned: PlannedAct, within_s: float = 60.0) -> Act:
    """Return what is to be done, in time."""
    assert planned.act is not None
    return evolve(planned.act, until=trading.wall() + within_s)


async def act(trading: Trading, act: Act, *, within_s: float = 0.5) -> ActReport:
    """Ask once, and hear how it stands then."""
    with trio.move_on_after(within_s):
        return await trading.executor.act(act)
    raise AssertionError(f"it did not say in time; troubles {trading.troubles}")


async def land(trading: Trading, act: Act) -> ActReport:
    """Have an act done while blocks become final; returns its end."""

    async def mine() -> None:
        final: set[str] = set()
        while True:
            await trio.sleep(0.02)
            for operator, _ in trading.executor.operators.of(trading.wallet):
                binding = operator.binding(act.key)
                if binding is not None and binding.mined is not None and binding.mined.hash not in final:
                    final.add(binding.mined.hash)
                    with trio.CancelScope(shield=True):  # the node would mine on, into what comes next
                        await trading.finalize()

    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mine)
            report = await trading.executor.act(act)
            nursery.cancel_scope.cancel()
        return report
    raise AssertionError(f"it has no end; troubles {trading.troubles}")


async def land_all(trading: Trading, planned: Sequence[PlannedAct]) -> list[ActReport]:
    reports = [await land(trading, timed(trading, one)) for one in planned]
    assert [report.done for report in reports] == [Done.LANDED] * len(planned), reports
    return reports


async def shares(market: Market, amm: Amm, owner: Address | None) -> list[int]:
    return [await market.chain.call(amm.ctf, "balanceOf(address,uint256)", owner, token) for token in amm.tokens]


async def money(market: Market, amm: Amm, owner: Address | None) -> int:
    return int(await market.chain.call(amm.usdc, "balanceOf(address)", owner))


async def sent_by(market: Market, key: SecretKey) -> int:
    """Return how many transactions a key has sent."""
    return int(await market.ask("eth_getTransactionCount", key.address, "latest"), 16)
