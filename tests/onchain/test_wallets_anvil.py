"""Wallets act at the real contracts: a key's own address and a Safe, at both venues, and what is told when they are refused."""

from collections.abc import Sequence

import pytest
from attrs import evolve

from tests.onchain.deployed import KEY, Market, buy, sell
from trio_copy.errors import RpcError
from trio_copy.model.fills import Side
from trio_copy.model.ids import ZERO_ADDRESS, Address, FollowerId, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Price
from trio_copy.transactions.calls import Call
from trio_copy_onchain.holdings.approvals import Allowance, missing, questions
from trio_copy_onchain.holdings.of_venues import approval_of
from trio_copy_onchain.tx.answers import Before, Estimate, read_estimate
from trio_copy_onchain.tx.receipts import why_failed
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool
from trio_copy_onchain.venues.seam import Swap
from trio_copy_onchain.wallets.eoa import Eoa
from trio_copy_onchain.wallets.kinds import WalletContracts, of_wallet
from trio_copy_onchain.wallets.probing import probe, read_probe
from trio_copy_onchain.wallets.safe import Safe, SafeState
from trio_copy_onchain.wallets.seam import WalletKind, key_of
from trio_copy_onchain.wallets.tracing import failed_call

pytestmark = pytest.mark.anvil

CASH, GAS = 10**7, 2_000_000
NEVER = Price(1_000)
"""Nobody sells at a tenth of a cent."""


def kinds(market: Market) -> tuple[Eoa, Safe]:
    contracts = WalletContracts(multi_send=market.deployed.multi_send)
    wallets = (
        Wallet(follower=FollowerId("ann"), address=market.wallet),
        Wallet(follower=FollowerId("bob"), address=market.deployed.safe, signature_type=SignatureType.SAFE),
    )
    eoa, safe = (of_wallet(wallet, contracts) for wallet in wallets)
    assert isinstance(eoa, Eoa)
    assert isinstance(safe, Safe)
    return eoa, safe


def venues(market: Market) -> tuple[Fpmm | Pool, ...]:
    return (market.deployed.makers[0], *market.deployed.pools)


def collateral(market: Market) -> Address:
    return market.deployed.amms[0].usdc


async def fund_safe(market: Market) -> None:
    owner = market.chain.accounts[0]
    await market.chain.do(owner, collateral(market), "mint(address,uint256)", market.deployed.safe, 10**9)


async def answer(market: Market, question: Call) -> bytes:
    return bytes.fromhex((await market.ask("eth_call", {"to": question.to, "data": f"0x{question.data.hex()}"}))[2:])


async def estimate(market: Market, call: Call, sender: str, venue: Fpmm | Pool) -> Estimate:
    return await told(market, venue, "eth_estimateGas", market.transaction(call, sender), "latest")


async def told(market: Market, venue: Fpmm | Pool, method: str, *params: object) -> Estimate:
    try:
        return read_estimate(await market.chain.session.request(method, *params), venue.words)
    except RpcError as error:
        return read_estimate(error, venue.words)


async def probed(market: Market, calls: Sequence[Call], hidden: Estimate, venue: Fpmm | Pool) -> Estimate:
    try:
        result = await market.chain.session.request("eth_call", *probe(calls, market.deployed.safe))
    except RpcError as error:
        return read_probe(error, hidden, venue.words)
    return read_probe(result, hidden, venue.words)


