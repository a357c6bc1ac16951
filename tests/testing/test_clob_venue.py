"""Our venue at work: orders meet books, rest, wait, end, and settle; the record tells the truth about it."""

import pytest
import trio
import trio.testing
from attrs import frozen

from tests.builders import NOW
from tests.testing.venue_client import CONDITION, NO, YES, ask, open_venue, order_id, put_book, trader
from trio_copy.model.units import Price, Ratio
from trio_copy.testing.clob_venue import (
    Ended,
    Filled,
    Tier,
)

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


async def test_the_two_answers_of_a_question_share_their_book(clock: trio.testing.MockClock) -> None:
    """Two who buy make new shares of both, two who sell merge theirs; each gets his price, and the book shows it."""
    async with open_venue(fee_rate=Ratio.parse("0.05")) as server:
        one, other = await trader(server, shares={YES: 100}), await trader(server, 2, shares={NO: 100})
        server.clob.market.outside.clear()
        bid = (await one.post(one.order("BUY", "12", "30", "GTC"))).json["orderID"]
        offer = (await one.post(one.order("SELL", "20", "14", "GTC"))).json["orderID"]
        book = (await ask(server, "GET", f"/book?token_id={NO}", b"", {})).json
        assert [book[side] for side in ("bids", "asks")] == [
            [{"price": "0.3", "size": "20"}],
            [{"price": "0.6", "size": "30"}],
        ]
        crossing = await other.post(other.order("BUY", "6.2", "10", "GTC", token=NO, postOnly=True))
        assert crossing.error == "invalid post-only order: order crosses book"

        bought = (await other.post(other.order("BUY", "6", "10", token=NO))).json
        assert (bought["makingAmount"], bought["takingAmount"]) == ("6", "10")
        sold = (await other.post(other.order("SELL", "5", "1.5", token=NO))).json
        assert (sold["makingAmount"], sold["takingAmount"]) == ("5", "1.5")
        for order, figures in ((bid, (10_000_000, 4_000_000)), (offer, (5_000_000, 3_500_000))):
            assert [(one.shares, one.cash) for one in server.clob.record.fills(order)] == [figures]
        rows = (await one.ask("GET", "/data/trades")).json["data"]
        assert [(row["asset_id"], row["side"], row["price"]) for row in rows] == [
            (str(NO), "SELL", "0.3"),
            (str(NO), "BUY", "0.6"),
        ]
        mine = [maker for row in rows for maker in row["maker_orders"]]
        assert [(maker["asset_id"], maker["side"], maker["price"]) for maker in mine] == [
            (str(YES), "SELL", "0.7"),
            (str(YES), "BUY", "0.4"),
        ]

        assert (await one.ask("DELETE", "/cancel-all")).status == 200
        assert NO not in server.clob.market.books
        await trio.sleep(10)
        assert (one.wallet.has[YES], one.wallet.has[None]) == (105_000_000, 999_500_000)
        fees = sum(fill.cash and fill.fee for fill in server.clob.record.of(Filled))
        assert (other.wallet.has[NO], other.wallet.has[None]) == (105_000_000, 995_500_000 - fees)


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
