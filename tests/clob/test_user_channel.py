"""The user channel: what it tells is looked up at once, and spares looks; whatever it does, books are as without it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from attrs import evolve

from tests.clob.live import trading
from tests.clob.traded import KEY, Traded, open_traded
from trio_copy.clock import anchored_wall_clock
from trio_copy.model.decisions import Code, End, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status, Wallet
from trio_copy.model.units import Rounding
from trio_copy.native import SecretKey
from trio_copy.testing.clob_venue import Settles, open_clob_venue
from trio_copy.testing.clob_venue.api_keys import ApiKeys
from trio_copy.testing.samples import sample_intent, sample_signal, sample_task
from trio_copy_clob.sending import user_channel
from trio_copy_clob.sending.open_orders import Step
from trio_copy_clob.sending.user_channel import Told, told_of
from trio_copy_clob.settings import ClobSettings

Clock = trio.testing.MockClock
WALLET = Wallet(follower=FollowerId("alice"), address=KEY.address)
_SLOW = {"mined_after_s": 5, "confirmed_after_s": 25}
_FINAL_S = 30
_DOWN = Rounding.DOWN


async def prepared(
    traded: Traded, number: int = 1, wallet: Wallet = WALLET, side: Side = Side.BUY, **changes: Any
) -> Order:
    intent = evolve(sample_intent(side), **changes)
    market = await traded.executor.market(intent.token_id)
    return traded.executor.prepare(sample_task(sample_signal(number, side=side)).key, intent, wallet, market)


async def look_until(
    traded: Traded, order: Order, ends: Callable[[ExecutionReport], bool], most_s: float = 120
) -> ExecutionReport:
    """Look an order up every two seconds, and at once where there is news, as the reconciler does."""
    with trio.fail_after(most_s):
        while True:
            report = await traded.executor.find(order)
            if report is not None and ends(report):
                return report
            with trio.move_on_after(2):
                await traded.news.wait()


def _has(micro: int, report: ExecutionReport) -> bool:
    return report.shares.micro == micro


def is_final(report: ExecutionReport) -> bool:
    return report.proven and report.settlement in (Settlement.FIRM, Settlement.FAILED)


async def _settle(traded: Traded, number: int = 1) -> tuple[Order, ExecutionReport, float, int]:
    """Send an order, and wait until it is settled: how, after how long, and by how many looks."""
    order = await prepared(traded, number)
    began, before = trio.current_time(), traded.asked("/data/trades")
    await traded.executor.submit(order)
    report = await look_until(traded, order, is_final)
    return order, report, trio.current_time() - began, traded.asked("/data/trades") - before


@pytest.mark.parametrize(
    ("listens", "settles", "most_looks", "most_s"),
    [
        (False, Settles.PROMPTLY, 17, 32),
        (True, Settles.PROMPTLY, 6, 30.1),
        (True, Settles.FAILED, 6, 10.1),
        (True, Settles.RETRIED, 8, 35.1),
    ],
)
async def test_the_end_of_a_trade_is_heard_and_few_looks_are_needed(
    autojump_clock: Clock, listens: bool, settles: Settles, most_looks: int, most_s: float
) -> None:
    """It is looked up the moment it is told; until then not at all, but for now and then, once the channel has told something."""
    async with open_traded(listens=listens, faults={**_SLOW, "settles": settles}) as traded:
        order, report, took_s, looks = await _settle(traded)
        failed = settles is Settles.FAILED
        assert report.settlement is (Settlement.FAILED if failed else Settlement.FIRM)
        assert took_s <= most_s
        assert looks <= most_looks
        assert listens or looks > 12
        (fill,) = traded.server.clob.record.fills(order.order_id)
        assert report.shares.micro == fill.shares
        await trio.sleep(1)
        assert traded.server.user_channel.listeners == 0, "nothing is open: nobody listens"
        assert traded.kinds == []


async def test_beside_others_an_order_needs_three_looks_however_long_it_settles(autojump_clock: Clock) -> None:
    """The channel is known to be good: one look when it is told to be on the chain, one after twenty seconds, one at its end."""
    async with open_traded(listens=True, faults=_SLOW) as traded:
        await traded.executor.submit(await prepared(traded, 1))
        await trio.sleep(10)
        _, report, took_s, looks = await _settle(traded, 2)
        assert report.settlement is Settlement.FIRM
        assert (round(took_s), looks) == (_FINAL_S, 3)


async def test_a_channel_that_was_good_and_says_no_more_costs_a_while(autojump_clock: Clock) -> None:
    """Twenty seconds at most, though it still answers to pings; and while it is new, it is not relied on."""
    async with open_traded(listens=True, faults=_SLOW) as traded:
        order = await prepared(traded)
        began = trio.current_time()
        await traded.executor.submit(order)
        with trio.move_on_after(15):
            await look_until(traded, order, is_final)
        traded.server.faults.mute_user_channel = True
        assert (await look_until(traded, order, is_final)).settlement is Settlement.FIRM
        assert _FINAL_S <= trio.current_time() - began < _FINAL_S + 20 + 2


def _garbage(order: Order) -> list[str]:
    return ["", "[", "\x00", "[" * 2000, "[1, null, {}]", '{"event_type":"trade"}', '{"event_type":"order","id":7}']


def _lies(order: Order) -> list[str]:
    trade = {"event_type": "trade", "taker_order_id": order.order_id.upper().replace("0X", "0x"), "maker_orders": None}
    makers = [{"order_id": order.order_id}, {"order_id": "of somebody else"}]
    return [
        msgspec.json.encode({**trade, "status": "CONFIRMED"}).decode(),
        msgspec.json.encode({**trade, "status": "FAILED", "taker_order_id": "", "maker_orders": makers}).decode(),
        msgspec.json.encode({"event_type": "order", "type": "CANCELLATION", "id": order.order_id}).decode(),
    ]


def _forget_keys(traded: Traded) -> None:
    clob = traded.server.clob
    traded.server.user_channel.keys = ApiKeys(clob.clock, clob.chain_id)


@pytest.mark.parametrize(
    ("faults", "does", "says", "kinds"),
    [
        ({"refuse_channel": 403}, None, None, ["user-channel-away"]),
        ({"mute_user_channel": True}, None, None, []),
        ({"deaf": True}, None, None, []),
        ({}, _forget_keys, None, ["user-channel-away"]),
        ({}, lambda traded: traded.server.user_channel.drop_connections(), None, ["user-channel-away"]),
        ({"mute_user_channel": True}, None, _garbage, ["user-channel-unreadable"]),
        ({"mute_user_channel": True}, None, _lies, []),
    ],
    ids=["refused", "mute", "deaf", "no such key", "cut", "garbage", "lies"],
)
async def test_whatever_the_channel_does_books_are_as_without_it(
    autojump_clock: Clock,
    faults: dict[str, Any],
    does: Callable[[Traded], None] | None,
    says: Callable[[Order], list[str]] | None,
    kinds: list[str],
) -> None:
    """What settles is what the venue's record says, and no later; a person hears once of a channel that stays away."""
    async with open_traded(listens=True, faults={**_SLOW, **faults}) as traded, trio.open_nursery() as nursery:
        order = await prepared(traded)

        async def misbehave() -> None:
            while True:
                if does is not None:
                    does(traded)
                for frame in [] if says is None else says(order):
                    traded.server.user_channel.send_to_all(frame)
                await trio.sleep(1)

        nursery.start_soon(misbehave)
        _, report, took_s, looks = await _settle(traded)
        nursery.cancel_scope.cancel()
        (fill,) = traded.server.clob.record.fills(order.order_id)
        assert (report.settlement, report.shares.micro, report.notional.micro) == (
            Settlement.FIRM,
            fill.shares,
            fill.cash,
        )
        assert _FINAL_S <= took_s <= _FINAL_S + 2
        assert looks <= 2 * _FINAL_S + 2
        assert sorted(set(traded.kinds)) == kinds


