"""People have wallets act on a real node: it happens once, and what they are told is what balances show."""

import time
from collections.abc import AsyncGenerator

import pytest
from attrs import evolve

from tests.builders import POLYGON
from tests.onchain.acting import (
    KEY,
    act,
    condition_of,
    fund,
    land,
    land_all,
    open_wallet,
    plan,
    sent_by,
    shares,
    timed,
)
from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import KeptJournal, Signing, Trading, open_trading
from tests.onchain.faulting import Crash, Wall
from tests.onchain.test_asking_anvil import open_asked
from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import MICRO
from trio_copy.ports import Deed, Done
from trio_copy.testing.anvil import MAX, Node, calldata
from trio_copy.transactions.calls import Call
from trio_copy_onchain.tx.fees import Fees
from trio_copy_onchain.tx.sendings import doing_nothing

pytestmark = pytest.mark.anvil
EOA, SAFE = SignatureType.EOA, SignatureType.SAFE


@pytest.fixture
async def trading(
    venues: tuple[Node, Deployed], market: Market, request: pytest.FixtureRequest
) -> AsyncGenerator[Trading, None]:
    """A wallet that has allowed nobody anything: a Safe where a test says so."""
    async with open_wallet(venues[0], market, getattr(request, "param", EOA)) as one:
        yield one


both = pytest.mark.parametrize("trading", [EOA, SAFE], indirect=True, ids=["eoa", "safe"])


@both
async def test_what_the_contract_refuses_uses_no_nonce(trading: Trading) -> None:
    """And is told in the contract's own words, also where a Safe hides them."""
    amm = trading.market.deployed.amms[0]
    *_, allowed = await plan(trading, Deed.SPLIT, "10", condition_id=await condition_of(trading.market, amm))
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
    told = await trading.market.ask("eth_getTransactionByHash", landed.transaction)
    assert told["input"].endswith(wanted.key), "whoever finds it on the chain knows what it was for"


@pytest.mark.parametrize("wei", [0, 10**15], ids=["nothing", "less than its gas may cost"])
async def test_an_operator_without_coin_holds_up_no_act(
    venues: tuple[Node, Deployed], market: Market, wei: int
) -> None:
    """Bound to that one, it would wait until somebody gives him some: asked for again, it is the same act."""
    key, wallet = await fund(market, SAFE)
    safe = market.deployed.safe
    await market.ask("anvil_impersonateAccount", safe)
    await market.ask("anvil_setBalance", safe, hex(10**18))
    await market.chain.do(safe, safe, "addOwnerWithThreshold(address,uint256)", KEY.address, 1)
    await market.ask("anvil_setBalance", KEY.address, hex(wei))
    async with (
        open_asked(venues[0]) as chain,
        open_trading(
            market,
            chain.nodes,
            time.time,
            signing=Signing(KEY),
            others=[Signing(key)],
            wallet=evolve(wallet, fleet="ops"),
        ) as trading,
    ):
        _, (rich, _) = trading.executor.operators.of(trading.wallet)
        (first,) = await plan(trading, Deed.APPROVE, "10")
        with rich.expecting(IntentKey("ee" * 32)):  # so the poor one has less to do
            assert (await act(trading, timed(trading, first), within_s=5)).done is Done.MINED
        assert await sent_by(market, KEY) == 0


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
            await market.ask("evm_setAutomine", True)
            await later.finalize()
            assert await land(later, done) == landed
            went_on = await land(later, waits)
            assert (went_on.done, went_on.transaction) == (Done.LANDED, pending.transaction)
            assert later.signing.signed == []
            assert await sent_by(market, key) == 2


@pytest.mark.parametrize("point", ["onchain: bound", "onchain: written down", "onchain: broadcast"])
async def test_a_process_that_is_gone_at_any_point_leaves_it_to_be_done_once(
    venues: tuple[Node, Deployed], market: Market, point: str
) -> None:
    """Whoever asks for the same split afterwards has it done, or is told that it was."""
    key, wallet = await fund(market, EOA)
    amm, journal = market.deployed.amms[0], KeptJournal()

    def crash(reached: str) -> None:
        if reached == point and crashes:
            raise Crash(point)

    async with open_asked(venues[0]) as chain:
        crashes = False
        with pytest.RaisesGroup(Crash, flatten_subgroups=True):
            async with open_trading(
                market, chain.nodes, time.time, signing=Signing(key), wallet=wallet, journal=journal, at=crash
            ) as trading:
                allowed, split = await plan(trading, Deed.SPLIT, "10", condition_id=await condition_of(market, amm))
                await land_all(trading, [allowed])
                crashes = True
                wanted = timed(trading, split)
                await trading.executor.act(wanted)
        async with open_trading(
            market, chain.nodes, time.time, signing=Signing(key), wallet=wallet, journal=journal.as_left()
        ) as later:
            assert (await land(later, wanted)).done is Done.LANDED
            assert await shares(market, amm, wallet.address) == [10 * MICRO, 10 * MICRO]
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
    await market.ask("evm_setAutomine", False)
    (first, *_) = await plan(trading, Deed.APPROVE, "10")
    wanted = timed(trading, first)
    pending = await act(trading, wanted)
    assert pending.done is Done.PENDING
    await market.ask("anvil_dropTransaction", pending.transaction)
    other = doing_nothing(POLYGON, KEY.address, 0, Fees(tip=10**11, max_fee=10**12)).signed(KEY.sign)
    await market.ask("eth_sendRawTransaction", "0x" + other.raw.hex())
    await market.ask("evm_setAutomine", True)
    await trading.finalize()
    report = await land(trading, wanted)
    assert report.done is Done.LANDED
    assert report.transaction != pending.transaction
    assert await sent_by(market, KEY) == 2


