"""Shares are made, merged and paid for at the real Conditional Tokens, to the unit, from a key's own address and from a Safe."""

from fractions import Fraction

import pytest
from eth_hash.auto import keccak

from tests.onchain.deployed import KEY, Market
from trio_copy.model.ids import Address, Hash32
from trio_copy.ports.acting import Deed
from trio_copy.testing.anvil import Amm
from trio_copy.transactions.calls import Call
from trio_copy_onchain.holdings.approvals import Allowance, missing, questions
from trio_copy_onchain.holdings.balances import money_call, read_money
from trio_copy_onchain.holdings.conditional import Conditional
from trio_copy_onchain.holdings.ids import collection_id, condition_of
from trio_copy_onchain.holdings.seam import Holdings
from trio_copy_onchain.wallets.eoa import Eoa
from trio_copy_onchain.wallets.safe import Safe
from trio_copy_onchain.wallets.seam import WalletKind

pytestmark = pytest.mark.anvil

QUESTION = Hash32("0x" + keccak(b"question").hex())
UNITS = 1_000_001


def condition(market: Market, amm: Amm) -> Conditional:
    """Return the condition of a market maker, whose oracle is the first account."""
    outcomes = len(amm.tokens)
    name = condition_of(market.chain.accounts[0], QUESTION, outcomes)
    return Conditional(contract=amm.ctf, collateral=amm.usdc, condition=name, outcomes=outcomes)


def wallets(market: Market) -> tuple[tuple[WalletKind, Address], ...]:
    """Return wallets that hold nothing yet, with who sends for them."""
    owner, stranger = market.chain.accounts[0], market.chain.accounts[7]
    safe = Safe(address=market.deployed.safe, multi_send=market.deployed.multi_send)
    return (Eoa(address=stranger), stranger), (safe, owner)


async def answer(market: Market, question: Call) -> bytes:
    return bytes.fromhex((await market.ask("eth_call", {"to": question.to, "data": f"0x{question.data.hex()}"}))[2:])


async def act(market: Market, kind: WalletKind, operator: Address, *calls: Call) -> None:
    """Have a wallet make the calls, together where it can."""
    for together in [calls] if kind.approves else [(call,) for call in calls]:
        receipt = await market.receipt(await market.send(kind.outer(together, operator, KEY), operator))
        assert receipt.succeeded


async def held(market: Market, shares: Conditional, wallet: Address) -> Holdings:
    return shares.holdings([await answer(market, question) for question in shares.reads(wallet)])


async def money(market: Market, shares: Conditional, wallet: Address) -> int:
    return read_money(await answer(market, money_call(shares.collateral, wallet)))


async def split(market: Market, shares: Conditional, kind: WalletKind, operator: Address, units: int) -> None:
    await market.chain.do(operator, shares.collateral, "mint(address,uint256)", kind.address, units)
    needed = shares.needs(Deed.SPLIT, units)
    answers = [await answer(market, question) for question in questions(kind.address, needed)]
    lacking = missing(needed, answers)
    assert lacking == (Allowance(token=shares.collateral, spender=shares.contract, units=units),)
    await act(market, kind, operator, *(approval.call for approval in lacking), shares.split(units))
    left = missing(needed, [await answer(market, question) for question in questions(kind.address, needed)])
    assert left == lacking


async def test_names_of_tokens_are_the_contracts_own(market: Market) -> None:
    for amm in market.deployed.amms:
        shares = condition(market, amm)
        assert shares.tokens == amm.tokens
        name = bytes.fromhex(shares.condition[2:])
        for index_set in range(1, 7):
            told = await market.chain.call(
                amm.ctf, "getCollectionId(bytes32,bytes32,uint256)", bytes(32), name, index_set, returns="bytes32"
            )
            assert collection_id(shares.condition, index_set) == "0x" + told.hex()


async def test_what_is_split_can_be_merged(market: Market) -> None:
    for kind, operator in wallets(market):
        for amm in market.deployed.amms:
            shares = condition(market, amm)
            before = await money(market, shares, kind.address)
            await split(market, shares, kind, operator, UNITS)
            has = await held(market, shares, kind.address)
            assert has == Holdings(units=(UNITS,) * shares.outcomes, payouts=None)
            assert shares.needs(Deed.MERGE) == ()
            await act(market, kind, operator, shares.merge(UNITS // 4))
            assert (await held(market, shares, kind.address)).units == (UNITS - UNITS // 4,) * shares.outcomes
            assert await money(market, shares, kind.address) == before + UNITS // 4


@pytest.mark.parametrize("payouts", [(1, 0), (0, 7), (1, 2), (3, 1)])
async def test_winners_are_paid_to_the_unit_and_losers_take_no_transaction(
    market: Market, payouts: tuple[int, ...]
) -> None:
    """A decision for one outcome, and such that part the cash: what is less than a unit is lost for each outcome."""
    shares = condition(market, market.deployed.amms[0])
    for kind, operator in wallets(market):
        await split(market, shares, kind, operator, UNITS)
    await market.chain.do(
        market.chain.accounts[0], shares.contract, "reportPayouts(bytes32,uint256[])", bytes.fromhex(QUESTION[2:]), payouts
    )  # fmt: skip
    for kind, operator in wallets(market):
        has, before = await held(market, shares, kind.address), await money(market, shares, kind.address)
        assert has.payouts == tuple(Fraction(payout, sum(payouts)) for payout in payouts)
        redemption = shares.redeem(has)
        assert redemption.cash == tuple(UNITS * payout // sum(payouts) for payout in payouts)
        assert shares.needs(Deed.REDEEM) == ()
        assert len(redemption.calls) == 1
        await act(market, kind, operator, *redemption.calls)
        assert await money(market, shares, kind.address) == before + sum(redemption.cash)
        after = await held(market, shares, kind.address)
        assert after.units == tuple(units - taken for units, taken in zip(has.units, redemption.taken, strict=True))
        assert after.units == tuple(0 if payout else UNITS for payout in payouts)
        # What is left was lost, or is nothing: asked once more, there is nothing to do.
        assert shares.redeem(after).calls == ()
        assert not any(shares.redeem(after).cash)