async def test_a_wallet_approves_exactly_trades_and_leaves_its_key(market: Market) -> None:
    """Every kind at every venue: balances by the receipt, no allowance over, the key at the end of what was mined."""
    await fund_safe(market)
    owner = market.chain.accounts[0]
    acting: tuple[tuple[WalletKind, Address], ...] = tuple(zip(kinds(market), (market.wallet, owner), strict=True))
    for kind, operator in acting:
        for venue in venues(market):
            for swap in (buy(kind.address, CASH), sell(kind.address, 1)):
                if swap.side is Side.SELL:
                    shares, _ = await market.balances(venue, kind.address)
                    swap = evolve(swap, shares=shares // 2)
                    quote = await market.quote(venue, swap)
                    assert quote is not None
                    swap = evolve(swap, cash=quote.cash)
                await one_trade(market, kind, operator, venue, swap)


async def one_trade(market: Market, kind: WalletKind, operator: Address, venue: Fpmm | Pool, swap: Swap) -> None:
    approval = approval_of(venue, swap, collateral(market))
    needed = (approval,)
    if kind.approves:
        lacking = missing(needed, [await answer(market, call) for call in questions(kind.address, needed)])
        assert lacking == needed
        calls = (*(one.call for one in lacking), venue.call(swap))
    else:
        # The nonce before. What may be taken is what is given.
        await market.receipt(await market.send(kind.outer((approval.call,), operator, KEY), operator))
        calls = (venue.call(swap),)
    before = await market.balances(venue, kind.address)
    sent = await market.send(kind.outer(calls, operator, KEY), operator)
    receipt = await market.receipt(sent)
    assert receipt.succeeded
    after = await market.balances(venue, kind.address)
    done = venue.decode(kind.address, swap.side, receipt.logs)
    sign = 1 if swap.side is Side.BUY else -1
    assert (done.shares, done.cash) == (sign * (after[0] - before[0]), sign * (before[1] - after[1]))
    assert done.shares > 0
    if isinstance(approval, Allowance):
        left = evolve(approval, units=1)
        assert not left.is_given(await answer(market, left.question(kind.address)))
    mined = await market.ask("eth_getTransactionByHash", sent)
    found = Call(to=Address(mined["to"]), data=bytes.fromhex(mined["input"][2:]))
    assert key_of(found) == KEY
    assert kind.inner(found) == calls


async def test_three_transactions_of_one_owner_fit_into_a_block(market: Market) -> None:
    await fund_safe(market)
    owner, (_, safe) = market.chain.accounts[0], kinds(market)
    venue = market.deployed.pools[0]
    await market.ask("evm_setAutomine", False)
    sent = list[str]()
    for turn in range(3):
        swap = buy(safe.address, CASH + turn)
        calls = (approval_of(venue, swap, collateral(market)).call, venue.call(swap))
        sent.append(await market.send(safe.outer(calls, owner, IntentKey(f"{turn:064x}")), owner))
    await market.ask("evm_mine")
    receipts = [await market.receipt(one) for one in sent]
    assert len({receipt.block_hash for receipt in receipts}) == 1
    assert [venue.decode(safe.address, Side.BUY, receipt.logs).cash for receipt in receipts] == [
        CASH,
        CASH + 1,
        CASH + 2,
    ]


async def test_a_refusal_inside_undoes_all_and_its_reason_is_found(market: Market) -> None:
    """By an estimate before, whose probe makes the approval too; and by the trace of what was refused within its block."""
    await fund_safe(market)
    owner, (_, safe) = market.chain.accounts[0], kinds(market)
    for venue, words in zip(
        venues(market), ("minimum buy amount not reached", *["Too little received"] * 4), strict=True
    ):
        swap = buy(safe.address, CASH, NEVER)
        approval = approval_of(venue, swap, collateral(market))
        assert isinstance(approval, Allowance)
        calls = (approval.call, venue.call(swap))
        outer = safe.outer(calls, owner, KEY)
        hidden = await estimate(market, outer, owner, venue)
        assert (hidden.before, hidden.words) == (Before.REJECTED, "GS013")
        assert hidden.words.lower() in safe.hides
        found = await probed(market, calls, hidden, venue)
        assert (found.before, found.words) == (Before.KILLED, words)
        # The trade by itself would say that it has no allowance, which is not what is wrong.
        assert (await probed(market, calls[1:], hidden, venue)).before is Before.REJECTED or isinstance(venue, Fpmm)
        sent = await market.send(outer, owner)
        receipt = await market.receipt(sent)
        assert not receipt.succeeded
        assert not evolve(approval, units=1).is_given(await answer(market, approval.question(safe.address)))
        trace = await market.chain.session.request("debug_traceTransaction", sent, {"tracer": "callTracer"})
        assert why_failed(receipt, GAS, trace, None, venue.words).words == "GS013"
        failure = why_failed(receipt, GAS, failed_call(trace, safe.address), None, venue.words)
        assert (failure.killed, failure.words) == (True, words)


async def test_what_a_probe_tells_of_money_approvals_and_calls_that_go_through(market: Market) -> None:
    await fund_safe(market)
    owner, (_, safe) = market.chain.accounts[0], kinds(market)
    hidden = Estimate(before=Before.REJECTED, words="GS013")
    for venue in venues(market):
        poor, rich = buy(safe.address, 2 * 10**9), buy(safe.address, CASH)
        both = (approval_of(venue, poor, collateral(market)).call, venue.call(poor))
        lacks = (await probed(market, both, hidden, venue)).lacks
        assert lacks is (Lacks.BALANCE if isinstance(venue, Fpmm) else Lacks.EITHER)
        alone = await probed(market, (venue.call(rich),), hidden, venue)
        assert (alone.before, alone.lacks) == (
            Before.REJECTED,
            Lacks.APPROVAL if isinstance(venue, Fpmm) else Lacks.EITHER,
        )
        # Shares that come to a Safe are taken by the code that stands in for it.
        good = (approval_of(venue, rich, collateral(market)).call, venue.call(rich))
        through = await probed(market, good, hidden, venue)
        assert through.words == "GS013, and its calls by themselves would go through"
        assert (await estimate(market, safe.outer(good, owner, KEY), owner, venue)).before is Before.READY


async def test_what_stands_around_the_calls_of_a_safe_takes_no_more_gas_than_said(market: Market) -> None:
    """Of the first transaction of a Safe, which is the dearest."""
    await fund_safe(market)
    owner, (_, safe) = market.chain.accounts[0], kinds(market)
    # Of each venue somebody else, who has allowed nothing yet.
    for venue, stranger in zip(venues(market), market.chain.accounts[5:], strict=False):
        await market.chain.do(owner, collateral(market), "mint(address,uint256)", stranger, 10**9)

        def calls_of(wallet: Address, venue: Fpmm | Pool = venue) -> tuple[Call, Call]:
            swap = buy(wallet, CASH)
            return approval_of(venue, swap, collateral(market)).call, venue.call(swap)

        approve, trade = calls_of(stranger)
        apart = one = (await estimate(market, approve, stranger, venue)).gas
        await market.receipt(await market.send(approve, stranger))
        apart += (await estimate(market, trade, stranger, venue)).gas
        both = calls_of(safe.address)
        together = (await estimate(market, safe.outer(both, owner, KEY), owner, venue)).gas
        assert together <= apart + safe.gas_around(both)
        alone = (await estimate(market, safe.outer(both[:1], owner, KEY), owner, venue)).gas
        assert alone <= one + safe.gas_around(both[:1])


async def test_a_safe_is_checked_before_anything_is_sent(market: Market) -> None:
    owner, (_, safe) = market.chain.accounts[0], kinds(market)
    stranger, guard = market.chain.accounts[5:7]
    state = safe.read_state([await answer(market, call) for call in safe.reads()])
    assert state == SafeState(owners=(owner,), threshold=1, guard=None, takes_shares=True)
    assert safe.check([await answer(market, call) for call in safe.reads()], [owner]) == ()
    await market.ask("anvil_impersonateAccount", safe.address)
    await market.ask("anvil_setBalance", safe.address, hex(10**18))
    await market.chain.do(safe.address, safe.address, "addOwnerWithThreshold(address,uint256)", stranger, 2)
    await market.chain.do(safe.address, safe.address, "setGuard(address)", guard)
    await market.chain.do(safe.address, safe.address, "setFallbackHandler(address)", ZERO_ADDRESS)
    found = safe.check([await answer(market, call) for call in safe.reads()], [owner, market.rival, stranger])
    assert found == (
        f"operator {market.rival}: expected an owner of the Safe {safe.address}, which are {stranger}, {owner}",
        f"threshold of the Safe {safe.address}: expected 1, got 2",
        f"guard of the Safe {safe.address}: expected none, got {guard}, which may refuse",
        f"fallback handler of the Safe {safe.address}: expected one that takes shares of an ERC-1155",
    )