async def test_a_channel_is_told_to_be_away_once_and_back_once(autojump_clock: Clock) -> None:
    """However long it is away, and however often it is tried."""
    async with open_traded(listens=True, faults={**_SLOW, "settles": Settles.NEVER, "refuse_channel": 503}) as traded:
        order = await prepared(traded)
        await traded.executor.submit(order)
        with trio.move_on_after(200):
            await look_until(traded, order, is_final, 1000)
        assert traded.kinds == ["user-channel-away"]
        assert "HTTP status 503" in traded.told[0][1]
        traded.server.faults.refuse_channel = None
        with trio.move_on_after(100):
            await look_until(traded, order, is_final, 1000)
        assert traded.kinds == ["user-channel-away", "user-channel-back"]


async def test_who_finds_no_room_waits_for_it(autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are so many connections at a time, and who has none is asked about as ever."""
    monkeypatch.setattr(user_channel, "MOST", 1)
    key = SecretKey(b"\x02" * 32)
    bob = Wallet(follower=FollowerId("bob"), address=key.address, name="bob")
    async with open_traded(listens=True, others={"bob": key}, faults=_SLOW) as traded:
        first, second = await prepared(traded, 1), await prepared(traded, 2, bob)
        await traded.executor.submit(first)
        await trio.sleep(10)
        await traded.executor.submit(second)
        for order, end_s, looks in ((first, 30, 6), (second, 40, 16)):
            before = traded.asked("/data/trades")
            await look_until(traded, order, is_final)
            assert trio.current_time() < end_s + 2.5
            assert traded.asked("/data/trades") - before <= looks
            assert traded.server.user_channel.listeners <= 1
        assert traded.server.user_channel.handshakes == 2


async def test_who_may_not_sign_is_not_listened_for(autojump_clock: Clock) -> None:
    """Neither is a heartbeat sent for him; a person hears of both, and all else goes on."""
    async with open_traded(listens=True) as traded:
        order = await prepared(traded, order_type="GTC")
        traded.signer.refuses = Reason(code=Code.GUARD_REFUSED, control="wallet.hot", value="not armed", limit="armed")
        traded.executor.open_orders.put(order, traded.executor._known_as(traded.signer), None)
        await trio.sleep(30)
        assert sorted(traded.kinds) == ["user-channel-away", "venue-heartbeat-away"]
        assert all("no API key: wallet.hot" in detail for _, detail in traded.told)


@pytest.mark.parametrize("listens", [False, True])
async def test_what_rests_is_booked_as_it_is_filled(autojump_clock: Clock, listens: bool) -> None:
    """A fill of a resting order is heard of, and looked up at once; so is its end. Called off, it is looked up in any case."""
    async with open_traded(listens=listens, faults=_SLOW) as traded:
        order = await prepared(
            traded, order_type="GTC", limit_price=sample_intent().limit_price.lowered_bps(1000, _DOWN)
        )
        assert (await traded.executor.submit(order)).status is Status.RESTING
        for number in (1, 2):
            with trio.move_on_after(20):
                await look_until(traded, order, is_final)
            traded.server.clob.trade_against(order.order_id, 2_000_000)
            began = trio.current_time()
            await look_until(traded, order, partial(_has, 2_000_000 * number))
            assert trio.current_time() - began <= (0.6 if listens else 2)
        await traded.executor.cancel(order)
        report = await traded.executor.find(order)
        assert report is not None
        assert (report.off_book, report.shares.micro) == (True, 4_000_000)
        ended = await look_until(traded, order, lambda one: one.proven)
        assert (ended.status, ended.shares.micro) == (Status.PARTIAL, 4_000_000)
        assert (await look_until(traded, order, is_final)).settlement is Settlement.FIRM


async def test_the_engine_settles_what_it_hears_of(tmp_path: Any, autojump_clock: Clock) -> None:
    """Through the whole engine: purchases and sales, heard of the moment they are settled, and booked as the venue has them."""
    async with trading(tmp_path, listens=True, faults={"mined_after_s": 2, "confirmed_after_s": 7}) as world:
        for number, side in enumerate(Side, 1):
            world.chain.mine(world.buy(side=side))
            began = trio.current_time()
            await world.wait_settled(2 * number)
            assert trio.current_time() - began < 9 + 1.5
        assert [one.outcome.end for one in world.recorder.finished] == [End.FILLED] * 4
        assert world.booked == world.recorded
        assert world.server.http.requests["/clob/data/trades"] <= 3 * 4
        assert world.recorder.alerts == []


async def test_over_real_sockets_with_heartbeats(tmp_path: Any) -> None:
    """The same between two ends of a real connection: what rests is kept alive, and its fills are heard of."""
    wall = anchored_wall_clock()
    async with open_traded(open_clob_venue, wall=wall, listens=True) as traded:
        order = await prepared(
            traded,
            order_type="GTC",
            leader_time=int(wall()),
            limit_price=sample_intent().limit_price.lowered_bps(1000, _DOWN),
        )
        await traded.executor.submit(order)
        heard: tuple[Any, ...] = ()
        with trio.fail_after(10):
            await trio.lowlevel.checkpoint()
            while order.key not in heard:
                traded.server.clob.trade_against(order.order_id, 100_000)
                with trio.move_on_after(0.3):
                    heard = await traded.news.wait()
        report = await traded.executor.find(order)
        assert report is not None
        assert (report.status, report.shares.micro % 100_000) == (Status.RESTING, 0)
        assert report.shares.micro > 0
        assert traded.asked("/v1/heartbeats") >= 1
        assert traded.kinds == []


@pytest.mark.parametrize(
    ("event", "tells"),
    [
        ({"event_type": "order", "id": "0xAB"}, Told(("0xab",))),
        ({"event_type": "trade", "status": "MINED", "taker_order_id": "0xA"}, Told(["0xa"], Step.MINED)),
        (
            {"event_type": "trade", "status": "TRADE_STATUS_CONFIRMED", "taker_order_id": "0xA"},
            Told(["0xa"], Step.ENDED),
        ),
        (
            {"event_type": "trade", "status": "failed", "taker_order_id": "1", "maker_orders": [{"order_id": "2"}]},
            Told(["1", "2"], Step.ENDED),
        ),
        ({"event_type": "something new", "id": 7}, Told()),
        ({}, Told()),
        ({"event_type": "order"}, None),
        ({"event_type": "trade", "taker_order_id": "1"}, None),
        ({"event_type": "trade", "status": "MINED", "maker_orders": [7]}, None),
        ([], None),
    ],
    ids=str,
)
def test_what_an_event_tells(event: object, tells: Told | None) -> None:
    """Of whom, and whether it is an end; None is what cannot be read."""
    told = told_of(msgspec.Raw(msgspec.json.encode(event)))
    assert isinstance(told, ValueError) if tells is None else told == tells


def test_another_venue_gets_no_connection_to_polymarket() -> None:
    """Its API keys are its own: the channel as it stands belongs to the CLOB as it stands."""
    there, here = "wss://there.test/ws", "http://127.0.0.1:1"
    assert ClobSettings().user_channel == ClobSettings().user_url
    assert ClobSettings(clob_url=here).user_channel == ""
    assert ClobSettings(clob_url=here, user_url=there).user_channel == there
    assert ClobSettings(user_url="").user_channel == ""
    with pytest.raises(ValueError, match="expected wss://HOST"):
        ClobSettings(user_url="ws://there.test/ws")
