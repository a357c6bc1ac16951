"""Our venue at work: orders meet books, rest, wait, end, and settle; the record tells the truth about it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
import trio_websocket
from attrs import frozen

from tests.builders import NOW
from tests.testing.venue_client import CONDITION, NO, YES, Trader, ask, key_of, open_venue, order_id, put_book, trader
from trio_copy.model.units import Price, Ratio
from trio_copy.testing.clob_venue import (
    Accepted,
    Ended,
    Later,
    OrderAnswer,
    Settled,
    Settles,
    Tier,
    open_clob_venue,
)
from trio_copy.testing.clob_venue.__main__ import main
from trio_copy.testing.clob_venue.signatures import attestation_signer, order_id_of, order_signer

ASKS = [("0.55", "4"), ("0.6", "10"), ("0.7", "100")]
BIDS = [("0.45", "4"), ("0.4", "10"), ("0.3", "100")]


@frozen
class Meeting:
    """An order that meets ASKS and BIDS: the answer's amounts, and those that the record tells in millionths."""

    side: str
    maker: str
    taker: str
    order_type: str
    status: str
    making: str
    taking: str
    shares: int
    cash: int


MEETINGS = [
    # A cash-targeted BUY gets more shares from a better book: 4 for 2.2, and 1.333333 for the other 0.8.
    Meeting("BUY", "3", "5", "FAK", "matched", "2.999999", "5.333333", 5_333_333, 2_999_999),
    Meeting("BUY", "3", "5", "FOK", "matched", "2.999999", "5.333333", 5_333_333, 2_999_999),
    Meeting("BUY", "2.2", "4", "FOK", "matched", "2.2", "4", 4_000_000, 2_200_000),
    Meeting("BUY", "60", "100", "FAK", "matched", "8.2", "14", 14_000_000, 8_200_000),
    Meeting("BUY", "8.2", "11.7142", "FOK", "matched", "8.2", "14", 14_000_000, 8_200_000),
    Meeting("SELL", "5", "2", "FAK", "matched", "5", "2.2", 5_000_000, 2_200_000),
    Meeting("SELL", "50", "20", "FAK", "matched", "14", "5.8", 14_000_000, 5_800_000),
    # A resting BUY names shares, and a better book costs it less.
    Meeting("BUY", "3", "5", "GTC", "matched", "2.8", "5", 5_000_000, 2_800_000),
    Meeting("BUY", "12", "20", "GTC", "matched", "8.2", "14", 14_000_000, 8_200_000),
    Meeting("SELL", "8", "3.2", "GTC", "matched", "8", "3.4", 8_000_000, 3_400_000),
    Meeting("BUY", "5", "10", "GTC", "live", "", "", 0, 0),
]


@pytest.mark.parametrize("case", MEETINGS, ids=str)
async def test_orders_meet_the_book_level_by_level(clock: trio.testing.MockClock, case: Meeting) -> None:
    async with open_venue() as server:
        one = await trader(server, shares={YES: 100})
        put_book(server, asks=ASKS, bids=BIDS)
        before = {
            level.price: level.shares
            for level in (*server.clob.market.books[YES].asks, *server.clob.market.books[YES].bids)
        }
        body = one.order(case.side, case.maker, case.taker, case.order_type)
        told = (await one.post(body)).json

        assert (told["status"], told["success"], told["errorMsg"]) == (case.status, True, "")
        assert (told["makingAmount"], told["takingAmount"]) == (case.making, case.taking)
        assert told["orderID"] == order_id(body)
        fills = server.clob.record.fills(told["orderID"])
        assert (sum(fill.shares for fill in fills), sum(fill.cash for fill in fills)) == (case.shares, case.cash)
        assert [fill.trade_id for fill in fills] == told["tradeIDs"]

        book = server.clob.market.books[YES]
        outside = server.clob.market.outside[YES]
        left = {level.price: level.shares for level in (*outside.asks, *outside.bids)}
        gone = sum(shares.micro - (left[price].micro if price in left else 0) for price, shares in before.items())
        assert gone == case.shares
        assert all(bid.price < ask.price for bid in book.bids for ask in book.asks)

        await trio.sleep(10)
        sign = 1 if case.side == "BUY" else -1
        assert one.wallet.has[YES] == 100_000_000 + sign * case.shares
        assert one.wallet.has[None] == 1000_000_000 - sign * case.cash
        assert one.wallet.matched.total() == 0


