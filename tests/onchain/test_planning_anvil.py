"""What a person is shown before a wallet acts is what it does: planned on a real node, done, and planned again."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
from eth_hash.auto import keccak

from tests.builders import POLYGON
from tests.onchain.deployed import KEY, Deployed, Market
from tests.onchain.test_examining import open_look, settings_of
from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import Address, FollowerId, Hash32
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.ports import Deed, Held, Paid, PlannedAct, Wanted
from trio_copy.testing.anvil import Node
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.holdings.ids import condition_of
from trio_copy_onchain.planning.planner import Planner
from trio_copy_onchain.wallets.kinds import WalletContracts, of_wallet

pytestmark = pytest.mark.anvil

QUESTION = Hash32("0x" + keccak(b"question").hex())
TEN, UNITS = Usd.parse(10), 10_000_000


class Desk:
    """Wallets that have allowed nothing yet: an account of its own, and a Safe of the first one."""

    def __init__(self, market: Market, planner: Planner) -> None:
        self.market, self.planner = market, planner
        self.amm = market.deployed.amms[0]
        self.condition = condition_of(market.chain.accounts[0], QUESTION, len(self.amm.tokens))
        self.key = Wallet(follower=FollowerId("alice"), address=market.chain.accounts[7], name="hot")
        self.safe = Wallet(
            follower=FollowerId("bob"),
            address=market.deployed.safe,
            name="safe",
            signature_type=SignatureType.SAFE,
        )

    @property
    def wallets(self) -> tuple[tuple[Wallet, Address], ...]:
        return (self.key, self.market.chain.accounts[7]), (self.safe, self.market.chain.accounts[0])

    async def plan(self, wallet: Wallet, deed: Deed, **wanted: object) -> Sequence[PlannedAct]:
        return await self.planner.plan(wallet, deed, Wanted(**wanted))  # type: ignore[arg-type]

    async def do(self, planned: Sequence[PlannedAct], operator: Address) -> None:
        """Carry out what was planned, as an executor does."""
        for one in planned:
            if one.act is None:
                continue
            kind = self.planner.kind_of(one.act.wallet)
            sent = await self.market.send(kind.outer(one.act.calls, operator, KEY), operator)
            assert (await self.market.receipt(sent)).succeeded
        await self.market.ask("anvil_mine", hex(4))  # final by then

    async def mint(self, wallet: Wallet, units: int) -> None:
        owner = self.market.chain.accounts[0]
        await self.market.chain.do(owner, self.amm.usdc, "mint(address,uint256)", wallet.address, units)

    async def decide(self, *payouts: int) -> None:
        owner, report = self.market.chain.accounts[0], "reportPayouts(bytes32,uint256[])"
        await self.market.chain.do(owner, self.amm.ctf, report, bytes.fromhex(QUESTION[2:]), payouts)
        await self.market.ask("anvil_mine", hex(4))

    async def balances(self, wallet: Wallet) -> list[int]:
        chain, amm = self.market.chain, self.amm
        shares = [
            await chain.call(amm.ctf, "balanceOf(address,uint256)", wallet.address, token) for token in amm.tokens
        ]
        return [await chain.call(amm.usdc, "balanceOf(address)", wallet.address), *shares]


@asynccontextmanager
async def open_desk(node: Node, market: Market) -> AsyncGenerator[Desk, None]:
    async with open_look(node) as (_, nodes):
        settings = settings_of(market.deployed)
        contracts = WalletContracts(multi_send=market.deployed.multi_send)
        chain = Chain(nodes=nodes, chain_id=POLYGON)
        yield Desk(market, Planner(chain, settings, lambda wallet: of_wallet(wallet, contracts)))


@pytest.fixture
async def desk(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Desk, None]:
    async with open_desk(venues[0], market) as desk:
        yield desk


async def test_only_what_is_missing_is_approved_each_in_its_amount(desk: Desk) -> None:
    """An account one after the other; a Safe all of it at once, and no money beforehand."""
    of_key = await desk.plan(desk.key, Deed.APPROVE, usd=TEN)
    assert of_key == await desk.plan(desk.key, Deed.APPROVE, usd=TEN)  # with the same keys
    assert [len(one.act.calls) for one in of_key if one.act] == [1] * len(of_key)
    assert len(of_key) == len({one.act.key for one in of_key if one.act}) == 2 * 2 + 2 * 2
    assert all(one.gas_wei and len(one.words) == 1 for one in of_key)
    assert any("take 10 of it at most" in one.words[0] for one in of_key)
    assert any("take 1000 shares at most" in one.words[0] for one in of_key)
    of_safe = await desk.plan(desk.safe, Deed.APPROVE, usd=TEN)
    assert [len(one.words) for one in of_safe] == [2]
    assert all("take shares, all of them" in line for line in of_safe[0].words)

    for (wallet, operator), planned in zip(desk.wallets, (of_key, of_safe), strict=True):
        await desk.do(planned, operator)
        assert await desk.plan(wallet, Deed.APPROVE, usd=TEN) == ()

    allowance = "allowance(address,address)"
    assert await desk.market.chain.call(desk.amm.usdc, allowance, desk.key.address, desk.amm.pool) == UNITS
    more = await desk.plan(desk.key, Deed.APPROVE, usd=Usd.parse(20))
    assert {one.act.key for one in more if one.act}.isdisjoint({one.act.key for one in of_key if one.act})


async def test_sets_are_split_and_merged_with_what_they_need(desk: Desk) -> None:
    """The allowance goes before, or along; too little of anything is refused before anything is asked of anybody."""
    for wallet, operator in desk.wallets:
        with pytest.raises(OrderNotSent, match="expected a wallet that holds 10 of"):
            await desk.plan(wallet, Deed.SPLIT, usd=Usd.parse(10), condition_id=desk.condition)
        await desk.mint(wallet, UNITS)
        planned = await desk.plan(wallet, Deed.SPLIT, usd=TEN, condition_id=desk.condition)
        assert [one.act.deed for one in planned if one.act][-1] is Deed.SPLIT
        await desk.do(planned, operator)
        assert await desk.balances(wallet) == [0, UNITS, UNITS]
        with pytest.raises(OrderNotSent, match="expected a wallet that holds 11 shares of every outcome"):
            await desk.plan(wallet, Deed.MERGE, usd=Usd.parse(11), condition_id=desk.condition)
        await desk.do(await desk.plan(wallet, Deed.MERGE, usd=Usd.parse(4), condition_id=desk.condition), operator)
        assert await desk.balances(wallet) == [4_000_000, 6_000_000, 6_000_000]


async def test_winners_are_redeemed_and_losers_are_booked(desk: Desk) -> None:
    """By what the final blocks say; of what was redeemed nothing is left to do but to book it."""
    books = tuple(Held(token_id=token, shares=Shares.parse(10)) for token in desk.amm.tokens)
    winner, loser = (
        Paid(token_id=token, condition_id=desk.condition, payout=Price.parse(pays))
        for token, pays in zip(desk.amm.tokens, "10", strict=True)
    )
    for wallet, operator in desk.wallets:
        await desk.mint(wallet, UNITS)
        await desk.do(await desk.plan(wallet, Deed.SPLIT, usd=TEN, condition_id=desk.condition), operator)
        with pytest.raises(OrderNotSent, match="decided for good"):
            await desk.plan(wallet, Deed.REDEEM, condition_id=desk.condition, held=books)
        assert await desk.plan(wallet, Deed.REDEEM, held=books) == []
    await desk.decide(1, 0)
    for wallet, operator in desk.wallets:
        planned = await desk.plan(wallet, Deed.REDEEM, held=books)
        assert [(one.act is None, one.pays) for one in planned] == [(False, (winner,)), (True, (loser,))]
        assert "for 10 of" in planned[0].words[0]
        await desk.do(planned, operator)
        assert await desk.balances(wallet) == [UNITS, 0, UNITS]
        [again] = await desk.plan(wallet, Deed.REDEEM, condition_id=desk.condition, held=books)
        assert again.act is None
        assert again.pays == (winner, loser)
        assert await desk.plan(wallet, Deed.REDEEM) == []


async def test_what_nobody_here_knows_is_named(desk: Desk) -> None:
    unknown = "0x" + "12" * 32
    with pytest.raises(OrderNotSent, match=f"or one that is held, got {unknown}"):
        await desk.plan(desk.key, Deed.SPLIT, usd=TEN, condition_id=unknown)
    with pytest.raises(OrderNotSent, match="an amount above zero"):
        await desk.plan(desk.key, Deed.SPLIT, condition_id=desk.condition)
    with pytest.raises(OrderNotSent, match="expected approve, split, merge or redeem, got refuel"):
        await desk.plan(desk.key, Deed.REFUEL, usd=TEN)
