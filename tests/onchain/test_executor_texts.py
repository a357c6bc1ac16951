"""What nodes say of what they are given, in their own words: it is bought once, or never, and the books know which."""

from collections.abc import AsyncGenerator

import pytest
import trio

from tests.onchain.deployed import Deployed, Market
from tests.onchain.executing import Signing, SigningFor
from tests.onchain.faulting import KEY, Bench, fund, open_bench
from tests.onchain.proxying import Exchange, Rule, hangs_up, refuses, says, takes_and
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import Status, Wallet
from trio_copy.testing.anvil import Node
from trio_copy_onchain.tx.fees import GWEI

pytestmark = pytest.mark.anvil
FORGOTTEN_S = 4.0
"""So long after it was sent, it is asked whether nodes still have it."""


@pytest.fixture
async def bench(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Bench, None]:
    await fund(market, KEY.address)
    async with open_bench(venues, market, "one", "two") as one:
        await one.mining(False)
        yield one


TAKEN = [
    (-32000, "already known"),
    (-32003, "transaction already imported"),
    (-32000, "INTERNAL_ERROR: existing tx with same hash"),
    # What proves nothing, of what was taken all the same.
    (-32000, "nonce too low: next nonce 4, tx nonce 3"),
    (-32603, "Internal error"),
]


@pytest.mark.parametrize("code, text", TAKEN)
async def test_what_was_taken_is_bought_once_whatever_is_said(bench: Bench, code: int, text: str) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    bench.rule(takes_and(refuses(text, code)))
    await bench.leave(order)
    assert len(await bench.pooled()) == 1
    await bench.bought_once(order, shares, nonce)
    assert len({raw for node in bench.nodes.values() for raw in node.sent()}) == 1


UNPROVEN: list[tuple[str, Rule]] = [
    ("nonce too low", refuses("nonce too low")),
    ("pool full", refuses("txpool is full")),
    ("pool full, and taken", takes_and(refuses("txpool is full"))),
    ("unknown words, and taken", takes_and(refuses("the moon is full"))),
    ("another hash, and taken", takes_and(says("0x" + "ab" * 32))),
    ("garbage", lambda exchange: exchange.say("{" * 50)),
    ("closed", hangs_up),
    ("closed, and taken", takes_and(hangs_up)),
]


@pytest.mark.parametrize("told", [one for _, one in UNPROVEN], ids=[name for name, _ in UNPROVEN])
async def test_what_proves_nothing_goes_out_again_to_the_byte(bench: Bench, told: Rule) -> None:
    """Whether or not it was taken, nobody knows: it is no other transaction that is sent then."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    bench.rule(told)
    await bench.leave(order)
    bench.obey()
    bench.wall.ahead_s += FORGOTTEN_S
    await bench.until(bench.pooled, "sent again")
    assert len({raw for node in bench.nodes.values() for raw in node.sent()}) == 1
    await bench.bought_once(order, shares, nonce)


async def test_a_node_that_has_no_time_is_left_alone_and_the_other_one_has_it(bench: Bench) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    bench.rule(refuses("Your app has exceeded its compute units per second capacity.", 429), "one")
    await bench.leave(order)
    await bench.bought_once(order, shares, nonce)


@pytest.mark.parametrize(
    "text",
    ["replacement transaction underpriced", "ReplacementNotAllowed"],
)
async def test_one_that_stands_in_its_place_is_outbid(bench: Bench, text: str) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    refused: list[str] = []

    async def twice(exchange: Exchange) -> None:
        raw = exchange.params[0]
        if raw in refused or len(refused) < 2:
            refused.append(raw)
            await exchange.refuse(-32000, text)
        else:
            await exchange.say(await exchange.ask())

    bench.rule(twice, "one")
    bench.rule(refuses(text), "two")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.trading.submit, order)
        await bench.until(bench.pooled, "outbid")
        nursery.cancel_scope.cancel()
    binding = bench.operator.binding(order.key)
    assert binding is not None
    assert len(binding.sendings) >= 3
    await bench.bought_once(order, shares, nonce)


CHEAP = [
    ("transaction gas price below minimum: gas tip cap 25000000000, minimum needed 31000000000", 31),
    ("transaction underpriced: tip needed 40000000000, tip permitted 25000000000", 40),
    ("FEE_TOO_LOW: underpriced", 28),
    ("FeeTooLow, EffectivePriorityFeePerGas too low 25000000000 < 30000000000, BaseFee: 7", 30),
]


@pytest.mark.parametrize("text, gwei", CHEAP)
async def test_what_is_too_cheap_pays_what_is_asked_for(bench: Bench, text: str, gwei: int) -> None:
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    first: list[str] = []

    async def dearer(exchange: Exchange) -> None:
        if exchange.params[0] in first or not first:
            first.append(exchange.params[0])
            await exchange.refuse(-32000, text)
        else:
            await exchange.say(await exchange.ask())

    bench.rule(dearer, "one")
    bench.rule(refuses(text), "two")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.trading.submit, order)
        await bench.until(bench.pooled, "dearer")
        nursery.cancel_scope.cancel()
    (waits,) = await bench.pooled()
    assert int(waits["maxPriorityFeePerGas"], 16) >= gwei * GWEI
    await bench.bought_once(order, shares, nonce)


async def test_what_costs_more_than_the_cap_was_never_sent(bench: Bench) -> None:
    """Its nonce is the next one's, and it is bought when it is cheap again, with the same bytes or none."""
    order, shares, nonce = await bench.buy(), await bench.shares(), await bench.nonce()
    text = "transaction underpriced: gas tip cap 1, minimum needed 2000000000000"
    bench.rule(refuses(text))
    with pytest.raises(OrderNotSent, match="underpriced"):
        await bench.trading.submit(order)
    bench.obey()
    other = await bench.buy("30", key="cd")
    await bench.leave(other)
    binding = bench.operator.binding(other.key)
    assert binding is not None
    assert binding.nonce == nonce
    await bench.bought_once(other, shares, nonce)
    # That it is used by the next one is no news; the first one gets another, once that is final.
    await bench.found(order, status=Status.ABSENT)
    await bench.until(lambda: (one := bench.operator.binding(order.key)) is not None and one.end is not None, "ended")
    assert "nonce-used-elsewhere" not in bench.kinds
    held = await bench.shares()
    await bench.leave(order)
    await bench.bought_once(order, held, nonce + 1)


