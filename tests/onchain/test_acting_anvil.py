"""People have wallets act on a real node: it happens once, and what they are told is what balances show."""

import time
from collections.abc import AsyncGenerator

import pytest
from attrs import evolve

from tests.onchain.acting import (
    KEY,
    act,
    condition_of,
    decide,
    fund,
    land,
    land_all,
    money,
    plan,
    sent_by,
    shares,
    timed,
)
from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import ALICE, KeptJournal, Signing, Trading, open_trading, token_of
from tests.onchain.test_asking_anvil import open_asked
from trio_copy.errors import OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, TokenId
from trio_copy.model.orders import SignatureType, Status, Wallet
from trio_copy.model.units import MICRO, Price, Shares
from trio_copy.ports import Act, Deed, Done, Held, Paid
from trio_copy.testing.anvil import Node
from trio_copy.transactions.calls import Call

pytestmark = pytest.mark.anvil
EOA, SAFE = SignatureType.EOA, SignatureType.SAFE


@pytest.fixture
async def trading(
    venues: tuple[Node, Deployed], market: Market, request: pytest.FixtureRequest
) -> AsyncGenerator[Trading, None]:
    """A wallet that has allowed nobody anything: a Safe where a test says so."""
    key, wallet = await fund(market, getattr(request, "param", EOA))
    async with (
        open_asked(venues[0]) as chain,
        open_trading(market, chain.nodes, time.time, signing=Signing(key), wallet=wallet) as one,
    ):
        yield one


both = pytest.mark.parametrize("trading", [EOA, SAFE], indirect=True, ids=["eoa", "safe"])


def held(*tokens: TokenId) -> tuple[Held, ...]:
    return tuple(Held(token_id=token, shares=Shares.parse(10)) for token in tokens)


@both
async def test_what_is_approved_can_be_traded_both_ways_at_every_venue(trading: Trading) -> None:
    """Only what is missing is planned, in finite amounts where the token knows any; afterwards nothing is."""
    market = trading.market
    planned = await plan(trading, Deed.APPROVE, "50")
    assert [one.act.key for one in planned if one.act] == [
        one.act.key for one in await plan(trading, Deed.APPROVE, "50") if one.act
    ]
    assert all(one.gas_wei > 0 and one.words for one in planned)
    words = " ".join(line for one in planned for line in one.words)
    if trading.wallet.signature_type is SAFE:
        assert len(planned) == 1
        assert "USD" not in words
    else:
        assert "may take 50 USD at most" in words
        assert "may take 5000 shares at most" in words
    await land_all(trading, planned)
    assert await plan(trading, Deed.APPROVE, "50") == []
    for place, venue in enumerate((market.deployed.makers[0], market.deployed.pools[1])):
        keys = f"a{place}", f"b{place}"
        bought = await trading.prepared(token_of(venue), Side.BUY, "20", limit="0.9", key=keys[0])
        report = await trading.submit(bought)
        assert report.status is Status.FILLED
        sold = await trading.prepared(token_of(venue), Side.SELL, str(report.shares), limit="0.1", key=keys[1])
        assert (await trading.submit(sold)).status in (Status.FILLED, Status.PARTIAL)


@both
async def test_what_is_split_can_be_merged(trading: Trading) -> None:
    market, amm = trading.market, trading.market.deployed.amms[0]
    owner, condition = trading.wallet.address, await condition_of(trading.market, amm)
    before = await money(market, amm, owner)
    planned = await plan(trading, Deed.SPLIT, "30", condition_id=condition)
    assert len(planned) == (1 if trading.wallet.signature_type is SAFE else 2)
    assert [one.act.deed for one in planned if one.act][-1] is Deed.SPLIT
    assert "takes 30 USD" in planned[-1].words[-1]
    await land_all(trading, planned)
    assert await shares(market, amm, owner) == [30 * MICRO, 30 * MICRO]
    assert await money(market, amm, owner) == before - 30 * MICRO
    (merged,) = await plan(trading, Deed.MERGE, "12.5", condition_id=condition)
    assert merged.gas_wei > 0
    await land_all(trading, [merged])
    assert await shares(market, amm, owner) == [17_500_000, 17_500_000]
    assert await money(market, amm, owner) == before - 17_500_000


async def test_a_split_asked_for_twice_after_a_merge_is_another_one(trading: Trading) -> None:
    """The same calls on the same balances are a deed of their own once the first has happened."""
    market, amm = trading.market, trading.market.deployed.amms[0]
    condition = await condition_of(market, amm)
    first = await plan(trading, Deed.SPLIT, "10", condition_id=condition)
    await land_all(trading, first)
    await land_all(trading, await plan(trading, Deed.MERGE, "10", condition_id=condition))
    second = await plan(trading, Deed.SPLIT, "10", condition_id=condition)
    assert not {one.act.key for one in first if one.act} & {one.act.key for one in second if one.act}
    await land_all(trading, second)
    assert await shares(market, amm, trading.wallet.address) == [10 * MICRO, 10 * MICRO]


