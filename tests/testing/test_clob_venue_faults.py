"""What our venue does wrong on purpose, by name: what its client sees, and what truly happened."""

from collections.abc import Mapping
from typing import Any

import h11
import pytest
import trio
import trio.testing
from attrs import frozen

from tests.testing.venue_client import YES, ask, open_venue, order_id, put_book, trader
from trio_copy.model.units import Ratio
from trio_copy.testing.clob_venue import Answered, ClobServer, Filled, OrderAnswer
from trio_copy.testing.clob_venue.faults import ClobFaults
from trio_copy.testing.devnet.words import listed_faults, take_faults

NO_ANSWER = 0


@frozen
class Case:
    """Faults as they are written on a command line, and what becomes of an order."""

    words: str
    status: int
    """NO_ANSWER where the connection ends, or nothing comes."""
    says: bytes
    filled: bool
    headers: Mapping[str, str] = {}


CASES = [
    Case("drop", NO_ANSWER, b"", filled=False),
    Case("lose_reply", NO_ANSWER, b"", filled=True),
    Case("drop carried_out", NO_ANSWER, b"", filled=True),
    Case("stall", NO_ANSWER, b"", filled=False),
    Case("stall carried_out", NO_ANSWER, b"", filled=True),
    Case("body=cut", NO_ANSWER, b"", filled=True),
    Case("body=garbage", 200, b"\xff\xfe not json", filled=True),
    Case("body=page", 200, b"<!DOCTYPE html>", filled=True),
    Case("blocked", 403, b"<!DOCTYPE html>", filled=False),
    Case("status=401", 401, b'{"error":"Unauthorized/Invalid api key"}', filled=False),
    Case("status=404", 404, b'{"error":"not found"}', filled=False),
    Case("status=425", 425, b'{"error":"service not ready"}', filled=False),
    Case("status=429", 429, b'{"error":"Too Many Requests"}', filled=False),
    Case("status=429 retry_after_s=7", 429, b'{"error":"Too Many', filled=False, headers={"retry-after": "7"}),
    Case("status=429 carried_out", 429, b'{"error":"Too Many Requests"}', filled=True),
    Case("status=500", 500, b'{"error":"Internal server error"}', filled=False),
    Case("status=500 text=could not insert order", 500, b'{"error":"could not insert order"}', filled=False),
    Case("status=500 carried_out", 500, b'{"error":"Internal server error"}', filled=True),
    Case("status=503", 503, b'{"error":"Trading is currently disabled.', filled=False),
    Case("text=order match delayed due to market conditions", 400, b'{"error":"order match delayed', filled=False),
    Case("mode=disabled", 503, b'{"error":"Trading is currently disabled.', filled=False),
    Case("mode=cancel_only", 503, b'{"error":"Trading is currently cancel-only.', filled=False),
    Case("mode=post_only", 503, b'{"error":"post-only mode:', filled=False, headers={"retry-after": "60"}),
    Case("mode=restarting", 425, b'{"error":"service not ready"}', filled=False),
    Case("standing=closed_only", 400, b'{"error":"\'', filled=False),
    Case("order_answer=error", 200, b'{"errorMsg":"not enough balance / allowance","orderID":""', filled=False),
    Case("order_answer=error text=invalid signature", 200, b'{"errorMsg":"invalid signature"', filled=False),
    Case("order_answer=no_amounts", 200, b"", filled=True),
    Case("order_answer=other_id", 200, b"", filled=True),
    Case("order_answer=no_id", 200, b"", filled=True),
    Case("order_answer=delayed later=killed", 200, b"", filled=False),
    Case("order_answer=live", 200, b"", filled=True),
    Case("path=/order status=500", 500, b'{"error"', filled=False),
    Case("path=DELETE /order status=500", 200, b"", filled=True),
    Case("path=/orders status=500", 200, b"", filled=True),
    Case("host=data status=500", 200, b"", filled=True),
]


def set_faults(server: ClobServer, words: str) -> None:
    """Read faults as a command line has them, save that one with spaces is the last."""
    parts = words.split(" text=")
    head, _, order = parts[0].partition("path=DELETE /order ")
    written = ["path=DELETE /order", *order.split()] if order else head.split()
    if words.startswith("text="):
        written, parts = [], ["", words.removeprefix("text=")]
    take_faults(server.faults, "--fault", [*written, *(f"text={part}" for part in parts[1:])])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