@pytest.mark.parametrize(
    ("rate", "exponent", "shares", "cash", "fee"),
    [
        ("0.07", 1, "2.56", "2.3552", 13_180),
        ("0.05", 1, "25", "3.25", 141_370),
        ("0.04", 2, "100", "50", 250_000),
        ("0", 1, "5", "3", 0),
    ],
)
async def test_takers_pay_the_fee_that_trades_do_not_tell(
    clock: trio.testing.MockClock, rate: str, exponent: int, shares: str, cash: str, fee: int
) -> None:
    """The first is a fill of the real venue; the second is 25 x 0.05 x 0.13 x 0.87, down to five decimals."""
    async with open_venue(fee_rate=Ratio.parse(rate), fee_exponent=exponent) as server:
        one = await trader(server)
        price = str(Price.parse(cash).micro * 1_000_000 // Price.parse(shares).micro / 1_000_000)
        put_book(server, asks=[(price, shares)])
        # What nobody may pay: the cash and one cent, of which the fee is no part.
        limit = one.order("BUY", "99", str(int(99 / float(price) * 100) / 100), "FAK")
        placed = (await one.post(limit)).json["orderID"]
        (fill,) = server.clob.record.fills(placed)
        assert (fill.shares, fill.cash, fill.fee) == (Price.parse(shares).micro, Price.parse(cash).micro, fee)
        await trio.sleep(10)
        assert one.wallet.has[None] == 1000_000_000 - fill.cash - fee
        (trade,) = (await one.ask("GET", "/data/trades")).json["data"]
        assert trade["fee_rate_bps"] == "0"


async def test_what_rests_is_in_the_book_and_is_filled_later(clock: trio.testing.MockClock) -> None:
    """By another client, by somebody outside, and by a book that moves; each time at its own price, without a fee."""
    async with open_venue(fee_rate=Ratio.parse("0.05")) as server:
        one, other = await trader(server), await trader(server, 2, shares={YES: 100})
        placed = (await one.post(one.order("BUY", "15", "30", "GTC"))).json["orderID"]
        book = (await ask(server, "GET", f"/book?token_id={YES}", b"", {})).json
        assert book["bids"][-1] == {"price": "0.5", "size": "30"}
        assert one.wallet.held[None] == 15_000_000

        sold = (await other.post(other.order("SELL", "10", "4", "FAK"))).json
        assert (sold["makingAmount"], sold["takingAmount"]) == ("10", "5")
        server.clob.trade_against(placed, 4_000_000)
        put_book(server, bids=[("0.4", "10")], asks=[("0.48", "6"), ("0.6", "10")])
        row = (await one.ask("GET", f"/data/order/{placed}")).json
        assert (row["status"], row["size_matched"], row["original_size"], row["price"]) == ("LIVE", "20", "30", "0.5")
        assert one.wallet.held[None] == 5_000_000
        server.clob.trade_against(placed)

        fills = server.clob.record.fills(placed)
        assert [(fill.shares, fill.cash, fill.fee, fill.maker) for fill in fills] == [
            (10_000_000, 5_000_000, 0, True),
            (4_000_000, 2_000_000, 0, True),
            (6_000_000, 3_000_000, 0, True),
            (10_000_000, 5_000_000, 0, True),
        ]
        assert (await one.ask("GET", f"/data/order/{placed}")).json["status"] == "MATCHED"
        assert server.clob.market.books[YES].bids[0].price == Price.parse("0.4")
        await trio.sleep(10)
        assert (one.wallet.has[YES], one.wallet.has[None], one.wallet.held.total()) == (30_000_000, 985_000_000, 0)
        assert other.wallet.has[YES] == 90_000_000


async def test_a_maker_is_found_among_the_makers_even_of_the_other_token(clock: trio.testing.MockClock) -> None:
    """Filters by market and token are about the taker: who filters by his own token misses such a fill."""
    async with open_venue() as server:
        one = await trader(server)
        placed = (await one.post(one.order("BUY", "3", "10", "GTC"))).json["orderID"]
        server.clob.trade_against(placed, by_opposite=True)

        (trade,) = (await one.ask("GET", "/data/trades")).json["data"]
        assert (trade["asset_id"], trade["side"], trade["price"], trade["trader_side"]) == (
            str(NO),
            "BUY",
            "0.7",
            "MAKER",
        )
        (mine,) = trade["maker_orders"]
        assert (mine["order_id"], mine["asset_id"], mine["side"]) == (placed, str(YES), "BUY")
        assert (mine["price"], mine["matched_amount"], mine["owner"]) == ("0.3", "10", one.api["apiKey"])
        assert (await one.ask("GET", f"/data/trades?asset_id={YES}")).json["data"] == []
        assert (
            len((await one.ask("GET", f"/data/trades?asset_id={NO}&maker_address={one.wallet.address}")).json["data"])
            == 1
        )


async def test_trades_are_told_in_pages_the_newest_first(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        server.faults.tier = Tier.UNLIMITED
        one = await trader(server)
        placed = (await one.post(one.order("BUY", "50", "100", "GTC"))).json["orderID"]
        for _ in range(205):
            await trio.sleep(1)
            server.clob.trade_against(placed, 10_000)
        got, cursor = [], "MA=="
        while cursor != "LTE=":
            page = (await one.ask("GET", f"/data/trades?next_cursor={cursor}")).json
            got += page["data"]
            cursor = page["next_cursor"]
        times = [int(trade["match_time"]) for trade in got]
        assert times == [int(NOW) + number for number in range(205, 0, -1)]
        between = (await one.ask("GET", f"/data/trades?after={int(NOW) + 10}&before={int(NOW) + 13}")).json["data"]
        assert [int(trade["match_time"]) - NOW for trade in between] == [12, 11]
        named = (await one.ask("GET", f"/data/trades?id={got[7]['id']}")).json["data"]
        assert named == [got[7]]


async def test_an_instant_order_is_looked_up_in_vain(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        placed = (await one.post(one.order("BUY", "3", "5"))).json["orderID"]
        assert (await one.ask("GET", f"/data/order/{placed}")).json is None
        assert [row["id"] for row in (await one.ask("GET", f"/data/orders?id={placed}")).json["data"]] == [placed]
        (trade,) = (await one.ask("GET", "/data/trades")).json["data"]
        assert trade["taker_order_id"] == placed


async def test_orders_are_cancelled_one_by_one_by_market_and_all(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        yes = [(await one.post(one.order("BUY", "1", "5", "GTC"))).json["orderID"] for _ in range(3)]
        no = [(await one.post(one.order("BUY", "1", "5", "GTC", token=NO))).json["orderID"] for _ in range(2)]
        assert one.wallet.held[None] == 5_000_000
        gone = "order can't be found - already canceled or matched"
        for _, expected in (
            (1, {"canceled": [yes[0]], "not_canceled": {}}),
            (2, {"canceled": [], "not_canceled": {yes[0]: gone}}),
        ):
            assert (await one.ask("DELETE", "/order", {"orderID": yes[0]})).json == expected
        unknown = "0x" + "7" * 64
        both = await one.ask("DELETE", "/orders", [yes[1], unknown])
        assert both.json == {"canceled": [yes[1]], "not_canceled": {unknown: gone}}
        market = await one.ask("DELETE", "/cancel-market-orders", {"market": CONDITION, "asset_id": str(NO)})
        assert market.json["canceled"] == no
        assert (await one.ask("DELETE", "/cancel-all")).json["canceled"] == [yes[2]]
        assert one.wallet.held[None] == 0
        assert {entry.status for entry in server.clob.record.of(Ended)} == {"CANCELED"}


async def test_orders_end_when_they_expire_or_their_question_is_decided(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        soon = (await one.post(one.order("BUY", "1", "5", "GTD", expiration=int(NOW) + 200))).json["orderID"]
        late = (await one.post(one.order("BUY", "1", "5", "GTC"))).json["orderID"]
        await trio.sleep(139)
        assert (await one.ask("GET", f"/data/order/{soon}")).json["status"] == "LIVE"
        await trio.sleep(2)
        assert (await one.ask("GET", f"/data/order/{soon}")).json["status"] == "CANCELED_EXPIRED_ORDER"
        server.clob.market.decide(CONDITION, (1_000_000, 0))
        assert (await one.ask("GET", f"/data/order/{late}")).json["status"] == "CANCELED_MARKET_RESOLVED"
        assert one.wallet.held.total() == 0


async def test_without_heartbeats_orders_are_cancelled(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        await one.post(one.order("BUY", "1", "5", "GTC"))
        beat = ""
        for _ in range(5):
            beat = (await one.ask("POST", "/v1/heartbeats", {"heartbeat_id": beat})).json["heartbeat_id"]
            await trio.sleep(8)
        wrong = await one.ask("POST", "/v1/heartbeats", {"heartbeat_id": "x"})
        assert (wrong.status, wrong.json) == (400, {"error": "Invalid Heartbeat ID", "heartbeat_id": beat})
        assert len((await one.ask("GET", "/data/orders")).json["data"]) == 1
        await trio.sleep(20)
        assert (await one.ask("GET", "/data/orders")).json["data"] == []


STEPS: Mapping[Settles, list[tuple[int, str]]] = {
    Settles.PROMPTLY: [(0, "MATCHED"), (2, "MINED"), (4, "CONFIRMED")],
    Settles.NEVER: [(0, "MATCHED")],
    Settles.RETRIED: [(0, "MATCHED"), (2, "RETRYING"), (4, "MINED"), (6, "CONFIRMED")],
    Settles.FAILED: [(0, "MATCHED"), (2, "RETRYING"), (4, "FAILED")],
    Settles.UNDONE: [(0, "MATCHED"), (2, "MINED"), (4, "RETRYING"), (6, "FAILED")],
}


@pytest.mark.parametrize("settles", Settles)
async def test_trades_settle_as_they_are_told_to(clock: trio.testing.MockClock, settles: Settles) -> None:
    """Shares can be sold when they are mined; a trade that fails gives everything back."""
    async with open_venue() as server:
        server.faults.settles = settles
        one = await trader(server)
        await one.post(one.order("BUY", "3", "5"))
        for _ in range(8):
            (status,) = [trade["status"] for trade in (await one.ask("GET", "/data/trades")).json["data"]]
            sold = await one.post(one.order("SELL", "5", "4.5", "GTC"))
            assert (sold.status == 200) is (status in ("MINED", "CONFIRMED"))
            await one.ask("DELETE", "/cancel-all")
            await trio.sleep(1)
        settled = [((entry.at_ms - int(NOW * 1000)) // 1000, entry.status) for entry in server.clob.record.of(Settled)]
        assert settled == STEPS[settles]
        last = settled[-1][1]
        assert one.wallet.has[YES] == (5_000_000 if last == "CONFIRMED" else 0)
        assert one.wallet.has[None] == (997_000_000 if last == "CONFIRMED" else 1000_000_000)
        assert one.wallet.matched[None] == (3_000_000 if last == "MATCHED" else 0)


async def test_what_a_wallet_has_is_read_anew_when_asked(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        server.faults.stale_cache = True
        one = await trader(server)
        path = f"/balance-allowance{{}}?asset_type=CONDITIONAL&token_id={YES}&signature_type=0"
        await one.post(one.order("BUY", "3", "5"))
        await trio.sleep(10)
        assert (await one.ask("GET", path.format(""))).json["balance"] == "0"
        assert "balance: 0" in (await one.post(one.order("SELL", "5", "2"))).error
        assert (await one.ask("GET", path.format("/update"))).json["balance"] == "5000000"
        assert (await one.ask("GET", path.format(""))).json["balance"] == "5000000"
        assert (await one.post(one.order("SELL", "5", "2"))).status == 200
        wrong = await one.ask("GET", path.format("").replace("signature_type=0", "signature_type=2"))
        assert wrong.json["balance"] == "0"


async def test_open_orders_and_unsettled_trades_are_no_balance(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        server.faults.settles = Settles.NEVER
        one = await trader(server, usd=10)
        await one.post(one.order("BUY", "3", "5"))
        await one.post(one.order("BUY", "4", "10", "GTC"))
        refused = (await one.post(one.order("BUY", "3.01", "5.0166"))).error
        assert refused.endswith(
            "balance: 10000000, sum of active orders: 4000000, sum of matched orders: 3000000, order amount (inc. fees): 3010000"
        )
        assert (await one.post(one.order("BUY", "3", "5"))).status == 200


@pytest.mark.parametrize("answer", [OrderAnswer.LIVE, OrderAnswer.DELAYED, OrderAnswer.UNMATCHED])
@pytest.mark.parametrize("later", Later)
async def test_orders_wait_and_nobody_knows_yet(
    clock: trio.testing.MockClock, answer: OrderAnswer, later: Later
) -> None:
    async with open_venue() as server:
        server.faults.order_answer, server.faults.later = answer, later
        one = await trader(server)
        body = one.order("BUY", "3", "5")
        told = (await one.post(body)).json
        assert (told["status"], told["orderID"], told["tradeIDs"], told["makingAmount"]) == (
            answer.value,
            order_id(body),
            [],
            "",
        )
        assert "Duplicated" in (await one.post(body)).error
        assert one.wallet.held[None] == 3_000_000
        assert (await one.ask("GET", f"/data/order/{order_id(body)}")).json["status"] == answer.value.upper()
        if answer is OrderAnswer.DELAYED:
            refused = (await one.ask("DELETE", "/order", {"orderID": order_id(body)})).json["not_canceled"]
            assert refused == {order_id(body): "cannot cancel because the order is in pending/delayed status"}
        await trio.sleep(4)
        assert [fill.shares for fill in server.clob.record.fills(order_id(body))] == [5_000_000] * (
            later is Later.MATCHED
        )
        assert one.wallet.held[None] == 0


@pytest.mark.parametrize("exchange", ["v2", "v2-neg-risk", "v3"])
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
async def test_every_wallet_trades_on_every_exchange(clock: trio.testing.MockClock, exchange: str, kind: int) -> None:
    async with open_venue(neg_risk=exchange == "v2-neg-risk", exchange=3 if exchange == "v3" else 2) as server:
        one = await trader(server, kind=kind)
        body = one.order("BUY", "3", "5", exchange=exchange)
        assert (await one.post(body)).json["orderID"] == order_id(body, exchange)
        (accepted,) = server.clob.record.of(Accepted)
        assert (accepted.exchange, accepted.maker, accepted.signature_type) == (exchange, one.wallet.address, kind)


async def test_batches_are_answered_one_by_one(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        good, bad = one.order("BUY", "3", "5"), one.order("BUY", "2.5", "5")
        rows = (await one.ask("POST", "/orders", [good, bad, good])).json
        assert [row["orderID"] for row in rows] == [order_id(good), "", ""]
        assert rows[1]["success"] is True
        assert rows[1]["errorMsg"].startswith("no orders found to match")
        assert rows[2]["errorMsg"].endswith("Duplicated.")


async def test_signers_have_buckets(clock: trio.testing.MockClock) -> None:
    """Sixty orders at once and forty a second, each signer by himself, and cancels apart from them."""
    async with open_venue() as server:
        one, other = await trader(server), await trader(server, 2)
        assert (await one.ask("GET", "/v1/user/rate-limit-tier")).json["tier"] == "Standard"
        resting = [one.order("BUY", "0.05", "5", "GTC") for _ in range(15)]
        replies = [await one.ask("POST", "/orders", resting) for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 200, 429]
        assert (replies[-1].error, replies[-1].headers["retry-after"]) == ("Too Many Requests", "1")
        assert (await other.post(other.order("BUY", "3", "5"))).headers["poly-ratelimit-remaining"] == "59"
        assert (await one.ask("DELETE", "/cancel-all")).status == 200
        await trio.sleep(1)
        assert [(await one.ask("POST", "/orders", resting)).status for _ in range(3)] == [200, 200, 429]


async def test_the_user_channel_tells_of_orders_and_trades(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server, trio.open_nursery() as nursery:
        one = await trader(server)

        async def listen(**auth: Any) -> trio_websocket.WebSocketConnection:
            stream: Any = await server.open_socket("127.0.0.1", server.port)
            socket = await trio_websocket.wrap_client_stream(nursery, stream, "venue", "/ws/user")
            await socket.send_message(msgspec.json.encode({"type": "user", "auth": auth}).decode())
            return socket

        known = {"secret": one.api["secret"], "passphrase": one.api["passphrase"]}
        stranger = await listen(apiKey=one.api["apiKey"], secret="x", passphrase="y")
        with pytest.raises(trio_websocket.ConnectionClosed):
            await stranger.get_message()
        socket = await listen(apiKey=one.api["apiKey"], **known)
        await socket.send_message("PING")
        assert await socket.get_message() == "PONG"

        resting = (await one.post(one.order("BUY", "2", "5", "GTC"))).json["orderID"]
        server.clob.trade_against(resting)
        await trio.sleep(5)
        canceled = (await one.post(one.order("BUY", "2", "5", "GTC"))).json["orderID"]
        await one.ask("DELETE", "/order", {"orderID": canceled})
        told = [msgspec.json.decode(await socket.get_message()) for _ in range(7)]
        assert [(row["event_type"], row["type"], row["status"]) for row in told] == [
            ("order", "PLACEMENT", "LIVE"),
            ("order", "UPDATE", "MATCHED"),
            ("trade", "TRADE", "MATCHED"),
            ("trade", "TRADE", "MINED"),
            ("trade", "TRADE", "CONFIRMED"),
            ("order", "PLACEMENT", "LIVE"),
            ("order", "CANCELLATION", "CANCELED"),
        ]
        assert told[1]["size_matched"] == "5"
        assert told[2]["maker_orders"][0]["order_id"] == resting
        nursery.cancel_scope.cancel()


async def test_ticks_change_and_are_told(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        assert b"0.01" in (await ask(server, "GET", f"/tick-size?token_id={YES}", b"", {})).body
        event = server.clob.change_tick(CONDITION, Price.parse("0.001"))
        assert [row["new_tick_size"] for row in msgspec.json.decode(event)] == ["0.001", "0.001"]
        assert (await ask(server, "GET", f"/book?token_id={YES}", b"", {})).json["tick_size"] == "0.001"
        assert (await one.post(one.order("BUY", "3.005", "5", "GTC"))).status == 200


async def test_one_address_serves_everything(clock: trio.testing.MockClock) -> None:
    """With the names of the hosts before the paths, as a market server has them, and without."""
    async with open_venue() as server:
        for prefix, target in (
            ("/data", f"/v2/tokens?token_id={YES}"),
            ("/gamma", f"/markets?condition_ids={CONDITION}&closed=false"),
            ("/clob", f"/book?token_id={YES}"),
            ("/clob", f"/clob-markets/{CONDITION}"),
            ("/clob", f"/markets-by-token/{YES}"),
            ("/clob", f"/midpoint?token_id={YES}"),
            ("/clob", "/api/geoblock"),
            ("/clob", "/version"),
        ):
            bare = await ask(server, "GET", target, b"", {})
            assert bare.status == 200
            assert (await ask(server, "GET", prefix + target, b"", {})).body == bare.body


async def test_the_record_is_a_file_as_well(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    async with open_clob_venue(lambda: NOW, record=file) as server:
        key = key_of(1)
        one = Trader(server, key, server.clob.put_wallet(key.address))
        assert (await one.ask("POST", "/auth/api-key", level=1)).status == 200
        assert (await one.ask("GET", "/data/orders", level=0)).status == 401
        lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert [(line["kind"], line["status"], line["text"]) for line in lines] == [
        ("answered", 200, ""),
        ("answered", 401, "Unauthorized/Invalid api key"),
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--fault", "settels"], 'did you mean "settles"?'),
        (["--fault", "settles=soon"], "settles: expected promptly|never|retried|failed|undone"),
        (["--port", "70000"], "--port: expected a port from 0 to 65535, got '70000'"),
        (["--record", "/nowhere/at/all"], "--record: expected a file that can be written"),
    ],
)
def test_what_cannot_be_is_said_at_once(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    try:
        code = main(words)
    except SystemExit as end:  # argparse's way
        assert isinstance(end.code, int)
        code = end.code
    assert code == 2
    assert told in capsys.readouterr().err


def test_vectors_of_the_venue_are_read(load_data: Any) -> None:
    """Orders of all types on all exchanges, and headers, that the official client signed."""
    for case in load_data("polymarket_orders.json")["cases"]:
        order = {name: value for name, value in case["order"].items() if name != "expiration_unsigned_wire_only"}
        exchange = {
            version: name
            for name, version in (
                ("v2", "CTFExchangeV2"),
                ("v2-neg-risk", "NegRiskCtfExchangeV2"),
                ("v3", "ExchangeV3"),
            )
        }[case["exchange"]]
        signature = bytes.fromhex(case["signature"][2:])
        assert order_id_of(order, exchange, 137) == case["orderDigest_eq_orderID"]
        assert order_signer(order, signature, exchange, 137) == key_of(int("01" * 32, 16)).address
    for case in load_data("polymarket_auth.json")["L1_ClobAuth"]["vectors"]:
        signature = bytes.fromhex(case["signature"][2:])
        told = (case["address"], case["timestamp"], case["nonce"], signature, case["chainId"])
        assert attestation_signer(*told) == case["address"].lower()