async def test_what_comes_too_late_is_cancelled_on_its_nonce_and_may_be_asked_for_anew(
    venues: tuple[Node, Deployed], market: Market
) -> None:
    """What does nothing was mined in its place: it costs gas, and the same key can be done later."""
    wall = Wall()
    key, wallet = await fund(market, EOA)
    async with (
        open_asked(venues[0]) as chain,
        open_trading(market, chain.nodes, wall, signing=Signing(key), wallet=wallet) as trading,
    ):
        (first, *_) = await plan(trading, Deed.APPROVE, "10")
        await market.ask("evm_setAutomine", False)
        wanted = timed(trading, first)
        assert (await act(trading, wanted)).done is Done.PENDING
        wall.ahead_s = 61.0
        ((operator, _),) = trading.executor.operators.of(wallet)
        await operator.follow()
        await market.ask("evm_setAutomine", True)
        await trading.finalize()
        refused = await land(trading, wanted)
        assert (refused.done, refused.why) == (Done.REFUSED, "what does nothing was mined in its place")
        assert refused.gas_wei > 0
        landed = await land(trading, timed(trading, first))
        assert landed.done is Done.LANDED
        assert await sent_by(market, KEY) == 2


async def test_what_is_refused_within_its_block_says_why(trading: Trading) -> None:
    """The money was there when it was sent; its gas is paid all the same."""
    market, amm = trading.market, trading.market.deployed.amms[0]
    rival = market.rival
    condition = await condition_of(market, amm)
    await market.ask("anvil_impersonateAccount", KEY.address)
    await market.chain.do(KEY.address, amm.usdc, "approve(address,uint256)", rival, MAX)
    allowed, wanted = await plan(trading, Deed.SPLIT, "1000", condition_id=condition)
    await land_all(trading, [allowed])
    await market.ask("evm_setAutomine", False)
    split = timed(trading, wanted)
    assert (await act(trading, split)).done is Done.PENDING
    taken = calldata("transferFrom(address,address,uint256)", (KEY.address, rival, 1))
    dear = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11), "gas": hex(100_000)}
    await market.ask("eth_sendTransaction", {"from": rival, "to": amm.usdc, "data": taken, **dear})
    await market.ask("evm_mine")
    waits = await act(trading, split)
    assert (waits.done, waits.why) == (Done.PENDING, "it was refused within its block, which is not final yet")
    await trading.finalize()
    refused = await act(trading, split)
    assert (refused.done, refused.transaction) == (Done.REFUSED, waits.transaction)
    assert refused.gas_wei > 0
    assert refused.why not in ("", "refused without a word")


async def test_who_has_no_coin_for_gas_sends_nothing(trading: Trading) -> None:
    (first, *_) = await plan(trading, Deed.APPROVE, "10")
    await trading.market.ask("anvil_setBalance", KEY.address, "0x0")
    with pytest.raises(OrderNotSent, match="Insufficient funds for gas"):
        await act(trading, timed(trading, first))
    assert "no-gas-money" in [kind for kind, _ in trading.troubles]


async def test_what_the_guard_refuses_is_not_sent(trading: Trading) -> None:
    """An allowance for a stranger is signed for nobody."""
    (first, *_) = await plan(trading, Deed.APPROVE, "10")
    wanted = timed(trading, first)
    stranger = Call(to=wanted.calls[0].to, data=wanted.calls[0].data[:16] + b"\xee" * 20 + wanted.calls[0].data[36:])
    with pytest.raises(OrderNotSent, match=r"policy\.contracts"):
        await act(trading, evolve(wanted, calls=(stranger,)))
    assert trading.signing.signed == []