async def test_what_is_answered_and_what_happened(clock: trio.testing.MockClock, case: Case) -> None:
    async with open_venue() as server:
        one = await trader(server)
        set_faults(server, case.words)
        body = one.order("BUY", "3", "5")
        with trio.move_on_after(30) as patience:
            await trio.lowlevel.checkpoint()
            try:
                reply = await one.post(body)
                assert (reply.status, reply.body[: len(case.says)]) == (case.status, case.says)
                assert reply.headers.items() >= case.headers.items()
            except (h11.RemoteProtocolError, trio.BrokenResourceError):
                assert case.status == NO_ANSWER
        assert patience.cancelled_caught is case.words.startswith("stall")

        server.faults.clear()
        await trio.sleep(10)
        fills = server.clob.record.of(Filled)
        assert [fill.shares for fill in fills] == [5_000_000] * case.filled
        assert one.wallet.has[YES] == 5_000_000 * case.filled
        (answered,) = [entry for entry in server.clob.record.of(Answered) if entry.path == "/order"]
        heard = case.status == answered.status != NO_ANSWER and not case.words.startswith("body")
        assert answered.lost is not heard
        assert answered.order_ids == (order_id(body),)
        # The same bytes again: taken where nothing was, and a duplicate where it was.
        again = await one.post(body)
        assert again.status == (400 if case.filled or "delayed later" in case.words else 200)


@pytest.mark.parametrize("answer", [OrderAnswer.OTHER_ID, OrderAnswer.NO_ID])
async def test_an_answer_may_be_about_another_order(clock: trio.testing.MockClock, answer: OrderAnswer) -> None:
    async with open_venue() as server:
        one = await trader(server)
        server.faults.order_answer = answer
        body = one.order("BUY", "3", "5")
        told = (await one.post(body)).json["orderID"]
        assert told != order_id(body)
        assert bool(told) is (answer is OrderAnswer.OTHER_ID)
        assert server.clob.record.fills(order_id(body)) != []
        assert server.clob.record.of(Answered)[-1].order_ids == (order_id(body),)


async def test_faults_end_after_so_many_requests(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        take_faults(server.faults, "--fault", ["path=POST /order", "requests=2", "status=500"])
        orders = [one.order("BUY", "1.2", "2") for _ in range(3)]
        assert (await one.ask("GET", "/data/orders")).status == 200  # of another path: not counted
        assert [(await one.post(order)).status for order in orders] == [500, 500, 200]


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("all", [500, 500, 500, 500]),
        ("/data/", [500, 500, 200, 200]),
        ("GET /data/order/", [500, 200, 200, 200]),
        ("POST /data/", [200, 200, 200, 200]),
        ("/data/orders", [200, 500, 200, 200]),
        ("/book", [200, 200, 500, 200]),
        ("GET /time", [200, 200, 200, 500]),
        ("/tim", [200, 200, 200, 200]),
    ],
)
async def test_faults_are_of_the_paths_that_they_name(
    clock: trio.testing.MockClock, path: str, statuses: list[int]
) -> None:
    async with open_venue() as server:
        one = await trader(server)
        take_faults(server.faults, "--fault", [f"path={path}", "status=500"])
        targets = (f"/data/order/0x{'7' * 64}", "/data/orders", f"/book?token_id={YES}", "/time")
        assert [(await one.ask("GET", target)).status for target in targets] == statuses