async def test_what_a_wallet_does_not_have_is_not_planned(trading: Trading) -> None:
    condition = await condition_of(trading.market, trading.market.deployed.amms[0])
    with pytest.raises(OrderNotSent, match="the wallet has 1000 USD, and not 1000.5"):
        await plan(trading, Deed.SPLIT, "1000.5", condition_id=condition)
    with pytest.raises(OrderNotSent, match="the wallet has 0 shares of every outcome, and not 1"):
        await plan(trading, Deed.MERGE, "1", condition_id=condition)
    with pytest.raises(OrderNotSent, match="negative risk"):
        await plan(trading, Deed.SPLIT, "1", condition_id="0x" + "ab" * 32)


@both
async def test_winners_are_redeemed_once_and_losers_are_only_booked(trading: Trading) -> None:
    """Asked for again, it is told again; nothing is sent, and nothing is paid twice."""
    market, amm = trading.market, trading.market.deployed.amms[0]
    owner, condition = trading.wallet.address, await condition_of(trading.market, amm)
    await land_all(trading, await plan(trading, Deed.SPLIT, "10", condition_id=condition))
    assert await plan(trading, Deed.REDEEM, held=held(*amm.tokens)) == []
    with pytest.raises(OrderNotSent, match="it is not decided yet"):
        await plan(trading, Deed.REDEEM, held=held(*amm.tokens), condition_id=condition)
    await decide(market, amm, 1, 0)
    before = await money(market, amm, owner)
    (planned,) = await plan(trading, Deed.REDEEM, held=held(*amm.tokens))
    assert planned.pays == (
        Paid(token_id=amm.tokens[0], condition_id=condition, payout=Price(MICRO)),
        Paid(token_id=amm.tokens[1], condition_id=condition, payout=Price(0)),
    )
    assert "pays 10 USD" in planned.words[0]
    assert planned.gas_wei > 0
    redeemed = timed(trading, planned)
    report = await land(trading, redeemed)
    assert report.done is Done.LANDED
    assert report.gas_wei > 0
    assert await money(market, amm, owner) == before + 10 * MICRO
    sent = await sent_by(market, trading.signing.key)
    assert await land(trading, redeemed) == report
    assert await sent_by(market, trading.signing.key) == sent
    assert await money(market, amm, owner) == before + 10 * MICRO
    (gone,) = await plan(trading, Deed.REDEEM, held=held(*amm.tokens))
    assert gone.act is None
    assert "by somebody else" in gone.words[-1]


async def test_who_has_only_lost_sends_nothing(trading: Trading) -> None:
    """It is booked at zero; what is not decided, or not known, is left out and said."""
    market, (decided, open_) = trading.market, trading.market.deployed.amms
    condition = await condition_of(market, decided)
    await decide(market, decided, 0, 1)
    pool = TokenId(int(market.deployed.pools[0].outcome, 16))
    (planned,) = await plan(
        trading, Deed.REDEEM, held=held(decided.tokens[0], open_.tokens[0], pool, TokenId(5 << 200))
    )
    assert planned.act is None
    assert planned.pays == (Paid(token_id=decided.tokens[0], condition_id=condition, payout=Price(0)),)
    told = "\n".join(planned.words)
    assert told.count("left out") == 3
    assert f"condition {await condition_of(market, open_)}: it is not decided yet" in told
    assert "an ERC-20 is redeemed where it was made" in told


async def test_a_part_of_the_payout_is_booked_as_the_contract_pays_it(trading: Trading) -> None:
    market, amm = trading.market, trading.market.deployed.amms[0]
    await land_all(trading, await plan(trading, Deed.SPLIT, "10", condition_id=await condition_of(market, amm)))
    await decide(market, amm, 1, 2)
    before = await money(market, amm, trading.wallet.address)
    (planned,) = await plan(trading, Deed.REDEEM, held=held(*amm.tokens))
    assert [paid.payout for paid in planned.pays] == [Price(333_333), Price(666_666)]
    await land_all(trading, [planned])
    assert await money(market, amm, trading.wallet.address) == before + 3_333_333 + 6_666_666


@both
async def test_what_the_contract_refuses_uses_no_nonce(trading: Trading) -> None:
    """And is told in the contract's own words, also where a Safe hides them."""
    amm = trading.market.deployed.amms[0]
    (allowed,) = [
        one for one in await plan(trading, Deed.SPLIT, "10", condition_id=await condition_of(trading.market, amm))
    ][-1:]
    assert allowed.act is not None
    alone = evolve(timed(trading, allowed), calls=allowed.act.calls[-1:])
    sent = await sent_by(trading.market, trading.signing.key)
    report = await act(trading, alone)
    assert (report.done, report.transaction, report.gas_wei) == (Done.REFUSED, None, 0)
    assert "allowance" in report.why
    assert await sent_by(trading.market, trading.signing.key) == sent
    assert trading.signing.signed == []