UNFIT = [
    "intrinsic gas too low",
    "tx fee (2.00 ether) exceeds the configured cap (1.00 ether)",
    "Invalid, InvalidTxChainId: Expected 137, got 1.",
]


@pytest.mark.parametrize("text", UNFIT)
async def test_what_no_node_takes_is_rejected_and_its_sender_stops(bench: Bench, text: str) -> None:
    order, nonce = await bench.buy(), await bench.nonce()
    bench.rule(refuses(text))
    report = await bench.trading.submit(order)
    assert report.status is Status.REJECTED
    assert text in report.detail
    assert "operator-stopped" in bench.kinds
    bench.obey()
    with pytest.raises(OrderNotSent, match="no node takes it"):
        await bench.trading.submit(await bench.buy(key="cd"))
    assert (await bench.pooled(), await bench.nonce()) == ([], nonce)


async def test_an_operator_that_was_stopped_sends_again_once_its_wallet_is_armed(bench: Bench) -> None:
    """Without a restart: whoever arms it says that it is mended. An arming from before the stop says nothing."""
    bench.trading.signing.armed_at = bench.wall() - 1
    bench.rule(refuses(UNFIT[0]))
    await bench.trading.submit(await bench.buy())
    bench.obey()
    with pytest.raises(OrderNotSent, match="no node takes it"):
        await bench.trading.submit(await bench.buy(key="cd"))
    bench.trading.signing.armed_at = bench.wall() + 1
    order, shares, nonce = await bench.buy(key="ef"), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    await bench.bought_once(order, shares, nonce)
    told = [kind for kind in bench.kinds if kind.startswith("operator-")]
    assert told == ["operator-stopped", "operator-goes-on"]


async def test_an_operator_that_was_stopped_sends_again_once_any_wallet_is_armed_that_it_sends_for(
    bench: Bench,
) -> None:
    """As the alert says; the one that is armed may have nothing to send."""
    operators, other = bench.trading.executor.operators, Signing(KEY)
    ours, operators.signers = operators.signers, SigningFor([other])
    operators.know([Wallet(follower=FollowerId("bob"), address=other.address, name="other")])
    operators.signers = ours
    bench.rule(refuses(UNFIT[0]))
    await bench.trading.submit(await bench.buy())
    bench.obey()
    other.armed_at = bench.wall() + 1
    order, shares, nonce = await bench.buy(key="ef"), await bench.shares(), await bench.nonce()
    await bench.leave(order)
    await bench.bought_once(order, shares, nonce)


async def test_each_arming_lets_an_operator_try_once_however_the_clock_is_set(bench: Bench) -> None:
    """Set back after an arming, what stops since seems to be older for ever; set back before it, it seems never to be."""
    bench.rule(refuses(UNFIT[0]))
    signing = bench.trading.signing
    for jump_before, jump_after in ((0.0, -3600.0), (-3600.0, 0.0)):
        await bench.trading.submit(await bench.buy(key="ab"))
        bench.wall.ahead_s += 2 + jump_before
        signing.armed_at = bench.wall()
        bench.wall.ahead_s += 2 + jump_after
        assert (await bench.trading.submit(await bench.buy(key="cd"))).status is Status.REJECTED
        for key in ("e1", "e2"):
            with pytest.raises(OrderNotSent, match="no node takes it"):
                await bench.trading.submit(await bench.buy(key=key))
        bench.operator.stopped = ""


async def test_an_operator_that_is_stopped_again_after_an_arming_tells_so_at_once(bench: Bench) -> None:
    """Within a minute too: who heard last that it goes on would believe so."""
    bench.rule(refuses(UNFIT[0]))
    for key in ("ab", "cd"):
        report = await bench.trading.submit(await bench.buy(key=key))
        assert report.status is Status.REJECTED
        bench.trading.signing.armed_at = bench.wall() + 1
        bench.wall.ahead_s += 2
    told = [kind for kind in bench.kinds if kind.startswith("operator-")]
    assert told == ["operator-stopped", "operator-goes-on", "operator-stopped"]


async def test_what_was_refused_by_all_and_may_not_be_signed_dearer_is_not_sent(bench: Bench) -> None:
    """It does not leave later on either, when gas is cheap again: it was said not to be sent."""
    order = await bench.buy()
    signing = bench.trading.signing

    async def too_cheap(exchange: Exchange) -> None:
        signing.refuses = Reason(code=Code.VENUE_REFUSED, control="guard", value="1", limit="0")
        await exchange.refuse(-32000, "transaction underpriced")

    bench.rule(too_cheap)
    with pytest.raises(OrderNotSent):
        await bench.trading.submit(order)
    bench.obey()
    bench.wall.ahead_s += FORGOTTEN_S
    await bench.operator.follow()
    assert not await bench.pooled()