async def test_a_restart_takes_its_time(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        resting = (await one.post(one.order("BUY", "1", "5", "GTC"))).json["orderID"]
        server.clob.restart(90, 120)
        assert (await one.post(one.order("BUY", "3", "5"))).status == 425
        assert (await one.ask("DELETE", "/order", {"orderID": resting})).status == 425
        assert (await one.ask("GET", f"/data/order/{resting}")).json["status"] == "LIVE"
        await trio.sleep(91)
        assert (await one.post(one.order("BUY", "3", "5"))).json["code"] == "post_only_mode"
        assert (await one.post(one.order("BUY", "1", "5", "GTC", postOnly=True))).status == 200
        assert (await one.ask("DELETE", "/order", {"orderID": resting})).status == 200
        await trio.sleep(120)
        assert (await one.post(one.order("BUY", "3", "5"))).status == 200


async def test_one_empty_answer_proves_nothing(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        server.faults.trades_lag_s = 30
        placed = (await one.post(one.order("BUY", "3", "5"))).json["orderID"]
        assert (await one.ask("GET", f"/data/order/{placed}")).json is None
        assert (await one.ask("GET", "/data/trades")).json["data"] == []
        await trio.sleep(31)
        assert [trade["taker_order_id"] for trade in (await one.ask("GET", "/data/trades")).json["data"]] == [placed]


async def test_a_clock_that_is_set_back_hides_no_trade(clock: trio.testing.MockClock) -> None:
    """How late trades are told, and counted, goes by true time."""
    async with open_venue() as server:
        one = await trader(server)
        placed = (await one.post(one.order("BUY", "1", "20", "GTC"))).json["orderID"]
        server.clob.trading.trade_against(placed, 5_000_000)
        server.faults.clock_off_s = -100
        assert (await one.ask("GET", f"/data/order/{placed}")).json["size_matched"] == "5"
        assert len((await one.ask("GET", "/data/trades")).json["data"]) == 1


async def test_orders_may_count_late(clock: trio.testing.MockClock) -> None:
    """Canceled, with nothing matched: a moment later it turns out that there was something."""
    async with open_venue() as server:
        one = await trader(server)
        server.faults.counts_lag_s = server.faults.trades_lag_s = 10
        placed = (await one.post(one.order("BUY", "1", "20", "GTC"))).json["orderID"]
        server.clob.trading.trade_against(placed, 5_000_000)
        await one.ask("DELETE", "/order", {"orderID": placed})
        for status, matched, trades in (("CANCELED", "0", 0), ("CANCELED", "5", 1)):
            row = (await one.ask("GET", f"/data/order/{placed}")).json
            assert (row["status"], row["size_matched"], len(row["associate_trades"])) == (status, matched, trades)
            assert len((await one.ask("GET", "/data/trades")).json["data"]) == trades
            await trio.sleep(11)


@pytest.mark.parametrize(("percent", "sizes"), [(0, ["12.5"]), (20, ["10", "2.5"]), (100, ["12.5"])])
async def test_what_one_order_takes_may_be_told_in_two_parts(
    clock: trio.testing.MockClock, percent: int, sizes: list[str]
) -> None:
    """The first may have all the shares that a purchase names, while a part of its cash is told of later."""
    async with open_venue(fee_rate=Ratio.parse("0.05"), fee_exponent=1) as server:
        one = await trader(server)
        put_book(server, asks=[("0.4", "1000")])
        server.faults.later_part = percent
        answer = (await one.post(one.order("BUY", "5", "10"))).json
        server.faults.clear()
        assert (answer["takingAmount"], answer["makingAmount"]) == ("12.5", "5")
        fills = server.clob.record.fills(answer["orderID"])
        assert [fill.trade_id for fill in fills] == answer["tradeIDs"]
        assert (sum(fill.shares for fill in fills), sum(fill.cash for fill in fills)) == (12_500_000, 5_000_000)
        assert sum(fill.fee for fill in fills) == 150_000
        for wait_s in (24, 2):
            await trio.sleep(wait_s)
            told = (await one.ask("GET", "/data/trades")).json["data"]
            assert {row["size"] for row in told} == set(sizes[:1] if wait_s == 24 else sizes)
            assert {row["status"] for row in told} == {"CONFIRMED"}
        assert one.wallet.has == {None: 994_850_000, YES: 12_500_000}


async def test_statuses_may_have_a_prefix(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        server.faults.prefixed = True
        placed = (await one.post(one.order("BUY", "6", "12", "GTC"))).json["orderID"]
        assert (await one.ask("GET", f"/data/order/{placed}")).json["status"] == "ORDER_STATUS_LIVE"
        assert [row["status"] for row in (await one.ask("GET", "/data/orders")).json["data"]] == ["ORDER_STATUS_LIVE"]
        server.clob.trade_against(placed)
        trades = (await one.ask("GET", "/data/trades")).json["data"]
        assert [row["status"] for row in trades] == ["TRADE_STATUS_MATCHED"]


async def test_a_region_may_be_kept_out(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        for blocked in (False, True):
            server.faults.geoblocked = blocked
            assert (await ask(server, "GET", "/api/geoblock", b"", {})).json["blocked"] is blocked
        assert (await one.ask("GET", "/auth/ban-status/closed-only")).json == {"closed_only": False}
        take_faults(server.faults, "--fault", ["standing"])
        assert (await one.ask("GET", "/auth/ban-status/closed-only")).json == {"closed_only": True}


def test_every_fault_is_said_in_a_line() -> None:
    told: dict[str, Any] = dict(listed_faults(ClobFaults))
    assert {"lose_reply", "carried_out", "mode[=open|disabled|cancel_only|post_only|restarting]"} <= told.keys()
    assert all(told.values())
