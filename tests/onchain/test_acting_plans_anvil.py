"""What wallets approve, split, merge and redeem is planned by what the chain says, in words and to the unit, and then it is so."""

from collections.abc import AsyncGenerator

import pytest

from tests.onchain.acting import (
    condition_of,
    decide,
    land,
    land_all,
    money,
    open_wallet,
    plan,
    report,
    sent_by,
    shares,
    timed,
)
from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import Trading, token_of
from trio_copy.errors import OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import SignatureType, Status
from trio_copy.model.units import MICRO, Price, Shares
from trio_copy.ports import Deed, Done, Held, Paid
from trio_copy.testing.anvil import Node
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool

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
    venues: tuple[Fpmm | Pool, ...] = market.deployed.makers[0], market.deployed.pools[1]
    for place, venue in enumerate(venues):
        keys = f"a{place}", f"b{place}"
        bought = await trading.prepared(token_of(venue), Side.BUY, "20", limit="0.9", key=keys[0])
        filled = await trading.submit(bought)
        assert filled.status is Status.FILLED
        sold = await trading.prepared(token_of(venue), Side.SELL, str(filled.shares), limit="0.1", key=keys[1])
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
    with pytest.raises(OrderNotSent, match=r"the wallet has 1000 USD, and not 1000\.5"):
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
    landed = await land(trading, redeemed)
    assert landed.done is Done.LANDED
    assert landed.gas_wei > 0
    assert await money(market, amm, owner) == before + 10 * MICRO
    sent = await sent_by(market, trading.signing.key)
    assert await land(trading, redeemed) == landed
    assert await sent_by(market, trading.signing.key) == sent
    assert await money(market, amm, owner) == before + 10 * MICRO
    (gone,) = await plan(trading, Deed.REDEEM, held=held(*amm.tokens))
    assert gone.act is None
    assert "by somebody else" in gone.words[-1]


async def test_what_a_reorg_may_still_take_back_is_not_decided(trading: Trading) -> None:
    """Booked by a block that goes again, it would be lost, or won, for nothing."""
    market, amm = trading.market, trading.market.deployed.amms[0]
    condition, tokens = await condition_of(market, amm), held(*amm.tokens)
    await report(market, amm, 0, 1)
    with pytest.raises(OrderNotSent, match="it is not decided yet, in a final block"):
        await plan(trading, Deed.REDEEM, held=tokens, condition_id=condition)
    await trading.finalize()
    assert len(await plan(trading, Deed.REDEEM, held=tokens, condition_id=condition)) == 1


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