async def test_a_wallet_without_a_contract_makes_one_call_at_a_time(trading: Trading) -> None:
    planned = await plan(trading, Deed.APPROVE, "10")
    both_calls = evolve(
        timed(trading, planned[0]), calls=tuple(call for one in planned[:2] if one.act for call in one.act.calls)
    )
    with pytest.raises(OrderNotSent, match="expected one call of a wallet that is no contract, got 2"):
        await act(trading, both_calls)


async def test_it_is_told_when_it_is_mined_and_when_it_is_for_good(trading: Trading) -> None:
    (first, *_) = await plan(trading, Deed.APPROVE, "10")
    wanted = timed(trading, first)
    mined = await act(trading, wanted)
    assert mined.done is Done.MINED
    await trading.finalize()
    landed = await act(trading, wanted)
    assert (landed.done, landed.transaction) == (Done.LANDED, mined.transaction)


async def test_what_is_too_late_never_leaves(trading: Trading) -> None:
    (first, *_) = await plan(trading, Deed.APPROVE, "10")
    with pytest.raises(OrderNotSent, match="too late"):
        await act(trading, timed(trading, first, within_s=-1))
    assert trading.signing.signed == []


async def test_an_act_goes_on_after_a_restart(venues: tuple[Node, Deployed], market: Market) -> None:
    """The next owner of the journal finds what was sent: whether it landed or still waits, it happens once."""
    key, wallet = await fund(market, EOA)
    journal = KeptJournal()
    async with open_asked(venues[0]) as chain:
        async with open_trading(
            market, chain.nodes, time.time, signing=Signing(key), wallet=wallet, journal=journal
        ) as trading:
            (first, second, *_) = await plan(trading, Deed.APPROVE, "10")
            done, waits = timed(trading, first), timed(trading, second)
            landed = await land(trading, done)
            await market.ask("evm_setAutomine", False)
            pending = await act(trading, waits)
            assert pending.done is Done.PENDING
            assert pending.transaction is not None
        async with open_trading(
            market, chain.nodes, time.time, signing=Signing(key), wallet=wallet, journal=journal.as_left()
        ) as later:
            assert await land(later, done) == landed
            went_on = await land(later, waits)
            assert (went_on.done, went_on.transaction) == (Done.LANDED, pending.transaction)
            assert later.signing.signed == []
            assert await sent_by(market, key) == 2


async def test_what_was_done_is_known_as_long_as_it_may_be_asked_for(trading: Trading) -> None:
    """No order's account has it open; what has ended of orders is forgotten meanwhile."""
    (first, *_) = await plan(trading, Deed.APPROVE, "10")
    wanted = timed(trading, first)
    landed = await land(trading, wanted)
    trading.executor.operators._forget()
    assert await land(trading, wanted) == landed
    object.__setattr__(trading.executor.operators, "wall", lambda: time.time() + 100_000)
    trading.executor.operators._forget()
    assert not [name for name in trading.journal.documents() if wanted.key in name]


async def test_one_displaced_by_another_transaction_is_sent_anew_in_time(trading: Trading) -> None:
    """Its nonce is used for good by something else, so it can happen no more: it gets another one."""
    market = trading.market
    await market.ask("anvil_impersonateAccount", KEY.address)
    await market.ask("evm_setAutomine", False)
    (first, *_) = await plan(trading, Deed.APPROVE, "10")
    wanted = timed(trading, first)
    pending = await act(trading, wanted)
    assert pending.done is Done.PENDING
    await market.ask("anvil_dropTransaction", pending.transaction)
    other = {"from": KEY.address, "to": KEY.address, "value": "0x0", "gas": hex(21_000), "nonce": "0x0",
             "maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}  # fmt: skip
    await market.ask("eth_sendTransaction", other)
    report = await land(trading, wanted)
    assert report.done is Done.LANDED
    assert report.transaction != pending.transaction
    assert await sent_by(market, KEY) == 2


async def test_an_operator_is_refuelled_once(venues: tuple[Node, Deployed], market: Market) -> None:
    """By a bare transfer of the funding wallet's own key."""
    await market.ask("anvil_setBalance", KEY.address, hex(10**19))
    operator = Address("0x" + "ee" * 20)
    funding = Wallet(follower=ALICE, address=KEY.address, name="funding:ops")
    refuel = Act(
        key=IntentKey("fe" * 32),
        wallet=funding,
        deed=Deed.REFUEL,
        calls=(Call(to=operator, value=10**18),),
        until=time.time() + 60,
    )
    async with (
        open_asked(venues[0]) as chain,
        open_trading(market, chain.nodes, time.time, signing=Signing(KEY), wallet=funding) as trading,
    ):
        report = await land(trading, refuel)
        assert report.done is Done.LANDED
        assert await land(trading, refuel) == report
        assert int(await market.ask("eth_getBalance", operator, "latest"), 16) == 10**18
        (transaction,) = [one for one, _ in trading.signing.signed]
        assert transaction.data == b""
        spent = 10**19 - 10**18 - int(await market.ask("eth_getBalance", KEY.address, "latest"), 16)
        assert spent == report.gas_wei == 21_000 * (spent // 21_000)
