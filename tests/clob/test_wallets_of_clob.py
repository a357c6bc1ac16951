"""Wallets of `clob` are ready before their first order, stop where the venue refuses them, and go on once they are armed."""

import pytest
import trio
import trio.testing

from tests.clob.traded import WALLET, open_traded, posts, prepared
from trio_copy import native
from trio_copy.clock import wall_clock_from
from trio_copy.errors import OrderNotSent, PluginError
from trio_copy.model.fills import Side
from trio_copy.model.orders import Status
from trio_copy.testing.clob_venue import (
    Answered,
    Standing,
    Tier,
)
from trio_copy.testing.samples import sample_intent
from trio_copy_clob.sending.stops import Stop

Clock = trio.testing.MockClock


async def test_a_stopped_wallet_is_told_once_and_sends_nothing_more(autojump_clock: Clock) -> None:
    """What the venue said stands in every later task's reason."""
    async with open_traded() as traded:
        traded.server.faults.standing = Standing.BANNED
        first, second = await prepared(traded, 1), await prepared(traded, 2)
        await traded.executor.submit(first)
        sent = len(traded.server.clob.record.of(Answered))
        with pytest.raises(OrderNotSent, match="banned"):
            await traded.executor.submit(second)
        assert len(traded.server.clob.record.of(Answered)) == sent
        assert traded.kinds == ["venue-stopped"]
        # He may trade again, and a person says so: no restart is needed.
        traded.server.faults.clear()
        await trio.sleep(10)
        traded.signer.armed_at = traded.executor.context.wall()
        await trio.sleep(1)
        assert (await traded.executor.submit(second)).status is Status.FILLED
        assert traded.kinds == ["venue-stopped", "venue-goes-on"]


async def test_an_arming_lifts_what_stops_all_though_its_wallet_has_nothing_to_send(autojump_clock: Clock) -> None:
    """The alert names the wallet whose order met it; others would be held up until that one has another order."""
    async with open_traded(wallets=(WALLET,)) as traded:
        stops = traded.executor.stopping.stops
        stops.stop(Stop.EGRESS, "", "the region is blocked", now=trio.current_time())
        await trio.sleep(20)
        assert stops.standing(trio.current_time())
        traded.signer.armed_at = traded.executor.context.wall()
        await trio.sleep(10)
        assert stops.standing(trio.current_time()) == []
        assert traded.kinds == ["venue-goes-on"]


@pytest.mark.parametrize("jump_s", [7200.0, -7200.0])
async def test_an_arming_lifts_what_stood_before_it_and_nothing_later_however_the_clock_jumps(
    autojump_clock: Clock, jump_s: float
) -> None:
    """The machine sleeps after it, which Trio's clock does not count, or the clock follows the system's, which was set back."""
    steady, ahead = wall_clock_from(sample_intent().leader_time), [0.0]
    async with open_traded(wall=lambda: steady() + ahead[0], wallets=(WALLET,)) as traded:
        orders = [await prepared(traded, number) for number in range(1, 6)]
        traded.server.faults.standing = Standing.BANNED
        await traded.executor.submit(orders[0])
        await trio.sleep(100)
        traded.signer.armed_at = traded.executor.context.wall()
        await trio.sleep(30)
        ahead[0] += jump_s
        await trio.sleep(30)
        # It is tried again, once, and stopped again.
        await traded.executor.submit(orders[1])
        assert traded.kinds == ["venue-stopped", "venue-goes-on", "venue-stopped"]
        sent = len(traded.server.clob.record.of(Answered))
        for order in orders[2:]:
            await trio.sleep(60)
            with pytest.raises(OrderNotSent, match="banned"):
                await traded.executor.submit(order)
        assert len(traded.server.clob.record.of(Answered)) == sent


async def test_wallets_are_made_ready_before_their_first_order(autojump_clock: Clock) -> None:
    """Their API keys are there, and one that may only leave buys nothing."""
    async with open_traded(wallets=(WALLET,), faults={"standing": Standing.CLOSED_ONLY}) as traded:
        await trio.sleep(5)
        sale, purchase = await prepared(traded, side=Side.SELL), await prepared(traded, 2)
        assert traded.kinds == ["venue-stopped"]
        with pytest.raises(OrderNotSent, match="no entries of this wallet"):
            await traded.executor.submit(purchase)
        assert (await traded.executor.submit(sale)).shares


async def test_a_tier_is_known_before_the_first_order_and_the_time_again_every_ten_minutes(
    autojump_clock: Clock,
) -> None:
    """A burst of first orders goes as fast as the venue lets this signer; and clocks run apart."""
    async with open_traded(wallets=(WALLET,), faults={"tier": Tier.GOLD}) as traded:
        await trio.sleep(5)
        (signer,) = traded.executor._signers.values()
        assert (signer.limits.orders.bucket.per_s, posts(traded)) == (400, [])
        before = traded.asked("/time")
        await trio.sleep(590)
        assert traded.asked("/time") == before
        await trio.sleep(20)
        assert traded.asked("/time") == before + 1


def test_without_native_code_it_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""

    async def open_it() -> None:
        async with open_traded():
            raise AssertionError("it opened")

    monkeypatch.setattr(native, "_WHY", ImportError("no coincurve", name="coincurve"))
    with pytest.RaisesGroup(pytest.RaisesExc(PluginError, match="coincurve is not installed"), flatten_subgroups=True):
        trio.run(open_it, clock=trio.testing.MockClock(autojump_threshold=0))
